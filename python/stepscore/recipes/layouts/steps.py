"""Solutions as one text to steps, and what a step must not contain."""

from __future__ import annotations

import re

from stepscore.errors import InputError

_NUMBERED = re.compile(r"Step \d+:")


def split_at(text: str, separator: str) -> list[str]:
    """Split a text at every separator; pieces of white space alone are no steps.

    So trailing separators, and runs of them, never make a step of nothing. Windows line ends count
    as newlines.
    """
    return [piece for piece in unix_lines(text).split(separator) if piece.strip()]


def split_at_tags_or_lines(text: str, tag: str) -> list[str]:
    """Split a text at its tags, or at newlines when it has none, and strip the steps."""
    return [piece.strip() for piece in split_at(text, tag if tag in text else "\n")]


def split_with_blanks(text: str, separator: str) -> list[str]:
    r"""Split a text at every separator; blank pieces stand in front of the step that follows.

    Blank pieces after the last step are dropped: ``"a\n\nb\n\n"`` is ``["a", "\nb"]``.
    """
    steps = []
    blanks: list[str] = []
    for piece in unix_lines(text).split(separator):
        if piece.strip():
            steps.append(separator.join([*blanks, piece]))
            blanks = []
        else:
            blanks.append(piece)
    return steps


def unix_lines(text: str) -> str:
    """Write every line end as one newline, as the models were trained."""
    return text.replace("\r\n", "\n")


def as_given(step: str, number: int) -> str:
    """Give the step as it is; `number` is its place, from 1."""
    return step


def numbered(step: str, number: int) -> str:
    """Give the step with ``Step <number>: `` in front, unless it brings a number."""
    return step if _NUMBERED.match(step) else f"Step {number}: {step}"


def fault_in_text(text: str, what: str, separator: str) -> InputError | None:
    """Say why a text cannot stand before or between separators, or give None."""
    if separator not in text:
        return None
    return InputError(
        f"a {what} without {separator!r}, which ends a step in the model's input",
        got=shorten(text),
        advice=f"remove it, or split the {what} there",
    )


def fault_in_step(text: str, separator: str) -> InputError | None:
    """Say why a text cannot be a step that ends at the separator, or give None."""
    return _fault_in_empty_step(text) or fault_in_text(text, "step", separator)


def fault_in_step_with_blanks(text: str, separator: str) -> InputError | None:
    """Say the same where blank pieces may stand before the step."""
    *before, piece = text.split(separator)
    if text.strip() and (not piece.strip() or any(blank.strip() for blank in before)):
        return InputError(
            f"a step without {separator!r}, which ends a step in the model's input (blank lines "
            "may stand before it)",
            got=shorten(text),
            advice="split it there",
        )
    return _fault_in_empty_step(text)


def _fault_in_empty_step(text: str) -> InputError | None:
    if text.strip():
        return None
    return InputError("a step with text", got=repr(text), advice="leave empty steps out")


def shorten(text: str, width: int = 60) -> str:
    """Quote a text, cut to a readable width."""
    return repr(text if len(text) <= width else text[: width - 3] + "...")
