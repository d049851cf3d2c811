"""Rows of hidden states -> a head's outputs -> what a recipe reads from them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from stepscore.arrays import is_torch
from stepscore.ops import mlp_head, value_head
from stepscore.recipes import Reading
from stepscore.recipes.recipe import Activation

# The head's own activation, over which an activation that it has not is computed.
_OF_HEAD: dict[Activation, Literal["identity", "sigmoid", "softmax"]] = {
    "identity": "identity",
    "sigmoid": "sigmoid",
    "softmax": "softmax",
    "tanh": "identity",
    "softplus": "identity",
}


def read_head(
    readings: Sequence[Reading],
    layers: Sequence[tuple[Any, Any]],
    hidden: Any,
    positions: Any = None,
) -> Any:
    """Give the readings of rows: float32 ``[rows, readings]``, where the hidden states are.

    Args:
        readings: of a recipe.
        layers: weight and bias of each layer of its head.
        hidden: ``[tokens, H]``, of NumPy or torch.
        positions: the rows that are read; None reads all.
    """
    outputs: dict[Activation, Any] = {}
    for activation in dict.fromkeys(reading.activation for reading in readings):
        own = _OF_HEAD[activation]
        if len(layers) == 1:
            [(weight, bias)] = layers
            values = value_head(hidden, weight, bias, positions=positions, activation=own)
        else:
            values = mlp_head(hidden, layers, positions=positions, activation=own)
        outputs[activation] = _beyond_the_head(activation, values)
    columns = [_read(reading, outputs[reading.activation]) for reading in readings]
    if is_torch(columns[0]):
        return sys.modules["torch"].stack(columns, 1)
    return np.stack(columns, 1)


def _beyond_the_head(activation: Activation, outputs: Any) -> Any:
    if activation == "tanh":
        return outputs.tanh() if is_torch(outputs) else np.tanh(outputs)
    if activation == "softplus":  # log(1 + exp(z))
        if is_torch(outputs):
            return sys.modules["torch"].nn.functional.softplus(outputs)
        return np.logaddexp(np.float32(0), outputs)
    return outputs


def _read(reading: Reading, outputs: Any) -> Any:
    value = _weighted(reading, outputs)
    if reading.threshold is None:
        return value
    hard = value >= reading.threshold
    if is_torch(value):
        return sys.modules["torch"].where(value.isnan(), value, hard.to(value.dtype))
    return np.where(np.isnan(value), value, hard.astype(value.dtype))


def _weighted(reading: Reading, outputs: Any) -> Any:
    if reading.column is not None:
        return outputs[:, reading.column]
    # In ascending order, term by term: the same bits for any number of rows.
    total = outputs[:, 0] * np.float32(reading.weights[0]).item()
    for column, weight in enumerate(reading.weights[1:], 1):
        if weight:
            total = total + outputs[:, column] * np.float32(weight).item()
    return total
