"""Attention over a forest of token pieces: what several traces share is computed and read once.

The tokens of a forward pass are pieces, packed one behind the other without padding. A piece sees
its own tokens causally, and all tokens of the prefix that it continues.

It is registered with transformers as the attention implementation ``stepscore``, so that the
model's own code runs everything else.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from stepscore.scoring.forward.attention_over_paths import attend_over_paths
from stepscore.scoring.forward.layout import current_layout
from stepscore.scoring.forward.masked_attention import attend_piece_by_piece
from stepscore.scoring.forward.merged_attention import merger_for
from stepscore.scoring.forward.paged_attention import attend_over_pages, reads_pages
from stepscore.scoring.forward.placement import is_float32_on_cpu

IMPLEMENTATION = "stepscore"

# What a query asks for beyond the arguments that are read below; none of it is supported.
_UNSUPPORTED = ("s_aux", "position_bias", "cache")


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as the current layout says; query ``[1, heads, rows, d]`` -> ``[1, rows, heads, d]``.

    In float32 on a CPU the bits of a row are those of its trace alone, and the rows may be those of
    a padded batch; elsewhere the pieces are attended to in parts, by torch's kernels.

    Raises:
        NotImplementedError: the model asks for something that is not done here.
    """
    layout = current_layout()
    if layout is None:
        return _stock(module, query, key, value, attention_mask, scaling=scaling, **others)
    layout = layout.on(query.device)
    for name in _UNSUPPORTED:
        if others.get(name) is not None:
            raise NotImplementedError(f"attention with {name}")
    if not getattr(module, "is_causal", True):
        raise NotImplementedError("attention that is not causal")
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    for write in layout.writes:
        rows = slice(write.begin, write.end)
        write.segment.write(layer, write.at, key[:, :, rows], value[:, :, rows])
    if softcap is None and reads_pages():  # varlen_attn has no soft cap
        seen = None if sliding_window is None else int(sliding_window)
        return attend_over_pages(query, key, value, layout, layer, scaling, seen), None
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    window = None if sliding_window is None else int(sliding_window)
    if has_fixed_bits(query):
        return attend_over_paths(query, key, value, layout, layer, scale, window, softcap), None
    sees_all = sliding_window is None or layout.most_seen <= sliding_window
    merge = merger_for(query) if sees_all and softcap is None else None
    if merge is not None:
        return merge(query, key, value, layout, layer, scale), None
    return attend_piece_by_piece(query, key, value, layout, layer, scale, window, softcap), None


def attends_over_paths(backbone: torch.nn.Module) -> bool:
    """Whether a backbone attends here, and with bits that depend on the trace alone."""
    here = backbone.config._attn_implementation == IMPLEMENTATION  # type: ignore[union-attr]
    return here and is_float32_on_cpu(backbone) and not reads_pages()


def has_fixed_bits(states: torch.Tensor) -> bool:
    """Whether attention over states of this kind has bits that depend on the trace alone."""
    return states.dtype == torch.float32 and states.device.type == "cpu"


def _stock(module: torch.nn.Module, *states: Any, **options: Any) -> tuple[torch.Tensor, None]:
    """A forward pass of somebody else's."""
    out: tuple[torch.Tensor, None] = AttentionInterface()["sdpa"](module, *states, **options)
    return out


def _mask(*arguments: Any, **options: Any) -> Any:
    """No mask where a layout says what is seen."""
    return None if current_layout() is not None else sdpa_mask(*arguments, **options)


AttentionInterface.register(IMPLEMENTATION, attend)
AttentionMaskInterface.register(IMPLEMENTATION, _mask)
