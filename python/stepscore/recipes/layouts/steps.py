"""Solutions as one text to steps, and what a step must not contain."""

from __future__ import annotations

import re

from stepscore.errors import InputError
from stepscore.recipes.layouts.step_numbers import split_at_numbers

# Carriage returns that are part of a line end.
_RETURNS = re.compile(r"\r+(?=\n|\Z)")


def split_at(text: str, separator: str) -> list[str]:
    r"""Split a text at every separator; pieces of white space alone are no steps.

    So trailing separators, and runs of them, never make a step of nothing, and blank lines around a
    step go: ``"a\n\n\nb"`` is ``["a", "b"]`` at blank lines. Windows line ends count as newlines.
    """
    pieces = unix_lines(text).split(separator)
    return [without_blank_lines(piece) for piece in pieces if piece.strip()]


def split_at_tags_or_lines(text: str, tag: str, tag_alone: re.Pattern[str]) -> list[str]:
    """Split a text at its tags, else in front of every ``Step n:``, else at newlines.

    The steps are stripped.

    Args:
        text: the solution.
        tag: the letters of the tag.
        tag_alone: finds it, but not in a word that contains them.
    """
    text = unix_lines(text)
    if tag in text and tag_alone.search(text):
        return [piece.strip() for piece in tag_alone.split(text) if piece.strip()]
    numbered_steps = split_at_numbers(text)
    if numbered_steps is not None:
        return numbered_steps
    return [piece.strip() for piece in split_at(text, "\n")]


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
    r"""Write every line end as one newline, as the models were trained.

    A carriage return at the end of a text is what is left of a line end whose newline was cut off,
    as ``text.split("\n")`` does it: it goes, too. Behind a joined newline it would be a line end
    again, so that the same steps would be other tokens when they are joined once more.
    """
    return _RETURNS.sub("", text) if "\r" in text else text


def without_blank_lines(text: str) -> str:
    """Give a text without the blank lines before and behind it; its other spaces stay."""
    body = text.strip()
    if not body:
        return ""
    begin = text.index(body)
    before, behind = text[:begin], text[begin + len(body) :]
    return before.rpartition("\n")[2] + body + behind.partition("\n")[0]


def fault_in_text(
    text: str, what: str, reserved: re.Pattern[str], separator: str
) -> InputError | None:
    """Say why a text cannot stand before or between separators, or give None.

    Args:
        text: a problem or a step.
        what: which of the two.
        reserved: what it must not hold: the separator, and other marks of the layout.
        separator: ends a step.
    """
    match = reserved.search(text)
    if match is None:
        return None
    ends = match[0] == separator
    return InputError(
        f"a {what} without {match[0]!r}, which "
        + ("ends a step in the model's input" if ends else "is a mark of the model's input"),
        got=shorten_around(text, match.start()),
        advice=f"remove it, or split the {what} there" if ends else "remove it",
    )


def fault_in_step_with_blanks(text: str, separator: str) -> InputError | None:
    """Say why a text cannot be a step where blank pieces alone may stand around it."""
    *before, piece = without_blanks_behind(text, separator).split(separator)
    if text.strip() and (not piece.strip() or any(blank.strip() for blank in before)):
        return InputError(
            f"a step without {separator!r}, which ends a step in the model's input (blank lines "
            "may stand before it)",
            got=shorten(text),
            advice="split it there",
        )
    return fault_in_empty_step(text)


def without_blanks_behind(text: str, separator: str) -> str:
    """Give a text without the blank pieces behind it."""
    pieces = text.split(separator)
    while len(pieces) > 1 and not pieces[-1].strip():
        pieces.pop()
    return separator.join(pieces)


def fault_in_empty_step(text: str) -> InputError | None:
    """Say that a step holds no text, or give None."""
    if text.strip():
        return None
    return InputError("a step with text", got=repr(text), advice="leave empty steps out")


def shorten(text: str, width: int = 60) -> str:
    """Quote a text, cut to a readable width."""
    return repr(text if len(text) <= width else text[: width - 3] + "...")


def shorten_around(text: str, at: int, width: int = 60) -> str:
    """Quote the part of a text around a place, cut to a readable width."""
    if len(text) <= width:
        return repr(text)
    begin = max(0, min(at - width // 3, len(text) - width))
    end = begin + width
    part = text[begin:end]
    return repr(("..." if begin else "") + part + ("..." if end < len(text) else ""))
