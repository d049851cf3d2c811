"""Recipes of generative PRMs: what stands beside their scores, without tokens to lay out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

from stepscore.errors import InputError
from stepscore.recipes import Head, Reading, Recipe
from stepscore.recipes.layouts.steps import fault_in_empty_step, split_at, without_blank_lines
from stepscore.recipes.recipe import Confidence, Unit


def verdict_recipe(
    name: str,
    *,
    confidence: Confidence,
    source: str,
    verdicts: int = 2,
    readings: Sequence[Reading] | None = None,
    default_aggregate: str | None = None,
    separator: str = "\n\n",
    split: Callable[[str], list[str]] | None = None,
    unit: Unit = "step",
    parameters: dict[str, Any] | None = None,
    unverified: Sequence[str] = (),
) -> Recipe:
    """Describe a generative PRM as `Recipe` does; it has no tokens, and cannot be loaded.

    Args:
        name, confidence, source, default_aggregate, separator, unit, unverified: as in `Recipe`.
        verdicts: the number of words whose rows of the output matrix its verdict reads.
        readings: the first is the score; None for a probability.
        split: a solution given as one text -> its steps; None splits at the separator, or leaves
            whole what has a score as one.
        parameters: what the scores depend on, for provenance.
    """
    probability = Reading("score", "softmax", (1.0, *[0.0] * (verdicts - 1)))
    return Recipe(
        name=name,
        confidence=confidence,
        source=source,
        tokenisation="joint",
        separator=separator,
        head=Head("lm_rows", (), verdicts),
        readings=(probability,) if readings is None else tuple(readings),
        default_aggregate=default_aggregate,
        split=split or (_whole if unit == "solution" else partial(split_at, separator=separator)),
        fault_in_problem=_no_fault,
        fault_in_step=fault_in_empty_step,
        encode=partial(_refuse, name),
        step_ends=partial(_refuse, name),
        check_tokenizer=partial(_refuse, name),
        parameters=tuple((key, str(value)) for key, value in (parameters or {}).items()),
        unit=unit,
        unverified=tuple(unverified),
    )


def _whole(text: str) -> list[str]:
    """Give a solution as one step."""
    return [without_blank_lines(text)] if text.strip() else []


def _no_fault(problem: str) -> None:
    """Accept any problem."""


def _refuse(name: str, *_: object) -> NoReturn:
    raise InputError(
        "a recipe that reads hidden states",
        got=f"{name!r}, which writes its verdicts",
        advice="make it with stepscore.scoring.verdicts and a policy",
        argument="recipe",
    )
