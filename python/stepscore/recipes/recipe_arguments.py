"""The arguments of a recipe: which there are, what each takes, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, getdoc, signature
from typing import Any, get_args, get_type_hints

from stepscore.errors import InputError
from stepscore.recipes.argument_values import hint_of, names_of, takes
from stepscore.recipes.recipe import Published, Recipe

# What stands for a value that only the user knows.
UNKNOWN = "..."
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", ",": "\\,"}


@dataclass(frozen=True)
class RecipeArgument:
    """An argument of a recipe.

    Attributes:
        name: of the argument.
        required: whether it must be given, because no source states it.
        default: where it may be left out.
        choices: the names that it takes; empty where it takes a text or a number.
        takes: what it takes, in words.
        about: what it says, from the recipe's manual.
    """

    name: str
    required: bool
    default: Any
    choices: tuple[str, ...]
    takes: str
    about: str


@dataclass(frozen=True)
class RecipeCall:
    """A recipe, or a family of judges, with arguments, as a message tells it to be given.

    ``repr`` is the call in Python; ``str`` is ``NAME:ARG=VALUE,ARG=VALUE``, one text in which a
    comma of a value is written as a backslash and a comma, and of several values each stands for
    itself.

    Attributes:
        name: as it is typed.
        path: of the function in the package, such as ``recipes.trl_prm``.
        values: argument -> value; `UNKNOWN` for one that only the user knows.
        first: what the function takes before them.
    """

    name: str
    path: str
    values: Mapping[str, object]
    first: tuple[str, ...] = ()

    def __repr__(self) -> str:
        listed = (
            f"{name}={value if value == UNKNOWN else repr(value)}"
            for name, value in self.values.items()
        )
        return f"stepscore.{self.path}({', '.join([*self.first, *listed])})"

    def __str__(self) -> str:
        listed = ",".join(
            f"{name}={_escaped(text)}"
            for name, value in self.values.items()
            for text in _typed(value)
        )
        return f"{self.name}:{listed}" if listed else self.name


def call_of(entry: Published, values: Mapping[str, object]) -> RecipeCall:
    """Give the call of a recipe with some of its arguments."""
    return RecipeCall(entry.name, path_of(entry), values)


def path_of(entry: Published) -> str:
    """Say where the function of a recipe stands in the package."""
    return f"recipes.{entry.make.__name__}"


def _typed(value: object) -> list[str]:
    """Give the texts by which a value is typed."""
    if isinstance(value, Mapping):
        value = list(value.items())
    several = value if isinstance(value, (list, tuple)) else [value]
    return [":".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in several]


def _escaped(value: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in value)


def required_arguments(entry: Published) -> list[str]:
    """Give the arguments that a recipe has no default for, because no source states one."""
    return [
        name
        for name, argument in signature(entry.make).parameters.items()
        if argument.default is argument.empty
    ]


def arguments_of(entry: Published) -> tuple[RecipeArgument, ...]:
    """Give the arguments of a recipe, in the order of its function."""
    return arguments_of_function(entry.make)


def arguments_of_function(make: Callable[..., Recipe]) -> tuple[RecipeArgument, ...]:
    """Give the arguments of the function that makes a recipe."""
    parameters = signature(make).parameters
    required = tuple(each.name for each in parameters.values() if each.default is Parameter.empty)
    about = _abouts(getdoc(make) or "")
    return tuple(
        _argument(make, parameter, required, about.get(name, ""))
        for name, parameter in parameters.items()
    )


def arguments_by_annotation(
    make: Callable[..., Any], parameters: Mapping[str, Parameter]
) -> tuple[RecipeArgument, ...]:
    """Give some arguments of a function, of which the annotations alone say what they take."""
    about = _abouts(getdoc(getattr(make, "func", make)) or "")
    hints = {name: hint_of(make, name) for name in parameters}
    return tuple(
        RecipeArgument(
            name,
            each.default is Parameter.empty,
            None if each.default is Parameter.empty else each.default,
            names_of(hints[name]),
            takes(hints[name]),
            about.get(name, ""),
        )
        for name, each in parameters.items()
    )


def _argument(
    make: Callable[..., Recipe], parameter: Parameter, required: tuple[str, ...], about: str
) -> RecipeArgument:
    name = parameter.name
    choices = _choices_of(make, name, required)
    takes = "a number" if _is_number(make, name) else "a text"
    return RecipeArgument(
        name,
        name in required,
        None if name in required else parameter.default,
        choices,
        f"one of {', '.join(choices)}" if choices else takes,
        about,
    )


def _kinds(make: Callable[..., Recipe], name: str) -> list[Any]:
    """Give the classes and the literal texts of an annotation."""
    try:
        hint = get_type_hints(make)[name]
    except (KeyError, NameError):
        return []
    kinds: list[Any] = []
    waiting = [hint]
    while waiting:
        kind = waiting.pop(0)
        waiting += get_args(kind)
        if not get_args(kind):
            kinds.append(kind)
    return kinds


def _is_number(make: Callable[..., Recipe], name: str) -> bool:
    kinds = _kinds(make, name)
    return float in kinds or int in kinds


def _choices_of(
    make: Callable[..., Recipe], name: str, required: tuple[str, ...]
) -> tuple[str, ...]:
    """Give the names that an argument takes: each of them makes a recipe."""
    others = made_with(make, required, last=False)
    if others is None:
        return ()
    values, _ = others
    proposed = [each for each in _kinds(make, name) if isinstance(each, str)]
    if not proposed:
        try:
            make(**{**values, name: f"({name})"})
        except InputError as fault:
            proposed = [each for each in _choices(str(fault.expected)) if "{" not in each]
        except (ValueError, TypeError, AttributeError):
            return ()
    taken = []
    for choice in proposed:
        try:
            make(**{**values, name: choice})
        except (ValueError, TypeError, AttributeError):
            continue
        taken.append(choice)
    return tuple(taken)


def made_with(
    make: Callable[..., Recipe], required: tuple[str, ...], *, last: bool
) -> tuple[dict[str, str], Recipe] | None:
    """Make a recipe with something in place of the arguments that only its user knows.

    Args:
        make: gives it.
        required: the arguments.
        last: where an argument has choices, whether the last or the first of them is taken.

    Returns:
        (what stands in their place, the recipe), or None where nothing does.
    """
    values = {name: "1" if _is_number(make, name) else f"({name})" for name in required}
    for _ in range(len(required) + 1):
        try:
            return values, make(**values)
        except InputError as fault:
            # A refusal says which argument it is about, or at least quotes it, and what it takes.
            about = "" if fault.argument is None else fault.argument.name
            quoted = [name for name, value in values.items() if repr(value) == fault.got]
            name = about if about in values else next(iter(quoted), "")
            choices = _choices(str(fault.expected))
            if not name or not choices or values[name] in choices:
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


def _abouts(manual: str) -> dict[str, str]:
    """Give what a manual says of each argument: the paragraphs of its section "Args:"."""
    section = re.search(r"^Args:\n((?:(?: .*)?\n|\Z)+?)(?=^\S|\Z)", f"{manual}\n", re.MULTILINE)
    if section is None:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section[1].splitlines():
        start = re.match(r"    (\w+(?:, \w+)*): +(\S.*)", line)
        if start is not None:
            names = start[1].split(", ")
            found.update(dict.fromkeys(names, start[2]))
        elif line.strip():
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return {name: about.replace("``", "`").replace(":math:", "") for name, about in found.items()}
