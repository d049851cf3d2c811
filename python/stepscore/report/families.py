"""The families of models that write their verdicts, as people look at them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from stepscore.recipes.argument_values import PYTHON_ONLY
from stepscore.recipes.registry import COMPARISONS, WRITTEN_VERDICTS
from stepscore.report.recipes import argument_lines, range_of
from stepscore.report.table import NOTHING
from stepscore.scoring.generative import GenerativeFamily

_NOTE = (
    "  needs: beside a policy, which writes. A family is named as a recipe where a step or a",
    "  solution has a score, and as a judge where a pair has a verdict; what it needs stands",
    "  behind its name or in a file. Functions are given in Python alone: checklist, state.",
)
_CALLS = {
    "verdicts": "stepscore score IN -o OUT --recipe {} --model MODEL",
    "comparisons": "stepscore judge IN -o OUT --judge {} --policy MODEL",
}


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


def family_lines(family: GenerativeFamily, typed: str) -> list[str]:
    """Say what a family judges, what it leaves to its user, and how it is typed.

    Args:
        family: the family.
        typed: how it was named, with or without its arguments.
    """
    bare = typed == family.name
    needed = ",".join(f"{name}=..." for name in family.required) if bare else ""
    named = f"{typed}:{needed}" if needed else typed
    unit = "pair of solutions" if family.kind == "comparisons" else family.unit
    score = "" if family.score_range is None else f", {range_of(family.score_range)}"
    return [
        f"{family.name}: {family.confidence}; {family.source}",
        f"  writes     its verdict about every {unit}{score}; a policy writes it",
        *(f"  unverified {fact}" for fact in family.unverified),
        *argument_lines(family),
        "",
        f"  next: {_call(family, named)}",
    ]


def _call(family: GenerativeFamily, named: str) -> str:
    in_python = [
        each.name for each in family.arguments if each.required and each.takes == PYTHON_ONLY
    ]
    if in_python:
        given = ", ".join(f"{name}=..." for name in in_python)
        path = (WRITTEN_VERDICTS | COMPARISONS)[family.name]
        return f"stepscore.scoring.{path}(policy, {given}) in Python"
    return _CALLS[family.kind].format(shlex.quote(named))
