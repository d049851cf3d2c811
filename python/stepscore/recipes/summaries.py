"""What the catalog holds, a line for each recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from stepscore.recipes.recipe import Confidence, Recipe, Unit
from stepscore.recipes.registry import published


@dataclass(frozen=True)
class RecipeSummary:
    """A recipe in short.

    Attributes:
        name: as in ``load(recipe=...)``.
        required: the arguments that its user must give.
        optional: those that have a default.
        repositories: the checkpoints that it is detected for by name.
        confidence, source, unit, score_range, higher_is_better, default_aggregate, readings,
            unverified: as in `Recipe`, and None or empty where they depend on its arguments.
    """

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    repositories: tuple[str, ...]
    confidence: Confidence | None = None
    source: str = ""
    unit: Unit | None = None
    score_range: tuple[float, float] | None = None
    higher_is_better: bool | None = None
    default_aggregate: str | None = None
    readings: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give it as values of JSON, which has no infinity: None takes its place."""
        ends = self.score_range
        return {
            **self.__dict__,
            "score_range": None
            if ends is None
            else [end if math.isfinite(end) else None for end in ends],
        }


def summaries() -> list[RecipeSummary]:
    """Give every recipe of the catalog in short, by name.

    Examples:
        >>> import stepscore
        >>> [row.confidence for row in stepscore.recipes.summaries() if row.name == "trl-prm"]
        ['author']
    """
    return [
        _summary(entry.name, entry.make, tuple(entry.repositories))
        for entry in published().values()
    ]


def _summary(
    name: str, make: Callable[..., Recipe], repositories: tuple[str, ...]
) -> RecipeSummary:
    arguments = signature(make).parameters.values()
    required = tuple(each.name for each in arguments if each.default is Parameter.empty)
    optional = tuple(each.name for each in arguments if each.default is not Parameter.empty)
    recipe = _made(make, required)
    if recipe is None:
        return RecipeSummary(name, required, optional, repositories)
    return RecipeSummary(
        name,
        required,
        optional,
        repositories,
        recipe.confidence,
        recipe.source,
        recipe.unit,
        recipe.score_range,
        recipe.readings[0].higher_is_better,
        recipe.default_aggregate,
        tuple(reading.name for reading in recipe.readings),
        recipe.unverified,
    )


def _made(make: Callable[..., Recipe], required: tuple[str, ...]) -> Recipe | None:
    """Make a recipe with texts in place of the arguments that only its user knows."""
    try:
        return make(**{name: f"({name})" for name in required})
    # One that looks at its arguments refuses these; then nothing but its name is known.
    except (ValueError, TypeError, AttributeError):
        return None
