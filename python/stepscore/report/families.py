"""The families of models that write their verdicts, as people look at them."""

from __future__ import annotations

from collections.abc import Sequence

from stepscore.report.recipes import argument_lines, range_of
from stepscore.report.table import NOTHING
from stepscore.scoring.generative import GenerativeFamily

_NOTE = (
    "  needs: beside a policy, which writes. A family is named as a recipe where a step or a",
    "  solution has a score, and as a judge where a pair has a verdict; what it needs stands",
    "  behind its name or in a file. Functions are given in Python alone: checklist, state.",
)


def family_list(families: Sequence[GenerativeFamily]) -> list[str]:
    """Write the table of families, the source of each below its line."""
    rows = [("writes its verdicts", "confidence", "unit", "range", "needs")]
    rows += [
        (
            each.name,
            each.confidence,
            "pair" if each.kind == "comparisons" else each.unit,
            range_of(each.score_range),
            ", ".join(each.required) or NOTHING,
        )
        for each in families
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    written = [lines[0].rstrip()]
    for line, each in zip(lines[1:], families, strict=True):
        written += [line.rstrip(), f"      {each.source}"]
        written += [f"      unverified: {fact}" for fact in each.unverified]
    return [*written, "", *_NOTE]


def family_lines(family: GenerativeFamily) -> list[str]:
    """Say what a family judges, and what it leaves to its user."""
    unit = "pair of solutions" if family.kind == "comparisons" else family.unit
    score = "" if family.score_range is None else f", {range_of(family.score_range)}"
    return [
        f"{family.name}: {family.confidence}; {family.source}",
        f"  writes     its verdict about every {unit}{score}; a policy writes it",
        *(f"  unverified {fact}" for fact in family.unverified),
        *argument_lines(family),
    ]
