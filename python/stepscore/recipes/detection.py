"""The recipe of a checkpoint, from what it says of itself."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Any

from stepscore.errors import Argument, InputError
from stepscore.recipes.config_sizes import hidden_size
from stepscore.recipes.fitting_head import fitting_call
from stepscore.recipes.head import Shape, head_fault
from stepscore.recipes.recipe import Published, Recipe, Tokenizer
from stepscore.recipes.recipe_arguments import required_arguments
from stepscore.recipes.registry import (
    NOT_READ,
    WRITTEN_VERDICTS,
    check_arguments,
    published,
    recipe_from_entry,
)

# Published PRMs of which no hidden state is read, or whose class is none of transformers -> (what
# they are, what to do). An entry of the catalog for the same repository takes precedence.
_Refusal = tuple[str, tuple[str | Argument, ...]]
_VISUAL: _Refusal = (
    "whose recipe is 'visual-prm' and whose language model, InternLM2, has code of its own, "
    "which is not run",
    (
        "write its language model in Llama's form into a folder, and pass ",
        Argument("recipe", "visual-prm"),
        " for that; no image is read",
    ),
)
_WRITTEN = {
    **{f"GenPRM/GenPRM-{size}": "genprm" for size in ("1.5B", "7B", "32B")},
    **{f"launch/ThinkPRM-{size}": "thinkprm" for size in ("1.5B", "7B", "14B")},
    **{f"kevinpro/R-PRM-7B{kind}": "r-prm" for kind in ("", "-DPO")},
    "DORAEMONG/PRO-STEP-PRM-8B": "pro-step",
}
_UNCERTAINTY_HEADS = "llm-uncertainty-head/"


def _writes(recipe: str) -> _Refusal:
    function = f"stepscore.scoring.{WRITTEN_VERDICTS[recipe]}(policy)"
    return (
        "which writes its verdicts",
        (f"make it with {function}; the command line does so with ", Argument("recipe", recipe)),
    )


_NOT_OFFERED: dict[str, _Refusal] = {
    "OpenGVLab/VisualPRM-8B": _VISUAL,
    "OpenGVLab/VisualPRM-8B-v1.1": _VISUAL,
    "IINemo/llm-uncertainty-head": (NOT_READ["uhead"][0], (NOT_READ["uhead"][1],)),
    **{repository: _writes(recipe) for repository, recipe in _WRITTEN.items()},
}


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


def _from_config(evidence: Evidence) -> Recipe | None:
    entry = evidence.config.get("stepscore")
    if entry is None:
        return None
    try:
        return recipe_from_entry(entry, "load")
    except InputError as error:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("recipe"), str):
            raise  # it speaks of the entry
        if error.argument is not None and error.argument.name not in {"name", *entry}:
            raise  # it says how an argument that is missing is given
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
        if name.startswith(_UNCERTAINTY_HEADS):
            not_offered[name] = "IINemo/llm-uncertainty-head"
        if name in offered:
            entry, parameters = offered[name]
            check_arguments(entry, parameters, "load")
            return entry.make(**parameters)
        if name in not_offered:
            repository = not_offered[name]
            what, advice = _NOT_OFFERED[repository]
            raise InputError(
                "a stock model whose hidden states are scored",
                got=f"{_or_copy(evidence, repository)}, {what}",
                advice=advice,
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
        if not recipes:
            _name_other_arguments(evidence, fitting, size)
        raise _undecided(evidence, [entry.name for entry, _ in recipes])
    [(entry, recipe)] = recipes
    if entry.assumption is not None:
        warnings.warn(f"load: {evidence.name} {entry.assumption}", stacklevel=5)
    return recipe


def _name_other_arguments(evidence: Evidence, entries: list[Published], size: int) -> None:
    """Say which argument makes a recipe of the class one of the checkpoint's head."""
    for entry in entries:
        call = None
        if not required_arguments(entry):
            call = fitting_call(entry.make(), evidence.shapes, size)
        if call is not None:
            raise InputError(
                f"the head of {entry.name!r} as it is without arguments",
                got=f"{evidence.name}, whose class is that recipe's and whose head is not",
                advice=("pass ", Argument("recipe", call), " if it was trained so"),
                where="load",
            )


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
    causal = any(name.endswith("ForCausalLM") for name in evidence.architectures)
    advice: list[str | Argument] = []
    for entry in published().values():
        reason = _reason_for(entry, evidence, causal=causal)
        if reason:
            advice += [", or " if advice else "pass ", Argument("recipe", entry.name), reason]
    if causal:
        says = "a causal language model does not say how it was trained as a PRM"
        return (f"{says}; " if advice else says, *advice)
    if advice:
        return tuple(advice)
    return (
        "pass the ",
        Argument("recipe"),
        f" that the model was trained with, one of {', '.join(published())}",
    )


def _reason_for(entry: Published, evidence: Evidence, *, causal: bool) -> str:
    """Say when a checkpoint may be one of a recipe, from its tensors and the files beside it."""
    absent = entry.added_token and entry.added_token not in evidence.tokenizer.get_added_vocab()
    if absent or required_arguments(entry):
        return ""
    recipe = entry.make()
    head = recipe.head
    if head.files:
        folder = evidence.folder
        beside = [file for file in head.files if folder is not None and (folder / file).exists()]
        return f" if {beside[0]} beside its weights is that head" if beside else ""
    if head.kind == "lm_rows":
        return f" if its steps end in {recipe.separator!r}" if causal else ""
    size = hidden_size(evidence.config) or 0
    fits = head.kind in ("affine", "mlp") and head_fault(head, evidence.shapes, size) is None
    return " if that is the model, whose head has these tensors" if fits else ""
