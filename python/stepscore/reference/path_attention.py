"""Causal attention of packed pieces over their paths, in float64."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
) -> Any:
    r"""Attention over paths: :math:`o_i = \sum_j \operatorname{softmax}_j(s_{ij}) v_j`.

    :math:`s_{ij} = \text{scale} \cdot q_i \cdot k_j`, or
    :math:`c \tanh(s_{ij} / c)` with `soft_cap` c, over the positions
    :math:`p_i - \text{window} < j \le p_i` of the path. The queries of a piece are the last tokens
    of its path.

    Args:
        queries: ``[tokens, heads, d]``.
        keys: ``[slots, key_heads, d]``, or a list of such stores.
        values: ``[slots, key_heads, e]``, or as many stores.
        offsets: where the queries of each piece begin and end ``[pieces + 1]``.
        segments: store, begin and length of the segments of all paths ``[n, 3]``; None where every
            piece sees itself alone.
        segment_offsets: where the segments of each piece begin and end ``[pieces + 1]``.
        scale: None for :math:`d^{-1/2}`.
        window: how many tokens a query sees, itself included; None for all.
        soft_cap: None for none.

    Returns:
        float64 ``[tokens, heads, e]``.
    """
    queries = np.asarray(queries, dtype=np.float64)
    key_stores, value_stores = _stores(keys), _stores(values)
    tokens, heads, size = queries.shape
    group = heads // key_stores[0].shape[1]
    scale = size**-0.5 if scale is None else scale
    out = np.empty((tokens, heads, value_stores[0].shape[2]))
    for piece, (begin, end) in enumerate(pairwise(offsets)):
        if segments is None:
            path = [(0, begin, end - begin)]
        else:
            path = segments[segment_offsets[piece] : segment_offsets[piece + 1]]
        key, value = (
            np.concatenate([stores[0][:0], *(stores[s][at : at + n] for s, at, n in path)])
            for stores in (key_stores, value_stores)
        )
        for row in range(begin, end):
            last = len(key) - (end - row)
            first = 0 if window is None else max(0, last - window + 1)
            for head in range(heads):
                seen_key = key[first : last + 1, head // group]
                weights = _softmax(seen_key @ queries[row, head] * scale, soft_cap)
                out[row, head] = weights @ value[first : last + 1, head // group]
    return out


def _stores(arrays: Any) -> list[NDArray[np.float64]]:
    several = arrays if isinstance(arrays, (list, tuple)) else [arrays]
    return [np.asarray(store, dtype=np.float64) for store in several]


def _softmax(logits: NDArray[np.float64], soft_cap: float | None) -> NDArray[np.float64]:
    if soft_cap is not None:
        logits = soft_cap * np.tanh(logits / soft_cap)
    with np.errstate(invalid="ignore"):  # infinity - infinity is NaN, as in torch
        weights = np.exp(logits - logits.max())
        normal: NDArray[np.float64] = weights / weights.sum()
    return normal
