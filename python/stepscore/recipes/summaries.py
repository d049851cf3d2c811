"""What the catalog holds, a line for each recipe."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from stepscore.errors import InputError
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
    made = [
        recipe for last in (False, True) if (recipe := _made(make, required, last=last)) is not None
    ]
    if not made:
        return RecipeSummary(name, required, optional, repositories)
    facts = [_facts(recipe) for recipe in made]
    # What depends on an argument that its user gives is not a fact of the recipe.
    known = {key: value for key, value in facts[0].items() if facts[-1][key] == value}
    return RecipeSummary(name, required, optional, repositories, **known)


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


def _made(make: Callable[..., Recipe], required: tuple[str, ...], *, last: bool) -> Recipe | None:
    """Make a recipe with something in place of the arguments that only its user knows.

    Args:
        make: gives it.
        required: the arguments.
        last: where an argument has choices, whether the last or the first of them is taken.
    """
    values = {name: f"({name})" for name in required}
    for _ in range(len(required) + 1):
        try:
            return make(**values)
        except InputError as fault:
            # A refusal says which argument it is about, or at least quotes it, and what it takes.
            about = "" if fault.argument is None else fault.argument.name
            quoted = [name for name, value in values.items() if repr(value) == fault.got]
            name = about if about in values else next(iter(quoted), "")
            choices = _choices(str(fault.expected))
            if not name or not choices:
                return None
            values[name] = choices[-1 if last else 0]
        except (ValueError, TypeError, AttributeError):
            return None
    return None


def _choices(expected: str) -> list[str]:
    """Give the names that an argument takes, from the message that refuses another one."""
    quoted = re.findall(r"""['"]([^'"]+)['"]""", expected)
    if any("{" in name for name in quoted):  # a prompt with these places in it
        return [" ".join(quoted)]
    return quoted or [name for name in expected.removeprefix("one of ").split(", ") if name]
