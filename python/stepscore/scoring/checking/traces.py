"""Traces that provoke what goes wrong in scripts, and sums whose wrong steps are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Sums that the built-in miniature knows, too; one wrong result of each is carried on.
_SUMS = (
    ("85+95-16+20+11-30=?", (85, 95, -16, 20, 11, -30)),
    ("69+15-75+61+71-84=?", (69, 15, -75, 61, 71, -84)),
    ("42+37+58-26+19-73=?", (42, 37, 58, -26, 19, -73)),
    ("91+19+82-80+55+10=?", (91, 19, 82, -80, 55, 10)),
)
_SHOP = "A shop sells pens for 2 euros and books for 5 euros. What do 3 pens and a book cost?"
_LAYOUT = (
    # Full stops in front of the separator, which a joint encoding merges with it.
    (_SHOP, ("Three pens cost 3 * 2 = 6 euros.", "With the book it is 6 + 5 = 11 euros.")),
    # Blank lines around steps, and a text that ends in separators.
    (_SHOP, "Three pens cost 6 euros.\n\nThe book costs 5 euros.\n\nIn all 11 euros.\n\n"),
    # Windows line ends.
    (_SHOP, "Three pens cost 6 euros.\r\n\r\nIn all it is 11 euros.\r\n"),
    # Steps that bring their numbers.
    (_SHOP, ("Step 1: 3 * 2 = 6.", "Step 2: 6 + 5 = 11.")),
    # Steps that end in other signs than a full stop, or in spaces.
    (_SHOP, ("Is it 3 * 2? Yes!", "So: 6", "6 + 5 = 11 ", " the total is 11;")),
    # Formulas, braces and backslashes.
    (
        r"Simplify $\frac{2}{4} + \frac{1}{3}$.",
        (r"$\frac{2}{4} = \frac{1}{2}$.", r"So it is $\boxed{\frac{5}{6}}$."),
    ),
    # Signs beyond ASCII, and a word that holds the letters of a tag.
    ("Найдите √16 · 2.", ("√16 = 4, потому что 4² = 16.", "Из рук в руки: 4 · 2 = 8 ≤ 9.")),
    # A problem of several lines, the last of them blank.
    ("Two numbers:\n7\n\n5\nWhat is their sum?\n", ("7 + 5 = 12.",)),
    # Many short steps: the last is read as far from the first as a trace usually goes.
    ("Count to twelve.", tuple(f"{n}." for n in range(1, 13))),
)


@dataclass(frozen=True)
class CheckTrace:
    """A trace of a check.

    Attributes:
        place: how messages call it.
        problem: its problem.
        solution: a text or its steps.
        right: whether each step is right; None where nobody knows.
    """

    place: str
    problem: str
    solution: str | Sequence[str]
    right: tuple[bool, ...] | None = None


def built_in_traces() -> list[CheckTrace]:
    """Give the built-in traces: those that provoke faults of layout, and sums right and wrong."""
    traces = [
        CheckTrace(f"built-in trace {number}", problem, solution)
        for number, (problem, solution) in enumerate(_LAYOUT, 1)
    ]
    for number, (problem, terms) in enumerate(_SUMS, 1):
        for wrong_at in (None, 1, 3):
            steps, right = _sum(terms, wrong_at)
            name = "right" if wrong_at is None else f"wrong from step {wrong_at} on"
            traces.append(CheckTrace(f"built-in sum {number}, {name}", problem, steps, right))
    return traces


def _sum(terms: Sequence[int], wrong_at: int | None) -> tuple[list[str], tuple[bool, ...]]:
    """Add terms up step by step; the result of step `wrong_at`, from 1, is 10 too small."""
    steps, total = [], terms[0]
    for step, term in enumerate(terms[1:], 1):
        result = total + term - (10 if step == wrong_at else 0)
        steps.append(f"{total}{term:+d}={result}")
        total = result
    count = len(steps)
    return steps, tuple(wrong_at is None or step < wrong_at for step in range(1, count + 1))
