"""What config.json states is checked before anything is built by it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepscore.errors import InputError

# Whole numbers from 1, under the names that the families of models have for them. Lists state a
# number for each layer; null leaves the number to the family.
_COUNTS = (
    "hidden_size",
    "n_embd",
    "d_model",
    "intermediate_size",
    "n_inner",
    "num_hidden_layers",
    "n_layer",
    "num_attention_heads",
    "n_head",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "n_positions",
)
# Numbers from 0: a negative one gives NaN, or other scores, and no error.
_NOT_NEGATIVE = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "sliding_window")
_ROTARY = ("rope_theta", "rope_parameters", "rope_scaling")
_COPY = "use the config.json that was published with the weights"


def check_config(config: Mapping[str, Any], path: Path) -> None:
    """Refuse a config.json whose numbers no model can have.

    Raises:
        ValueError: the entry, what it should be and what it is.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise _fault(path, "model_type", "the name of a family of models", model_type)
    _check(config, path, "")
    for key in ("text_config", "llm_config", "language_config"):
        part = config.get(key)
        if isinstance(part, Mapping):
            _check(part, path, f"{key}.")


def _check(config: Mapping[str, Any], path: Path, at: str) -> None:
    for key in _COUNTS:
        values = config.get(key)
        for value in values if isinstance(values, list) else [values]:
            if value is not None and not (_is_whole(value) and value >= 1):
                raise _fault(path, at + key, "a whole number from 1", value)
    for key in _NOT_NEGATIVE:
        value = config.get(key)
        if value is not None and not (_is_number(value) and value >= 0):
            raise _fault(path, at + key, "a number from 0", value)
    for key in _ROTARY:
        _check_theta(config.get(key), path, at + key)
    tied = config.get("tie_word_embeddings")
    if tied is not None and not isinstance(tied, bool):
        raise _fault(path, f"{at}tie_word_embeddings", "true or false", tied)
    classes = config.get("architectures")
    if classes is not None and not (
        isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    ):
        raise _fault(path, f"{at}architectures", "a list of names", classes)
    _check_heads(config, path, at)
    kinds, layers = config.get("layer_types"), config.get("num_hidden_layers")
    if isinstance(kinds, list) and layers is not None and len(kinds) != layers:
        expected = f"a kind for each of the {layers} layers of num_hidden_layers"
        raise _fault(path, f"{at}layer_types", expected, f"{len(kinds)} kinds")


def _check_theta(value: Any, path: Path, at: str) -> None:
    """Refuse a base of rotary frequencies, wherever it stands, that is no positive number."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key == "rope_theta" or isinstance(part, Mapping):
                _check_theta(part, path, f"{at}.{key}")
    elif value is not None and not (_is_number(value) and value > 0):
        raise _fault(path, at, "a number above 0", value)


def _check_heads(config: Mapping[str, Any], path: Path, at: str) -> None:
    heads, shared = config.get("num_attention_heads"), config.get("num_key_value_heads")
    if isinstance(heads, int) and isinstance(shared, int) and heads % shared:
        expected = f"a divisor of the {heads} of num_attention_heads"
        raise _fault(path, f"{at}num_key_value_heads", expected, shared)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _fault(path: Path, key: str, expected: str, value: Any) -> InputError:
    return InputError(
        f"{expected} as {key!r} in {path}", got=repr(value), advice=_COPY, where="load"
    )


def unbuildable(path: Path, error: Exception) -> InputError:
    """Give the error for a config.json of which transformers cannot build a model."""
    said = " ".join(line.strip() for line in str(error).splitlines()[:4])
    return InputError(
        f"a model that transformers can build in {path}",
        got=f"an entry at which it stops with {type(error).__name__}: {said}",
        advice=f"{_COPY}, or upgrade transformers",
        where="load",
    )
