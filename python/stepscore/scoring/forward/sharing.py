"""Whether a model can share prefixes without changing its results, and what sharing costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from stepscore.scoring.forward.fixed_bits import what_moves_scores
from stepscore.scoring.forward.paged_attention import check_pages
from stepscore.scoring.forward.placement import input_device, is_float32_on_cpu
from stepscore.scoring.forward.plan import ForwardCosts
from stepscore.scoring.forward.sharing_check import largest_part_error

# What a device does in a second in the matrix products of a batch, and what one more attention call
# with its merge takes. The CPU's are rounded from runs with 4 threads at hidden sizes of 512 and
# 1,536 (3.7e11; 11 to 37 us at 128 and 512, and more under load); the GPU's are estimates that
# nobody has measured. Only the choice of what to share depends on them, never a score's meaning.
_CPU_FLOPS, _CPU_CALL = 3.7e11, 60e-6
_GPU_FLOPS, _GPU_CALL = 2e14, 30e-6


def forward_costs(backbone: torch.nn.Module) -> ForwardCosts:
    """Estimate what a forwarded token and a shared run cost, from the size of the backbone."""
    embeddings = backbone.get_input_embeddings()  # type: ignore[operator]
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    matrices = max(1, parameters - sum(table.numel() for table in embeddings.parameters()))
    on_cpu = input_device(backbone).type == "cpu"
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


@dataclass(frozen=True)
class Sharing:
    """Whether a model forwards what traces have in common once, and what decided it.

    Attributes:
        shared: whether it does.
        reason: why, in words.
        error: the largest error of a row of a layer's part against the stock model's: the norm of
            the difference over the norm of the stock row; None where nothing was compared.
        tolerance: the error that rounding explains, in the number format of the weights.
        moves: by how much a score moves, and why, when other traces are scored with its own; None
            where every score has the same bits in any batch, shared or whole.
    """

    shared: bool
    reason: str
    error: float | None = None
    tolerance: float | None = None
    moves: str | None = None

    @property
    def in_short(self) -> str:
        """What is done, and where that is not the usual, why."""
        return "prefixes" if self.shared else f"nothing: {self.reason}"

    def __str__(self) -> str:
        bits = "have the same bits in any batch"
        if self.moves is not None:
            bits = f"move with the batch {self.moves}"
        return f"shares {'prefixes' if self.shared else 'nothing'}: {self.reason}; scores {bits}"


def share_prefixes(
    backbone: torch.nn.Module, config: Mapping[str, Any], *, wanted: bool = True
) -> Sharing:
    """Make a backbone share prefixes, if that changes none of its results beyond rounding.

    Where it is not `wanted`, a model in float32 on a CPU attends as one that shares all the same,
    because then its scores have the same bits whole as shared.
    """
    if wanted or is_float32_on_cpu(backbone):
        decided = _decided(backbone, config)
    if not wanted:
        decided = Sharing(False, "share=False was passed")
    return replace(decided, moves=what_moves_scores(backbone))


def _decided(backbone: torch.nn.Module, config: Mapping[str, Any]) -> Sharing:
    if rope_switch_length(config) is not None:
        return Sharing(False, "its rotary frequencies depend on the longest trace of a batch")
    if config.get("attention_chunk_size"):
        return Sharing(False, "it attends in chunks")
    check_pages(next(backbone.parameters()))
    stock_attention = backbone.config._attn_implementation  # type: ignore[union-attr]
    try:
        worst = largest_part_error(backbone)
    # Whatever a model raises that was never meant to be packed.
    except Exception as error:
        decided = Sharing(False, f"{type(error).__name__}: {error}")
    else:
        reason = (
            f"rows of {worst.part} differ from the stock model's by up to {worst.error:.1e} of "
            f"their norm, where rounding explains {worst.tolerance:.1e}"
        )
        decided = Sharing(worst.explained, reason, worst.error, worst.tolerance)
    if not decided.shared:
        backbone.set_attn_implementation(stock_attention)  # type: ignore[operator]
    return decided
