"""Solutions as one text to steps, and what a step must not contain."""

from __future__ import annotations

from stepscore.errors import InputError


def split_at(text: str, separator: str) -> list[str]:
    """Split a text at every separator; pieces of white space alone are no steps.

    So trailing separators, and runs of them, never make a step of nothing. Windows line ends count
    as newlines.
    """
    return [piece for piece in unix_lines(text).split(separator) if piece.strip()]


def unix_lines(text: str) -> str:
    """Write every line end as one newline, as the models were trained."""
    return text.replace("\r\n", "\n")


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
    return fault_in_empty_step(text) or fault_in_text(text, "step", separator)


def fault_in_empty_step(text: str) -> InputError | None:
    """Say why a text without anything to read cannot be a step, or give None."""
    if text.strip():
        return None
    return InputError("a step with text", got=repr(text), advice="leave empty steps out")


def no_fault(text: str) -> InputError | None:
    """Accept any text."""
    return None


def shorten(text: str, width: int = 60) -> str:
    """Quote a text, cut to a readable width."""
    return repr(text if len(text) <= width else text[: width - 3] + "...")
