"""Recipes as people look at them: the list of all, and a trace with the places that are read."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stepscore.recipes import Recipe, RecipeSummary, RenderedTrace
from stepscore.recipes.argument_values import PYTHON_ONLY
from stepscore.report.table import NOTHING, WIDTH, counted

if TYPE_CHECKING:
    from stepscore.scoring.generative import GenerativeFamily

_ANY = "any number"


def recipe_list(summaries: Sequence[RecipeSummary]) -> list[str]:
    """Write the table of all recipes, the source of each below its line."""
    rows = [("recipe", "confidence", "unit", "range", "better", "aggregate", "needs")]
    rows += [
        (
            each.name,
            each.confidence or NOTHING,
            each.unit or NOTHING,
            range_of(each.score_range),
            NOTHING if each.higher_is_better is None else _better(each.higher_is_better),
            each.default_aggregate or NOTHING,
            ", ".join(each.required) or NOTHING,
        )
        for each in summaries
    ]
    lines = _columns(rows)
    written = [lines[0]]
    for line, each in zip(lines[1:], summaries, strict=True):
        written.append(line)
        more = [each.source] if each.source else []
        more += [f"unverified: {fact}" for fact in each.unverified]
        written += [f"      {text}" for text in more]
    return [
        *written,
        "",
        "  aggregate -: the authors state none, and last is used. needs: what a file with a recipe",
        '  must give beside "recipe: NAME". Other facts that are - depend on what is given.',
    ]


def range_of(ends: tuple[float, float] | None) -> str:
    """Write the range of a score."""
    if ends is None:
        return NOTHING
    low, high = ends
    if math.isinf(low) and math.isinf(high):
        return _ANY
    if math.isinf(high):
        return f"from {low:g}"
    return f"up to {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"


def recipe_lines(recipe: Recipe) -> list[str]:
    """Say how a recipe reads."""
    head = recipe.head
    modules = ", ".join(layer.weight.removesuffix(".weight") for layer in head.layers)
    readings = "; ".join(
        f"{reading.name} = {reading.activation}"
        + (f", output {reading.column}" if reading.column is not None else f" * {reading.weights}")
        + f", {range_of(reading.score_range)}, {_better(reading.higher_is_better)} is better"
        for reading in recipe.readings
    )
    return [
        f"{recipe.name}: {recipe.confidence}; {recipe.source}",
        f"  head       {head.kind} ({modules}), {head.outputs} outputs",
        f"  readings   {readings}",
        f"  aggregate  {recipe.default_aggregate or 'none stated: last'}",
        f"  text       encoded {_TOKENISATION[recipe.tokenisation]}; a {recipe.unit} has a score; "
        f"steps end in {recipe.separator!r}",
        *(f"  unverified {fact}" for fact in recipe.unverified),
    ]


def argument_lines(summary: RecipeSummary | GenerativeFamily) -> list[str]:
    """Say what a recipe leaves to its user, and how it is typed."""
    if not summary.arguments:
        return ["  arguments  none"]
    lines = []
    for each in summary.arguments:
        state = "required" if each.required else "may be left out"
        if each.default is not None:
            written = _default(each.default)
            state = f"default: {written if len(written) <= 60 else f'{written[:57]}...'}"
        lines += textwrap.wrap(f"{each.name} ({state}): {each.takes}", 80, subsequent_indent="    ")
        lines += textwrap.wrap(each.about, 80, initial_indent="  ", subsequent_indent="  ")
    writable = [each for each in summary.arguments if each.takes != PYTHON_ONLY]
    shown = [each.name for each in writable if each.required] or [writable[0].name]
    typed = ",".join(f"{name}=..." for name in shown)
    lines.append(f"typed with the name, as {summary.name}:{typed}")
    if any("list of" in each.takes or each.takes[0].isdigit() for each in writable):
        lines.append("several values of one argument are typed one by one: ARG=VALUE,ARG=VALUE")
    return [
        ("  arguments  " if number == 0 else " " * 13) + line for number, line in enumerate(lines)
    ]


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value)


_TOKENISATION = {"joint": "as one text", "separate": "part by part"}


def trace_lines(trace: RenderedTrace, *, color: bool, width: int) -> list[str]:
    """Write a trace with the places that are read, and the ids around each.

    Args:
        trace: the trace.
        color: whether for a terminal with colours.
        width: how many ids stand on each side of a place.
    """
    rows = [("step", "position", "id", "token", "ids around it")]
    for sequence in trace.sequences:
        for step, position in sequence.steps():
            before, here, behind = sequence.ids_around(position, width)
            around = [*map(str, before), f"[{here}]", *map(str, behind)]
            rows.append(
                (
                    str(step),
                    str(position),
                    str(here),
                    repr(sequence.piece_at(position).text),
                    " ".join(around),
                )
            )
    tokens = sum(len(sequence.token_ids) for sequence in trace.sequences)
    return [
        *trace.marked(color=color),
        "",
        *_columns(rows),
        f"  {counted(len(trace.steps), 'step')}, {counted(tokens, 'token')}",
    ]


def trace_json(trace: RenderedTrace) -> dict[str, object]:
    """Give the same as values of JSON."""
    return {
        "recipe": trace.recipe.as_config(),
        "steps": list(trace.steps),
        "sequences": [
            {
                "text": sequence.text,
                "token_ids": list(sequence.token_ids),
                "positions": list(sequence.positions),
                "first_step": sequence.first_step,
            }
            for sequence in trace.sequences
        ],
    }


def _better(higher: bool) -> str:
    return "higher" if higher else "lower"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return [line.rstrip()[: 2 * WIDTH] for line in lines]
