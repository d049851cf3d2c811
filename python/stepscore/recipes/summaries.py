"""What the catalog holds, a line for each recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from stepscore.recipes.recipe import Confidence, Recipe, Unit
from stepscore.recipes.recipe_arguments import RecipeArgument, arguments_of_function, made_with
from stepscore.recipes.registry import published


@dataclass(frozen=True)
class RecipeSummary:
    """A recipe in short.

    Attributes:
        name: as in ``load(recipe=...)``.
        arguments: what it leaves to its user.
        repositories: the checkpoints that it is detected for by name.
        confidence, source, unit, score_range, higher_is_better, default_aggregate, readings,
            unverified: as in `Recipe`, and None or empty where they depend on its arguments.
    """

    name: str
    arguments: tuple[RecipeArgument, ...]
    repositories: tuple[str, ...]
    confidence: Confidence | None = None
    source: str = ""
    unit: Unit | None = None
    score_range: tuple[float, float] | None = None
    higher_is_better: bool | None = None
    default_aggregate: str | None = None
    readings: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        """The arguments that its user must give."""
        return tuple(each.name for each in self.arguments if each.required)

    @property
    def optional(self) -> tuple[str, ...]:
        """Those that have a default."""
        return tuple(each.name for each in self.arguments if not each.required)

    def as_json(self) -> dict[str, Any]:
        """Give it as values of JSON, which has no infinity: None takes its place."""
        ends = self.score_range
        return {
            **self.__dict__,
            "required": self.required,
            "optional": self.optional,
            "arguments": [asdict(each) for each in self.arguments],
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
    arguments = arguments_of_function(make)
    required = tuple(each.name for each in arguments if each.required)
    tries = [made_with(make, required, last=last) for last in (False, True)]
    facts = [_facts(made[1]) for made in tries if made is not None]
    if not facts:
        return RecipeSummary(name, arguments, repositories)
    # What depends on an argument that its user gives is not a fact of the recipe.
    known = {key: value for key, value in facts[0].items() if facts[-1][key] == value}
    return RecipeSummary(name, arguments, repositories, **known)


def _facts(recipe: Recipe) -> dict[str, Any]:
    return {
        "confidence": recipe.confidence,
        "source": recipe.source,
        "unit": recipe.unit,
        "score_range": recipe.score_range,
        "higher_is_better": recipe.readings[0].higher_is_better,
        "default_aggregate": recipe.default_aggregate,
        "readings": tuple(reading.name for reading in recipe.readings),
        "unverified": recipe.unverified,
    }
