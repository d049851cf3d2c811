"""One of several, by its name, among the arguments of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from stepscore.errors import InputError

_Value = TypeVar("_Value")


def chosen(argument: str, name: str, choices: Mapping[str, _Value]) -> _Value:
    """Give what a name stands for.

    Raises:
        ValueError: no such name; the error says which there are.
    """
    if not isinstance(name, str) or name not in choices:
        raise InputError(
            " or ".join(map(repr, choices)),
            got=repr(name),
            advice="pass one of these",
            argument=argument,
        )
    return choices[name]
