"""Checks of what the factories of recipes are given, which config.json holds as texts."""

from __future__ import annotations

import math

from stepscore.errors import InputError, did_you_mean
from stepscore.recipes.recipe import Recipe
from stepscore.recipes.registry import NOT_READ, named, published


def a_whole_number(recipe: str, argument: str, value: object, *, least: int) -> int:
    """Give a whole number, which may be written as a text.

    Raises:
        ValueError: no such number, or one below `least`.
    """
    number = a_number(recipe, argument, value, least=least)
    if number != int(number):
        raise InputError("a whole number", got=repr(value), argument=argument, where=recipe)
    return int(number)


def a_number(recipe: str, argument: str, value: object, *, least: float = -math.inf) -> float:
    """Give a number, which may be written as a text.

    Raises:
        ValueError: no finite number, or one below `least`.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= least):
        raise InputError(
            "a finite number" if least == -math.inf else f"a number of at least {least:g}",
            got=repr(value),
            argument=argument,
            where=recipe,
        )
    return number


def around(recipe: str, prompt: str, *, holds: str, where: str = "{problem}") -> tuple[str, str]:
    """Give what stands before and behind the place of the problem in a prompt.

    Raises:
        ValueError: no such place, several, or one without `holds` behind it.
    """
    if (
        not isinstance(prompt, str)
        or prompt.count(where) != 1
        or holds not in prompt.split(where)[1]
    ):
        raise InputError(
            f"a text with {where!r} once, where the problem stands, and {holds!r} behind it",
            got=repr(prompt),
            argument="prompt",
            where=recipe,
        )
    before, _, behind = prompt.partition(where)
    return before, behind


def a_layout(recipe: str, argument: str, like: str) -> Recipe:
    """Give the recipe of a name for the sake of its layout, which another head reads.

    Raises:
        ValueError: no such recipe, one that needs arguments, or one whose steps are not read at one
            place each.
    """
    entry = published().get(like) if isinstance(like, str) else None
    made = None if entry is None or named(entry).required else entry.make()
    if made is None or not _reads_one_place(made):
        simple = [each for each in published().values() if not named(each).required]
        names = [each.name for each in simple if _reads_one_place(each.make())]
        other = f", {NOT_READ[like][0]}" if str(like) in NOT_READ else ""
        advice = "pass one that needs no argument and reads one place of every step"
        raise InputError(
            f"one of {', '.join(names)}",
            got=repr(like) + other,
            advice=advice if other else did_you_mean(like, names, advice),
            argument=argument,
            where=recipe,
        )
    return made


def _reads_one_place(recipe: Recipe) -> bool:
    alone = recipe.positions_per_step == 1 and recipe.running is None
    return alone and recipe.unit == "step" and recipe.head.likelihood is None
