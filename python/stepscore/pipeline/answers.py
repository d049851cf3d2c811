r"""The final answer of a solution text, by the forms that published solutions use.

Answers are compared as texts. ``1/2`` and ``\frac{1}{2}`` are two answers here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_BOX = re.compile(r"\\boxed\s*\{")
_STATED = re.compile(r".*(?:[Tt]he (?:final )?answer is:?|^(?:A|Answer|Final [Aa]nswer):)(.*)")
_SENTENCE_END = re.compile(r"\.(?=\s|$)")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


def final_answer(text: str) -> str | None:
    r"""Find the final answer of a solution.

    In this order: the last ``\boxed{...}`` (braces may nest); what follows the last ``####`` on its
    line; what follows the last "The answer is" (up to the end of the sentence), or ``A:`` at the
    start of a line; what follows the last ``=`` of the last line.

    Returns:
        The answer, normalised; None where there is none.
    """
    for match in reversed(list(_BOX.finditer(text))):
        box = _balanced(text, match.end())
        if box is not None:
            return normalise(box) or None
    if "####" in text:
        return normalise(_first_line(text.rpartition("####")[2])) or None
    lines = text.strip().split("\n")
    # From the end, where most solutions state it.
    for line in reversed(lines):
        stated = _STATED.match(line)
        if stated is not None:
            return normalise(_SENTENCE_END.split(stated[1].strip())[0]) or None
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


def _balanced(text: str, begin: int) -> str | None:
    """Give what stands between an open brace and its partner, or None where it has none."""
    depth = 1
    for place in range(begin, len(text)):
        if text[place] == "{":
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if depth == 0:
                return text[begin:place]
    return None


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
