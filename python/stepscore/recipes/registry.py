"""Recipes by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from stepscore.errors import Argument, InputError, did_you_mean
from stepscore.recipes import catalog
from stepscore.recipes.named_function import NamedFunction
from stepscore.recipes.recipe import Published, Recipe, Tokenizer
from stepscore.recipes.recipe_arguments import UNKNOWN, path_of
from stepscore.recipes.user_defined import user_defined
from stepscore.recipes.user_defined_fields import Place, check_names

# Families that write their verdicts -> their functions in stepscore.scoring.
WRITTEN_VERDICTS = {
    "capo": "verdicts.capo",
    "dyve": "verdicts.dyve",
    "genprm": "verdicts.genprm",
    "gm-prm": "verdicts.gm_prm",
    "likert": "verdicts.likert",
    "natural-program": "verdicts.natural_program",
    "pro-step": "verdicts.pro_step",
    "prompted-verdict": "verdicts.prompted",
    "r-prm": "verdicts.r_prm",
    "rubric": "rubrics.rubric",
    "spark": "verdicts.spark",
    "stepwiser": "verdicts.stepwiser",
    "thinkprm": "verdicts.think_prm",
    "web-shepherd": "rubrics.web_shepherd",
}
# Those that compare two solutions, likewise.
COMPARISONS = {
    "j1": "pairs.j1",
    "j1-scores": "pairs.j1_scores",
    "pair-judge-rm": "pairs.pair_judge_rm",
    "r1-reward": "pairs.r1_reward",
    "rm-r1": "pairs.rm_r1",
    "rm-r1-distilled": "pairs.rm_r1",
    "rrm": "pairs.rrm",
    "s2j": "pairs.s2j",
    "web-arbiter": "pairs.web_arbiter",
}
# What is published as a PRM and is none that reads a hidden state, and what to do with it instead.
NOT_READ = {
    **{
        name: (
            "which writes its verdicts",
            f"make it with stepscore.scoring.{function}(policy), or name it where files are scored",
        )
        for name, function in WRITTEN_VERDICTS.items()
    },
    **{
        name: (
            "which compares two solutions and scores none",
            f"make it with stepscore.scoring.{function}, or name it where files are judged",
        )
        for name, function in COMPARISONS.items()
    },
    "uhead": (
        "whose network reads attentions and probabilities of every token of the policy",
        "run it where its authors do, and pass its values as scores of a file; they are "
        "uncertainties, of which the lower is the better",
    ),
}

# Arguments of recipes that a layout names where a tokenizer is not that of its chat.
_OF_LAYOUTS = frozenset({"system", "template"})


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


def recipe_by_name(name: str, **parameters: Any) -> Recipe:
    """Make the recipe of a name.

    Args:
        name: one of `recipe_names`.
        parameters: the recipe's own arguments, such as ``separator`` of ``trl-prm``.

    Raises:
        ValueError: a name that is not offered.
        TypeError: an argument that the recipe does not take, or a value of another type.
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
            advice=did_you_mean(name, [*published(), *NOT_READ], "pass one of these"),
            argument="name",
            where="recipe_by_name",
        )
    function = named(published()[name])
    function.check(parameters, "recipe_by_name")
    recipe: Recipe = function.make(**function.values(parameters, name))
    return recipe


def named(entry: Published) -> NamedFunction:
    """Give the function of a recipe with the name that stands for it."""
    return NamedFunction(entry.name, entry.make, path_of(entry))


def check_arguments(
    entry: Published, parameters: Collection[str], where: str = "recipe_by_name"
) -> None:
    """Refuse arguments that a recipe does not take, and say how one that it needs is passed.

    Raises:
        TypeError: an argument that there is not; the nearest one is named, and all are listed.
        ValueError: one that is missing.
    """
    named(entry).check(parameters, where)


def check_tokenizer(recipe: Recipe, tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer in which a recipe's tokens are not what they must be.

    Raises:
        ValueError: what `Recipe.check_tokenizer` refuses; an argument of the recipe that would be
            another one stands in its call, which can be typed.
    """
    try:
        recipe.check_tokenizer(tokenizer)
    except InputError as fault:
        raise _in_its_call(fault, recipe) from fault


def _in_its_call(fault: InputError, recipe: Recipe) -> InputError:
    entry = published().get(recipe.name)
    function = None if entry is None else named(entry)

    def passed(argument: str | Argument) -> str | Argument:
        if not isinstance(argument, Argument) or argument.name not in _OF_LAYOUTS:
            return argument
        if function is not None and argument.name in function.parameters:
            known = dict(recipe.parameters) | {argument.name: UNKNOWN}
            return Argument("recipe", function.call(known))
        return Argument("recipe")

    advice = fault.advice if isinstance(fault.advice, tuple) else (fault.advice,)
    place = None if fault.argument is None else passed(fault.argument)
    return type(fault)(
        fault.expected,
        got=fault.got,
        advice=tuple(map(passed, advice)),
        argument=Argument("recipe") if place is not fault.argument else fault.argument,
        where=fault.where,
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
        check_names(Place(source), parameters, named(published()[name]).parameters, name)
    return recipe_by_name(name, **parameters)
