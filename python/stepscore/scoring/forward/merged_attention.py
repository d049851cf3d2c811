"""Attention in two parts, a piece's own tokens and its prefix, merged by their log-sum-exp.

Softmax over a and b together is the mean of the softmax over a and that over b, each weighed by its
share of the summed exponentials. Pieces that continue one prefix (siblings) read it together.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from stepscore.scoring.forward.key_values import read_parts
from stepscore.scoring.forward.layout import Layout


def merger_for(query: torch.Tensor) -> Callable[..., torch.Tensor] | None:
    """Give the attention with log-sum-exp that the query's device and this torch have, or None."""
    if query.device.type == "cpu" and hasattr(
        torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu"
    ):
        return merge_on_cpu
    half = query.dtype in (torch.float16, torch.bfloat16)
    if query.is_cuda and half and packed_attention() is not None:
        return merge_on_cuda
    return None


def merge_on_cpu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    layer: int,
    scale: float,
) -> torch.Tensor:
    """Attend with a call per piece and per group of siblings: on a CPU a call costs little."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    heads, rows, size = query.shape[1:]
    # Rows outermost: what the next layer wants, and every piece is one block.
    rows_first = query.new_empty(1, rows, heads, size, dtype=torch.float32)
    out = rows_first.transpose(1, 2)
    logits = query.new_empty(1, rows, heads, dtype=torch.float32).transpose(1, 2)
    for begin, end in layout.long_pieces:
        at = (slice(None), slice(None), slice(begin, end))
        out[at], logits[at] = attention(query[at], key[at], value[at], 0.0, True, scale=scale)
    for index, there in layout.short_pieces:
        # [1, heads, pieces, longest, d] -> [pieces, heads, longest, d]
        states = (state[0][:, index].transpose(0, 1) for state in (query, key, value))
        read, read_logits = attention(*states, 0.0, True, scale=scale)
        to = index[there]
        out[0][:, to] = read.transpose(0, 1)[:, there].to(out.dtype)
        logits[0][:, to] = read_logits.transpose(0, 1)[:, there]
    for level in layout.levels:
        for begin, end, parts in level:
            at = (slice(None), slice(None), slice(begin, end))
            before, before_logits = attention(
                query[at], *read_parts(parts, layer), 0.0, False, scale=scale
            )
            _merge(out[at], logits[at], before, before_logits)
    return rows_first.to(query.dtype)


def merge_on_cuda(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    layer: int,
    scale: float,
) -> torch.Tensor:
    """Attend with a launch for all pieces, each for itself, and one for each level of prefixes."""
    attention = packed_attention()
    assert attention is not None
    # [1, heads, rows, d] -> [rows, heads, d]
    queries, keys, values = (state[0].transpose(0, 1) for state in (query, key, value))
    out, logits = attention(
        queries,
        keys,
        values,
        *layout.piece_bounds,
        scale=scale,
        window_size=(-1, 0),
    )
    logits = _rows_first(logits, out)
    if layout.levels:
        out = out.float()
    for level, (rows, *bounds) in zip(layout.levels, layout.level_bounds, strict=True):
        states = [read_parts(parts, layer) for _, _, parts in level]
        prefix_keys, prefix_values = (
            torch.cat([state[0].transpose(0, 1) for state in part])
            for part in zip(*states, strict=True)
        )
        before, before_logits = attention(
            queries[rows], prefix_keys, prefix_values, *bounds, scale=scale
        )
        merged, merged_logits = out[rows], logits[rows]
        _merge(merged, merged_logits, before, _rows_first(before_logits, before))
        out[rows], logits[rows] = merged, merged_logits
    batch: torch.Tensor = out.unsqueeze(0).to(query.dtype)
    return batch


def _merge(
    out: torch.Tensor, logits: torch.Tensor, before: torch.Tensor, before_logits: torch.Tensor
) -> None:
    """Softmax over two parts: weigh each by its share of the summed exponentials, in place.

    Both weights are float32, each from the joint log-sum-exp, and so is what they sum to: where one
    part has nearly all, as an attention sink does, the other's weight would lose its digits in
    bfloat16, or as the rest to one.
    """
    joint = torch.logaddexp(logits, before_logits)
    weight, before_weight = (
        torch.exp(part - joint).unsqueeze(-1) for part in (logits, before_logits)
    )
    out.copy_(out * weight + before * before_weight)
    logits.copy_(joint)


@cache
def packed_attention() -> Callable[..., Any] | None:
    """Give torch's attention over packed sequences, where it has the arguments used here."""
    try:
        from torch.nn.attention.varlen import AuxRequest, varlen_attn
    except ImportError:
        return None
    if not {"window_size", "enable_gqa", "return_aux"} <= set(
        inspect.signature(varlen_attn).parameters
    ):
        return None

    def attention(*arguments: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
        out, logits = varlen_attn(
            *arguments, return_aux=AuxRequest(lse=True), enable_gqa=True, **options
        )
        return out, logits

    return attention


def _rows_first(logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Logits ``[heads, rows]``, as torch 2.13 gives them, or ``[rows, heads]``, as it says."""
    return logits if logits.shape == rows.shape[:2] != rows.shape[1::-1] else logits.T
