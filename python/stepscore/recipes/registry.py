"""Recipes by name, and the recipe of a checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stepscore.errors import InputError
from stepscore.recipes.catalog.math_shepherd import math_shepherd
from stepscore.recipes.catalog.qwen_math_prm import qwen_math_prm
from stepscore.recipes.catalog.skywork_o1_prm import skywork_o1_prm
from stepscore.recipes.catalog.trl_prm import trl_prm
from stepscore.recipes.recipe import Head, Recipe, Tokenizer

_FACTORIES: dict[str, Callable[..., Recipe]] = {
    "qwen2.5-math-prm": qwen_math_prm,
    "math-shepherd": math_shepherd,
    "skywork-o1-prm": skywork_o1_prm,
    "trl-prm": trl_prm,
}

_REPOSITORIES: dict[str, Callable[[], Recipe]] = {
    "Qwen/Qwen2.5-Math-PRM-7B": qwen_math_prm,
    "Qwen/Qwen2.5-Math-PRM-72B": qwen_math_prm,
    "Qwen/Qwen2.5-Math-7B-PRM800K": qwen_math_prm,
    "peiyi9979/math-shepherd-mistral-7b-prm": math_shepherd,
    "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B": skywork_o1_prm,
    "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B": skywork_o1_prm,
    "HuggingFaceH4/Qwen2.5-Math-1.5B-Instruct-PRM-0.2": lambda: trl_prm(H4_SEPARATOR),
    "HuggingFaceH4/Qwen2.5-Math-7B-Instruct-PRM-0.2": lambda: trl_prm(H4_SEPARATOR),
}

# Published PRMs that share a class with a recipe above and are read in another way.
_NOT_OFFERED = {
    "Gen-Verse/ReasonFlux-PRM-7B": "reasonflux-prm-7b",
    "Gen-Verse/ReasonFlux-PRM-1.5B": "reasonflux-prm-1.5b",
    "jinachris/PURE-PRM-7B": "pure-prm",
    "jinachris/Qwen2.5-Math-7B-PRM800K": "pure-prm",
    "RLHFlow/Llama3.1-8B-PRM-Mistral-Data": "rlhflow-prm",
    "RLHFlow/Llama3.1-8B-PRM-Deepseek-Data": "rlhflow-prm",
    "Qwen/Qwen2.5-Math-RM-72B": "qwen2.5-math-rm",
}

QWEN_TAG = "<extra_0>"
H4_SEPARATOR = "\n\n"

Shape = tuple[int, ...]


def recipe_names() -> list[str]:
    """Give the names that ``load(recipe=...)`` and `recipe_by_name` take."""
    return list(_FACTORIES)


def recipe_by_name(name: str, **parameters: str) -> Recipe:
    """Make the recipe of a name.

    Args:
        name: one of `recipe_names`.
        parameters: the recipe's own arguments, such as ``separator`` of ``trl-prm``.

    Raises:
        ValueError: a name that is not offered.
        TypeError: an argument that the recipe does not take.
    """
    if name not in _FACTORIES:
        raise ValueError(
            f"recipe_by_name: name must be one of {', '.join(_FACTORIES)}; got {name!r}; pass one "
            "of these, or a Recipe"
        )
    try:
        return _FACTORIES[name](**parameters)
    except TypeError as error:
        raise TypeError(
            f"recipe_by_name: {name} does not take the arguments {sorted(parameters)} ({error})"
        ) from error


@dataclass(frozen=True)
class Evidence:
    """What a checkpoint says of itself.

    Attributes:
        name: the name it was asked for by, a repository or a folder.
        config: its ``config.json``.
        shapes: the shapes of its tensors, by name.
        tokenizer: its tokenizer.
    """

    name: str
    config: Mapping[str, Any]
    shapes: Mapping[str, Shape]
    tokenizer: Tokenizer

    @property
    def architectures(self) -> list[str]:
        """The model classes that its config names."""
        return list(self.config.get("architectures") or [])

    def names(self) -> list[str]:
        """The repositories it may be: as asked for, and as its config remembers."""
        remembered = self.config.get("_name_or_path")
        return [self.name, *([remembered] if isinstance(remembered, str) else [])]


def detect(evidence: Evidence) -> Recipe:
    """Find the recipe of a checkpoint.

    In this order: the entry ``"stepscore"`` of its config.json; its repository's name; its class
    together with its head and its tokenizer. What these leave open is an error, not a guess.

    Raises:
        ValueError: nothing decides; the message lists what was looked at and what to pass.
    """
    return _from_config(evidence) or _from_name(evidence) or _from_head(evidence)


def head_fault(head: Head, shapes: Mapping[str, Shape], hidden_size: int) -> InputError | None:
    """Say how a checkpoint's tensors differ from what a class head needs, or give None."""
    for number, layer in enumerate(head.layers, 1):
        rows = head.outputs if number == len(head.layers) else hidden_size
        expected: list[tuple[str, Shape]] = [(layer.weight, (rows, hidden_size))]
        if layer.bias is not None:
            expected.append((layer.bias, (rows,)))
        for key, shape in expected:
            if key not in shapes:
                return InputError(f"a tensor {key!r} of shape {list(shape)}", got="none")
            if tuple(shapes[key]) != shape:
                return InputError(f"{key!r} of shape {list(shape)}", got=str(list(shapes[key])))
    return None


