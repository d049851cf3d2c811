r"""The final answer of a solution text, by the forms that published solutions use.

Answers are compared as texts. ``1/2`` and ``\frac{1}{2}`` are two answers here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_BRACE = re.compile(r"(\\boxed\s*)?\{|\}")
# Stars are Markdown emphasis, as in "**Answer:** 5".
_STATED = re.compile(
    r".*(?:[Tt]he (?:final )?answer is\**:?|"
    r"^\**(?:A|Answer|Final [Aa]nswer)\**:)(.*)"
)
_SENTENCE_END = re.compile(r"\.(?=\**(?:\s|$))")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


def final_answer(text: str) -> str | None:
    r"""Find the final answer of a solution.

    In this order: the last ``\boxed{...}`` (braces may nest); what follows the last ``####`` on its
    line; what follows the last "The answer is" (up to the end of the sentence), or ``A:`` at the
    start of a line; what follows the last ``=`` of the last line.

    Returns:
        The answer, normalised; None where there is none.
    """
    box = _last_box(text)
    if box is not None:
        return normalise(box) or None
    if "####" in text:
        return normalise(_first_line(text.rpartition("####")[2])) or None
    lines = text.strip().split("\n")
    # From the end, where most solutions state it.
    for line in reversed(lines):
        stated = _STATED.match(line)
        if stated is not None:
            sentence = _SENTENCE_END.split(_plain(stated[1]))[0]
            return normalise(_plain(sentence)) or None
    _, equals, tail = lines[-1].rpartition("=")
    return (normalise(tail) or None) if equals else None


def normalise(answer: str) -> str:
    """Strip an answer of white space, dollar signs, a trailing period and thousands commas."""
    stripped = answer.strip().removesuffix(".").strip()
    stripped = stripped.strip("$").removeprefix("\\$").strip()
    return stripped.replace(",", "") if _THOUSANDS.fullmatch(stripped) else stripped


def answer_classes(answers: Sequence[str | None]) -> list[int]:
    """Number the answers of one problem, first seen = 0; -1 where there is none."""
    known: dict[str, int] = {}
    return [-1 if answer is None else known.setdefault(answer, len(known)) for answer in answers]


def _last_box(text: str) -> str | None:
    """Give what stands in the box that opens last, of those that are closed."""
    open_braces: list[tuple[bool, int]] = []  # is it a box, and where does its content begin
    last: tuple[int, int] | None = None
    for brace in _BRACE.finditer(text):
        if brace[0] != "}":
            open_braces.append((brace[1] is not None, brace.end()))
        elif open_braces:
            is_box, begin = open_braces.pop()
            if is_box and (last is None or begin > last[0]):
                last = begin, brace.start()
    return None if last is None else text[slice(*last)]


def _plain(text: str) -> str:
    """Take the Markdown emphasis off the ends."""
    plain = text.strip().removeprefix("**").removesuffix("**").strip()
    if len(plain) > 1 and plain[0] == plain[-1] == "*":
        plain = plain[1:-1]
    return plain


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
