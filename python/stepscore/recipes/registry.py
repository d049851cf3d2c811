"""Recipes by name, and the recipe of a checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from inspect import signature
from pathlib import Path, PurePath
from pkgutil import iter_modules
from typing import Any

from stepscore.errors import Argument, InputError, InputTypeError
from stepscore.recipes import catalog
from stepscore.recipes.config_sizes import hidden_size
from stepscore.recipes.head import Shape, head_fault
from stepscore.recipes.recipe import Published, Recipe, Tokenizer
from stepscore.recipes.user_defined import user_defined
from stepscore.recipes.user_defined_fields import Place, check_names, did_you_mean

# Published PRMs that share a class with a recipe of the catalog and are read in another way. An
# entry of the catalog for the same repository takes precedence.
_NOT_OFFERED = {
    "OpenGVLab/VisualPRM-8B": "visual-prm over images, on a language model of no stock class",
    "OpenGVLab/VisualPRM-8B-v1.1": "visual-prm over images, on a language model of no stock class",
}

# What is published as a PRM and is none that reads a hidden state, and what to do with it instead.
_NOT_READ = {
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
    if name in _NOT_READ:
        what, instead = _NOT_READ[name]
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
    _check_arguments(entry, parameters)
    try:
        return entry.make(**parameters)
    except InputError:
        raise
    except TypeError as error:
        raise InputTypeError(
            f"the arguments of {name}",
            got=f"{sorted(parameters)} ({error})",
            where="recipe_by_name",
        ) from error


def required_arguments(entry: Published) -> list[str]:
    """Give the arguments that a recipe has no default for, because no source states one."""
    return [
        name
        for name, argument in signature(entry.make).parameters.items()
        if argument.default is argument.empty
    ]


def _check_arguments(
    entry: Published, parameters: Mapping[str, str], where: str = "recipe_by_name"
) -> None:
    """Name what a recipe leaves to its user, and how it is passed."""
    missing = [name for name in required_arguments(entry) if name not in parameters]
    if missing:
        call = f"stepscore.recipes.{entry.make.__name__}"
        raise InputError(
            f"the {' and the '.join(missing)} of {entry.name!r}, which no source states",
            got="none",
            advice=(
                "pass ",
                Argument("recipe"),
                f"={call}({', '.join(f'{name}=...' for name in missing)}), or write it into the "
                f'entry "stepscore" of config.json; help({call}) says what is known of it',
            ),
            argument=missing[0],
            where=where,
        )


@dataclass(frozen=True)
class Evidence:
    """What a checkpoint says of itself.

    Attributes:
        name: the name it was asked for by, a repository or a folder.
        config: its ``config.json``.
        shapes: the shapes of its tensors, by name.
        tokenizer: its tokenizer.
        folder: where it stands, of a folder that was asked for as one; None of a repository.
    """

    name: str
    config: Mapping[str, Any]
    shapes: Mapping[str, Shape]
    tokenizer: Tokenizer
    folder: Path | None = None

    @property
    def architectures(self) -> list[str]:
        """The model classes that its config names."""
        return list(self.config.get("architectures") or [])

    def names(self) -> list[str]:
        """The repositories it may be: as asked for, as its folder is called, as config.json says.

        A copy in a folder is what it was downloaded as: ``models/Org/Name``, ``Name``, and the
        cache's ``models--Org--Name/snapshots/<commit>`` are the repository ``Org/Name``.
        """
        names = [self.name, *([] if self.folder is None else _repositories_of(self.folder))]
        remembered = self.config.get("_name_or_path")
        if isinstance(remembered, str) and remembered:
            names.append(remembered)
            # A name with an owner is a repository of that owner, and no copy of another's.
            if remembered.count("/") != 1 or remembered.startswith((".", "/", "~")):
                names += _repositories_of(PurePath(remembered))
        return list(dict.fromkeys(names))


def _repositories_of(folder: PurePath) -> list[str]:
    """Give the repositories, as the catalog spells them, that a folder may be a copy of."""
    parts = [part.casefold() for part in folder.parts[-3:]]
    known = {name for entry in published().values() for name in entry.repositories}
    known |= _NOT_OFFERED.keys()
    with_owner, by_name = [], []
    for repository in sorted(known):
        owner, name = repository.casefold().split("/")
        if parts[-2:] == [owner, name] or f"models--{owner}--{name}" in parts:
            with_owner.append(repository)
        elif parts[-1:] == [name]:
            by_name.append(repository)
    # A name that several owners have says nothing.
    return with_owner or (by_name if len(by_name) == 1 else [])


def detect(evidence: Evidence) -> Recipe:
    """Find the recipe of a checkpoint.

    In this order: the entry ``"stepscore"`` of its config.json; its repository's name; its class
    together with its head and its tokenizer. What these leave open is an error, not a guess.

    Raises:
        ValueError: nothing decides; the message lists what was looked at and what to pass.
    """
    return _from_config(evidence) or _from_name(evidence) or _from_head(evidence)


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


def _from_config(evidence: Evidence) -> Recipe | None:
    entry = evidence.config.get("stepscore")
    if entry is None:
        return None
    try:
        return recipe_from_entry(entry, "load")
    except InputError as error:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("recipe"), str):
            raise  # it speaks of the entry
        raise _in_config(evidence, error) from error


def _in_config(evidence: Evidence, fault: InputError) -> InputError:
    """Give a fault of the entry its place, of which the caller passed no argument."""
    got = fault.got if isinstance(fault.got, tuple) else (fault.got,)
    name = "name" if fault.argument is None else fault.argument.name
    key = "" if name == "name" else f' as "{name}"'
    place = f'{key} in the entry "stepscore" of the config.json of {evidence.name}'
    advice: tuple[str | Argument, ...] = ("correct it, or pass ", Argument("recipe"))
    if fault.argument is None and isinstance(fault.advice, str):  # it names the nearest field
        advice = (f"{fault.advice}; ", *advice)
    return type(fault)(fault.expected, got=(*got, place), advice=advice, where="load")


def _from_name(evidence: Evidence) -> Recipe | None:
    offered = {
        repository.casefold(): (entry, parameters)
        for entry in published().values()
        for repository, parameters in entry.repositories.items()
    }
    not_offered = {repository.casefold(): repository for repository in _NOT_OFFERED}
    for name in map(str.casefold, evidence.names()):
        if name in offered:
            entry, parameters = offered[name]
            _check_arguments(entry, parameters, "load")
            return entry.make(**parameters)
        if name in not_offered:
            repository = not_offered[name]
            raise InputError(
                f"a model that one of the recipes reads ({', '.join(published())})",
                got=f"{_or_copy(evidence, repository)}, which is read by "
                f"{_NOT_OFFERED[repository]!r}, and that is not offered yet",
                advice=(
                    "pass ",
                    Argument("recipe"),
                    " only if one of them is what the model was trained with",
                ),
                where="load",
            )
    return None


def _or_copy(evidence: Evidence, repository: str) -> str:
    same = evidence.name.casefold() == repository.casefold()
    return repository if same else f"{evidence.name}, by its name a copy of {repository}"


def _from_head(evidence: Evidence) -> Recipe:
    size = hidden_size(evidence.config) or 0
    fitting = [entry for entry in published().values() if _may_be(entry, evidence)]
    recipes = [(entry, entry.make()) for entry in fitting if not required_arguments(entry)]
    recipes = [
        (entry, recipe)
        for entry, recipe in recipes
        if head_fault(recipe.head, evidence.shapes, size) is None
    ]
    if len(recipes) != 1:
        raise _undecided(evidence, [entry.name for entry, _ in recipes])
    [(entry, recipe)] = recipes
    if entry.assumption is not None:
        warnings.warn(f"load: {evidence.name} {entry.assumption}", stacklevel=5)
    return recipe


def _may_be(entry: Published, evidence: Evidence) -> bool:
    """Whether the class and the tokenizer are those of a recipe."""
    by_class = any(
        fnmatchcase(architecture, pattern)
        for architecture in evidence.architectures
        for pattern in entry.architectures
    )
    tag = entry.added_token
    return by_class and (tag is None or tag in evidence.tokenizer.get_added_vocab())


def _undecided(evidence: Evidence, fitting: list[str]) -> InputError:
    heads = [
        f"{key} {list(shape)}"
        for key, shape in evidence.shapes.items()
        if key.startswith(("score.", "v_head.", "lm_head."))
    ]
    added = evidence.tokenizer.get_added_vocab()
    tags = sorted({entry.added_token for entry in published().values() if entry.added_token})
    tokens = ", ".join(
        f"{tag!r} in the tokenizer ({'an added token' if tag in added else 'no added token'})"
        for tag in tags
    )
    several = f"; it may be any of {', '.join(fitting)}" if fitting else ""
    return InputError(
        f"a checkpoint whose recipe can be detected{several}",
        got=f'{evidence.name}; looked at: config.json "stepscore" (none), the names '
        f"{evidence.names()} (not known), the architectures {evidence.architectures}, the head "
        f"tensors {heads or 'none'}, {tokens}",
        advice=_advice(evidence),
        where="load",
    )


def _advice(evidence: Evidence) -> tuple[str | Argument, ...]:
    if not any(name.endswith("ForCausalLM") for name in evidence.architectures):
        return (
            "pass the ",
            Argument("recipe"),
            f" that the model was trained with, one of {', '.join(published())}",
        )
    files = [] if evidence.folder is None else [path.name for path in evidence.folder.iterdir()]
    advice: list[str | Argument] = [
        "a causal language model does not say how it was trained as a PRM"
    ]
    for entry in published().values():
        # Their class says nothing, so that no other recipe of them could have been detected.
        if entry.architectures or required_arguments(entry):
            continue
        recipe = entry.make()
        beside = [file for file in recipe.head.files if file in files]
        if beside or recipe.head.kind == "lm_rows":
            ends = f" if its steps end in {recipe.separator!r}"
            advice += [
                "; pass " if len(advice) == 1 else ", ",
                Argument("recipe", entry.name),
                f" if {beside[0]} beside its weights is that head" if beside else ends,
            ]
    return tuple(advice)
