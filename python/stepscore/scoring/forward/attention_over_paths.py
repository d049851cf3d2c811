"""Attention in float32 on a CPU whose bits depend on the trace alone.

Every piece is attended to over its path, the tokens of its trace from the first one on, wherever
they are stored, in blocks that begin at fixed positions of the trace. So it makes no difference
what of the path was forwarded before, what stands beside it, or how the trace was cut.
"""

from __future__ import annotations

import torch

from stepscore.ops import path_attention
from stepscore.scoring.forward.layout import Layout


def attend_over_paths(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    layer: int,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    """Attend over the path of every piece; query ``[batch, heads, rows, d]`` -> rows first.

    The rows of a batch of several are one behind the other in the layout.
    """
    segments, bounds, kept = layout.paths
    stored = [(key, value), *(segment.read(layer, segment.used) for segment in kept)]
    keys, values = zip(*((_rows_first(k), _rows_first(v)) for k, v in stored), strict=True)
    out: torch.Tensor = path_attention(
        _rows_first(query),
        list(keys),
        list(values),
        layout.offsets,
        segments,
        bounds,
        scale=scale,
        window=window,
        soft_cap=softcap,
    )
    return out.view(query.shape[0], query.shape[2], *out.shape[1:])


def _rows_first(states: torch.Tensor) -> torch.Tensor:
    """``[batch, heads, rows, d]`` -> ``[batch * rows, heads, d]``; a view, but for odd strides."""
    return states.transpose(1, 2).flatten(0, 1)
