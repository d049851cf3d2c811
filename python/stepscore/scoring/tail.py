"""The tail of a forward pass over rows of hidden states: the final norm, and the head."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays import is_torch
from stepscore.errors import InputError, InputTypeError
from stepscore.recipes import Recipe
from stepscore.scoring.head_readings import read_head

# What is applied to the rows that are read: a module of torch, a function of rows, or weight and
# epsilon of an RMS norm.
Norm = Callable[[Any], Any] | tuple[Any, float]
# Those that a head reads.
_NUMBER_FORMATS = ("float32", "float16", "bfloat16")


def head_layers(call: str, recipe: Recipe, head: Any) -> list[tuple[Any, Any]]:
    """The layers of a head, checked against the recipe's."""
    if not isinstance(recipe, Recipe):
        raise InputTypeError(
            "a value of the class Recipe",
            got=type(recipe).__name__,
            advice="pass prm.recipe, or what stepscore.recipes makes, such as trl_prm()",
            argument="recipe",
            where=call,
        )
    refuse_likelihood(call, recipe)
    known = getattr(head, "recipe", None)
    if known is not None and known.as_config() != recipe.as_config():
        raise InputError(
            f"the head of the recipe {recipe.name!r}",
            got=f"that of {known.name!r}",
            advice="pass the recipe that the head was loaded with",
            argument="head",
            where=call,
        )
    pairs = _pairs(call, head.layers if known is not None else head)
    layers = [tuple(map(_plain, pair)) for pair in pairs]
    count = recipe.head.depth
    shapes = [list(weight.shape) for weight, _ in layers]
    fits = len(layers) == count and all(len(shape) == 2 for shape in shapes)
    fits = fits and shapes[-1][0] == recipe.head.outputs
    if not fits or any(inner[0] != outer[1] for inner, outer in pairwise(shapes)):
        between = "" if count == 1 else f"{count} layers, the last of them with "
        raise InputError(
            f"{between}weights [{recipe.head.outputs}, H], the head of the recipe {recipe.name!r}",
            got=f"weights of shapes {shapes}",
            advice="pass the head's own layers, in their order",
            argument="head",
            where=call,
        )
    return [(weight, bias) for weight, bias in layers]


def refuse_likelihood(call: str, recipe: Recipe) -> None:
    """Refuse a recipe that adds up over all tokens of a trace: it has no head to read alone.

    Raises:
        ValueError: such a recipe.
    """
    if recipe.head.likelihood is not None:
        raise InputError(
            "a recipe that is read at one token of each step",
            got=f"{recipe.name}, which adds up over all tokens, of two models where it compares "
            "them",
            advice="score the texts with prm.score",
            where=call,
        )


def _pairs(call: str, head: Any) -> Sequence[tuple[Any, Any]]:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(head, torch.nn.Module):
        modules = list(head) if isinstance(head, torch.nn.Sequential) else [head]
        linear = [each for each in modules if isinstance(each, torch.nn.Linear)]
        others = [each for each in modules if not isinstance(each, torch.nn.Linear)]
        # Dropout is off wherever a model is read.
        others = [each for each in others if not isinstance(each, torch.nn.Dropout)]
        strange = [each for each in others if not isinstance(each, torch.nn.ReLU)]
        if linear and not strange and len(others) == len(linear) - 1:
            return [(each.weight, each.bias) for each in linear]
        got = type((strange or modules)[0]).__name__
    else:
        got = type(head).__name__
        try:
            return [(weight, bias) for weight, bias in head]
        except (TypeError, ValueError):
            pass
    raise InputTypeError(
        "what load_head gives, [(weight, bias), ...], a Linear, or a Sequential of Linear and ReLU",
        got=got,
        advice="pass the weights of the head's linear layers",
        argument="head",
        where=call,
    )


def _plain(array: Any) -> Any:
    """A weight without its graph; what is no tensor as NumPy has it."""
    if array is None:
        return None
    return array.detach() if is_torch(array) else np.asarray(array)


