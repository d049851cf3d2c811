"""A function that makes a recipe or a family of judges, called by a name with its arguments."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from stepscore.errors import Argument, InputError, InputTypeError, did_you_mean
from stepscore.recipes.argument_values import (
    PYTHON_ONLY,
    UnfitError,
    hint_of,
    is_list,
    names_of,
    takes,
    value_of,
)
from stepscore.recipes.recipe_arguments import UNKNOWN, RecipeCall
from stepscore.recipes.user_defined_fields import Place, check_names

_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class NamedFunction:
    """What a name stands for.

    Attributes:
        name: as it is typed.
        make: the function.
        path: where it stands in the package, such as ``recipes.trl_prm``.
        argument: what the name is passed as, ``recipe`` or ``judge``.
        first: arguments that the caller gives, such as the policy of a judge.
    """

    name: str
    make: Callable[..., Any]
    path: str
    argument: str = "recipe"
    first: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, Parameter]:
        """What its user may give."""
        bound = getattr(self.make, "keywords", {})
        return {
            name: each
            for name, each in signature(self.make).parameters.items()
            if name not in self.first and name not in bound
        }

    @property
    def required(self) -> list[str]:
        """What has no default, because no source states one."""
        given = self.parameters.items()
        return [name for name, each in given if each.default is Parameter.empty]

    def call(self, values: Mapping[str, object]) -> RecipeCall:
        """Give the call with some of its arguments, as a message tells it to be typed."""
        return RecipeCall(self.name, self.path, values, self.first)

    def check(self, given: Collection[str], where: str, file: Place | None = None) -> None:
        """Refuse names that are no arguments, and say how one that is missing is given.

        Args:
            given: the names.
            where: the function that was called.
            file: the file that they stand in; None of a call.

        Raises:
            TypeError: a name that is no argument; the nearest one is named, and all are listed.
            ValueError: one that is missing; in a file, one that is no argument.
        """
        taken = self.parameters
        if file is not None:
            check_names(file, given, taken, self.name)
        for name in given:
            if name not in taken:
                raise InputTypeError(
                    f"an argument of {self.name!r}",
                    got=repr(name),
                    advice=did_you_mean(name, taken, f"it takes {', '.join(taken) or 'none'}"),
                    argument=name,
                    where=where,
                )
        missing = [name for name in self.required if name not in given]
        if not missing:
            return
        expected = f"the {' and the '.join(missing)} of {self.name!r}, which no source states"
        known = (
            f"help(stepscore.{self.path}) and `stepscore recipes show {self.name}` say what is "
            "known of it"
        )
        if file is not None:
            fields = " and ".join(f'"{name}"' for name in missing)
            raise file.fault(expected, "no such field", f"add {fields} to it; {known}")
        entry = ', or write it into the entry "stepscore" of config.json'
        raise InputError(
            expected,
            got="none",
            advice=(
                "pass ",
                Argument(self.argument, self.call(dict.fromkeys(missing, UNKNOWN))),
                f"{entry if not self.first and self.argument == 'recipe' else ''}; {known}",
            ),
            argument=missing[0],
            where=where,
        )

    def takes_several(self, name: str) -> bool:
        """Tell whether an argument takes several values, so that it may be typed several times."""
        return is_list(hint_of(self.make, name))

    def values(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Give what was typed, or stands in a file, as the arguments take it.

        Raises:
            TypeError: a value that its argument does not take.
        """
        return {name: self._value(name, value, where) for name, value in given.items()}

    def _value(self, name: str, value: Any, where: str) -> Any:
        hint = hint_of(self.make, name)
        if hint is None:
            return value
        try:
            return value_of(hint, value)
        except UnfitError:
            expected = takes(hint)
        if expected == PYTHON_ONLY:
            raise InputTypeError(
                f"an argument of {self.name!r} that can be written",
                got=f"{name!r}, {PYTHON_ONLY}",
                advice=f"pass it to stepscore.{self.path}",
                argument=name,
                where=where,
            )
        names = names_of(hint)
        if names and isinstance(value, str):
            meant = did_you_mean(value, names)
            raise InputError(expected, got=_shown(value), advice=meant, argument=name, where=where)
        advice = ""
        if expected == "a text" and isinstance(value, (bool, int, float, type(None))):
            advice = "put it into quotes"
        elif self.takes_several(name):
            advice = f"each of them is typed by itself: {name}=...,{name}=..."
        raise InputTypeError(expected, got=_shown(value), advice=advice, argument=name, where=where)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
