"""Checks of what the factories of recipes are given, which config.json holds as texts."""

from __future__ import annotations

import math
from collections.abc import Iterable

from stepscore.errors import InputError, InputTypeError


def check_texts(recipe: str, arguments: Iterable[tuple[str, object]]) -> None:
    """Refuse an argument that is no text, as config.json holds it.

    Raises:
        TypeError: the first of them, by its name.
    """
    for name, value in arguments:
        if not isinstance(value, str):
            raise InputTypeError("a text", got=repr(value), argument=name, where=recipe)


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