def normed(call: str, rows: Any, norm: Norm) -> Any:
    """Apply the final norm to rows ``[n, H]``; see `stepscore.read_steps`."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(norm, torch.nn.Module):
        norm = import_module("stepscore.scoring.final_norm").FinalNorm(norm)
    if isinstance(norm, (tuple, list)):
        result = _rms_normed(call, rows, norm)
    elif callable(norm):
        result = norm(rows)
    else:
        raise InputTypeError(
            "a module, a function of rows, or (weight, eps)",
            got=type(norm).__name__,
            advice="pass the final norm of the model",
            argument="norm",
            where=call,
        )
    number_format = str(getattr(result, "dtype", type(result).__name__)).removeprefix("torch.")
    if number_format not in _NUMBER_FORMATS:
        raise InputTypeError(
            f"rows of {', '.join(_NUMBER_FORMATS)} from the norm",
            got=number_format,
            advice="return them in the format of the rows, "
            + str(rows.dtype).removeprefix("torch."),
            argument="norm",
            where=call,
        )
    if tuple(result.shape) != tuple(rows.shape):
        raise InputError(
            f"rows of shape {list(rows.shape)} from the norm",
            got=str(list(result.shape)),
            advice="pass the final norm of the model, which keeps their shape",
            argument="norm",
            where=call,
        )
    return result.detach() if is_torch(result) else np.asarray(result)


def _rms_normed(call: str, rows: Any, norm: Any) -> Any:
    try:
        weight, eps = _plain(norm[0]), float(norm[1])
        fits = len(norm) == 2 and 0 <= eps < 1
    except (TypeError, ValueError, IndexError):
        fits = False
    if not fits:
        raise InputTypeError(
            "(weight, eps), with an epsilon from 0 that is small against 1",
            got=repr(tuple(norm[1:])),
            advice="pass the weight and the epsilon of the final norm",
            argument="norm",
            where=call,
        )
    if tuple(weight.shape) != tuple(rows.shape[1:]):
        raise InputError(
            f"a weight of shape {list(rows.shape[1:])}",
            got=str(list(weight.shape)),
            advice="pass the weight and the epsilon of the final norm",
            argument="norm",
            where=call,
        )
    if is_torch(rows):
        weight = sys.modules["torch"].as_tensor(weight).to(rows.device, rows.dtype)
        wide = rows.float()
        wide = wide * (wide.pow(2).mean(-1, keepdim=True) + eps).rsqrt()
        return weight * wide.to(rows.dtype)
    weight = (weight.float().numpy() if is_torch(weight) else weight).astype(rows.dtype)
    wide = rows.astype(np.float32)
    wide = wide / np.sqrt(np.mean(wide**2, axis=-1, keepdims=True) + np.float32(eps))
    return weight * wide.astype(rows.dtype)


def head_scores(recipe: Recipe, layers: list[tuple[Any, Any]], rows: Any) -> NDArray[np.float32]:
    """Give the readings of rows, float32 ``[n, readings]``, as the forward pass reads them."""
    layers = [(_beside(rows, weight), _beside(rows, bias)) for weight, bias in layers]
    with _as_loaded(rows):
        scores = read_head(recipe.readings, layers, rows)
    values: NDArray[np.float32] = scores.cpu().numpy() if is_torch(scores) else scores
    return values


def _as_loaded(rows: Any) -> AbstractContextManager[object]:
    """Compute in the format of the rows, whatever the caller computes in."""
    if not is_torch(rows):
        return nullcontext()
    from stepscore.scoring.forward.number_format import as_loaded

    return as_loaded(rows.device)


def _beside(rows: Any, array: Any) -> Any:
    """A weight on the device of the rows, in float32, as `load` keeps a head."""
    if array is None:
        return None
    if is_torch(array):
        return array.float().to(rows.device) if is_torch(rows) else array.float().cpu().numpy()
    array = array.astype(np.float32)
    if is_torch(rows) and rows.is_cuda:
        return sys.modules["torch"].from_numpy(array).to(rows.device)
    return array
