"""``--recipe``: how a model is read, with the recipe's arguments."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from stepscore.cli.options import unescaped
from stepscore.credentials import text_of
from stepscore.errors import Argument, InputError

if TYPE_CHECKING:
    from stepscore.recipes.named_function import NamedFunction

# What a recipe leaves to its user and has an option of its own -> the recipe.
_CHOICES = {
    "separator": "trl-prm",
    "numbering": "math-shepherd",
    "reference": "eurus-implicit-prm",
    "coef": "eurus-implicit-prm",
}
# Up to the next comma that has no backslash before it.
_PART = re.compile(r"((?:[^\\,]|\\.|\\$)*)(,|$)", re.DOTALL)
_ESCAPE = re.compile(r"\\([nt,\\])")
_MEANT = {"n": "\n", "t": "\t", ",": ",", "\\": "\\"}


def add_recipe(parser: argparse._ActionsContainer) -> None:
    """How a model is read."""
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help="how the model is read (default: detected): a name of stepscore recipes, with its "
        "arguments as NAME:ARG=VALUE,ARG=VALUE (stepscore recipes show NAME lists them), or a file "
        "of YAML or JSON with a recipe of your own",
    )
    parser.add_argument(
        "--separator",
        metavar="TEXT",
        help=r'with --recipe trl-prm: what ends a step, such as "\n\n"',
    )
    parser.add_argument(
        "--numbering",
        choices=("missing", "never"),
        help="with --recipe math-shepherd: number the steps that have no number (default), or none",
    )
    parser.add_argument(
        "--reference",
        metavar="MODEL",
        help="with --recipe eurus-implicit-prm: the model that its likelihoods are compared with, "
        "or none; both are in memory at once",
    )
    parser.add_argument(
        "--coef",
        metavar="X",
        help="with --recipe eurus-implicit-prm: what multiplies the log-ratio, such as 0.001",
    )


def name_of(recipe: str) -> str:
    """Give the name of a recipe as it is typed, ``NAME[:ARG=VALUE[,ARG=VALUE]]``."""
    return recipe.partition(":")[0]


def recipe_of(arguments: argparse.Namespace) -> Any:
    """Give the recipe by its name, or with what it leaves to its user.

    Raises:
        InputError: options that do not fit together, what `typed_recipe` refuses.
    """
    given = {option: getattr(arguments, option) for option in _CHOICES}
    given = {option: unescaped(value) for option, value in given.items() if value is not None}
    typed = arguments.recipe
    for option in given:
        name = _CHOICES[option]
        if typed is None or name_of(typed) != name:
            raise InputError(
                f"--recipe {name} beside it, the one recipe that has this choice",
                got="no --recipe" if typed is None else f"--recipe {typed}",
                advice=f"leave --{option} out",
                argument=option,
            )
    return None if typed is None else typed_recipe(typed, given)


def typed_recipe(text: str, options: dict[str, str] | None = None) -> Any:
    r"""Read a recipe as it is typed: a name, ``NAME:ARG=VALUE,ARG=VALUE``, or a file.

    Args:
        text: as typed.
        options: arguments of the recipe that were given as options of their own.

    Returns:
        the recipe, or the name as it is where it has no arguments.

    Raises:
        InputError: a recipe or an argument that there is not, one that is missing or given twice,
            a value that it does not take; what is wrong in a file.
    """
    from stepscore.recipes import recipe_by_name, recipe_from, recipe_names
    from stepscore.recipes.recipe_files import is_recipe_file
    from stepscore.recipes.registry import named, published

    name, colon, rest = text.partition(":")
    if is_recipe_file(text) and name not in recipe_names():
        # Here, so that the message names the file.
        return recipe_from(text)
    given = options or {}
    if not colon and not given:
        return text
    function = named(published()[name]) if name in published() else None
    values = given | (typed_values(text, rest, function, given) if colon else {})
    try:
        return recipe_by_name(name, **values)
    except InputError as error:
        at_fault = "" if error.argument is None else error.argument.name
        if at_fault in given:
            raise error.at(where="", argument=Argument(at_fault, given[at_fault])) from error
        if given and not colon and at_fault not in values:
            option = next(iter(given))
            raise error.at(where="", argument=Argument(option, given[option])) from error
        raise at_its_place(error, text, values, function, "recipe") from error
    except (ValueError, TypeError) as error:
        raise InputError(
            "arguments that the recipe takes",
            got=text_of(error),
            argument=Argument("recipe", text),
        ) from error


def typed_values(
    text: str,
    rest: str,
    function: NamedFunction | None,
    given: Collection[str] = (),
    option: str = "recipe",
) -> dict[str, Any]:
    """Read ``ARG=VALUE,ARG=VALUE``; what takes several values may stand several times.

    Args:
        text: as typed, for messages.
        rest: of it, what stands behind the name.
        function: what it names; None where nothing has that name.
        given: arguments that were given as options of their own.
        option: what the text was typed behind.
    """
    values: dict[str, Any] = {}
    for argument, value in _pairs(text, rest, option):
        if function is not None and function.takes_several(argument):
            values.setdefault(argument, []).append(value)
        elif argument in values or argument in given:
            raise InputError(
                f"{argument} once",
                got="it twice",
                advice="leave one out",
                argument=Argument(option, text),
            )
        else:
            values[argument] = value
    return values


def at_its_place(
    error: InputError,
    text: str,
    values: dict[str, Any],
    function: NamedFunction | None,
    option: str,
) -> InputError:
    """Name the argument at fault as it was typed."""
    at_fault = "" if error.argument is None else error.argument.name
    value: Any = text
    if function is not None and at_fault in values:
        value = function.call({at_fault: values[at_fault]})
    return error.at(where="", argument=Argument(option, value))


def names_recipe_argument(error: InputError) -> bool:
    """Tell whether an error is about an argument of a recipe, and says how that is passed."""
    from stepscore.recipes.recipe_arguments import RecipeCall

    words = error.advice if isinstance(error.advice, tuple) else ()
    return any(
        isinstance(word, Argument)
        and isinstance(word.value, RecipeCall)
        and error.argument is not None
        and error.argument.name in word.value.values
        for word in words
    )


def _pairs(text: str, rest: str, option: str) -> list[tuple[str, str]]:
    """Read ``ARG=VALUE,ARG=VALUE``."""
    parts: list[str] = []
    at, sign = 0, ","
    while sign:
        match = _PART.match(rest, at)
        assert match is not None  # it matches an empty text
        parts.append(match[1])
        at, sign = match.end(), match[2]
    pairs = []
    for part in parts:
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise InputError(
                "NAME:ARG=VALUE,ARG=VALUE",
                got=f"{part!r} without a name and a =" if part else "no ARG=VALUE",
                advice=r"a comma of a value is typed as \,",
                argument=Argument(option, text),
            )
        pairs.append((name, _ESCAPE.sub(lambda found: _MEANT[found[1]], value)))
    return pairs
