"""A loaded backbone, made ready to forward."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch

from stepscore.scoring.checkpoint.causality import check_causal
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.forward.feed_forward import replace_activations
from stepscore.scoring.forward.linear import pack_linear_layers
from stepscore.scoring.forward.memory import free_memory, token_bytes
from stepscore.scoring.forward.number_format import overflows
from stepscore.scoring.forward.placement import input_device
from stepscore.scoring.forward.plan import ForwardCosts
from stepscore.scoring.forward.sharing import (
    Sharing,
    forward_costs,
    rope_switch_length,
    share_prefixes,
)

# Tokens of a batch, padding included. On a CPU 512 to 4,096 tokens were about equally fast in the
# case `candidates` of benchmarks/bench_forward.py, and 256 slower. On a GPU a batch should keep the
# device busy; 16,384 tokens of a 7B model need about 2 GB beside its weights.
CPU_TOKEN_BUDGET = 1024
GPU_TOKEN_BUDGET = 16384


@dataclass(frozen=True)
class Prepared:
    """How traces go through a backbone; see `Engine`."""

    costs: ForwardCosts | None
    rope_switch_length: int | None
    cache_limit: int | None
    sharing: Sharing


def prepared(
    backbone: torch.nn.Module, checkpoint: Checkpoint, share: bool, *, stacklevel: int = 3
) -> Prepared:
    """Replace parts of a backbone by those that forward faster, and decide what it shares.

    Args:
        backbone: of the checkpoint; it is changed.
        checkpoint: where it was loaded from.
        share: whether it is to share prefixes.
        stacklevel: of warnings, counted from whoever calls this.

    Raises:
        ValueError: attention that is not causal.
    """
    costs = forward_costs(backbone)
    pack_linear_layers(backbone)
    replace_activations(backbone)
    sharing = _sharing(backbone, checkpoint, share, stacklevel + 1)
    # A plan keeps the tokens of one trace, and what its branches have in common, at a time.
    limit = free_memory(input_device(backbone)) // 4 // token_bytes(backbone)
    switch = rope_switch_length(checkpoint.config)
    if not sharing.shared:
        return Prepared(None, switch, None, sharing)
    return Prepared(costs, switch, limit, sharing)


def default_token_budget(device: torch.device) -> int:
    """Give the tokens of a batch that keep a device busy."""
    return CPU_TOKEN_BUDGET if device.type == "cpu" else GPU_TOKEN_BUDGET


def _sharing(
    backbone: torch.nn.Module, checkpoint: Checkpoint, share: bool, stacklevel: int
) -> Sharing:
    """Decide whether prefixes are shared; what is not compared for that must be causal anyway."""
    sharing = share_prefixes(backbone, checkpoint.config, wanted=share)
    if not share:
        check_causal(backbone, checkpoint.name)
        return sharing
    if not math.isfinite(sharing.error or 0.0) and overflows(backbone):
        warnings.warn(
            f"load: {checkpoint.name} gives NaN for tokens of its vocabulary in "
            f"{_name_of(backbone)}, and scores that are no numbers are refused; "
            f"{_advice_against_nan(backbone)}",
            stacklevel=stacklevel,
        )
    elif not sharing.shared:
        check_causal(backbone, checkpoint.name)
        warnings.warn(
            f"load: {checkpoint.name} forwards every trace whole, without sharing prefixes: "
            f"{sharing.reason}; its scores are right, and take longer; pass share=False where "
            "that is meant",
            stacklevel=stacklevel,
        )
    return sharing


def _name_of(backbone: torch.nn.Module) -> str:
    return str(next(backbone.parameters()).dtype).removeprefix("torch.")


def _advice_against_nan(backbone: torch.nn.Module) -> str:
    if _name_of(backbone) == "float16":
        return "float16 ends at 65504: pass dtype='bfloat16' or dtype='float32'"
    return "its weights may be damaged, or may not belong to its config.json"
