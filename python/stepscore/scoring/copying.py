"""Copies of a loaded model: with weights of their own in memory, without any in a pickle."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any

# A function that loads a model, and the name for it.
LoadAgain = tuple[Callable[..., Any], str]

# What a copy must have for itself; the rest cannot be changed.
_DEEP = ("tokenizer", "backbone", "head", "reference")


def deep_copy(model: Any, memo: dict[int, Any]) -> Any:
    """Give a `ProcessRewardModel` with weights of its own."""
    kept = {field.name: getattr(model, field.name) for field in fields(model)}
    for name in _DEEP:
        kept[name] = copy.deepcopy(kept[name], memo)
    return type(model)(**kept)


def to_load_again(model: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Give what `pickle` writes of a `ProcessRewardModel`: a function, and its arguments.

    Raises:
        TypeError: a model that was made by hand.
    """
    if model.load_again is None:
        raise TypeError(
            f"pickle: expected a model that stepscore.load made; got {model!r}, which was made by "
            "hand and has no name to be loaded by"
        )
    load, address = model.load_again
    options = {
        "recipe": model.recipe,
        "device": None if _places(load) else str(model.device),
        "dtype": model.dtype,
        "revision": model.revision,
        "max_length": model.max_length,
        "token_budget": model.token_budget,
        "share": model.costs is not None,
        "show_progress": model.show_progress,
    }
    return _load_again, (load, address, model.name, options)


def _places(load: Callable[..., Any]) -> bool:
    """Whether a function says already where the parts of a model go."""
    return isinstance(load, partial) and load.keywords.get("device_map") is not None


def _load_again(load: Callable[..., Any], address: str, name: str, options: dict[str, Any]) -> Any:
    # A folder is found by its whole path, and keeps the name that it was loaded by.
    return replace(load(address, **options), name=name)
