"""Causal attention of packed pieces over paths of segments."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays import Call, DeviceError
from stepscore.arrays.types import Tensor, TensorLike


@overload
def path_attention(
    queries: NDArray[Any],
    keys: Any,
    values: Any,
    offsets: Any,
    segments: Any = ...,
    segment_offsets: Any = ...,
    *,
    scale: float | None = ...,
    window: int | None = ...,
    soft_cap: float | None = ...,
    out: NDArray[np.float32] | None = ...,
) -> NDArray[np.float32]: ...
@overload
def path_attention(
    queries: TensorLike[Tensor],
    keys: Any,
    values: Any,
    offsets: Any,
    segments: Any = ...,
    segment_offsets: Any = ...,
    *,
    scale: float | None = ...,
    window: int | None = ...,
    soft_cap: float | None = ...,
    out: TensorLike[Tensor] | None = ...,
) -> Tensor: ...
def path_attention(
    queries: Any,
    keys: Any,
    values: Any,
    offsets: Any,
    segments: Any = None,
    segment_offsets: Any = None,
    *,
    scale: float | None = None,
    window: int | None = None,
    soft_cap: float | None = None,
    out: Any = None,
) -> Any:
    r"""Attention over paths: :math:`o_i = \sum_j \operatorname{softmax}_j(s_{ij}) v_j`, in float32.

    :math:`s_{ij} = \text{scale} \cdot q_i \cdot k_j`, or :math:`c \tanh(s_{ij} / c)` with a
    `soft_cap` c, over the positions :math:`p_i - \text{window} < j \le p_i` of the path.

    The path of a piece is its segments one behind the other, its positions count from 0 at the
    first; the queries of the piece are the path's last tokens. Query head h reads the key head
    ``h // (heads // key_heads)``.

    The bits of a query's result depend on the query and on what stands at the positions that it
    sees, on nothing else: neither on the cut of a path into segments, pieces and stores, nor on
    the other pieces, their order, the number of threads or the instruction level. A logit is one
    chain of fused multiply-adds over d; the softmax goes over the path in blocks of 64 positions,
    a result is one chain over the keys in ascending order. What a query does not see leaves no
    trace in it, not even NaN. Neighbouring pieces that begin with the same segments read them
    together, so siblings should stand side by side.

    Args:
        queries: ``[tokens, heads, d]``, float32, NumPy or torch, on the CPU: this op has no CUDA
            form. Contiguous in the last dimension, any other strides; this holds for keys and
            values too.
        keys: ``[slots, key_heads, d]``, or a list of such stores, each with slots of its own.
        values: ``[slots, key_heads, e]``, or as many stores as there are of keys.
        offsets: where the queries of each piece begin and end, int64 ``[pieces + 1]``.
        segments: store, begin and length of every segment of all paths, int64 ``[n, 3]``. None:
            every piece sees itself alone, at its own rows of the one store.
        segment_offsets: where the segments of each piece begin and end, int64 ``[pieces + 1]``.
        scale: None for :math:`d^{-1/2}`.
        window: how many tokens a query sees at most, itself included; None for all.
        soft_cap: c, above 0; None for logits as they are.
        out: where to write, a contiguous float32 array of the result's shape; None makes one.

    Returns:
        float32 ``[tokens, heads, e]``, an array of the framework of `queries`.

    Raises:
        ValueError: shapes that do not fit, a segment outside of its store, a piece with more
            queries than its path has tokens, a window below 1, a cap that is not above 0, a tensor
            that requires grad while grad is enabled.
        TypeError: an unsupported dtype.
        DeviceError: a CUDA array.

    Examples:
        Two continuations of one problem of three tokens, which is stored and read once:

        >>> rng = np.random.default_rng(0)
        >>> problem = rng.standard_normal((2, 3, 1, 4), np.float32)
        >>> q, k, v = rng.standard_normal((3, 3, 1, 4), np.float32)
        >>> keys, values = [problem[0], k], [problem[1], v]
        >>> segments = [[0, 0, 3], [1, 0, 2], [0, 0, 3], [1, 2, 1]]
        >>> both = path_attention(q, keys, values, [0, 2, 3], segments, [0, 2, 4])
        >>> alone = path_attention(q[2:], keys, values, [0, 1], segments[2:], [0, 2])
        >>> both.shape, bool((both[2:] == alone).all())
        ((3, 1, 4), True)

    Source: streaming softmax: Milakov and Gimelshein, "Online normalizer calculation for softmax",
    2018; by blocks: "FlashAttention", 2022. Soft cap: Gemma 2.
    """
    call = Call("path_attention")
    queries = call.array("queries", queries)
    if call.on_cuda:
        raise DeviceError(
            "path_attention: queries is on a GPU, and this op has no CUDA form; pass its .cpu(), "
            "and keys and values likewise"
        )
    key_stores, value_stores = _stores(call, "keys", keys), _stores(call, "values", values)
    offsets = _integers(call, "offsets", offsets)
    if segments is None:
        if segment_offsets is not None:
            raise ValueError("path_attention: segment_offsets belongs to segments; got None there")
        segments, segment_offsets = _own_rows(np.asarray(offsets))
    elif segment_offsets is None:
        raise ValueError(
            "path_attention: segment_offsets must say where the segments of each piece begin; got "
            "None"
        )
    segments = _integers(call, "segments", segments)
    segment_offsets = _integers(call, "segment_offsets", segment_offsets)
    if out is None:
        written = call.empty(_result_shape(queries, value_stores), "float32")
    else:
        written = call.output(out)
    call.module.path_attention(
        call.view("queries", queries),
        [call.view("keys", store) for store in key_stores],
        [call.view("values", store) for store in value_stores],
        call.view("offsets", offsets),
        call.view("segments", segments),
        call.view("segment_offsets", segment_offsets),
        None if scale is None else call.number("scale", scale),
        None if window is None else _whole(window),
        None if soft_cap is None else call.number("soft_cap", soft_cap),
        call.view("out", written),
    )
    return written if out is None else out


def _stores(call: Call, argument: str, arrays: Any) -> list[Any]:
    """One array, or a list of arrays; a list of numbers is an array."""
    if isinstance(arrays, (list, tuple)) and all(hasattr(store, "shape") for store in arrays):
        return [call.array(argument, store) for store in arrays]
    return [call.array(argument, arrays)]


def _integers(call: Call, argument: str, value: Any) -> Any:
    """As `call.integers`; tables that are kept over the layers of a model pass at once."""
    if type(value) is np.ndarray and value.dtype == np.int64 and value.flags.carray:
        return value
    return call.integers(argument, value)


def _own_rows(offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every piece alone: one segment, its own rows of the only store."""
    begins = offsets[:-1]
    segments = np.stack([np.zeros_like(begins), begins, np.diff(offsets)], axis=1)
    return segments, np.arange(len(segments) + 1)


def _result_shape(queries: Any, value_stores: Sequence[Any]) -> tuple[int, ...]:
    # Shapes are checked by the core: a wrong one makes a wrong result that it refuses to write to.
    values = value_stores[0] if value_stores else queries
    return (*queries.shape[:2], *values.shape[2:])


def _whole(window: Any) -> int:
    try:
        whole = operator.index(window)
    except TypeError:
        raise TypeError(f"path_attention: window must be a whole number; got {window!r}") from None
    if whole < 1:
        raise ValueError(
            f"path_attention: window must be at least 1, as a query sees itself; got {whole}"
        )
    return min(whole, 2**62)
