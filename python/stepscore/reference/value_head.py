"""Heads on hidden states, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def value_head(
    hidden: Any,
    weight: Any,
    bias: Any = None,
    *,
    positions: Any = None,
    activation: str = "identity",
) -> Any:
    r"""Affine head on chosen rows: :math:`y_i = a(W h_{p_i} + b)`.

    Args:
        hidden: ``[tokens, H]``.
        weight: ``[k, H]``.
        bias: ``[k]``, or None for zeros.
        positions: ``[n]`` in ``[0, tokens)``, or None for every row.
        activation: ``identity``, ``sigmoid``, ``softmax``, ``difference`` or ``tanh``.

    Returns:
        float64 ``[n, k]``, for ``difference`` ``[n, 1]``.
    """
    rows = np.asarray(hidden, dtype=np.float64)
    rows = rows if positions is None else rows[np.asarray(positions, dtype=np.int64)]
    z = rows @ np.asarray(weight, dtype=np.float64).T
    return _activate(z if bias is None else z + np.asarray(bias, dtype=np.float64), activation)


def mlp_head(
    hidden: Any,
    layers: Sequence[tuple[Any, Any]],
    *,
    positions: Any = None,
    inner: str = "relu",
    activation: str = "identity",
) -> Any:
    r"""MLP head on chosen rows: :math:`y_i = a(W_L g(\ldots g(W_1 h_{p_i} + b_1) \ldots) + b_L)`.

    Args:
        hidden: ``[tokens, H]``.
        layers: ``[(weight [out, in], bias [out] or None), ...]``.
        positions: ``[n]``, or None for every row.
        inner: g, ``relu``, ``tanh`` or ``silu``.
        activation: a, as in `value_head`.

    Returns:
        float64 ``[n, k]``, for ``difference`` ``[n, 1]``.
    """
    *first, (weight, bias) = layers
    for inner_weight, inner_bias in first:
        z = value_head(hidden, inner_weight, inner_bias, positions=positions)
        hidden = _between(z, inner)
        positions = None
    return value_head(hidden, weight, bias, positions=positions, activation=activation)


def _between(z: Any, inner: str) -> Any:
    if inner == "tanh":
        return np.tanh(z)
    with np.errstate(invalid="ignore"):  # silu of -infinity is NaN, as in torch
        return z * _activate(z, "sigmoid") if inner == "silu" else np.maximum(z, 0.0)


def _activate(z: Any, activation: str) -> Any:
    # Large exponents overflow to infinity, whose reciprocal is the right limit.
    with np.errstate(over="ignore", invalid="ignore"):
        if activation == "identity":
            return z
        if activation == "sigmoid":
            return 1.0 / (1.0 + np.exp(-z))
        if activation == "tanh":
            return np.tanh(z)
        if activation == "difference":
            return np.tanh((z[:, 1:2] - z[:, 0:1]) / 2.0)  # p1 - p0
        if activation == "softmax" and z.shape[1] == 2:
            return 1.0 / (1.0 + np.exp(z[:, ::-1] - z))
        if activation == "softmax":
            e = np.exp(z - z.max(axis=1, keepdims=True))
            return e / e.sum(axis=1, keepdims=True)
    raise ValueError(f"unknown activation {activation!r}")
