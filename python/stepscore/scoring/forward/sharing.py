"""Whether a model can share prefixes without changing its results, and what sharing costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from stepscore.ragged import offsets_of, segment_of
from stepscore.scoring.forward.attention import IMPLEMENTATION
from stepscore.scoring.forward.forward_pass import hidden_states
from stepscore.scoring.forward.plan import ForwardCosts, Plan, plan, plan_padded

# What a device does in a second in the matrix products of a batch, and what one more attention call
# with its merge takes. The CPU's are rounded from runs with 4 threads at hidden sizes of 512 and
# 1,536 (3.7e11; 11 to 37 us at 128 and 512, and more under load); the GPU's are estimates that
# nobody has measured. Only the choice of what to share depends on them, never a score's meaning.
_CPU_FLOPS, _CPU_CALL = 3.7e11, 60e-6
_GPU_FLOPS, _GPU_CALL = 2e14, 30e-6

# The check's traces continue each other at several depths, and are of several lengths.
_PROBE_TRACES = ([1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, 4, 6, 7, 8], [1, 2, 9], [3, 2, 1, 4])
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}


def forward_costs(backbone: torch.nn.Module) -> ForwardCosts:
    """Estimate what a forwarded token and a shared run cost, from the size of the backbone."""
    embeddings = backbone.get_input_embeddings()  # type: ignore[operator]
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    matrices = max(1, parameters - sum(table.numel() for table in embeddings.parameters()))
    on_cpu = next(backbone.parameters()).device.type == "cpu"
    flops, call = (_CPU_FLOPS, _CPU_CALL) if on_cpu else (_GPU_FLOPS, _GPU_CALL)
    layers = int(getattr(backbone.config, "num_hidden_layers", 1))
    return ForwardCosts(token=2 * matrices / flops, fork=layers * call)


def rope_switch_length(config: Mapping[str, Any]) -> int | None:
    """Give the length at which a model changes its rotary frequencies for a whole batch, if any."""
    for key in ("rope_parameters", "rope_scaling"):
        rope = config.get(key) or {}
        if isinstance(rope, Mapping) and rope.get("rope_type", rope.get("type")) in (
            "longrope",
            "su",
            "dynamic",
        ):
            length = rope.get("original_max_position_embeddings")
            length = config.get("original_max_position_embeddings", length)
            return None if length is None else int(length)
    return None


def share_prefixes(backbone: torch.nn.Module, config: Mapping[str, Any]) -> str | None:
    """Make a backbone share prefixes, if that changes none of its results; else say why not."""
    if rope_switch_length(config) is not None:
        return "its rotary frequencies depend on the longest trace of a batch"
    if config.get("attention_chunk_size"):
        return "it attends in chunks"
    stock_attention = backbone.config._attn_implementation  # type: ignore[union-attr]
    try:
        expected = _probe(backbone, shared=False)
        backbone.set_attn_implementation(IMPLEMENTATION)  # type: ignore[operator]
        shared = _probe(backbone, shared=True)
        tolerance = _TOLERANCE[expected.dtype] * float(expected.abs().max())
        difference = float((shared - expected).abs().max())
        if difference <= tolerance:
            return None
        reason = f"its hidden states would differ by {difference:.1e}"
    # Whatever a model raises that was never meant to be packed.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    backbone.set_attn_implementation(stock_attention)  # type: ignore[operator]
    return reason


def _probe(backbone: torch.nn.Module, *, shared: bool) -> torch.Tensor:
    """Forward a few short traces: the hidden states of all their tokens, in order."""
    token_ids = np.concatenate([np.array(trace, dtype=np.int32) for trace in _PROBE_TRACES])
    lengths = np.array([len(trace) for trace in _PROBE_TRACES])
    offsets = offsets_of(lengths)
    if shared:
        every_fork = ForwardCosts(token=1.0, fork=0.0)
        planned: Plan = plan(token_ids, offsets, token_budget=6, costs=every_fork)
    else:
        planned = plan_padded(token_ids, offsets, token_budget=1)
    hidden = torch.cat(list(hidden_states(backbone, planned)))
    positions = np.concatenate([np.arange(length) for length in lengths])
    rows = planned.rows(segment_of(offsets), positions)
    return hidden[torch.from_numpy(rows).to(hidden.device)]
