"""Attention with a mask per piece: for windows and softcaps, and without a log-sum-exp."""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention

from stepscore.scoring.forward.key_values import read_parts
from stepscore.scoring.forward.layout import Layout


def attend_piece_by_piece(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    layer: int,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    """Attend with a call per piece over its prefix and itself, under a mask."""
    heads, rows, size = query.shape[1:]
    out = query.new_empty(1, rows, heads, size)
    for piece, prefix in enumerate(layout.prefixes):
        at = slice(int(layout.offsets[piece]), int(layout.offsets[piece + 1]))
        seen_key, seen_value = key[:, :, at], value[:, :, at]
        if prefix is not None:
            prefix_key, prefix_value = read_parts(prefix.parts, layer)
            seen_key = torch.cat([prefix_key, seen_key], dim=2)
            seen_value = torch.cat([prefix_value, seen_value], dim=2)
        mask = _visible(at.stop - at.start, seen_key.shape[2], window, query.device)
        repeats = heads // key.shape[1]
        seen_key = seen_key.repeat_interleave(repeats, dim=1)
        seen_value = seen_value.repeat_interleave(repeats, dim=1)
        if softcap is None:
            read = scaled_dot_product_attention(
                query[:, :, at], seen_key, seen_value, attn_mask=mask, scale=scale
            )
        else:
            read = _softcapped(query[:, :, at], seen_key, seen_value, mask, scale, softcap)
        out[:, at] = read.transpose(1, 2)
    return out


def _visible(queries: int, keys: int, window: int | None, device: torch.device) -> torch.Tensor:
    """Which of the last ``queries`` of ``keys`` tokens sees which token: [queries, keys]."""
    behind = torch.arange(keys - queries, keys, device=device)[:, None] - torch.arange(
        keys, device=device
    )
    return behind >= 0 if window is None else (behind >= 0) & (behind < window)


def _softcapped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scale: float,
    softcap: float,
) -> torch.Tensor:
    """Logits squeezed into (-softcap, softcap), as Gemma 2 does."""
    logits = softcap * torch.tanh(query @ key.transpose(2, 3) * scale / softcap)
    weights = logits.masked_fill(~mask, -torch.inf).softmax(-1, dtype=torch.float32)
    out: torch.Tensor = weights.to(query.dtype) @ value
    return out
