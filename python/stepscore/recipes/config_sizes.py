"""Sizes that config.json states, under the names that the families of models have for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# GPT-2 and its like say n_embd and n_positions, MPT and DBRX d_model and max_seq_len.
_HIDDEN_SIZE = ("hidden_size", "n_embd", "d_model")
_POSITIONS = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "model_max_length",
    "context_length",
)


def language_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the part that describes the language model: of a model that also sees, ``text_config``.

    What the part does not say stands beside it.
    """
    for key in ("text_config", "llm_config", "language_config"):
        part = config.get(key)
        if isinstance(part, Mapping):
            return {**config, **part}
    return config


def hidden_size(config: Mapping[str, Any]) -> int | None:
    """Give the length H of a hidden state; None where config.json states none."""
    return _first_number(language_config(config), _HIDDEN_SIZE)


def positions(config: Mapping[str, Any], key: str = "max_position_embeddings") -> int | None:
    """Give the most tokens of a trace, as `key` or another family's name for it has them.

    None where config.json states none, as for models without a limit.
    """
    names = (key, *_POSITIONS) if key in _POSITIONS else (key,)
    return _first_number(language_config(config), names)


def _first_number(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
