"""Checks of what the factories of recipes are given, which config.json holds as texts."""

from __future__ import annotations

import math

from stepscore.errors import InputError


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