def _from_config(evidence: Evidence) -> Recipe | None:
    entry = evidence.config.get("stepscore")
    if entry is None:
        return None
    if not isinstance(entry, Mapping) or not isinstance(entry.get("recipe"), str):
        raise ValueError(
            'load: the entry "stepscore" of config.json must look like {"recipe": "trl-prm", '
            f'"separator": "\\n"}}; got {entry!r}; correct it, or pass recipe='
        )
    parameters = {key: value for key, value in entry.items() if key != "recipe"}
    return recipe_by_name(entry["recipe"], **parameters)


def _from_name(evidence: Evidence) -> Recipe | None:
    for name in evidence.names():
        for repository, recipe in _NOT_OFFERED.items():
            if _same_repository(name, repository):
                raise ValueError(
                    f"load: {repository} is read by the recipe {recipe!r}, which is not offered "
                    f"yet; the recipes are {', '.join(_FACTORIES)}; pass recipe= only if one of "
                    "them is what the model was trained with"
                )
        for repository, factory in _REPOSITORIES.items():
            if _same_repository(name, repository):
                return factory()
    return None


def _same_repository(name: str, repository: str) -> bool:
    return name.casefold() == repository.casefold()


def _from_head(evidence: Evidence) -> Recipe:
    hidden_size = int(evidence.config.get("hidden_size") or 0)
    architectures = evidence.architectures

    def fits(recipe: Recipe) -> bool:
        return head_fault(recipe.head, evidence.shapes, hidden_size) is None

    # PURE's models share the class and the head, but not the tag.
    has_tag = QWEN_TAG in evidence.tokenizer.get_added_vocab()
    if has_tag and "Qwen2ForProcessRewardModel" in architectures and fits(qwen_math_prm()):
        return qwen_math_prm()
    if "Qwen2ForPrmModel" in architectures and fits(skywork_o1_prm()):
        return skywork_o1_prm()
    two_labels = any(name.endswith("ForTokenClassification") for name in architectures)
    if two_labels and fits(trl_prm()):
        warnings.warn(
            f"load: {evidence.name} looks like a PRM of TRL's trainer; its checkpoint does not say "
            'which separator it was trained with, so TRL\'s default "\\n" is used; pass '
            'recipe=stepscore.recipes.trl_prm(separator=...) or write "stepscore": {"recipe": '
            '"trl-prm", "separator": ...} into its config.json',
            stacklevel=5,
        )
        return trl_prm()
    raise ValueError(_undecided(evidence))


def _undecided(evidence: Evidence) -> str:
    heads = [
        f"{key} {list(shape)}"
        for key, shape in evidence.shapes.items()
        if key.startswith(("score.", "v_head.", "lm_head."))
    ]
    tag = "an added token" if QWEN_TAG in evidence.tokenizer.get_added_vocab() else "no added token"
    causal = any(name.endswith("ForCausalLM") for name in evidence.architectures)
    advice = (
        "a causal language model does not say how it was trained as a PRM; pass "
        'recipe="math-shepherd" if its steps end in the tag ки'
        if causal
        else f"pass recipe= one of {', '.join(_FACTORIES)}, the one that the model was trained with"
    )
    return (
        f"load: the recipe of {evidence.name} cannot be detected; looked at: config.json "
        f'"stepscore" (none), the names {evidence.names()} (not known), the architectures '
        f"{evidence.architectures}, the head tensors {heads or 'none'}, {QWEN_TAG!r} in the "
        f"tokenizer ({tag}); {advice}"
    )
