"""Heads on hidden states, read only at the rows that are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepscore import _arrays, _core

ACTIVATIONS = ("identity", "sigmoid", "softmax", "difference")
INNER = ("relu", "tanh")


def value_head(
    hidden: Any,
    weight: Any,
    bias: Any = None,
    *,
    positions: Any = None,
    activation: str = "identity",
    out: Any = None,
) -> Any:
    r"""Affine head on chosen rows: :math:`y_i = a(W h_{p_i} + b)`, in float32.

    Activations, with :math:`z = W h + b`:

    - ``identity``: :math:`z`
    - ``sigmoid``: :math:`1 / (1 + e^{-z})`
    - ``softmax``: over the k outputs; for k = 2 it is computed from the gap
      :math:`z_1 - z_0` alone, so that neither probability loses its digits
    - ``difference``: :math:`p_1 - p_0` of the softmax over 2 outputs

    A hidden state times a weight is one float32 multiplication and one addition into one of 32
    lanes, the lanes are folded in a fixed order: the bits of a row depend neither on the
    instruction level, nor on the number of threads, nor on the other rows.

    Args:
        hidden: hidden states ``[tokens, H]``, float32, float16 or bfloat16, any row stride.
            NumPy or torch; bfloat16 in NumPy through ``ml_dtypes``.
        weight: ``[k, H]``, float32, float16 or bfloat16.
        bias: ``[k]``, or None.
        positions: the rows to read, integers ``[n]`` in ``[0, tokens)``, in any order and with
            repeats; None reads every row.
        activation: ``identity``, ``sigmoid``, ``softmax`` or ``difference``.
        out: where to write, a contiguous float32 array of the result's shape; None makes one.

    Returns:
        float32 ``[n, k]`` (``[n, 1]`` for ``difference``), an array of the framework of `hidden`.

    Raises:
        ValueError: shapes that do not fit, a position out of range, an unknown activation, a last
            dimension that is not contiguous, a tensor that requires grad while grad is enabled.
        TypeError: an unsupported dtype.
        DeviceError: a CUDA tensor, with the reason why CUDA is not usable.

    Source: the value head of Skywork-o1-PRM and TRL's PRMTrainer; two rows of ``lm_head`` make it
    the readout of Math-Shepherd.
    """
    op = "value_head"
    hidden = _arrays.array(op, "hidden", hidden)
    weight, bias = _parameters(op, weight, bias)
    if positions is not None:
        positions = _arrays.integers(op, "positions", positions)
    out = _output(op, hidden, positions, _arrays.length(weight), activation, out)
    _core.value_head(
        _arrays.view(op, "hidden", hidden),
        _arrays.view(op, "weight", weight),
        _arrays.optional_view(op, "bias", bias),
        _arrays.optional_view(op, "positions", positions),
        _arrays.choice(op, "activation", activation, ACTIVATIONS),
        _arrays.view(op, "out", out),
    )
    return out


def mlp_head(
    hidden: Any,
    layers: Sequence[tuple[Any, Any]],
    *,
    positions: Any = None,
    inner: str = "relu",
    activation: str = "identity",
    out: Any = None,
) -> Any:
    r"""MLP head on chosen rows: :math:`y_i = a(W_L g(\dots g(W_1 h_{p_i} + b_1) \dots) + b_L)`.

    :math:`g` is `inner`, :math:`a` is `activation` (see `value_head`). All arithmetic is float32.
    A product of an inner layer is one chain of fused multiply-adds in ascending order of the
    inputs, so a row's bits depend neither on the rows beside it nor on threads or instruction
    level.

    Args:
        hidden: as in `value_head`.
        layers: ``[(weight [out, in], bias [out] or None), ...]``, first layer first.
        positions: as in `value_head`.
        inner: ``relu`` or ``tanh``, between the layers.
        activation: after the last layer.
        out: as in `value_head`.

    Returns:
        float32 ``[n, k]`` with k the width of the last layer (``[n, 1]`` for ``difference``).

    Raises:
        ValueError, TypeError, DeviceError: as in `value_head`.

    Source: ``score.0``, ReLU, ``score.2`` of Qwen2.5-Math-PRM.
    """
    op = "mlp_head"
    hidden = _arrays.array(op, "hidden", hidden)
    try:
        pairs = [(weight, bias) for weight, bias in layers]
    except (TypeError, ValueError):
        raise TypeError(f"{op}: layers must be a list of (weight, bias) pairs") from None
    parameters = [_parameters(op, weight, bias) for weight, bias in pairs]
    if positions is not None:
        positions = _arrays.integers(op, "positions", positions)
    outputs = _arrays.length(parameters[-1][0]) if parameters else 0
    out = _output(op, hidden, positions, outputs, activation, out)
    _core.mlp_head(
        _arrays.view(op, "hidden", hidden),
        [
            (_arrays.view(op, "weight", weight), _arrays.optional_view(op, "bias", bias))
            for weight, bias in parameters
        ],
        _arrays.optional_view(op, "positions", positions),
        _arrays.choice(op, "inner", inner, INNER),
        _arrays.choice(op, "activation", activation, ACTIVATIONS),
        _arrays.view(op, "out", out),
    )
    return out


def _parameters(op: str, weight: Any, bias: Any) -> tuple[Any, Any]:
    weight = _arrays.array(op, "weight", weight)
    if _arrays.dtype_name(weight) == "float64":
        weight = _arrays.contiguous(weight, "float32")
    if bias is not None:
        bias = _arrays.contiguous(_arrays.array(op, "bias", bias), "float32")
    return weight, bias


def _output(op: str, hidden: Any, positions: Any, outputs: int, activation: str, out: Any) -> Any:
    if out is not None:
        return _arrays.output(op, out)
    count = _arrays.length(hidden if positions is None else positions)
    width = 1 if activation == "difference" else outputs
    return _arrays.empty(hidden, (count, width), "float32")
