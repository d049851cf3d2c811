r"""Steps that number themselves: ``Step 1: ...``, in the forms that models write."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

from stepscore.recipes.layouts.choice import chosen

Numbering = Literal["missing", "never"]
"""``missing``: a step without a number gets its own; ``never``: steps are written as they are."""

# At the beginning of a line: "Step 1:", "## step 2.", "**Step  3**", "- Step 4)", "Step 5" alone.
# A heading may go on without a sign: "## Step 6 Add". "Step 1.5" and "step 1 of the proof" are no
# numbers of steps.
_AT_LINE = re.compile(
    r"^(?:[#>*_• \t-]*step[ \t]*(\d+)[ \t]*(?:[:：)*_–—]|\.(?!\d)|-(?=\s)|$)"
    r"|[ \t]*#+[ \t*_]*step[ \t]+(\d+)(?=\s))",
    re.IGNORECASE | re.MULTILINE,
)
# Within a line, where the solution is one line: only "Step 2:".
_IN_LINE = re.compile(r"(?<!\S)[*_]*step[ \t]*(\d+)[ \t]*[:：]", re.IGNORECASE)

_SIGNS = re.compile(r"^[*_:：]+")


def split_at_numbers(text: str) -> list[str] | None:
    """Split a text in front of every ``Step n:``; None where it has none.

    What stands in front of ``Step 1:`` belongs to that step. Within a line only numbers that count
    on (``Step 1: ... Step 2: ...``) begin a step, and only in a text that does not put its numbers
    at the beginning of lines: ``by Step 1: ...`` is a reference.
    """
    if not _may_hold_numbers(text):
        return None
    marks = list(_AT_LINE.finditer(text))
    if len(marks) < 2:
        marks = _counting_on(text) or marks
    if not marks:
        return None
    starts = [mark.start() for mark in marks]
    # Where the numbers begin at another one, the text before them is the steps up to there.
    bounds = [0, *(starts[1:] if int(marks[0][1] or marks[0][2]) <= 1 else starts), len(text)]
    pieces = [text[begin:end].strip() for begin, end in pairwise(bounds)]
    return [piece for piece in pieces if piece]


def numbered(step: str, number: int) -> str:
    """Give the step with ``Step <number>: `` in front, unless it brings a number."""
    if _may_hold_numbers(step) and _AT_LINE.search(step):
        return step
    return f"Step {number}: {step}"


def on_one_line(step: str, number: int) -> str:
    """Give the step as `numbered` does, a heading's signs and its newlines as spaces."""
    return numbered(step.replace("\n", " ").replace("## ", ""), number)


def renumbered(step: str, number: int) -> str:
    """Give the step, stripped, with ``"Step <number>: "`` in place of a number that it brings."""
    text = step.strip()
    if _may_hold_numbers(text):
        mark = _AT_LINE.match(text) or _IN_LINE.match(text)
        # The signs of "**Step 2** ..." go with it.
        text = text if mark is None else _SIGNS.sub("", text[mark.end() :]).lstrip()
    return f"Step {number}: {text}"


def as_given(step: str, number: int) -> str:
    """Give the step as it is; `number` is its place, from 1."""
    return step


def written_with(numbering: Numbering) -> Callable[[str, int], str]:
    """Give what writes a step: the step and its place, from 1 -> its text.

    Raises:
        ValueError: another numbering.
    """
    return chosen("numbering", numbering, {"missing": numbered, "never": as_given})


def _may_hold_numbers(text: str) -> bool:
    # Most steps hold none, and the patterns look at every line.
    return "step" in text.lower()


def _counting_on(text: str) -> list[re.Match[str]]:
    marks: list[re.Match[str]] = []
    for match in _IN_LINE.finditer(text):
        if int(match[1]) == len(marks) + 1:
            marks.append(match)
    return marks if len(marks) > 1 else []
