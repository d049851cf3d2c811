"""Recipes by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules
from typing import Any

from stepscore.errors import Argument, InputError, InputTypeError
from stepscore.recipes import catalog
from stepscore.recipes.recipe import Published, Recipe
from stepscore.recipes.recipe_arguments import UNKNOWN, call_of, required_arguments
from stepscore.recipes.user_defined import user_defined
from stepscore.recipes.user_defined_fields import Place, check_names, did_you_mean

# Generative PRMs -> their functions in stepscore.scoring.verdicts.
WRITTEN_VERDICTS = {
    "genprm": "genprm",
    "natural-program": "natural_program",
    "pro-step": "pro_step",
    "r-prm": "r_prm",
    "thinkprm": "think_prm",
}
# What is published as a PRM and is none that reads a hidden state, and what to do with it instead.
NOT_READ = {
    **{
        name: (
            "which writes its verdicts",
            f"make it with stepscore.scoring.verdicts.{function}(policy), or name it where files "
            "are scored",
        )
        for name, function in WRITTEN_VERDICTS.items()
    },
    "uhead": (
        "whose network reads attentions and probabilities of every token of the policy",
        "run it where its authors do, and pass its values as scores of a file; they are "
        "uncertainties, of which the lower is the better",
    ),
}


@cache
def published() -> dict[str, Published]:
    """Give the catalog: every file in it, by the name of its recipe."""
    modules = [
        import_module(f"{catalog.__name__}.{module.name}")
        for module in iter_modules(catalog.__path__)
    ]
    entries: list[Published] = [module.PUBLISHED for module in modules]
    return {entry.name: entry for entry in sorted(entries, key=lambda entry: entry.name)}


def recipe_names() -> list[str]:
    """Give the names that ``load(recipe=...)`` and `recipe_by_name` take.

    Examples:
        >>> import stepscore
        >>> "trl-prm" in stepscore.recipes.recipe_names()
        True
    """
    return list(published())


def recipe_by_name(name: str, **parameters: str) -> Recipe:
    """Make the recipe of a name.

    Args:
        name: one of `recipe_names`.
        parameters: the recipe's own arguments, such as ``separator`` of ``trl-prm``.

    Raises:
        ValueError: a name that is not offered.
        TypeError: an argument that the recipe does not take.
    """
    if name in NOT_READ:
        what, instead = NOT_READ[name]
        raise InputError(
            "a recipe that reads hidden states",
            got=f"{name!r}, {what}",
            advice=instead,
            argument="name",
            where="recipe_by_name",
        )
    if name not in published():
        raise InputError(
            f"one of {', '.join(published())}",
            got=repr(name),
            advice=f"{did_you_mean(name, published())}pass one of these",
            argument="name",
            where="recipe_by_name",
        )
    entry = published()[name]
    check_arguments(entry, parameters)
    return entry.make(**parameters)


def check_arguments(
    entry: Published, parameters: Collection[str], where: str = "recipe_by_name"
) -> None:
    """Refuse arguments that a recipe does not take, and say how one that it needs is passed.

    Raises:
        TypeError: an argument that there is not; the nearest one is named, and all are listed.
        ValueError: one that is missing.
    """
    taken = signature(entry.make).parameters
    for name in parameters:
        if name not in taken:
            raise InputTypeError(
                f"an argument of {entry.name!r}",
                got=repr(name),
                advice=f"{did_you_mean(name, taken)}it takes {', '.join(taken) or 'none'}",
                argument=name,
                where=where,
            )
    missing = [name for name in required_arguments(entry) if name not in parameters]
    if missing:
        call = call_of(entry, dict.fromkeys(missing, UNKNOWN))
        manual = f"help(stepscore.recipes.{entry.make.__name__})"
        raise InputError(
            f"the {' and the '.join(missing)} of {entry.name!r}, which no source states",
            got="none",
            advice=(
                "pass ",
                Argument("recipe", call),
                ', or write it into the entry "stepscore" of config.json; '
                f"{manual} and `stepscore recipes show {entry.name}` say what is known of it",
            ),
            argument=missing[0],
            where=where,
        )


def recipe_from_entry(entry: Any, source: str) -> Recipe:
    r"""Make the recipe of an entry ``"stepscore"`` of config.json, as `Recipe.as_config` gives it.

    Args:
        entry: ``{"recipe": name, ...}`` with the recipe's own arguments, or ``{"recipe": {...}}``
            with a description.
        source: where it stands, for messages.

    Raises:
        ValueError: no such entry, a name that is not offered, what `user_defined` refuses.
    """
    if isinstance(entry, Mapping) and len(entry) == 1 and "recipe" in entry:
        described = entry["recipe"]
        if not isinstance(described, str):
            return user_defined(described, source=source, taken=published())
    if not isinstance(entry, Mapping) or not isinstance(entry.get("recipe"), str):
        raise InputError(
            'an entry "stepscore" of config.json like {"recipe": "trl-prm", "separator": "\\n"}',
            got=repr(entry),
            advice=("correct it, or pass ", Argument("recipe")),
            where=source,
        )
    name = entry["recipe"]
    parameters = {key: value for key, value in entry.items() if key != "recipe"}
    if name in published():
        taken = signature(published()[name].make).parameters
        check_names(Place(source), parameters, taken, name)
    return recipe_by_name(name, **parameters)
