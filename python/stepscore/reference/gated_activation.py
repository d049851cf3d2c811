"""The gate of a feed-forward block, in float64."""

from __future__ import annotations

from math import erfc, pi, sqrt
from typing import Any

import numpy as np


def gated_activation(gate: Any, up: Any = None, *, activation: str = "silu") -> Any:
    r"""Activation of a gate times what it gates: :math:`y = a(g) \odot u`.

    Args:
        gate: ``[tokens, width]``.
        up: of the same shape, or None for ones.
        activation: ``silu``, ``gelu`` or ``gelu_tanh``.

    Returns:
        float64 ``[tokens, width]``.
    """
    g = np.asarray(gate, dtype=np.float64)
    with np.errstate(invalid="ignore"):  # -infinity times 0 is NaN, as in torch
        y = g * _let_through(g, activation)
        return y if up is None else y * np.asarray(up, dtype=np.float64)


def _let_through(g: Any, activation: str) -> Any:
    """The part of g that comes through, from 0 to 1."""
    if activation == "silu":
        return _logistic(g)
    if activation == "gelu":
        return np.vectorize(lambda x: erfc(-x * sqrt(0.5)) / 2.0, otypes=[np.float64])(g)
    if activation == "gelu_tanh":
        return _logistic(2.0 * sqrt(2.0 / pi) * (g + 0.044715 * g**3))
    raise ValueError(f"unknown activation {activation!r}")


def _logistic(z: Any) -> Any:
    with np.errstate(over="ignore"):  # a large exponent gives infinity, whose reciprocal is right
        return 1.0 / (1.0 + np.exp(-z))
