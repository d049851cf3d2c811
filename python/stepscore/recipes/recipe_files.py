"""A recipe from whatever names it: a name, a file, an entry of config.json, a description."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepscore.errors import InputError, InputTypeError
from stepscore.files.settings_file import YAML, read_settings
from stepscore.recipes.recipe import Recipe
from stepscore.recipes.registry import named, published, recipe_by_name, recipe_from_entry
from stepscore.recipes.user_defined_fields import Place

# A name, a file, a description or an entry of config.json, a recipe.
NamedRecipe = str | os.PathLike[str] | Mapping[str, Any] | Recipe

_ENDINGS = (*YAML, ".json")


def recipe_from(value: Any) -> Recipe:
    r"""Make a recipe of what names or describes it.

    Args:
        value: a name of `recipe_names`; a file of YAML or JSON, as a path or a text that ends in
            ``.yaml``, ``.yml`` or ``.json``; a mapping. A file or a mapping holds a description,
            see `user_defined`, or a published recipe with its arguments:
            ``{"recipe": "trl-prm", "separator": "\n\n"}``. A Recipe is returned as it is.

    Raises:
        ValueError: a name that is not offered; a file that cannot be read, with its line; what
            `user_defined` refuses; a file of YAML without PyYAML.
        TypeError: anything else.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.recipe_from({"recipe": "trl-prm", "separator": "\n\n"}).separator
        '\n\n'
    """
    if isinstance(value, Recipe):
        return value
    if isinstance(value, Mapping):
        return _from_mapping(value, "recipe")
    if isinstance(value, os.PathLike) or (isinstance(value, str) and is_recipe_file(value)):
        path = Path(os.fspath(value)).expanduser()
        return _from_mapping(read_settings(path), str(path))
    if isinstance(value, str):
        return recipe_by_name(value)
    raise InputTypeError(
        "a name, a file, a mapping, or a value of the class Recipe",
        got=type(value).__name__,
        advice="pass one of these",
        argument="recipe",
        where="recipe_from",
    )


def is_recipe_file(text: str) -> bool:
    """Say whether a text names a file with a recipe, and no recipe."""
    return text.lower().endswith(_ENDINGS)


def _from_mapping(content: Any, source: str) -> Recipe:
    if not isinstance(content, Mapping) or "recipe" not in content:
        return recipe_from_entry({"recipe": content}, source)
    name = content["recipe"]
    if isinstance(name, str) and name in published():
        given = [field for field in content if field != "recipe"]
        named(published()[name]).check(given, source, Place(source))
    try:
        return recipe_from_entry(content, source)
    except InputError as fault:
        raise in_file(fault, content, source) from fault


def in_file(fault: InputError, content: Mapping[str, Any], source: str) -> InputError:
    """Give a fault of an argument the place of the field that holds it."""
    if fault.argument is None:
        return fault
    field = fault.argument.name if fault.argument.name in content else "recipe"
    expected = fault.expected if isinstance(fault.expected, tuple) else (fault.expected,)
    return type(fault)(
        (f"for {field}, ", *expected), got=fault.got, advice=fault.advice, where=source
    )
