"""Whether a model can share prefixes without changing its results, and what its plans cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from stepscore.recipes.config_sizes import positions
from stepscore.scoring.forward.fixed_bits import what_moves_scores
from stepscore.scoring.forward.measured_rates import rates_of
from stepscore.scoring.forward.paged_attention import check_pages
from stepscore.scoring.forward.placement import input_device, is_float32_on_cpu
from stepscore.scoring.forward.plan import ForwardCosts
from stepscore.scoring.forward.sharing_check import LEAST_POSITIONS, largest_part_error

# Of a decoder layer: the small calls whose time it takes beside its products, and how often it
# passes over the numbers of its rows. Fitted to Llamas on the grid of benchmarks/plan_grid.py; a
# call and a pass that are measured in a loop find warm caches, which makes for larger numbers here.
_CALLS, _PASSES = 400, 100


def forward_costs(backbone: torch.nn.Module) -> ForwardCosts:
    """Reckon what plans take, from the size of the backbone and the rates of its machine.

    Its attention must still be the stock one.

    Raises:
        InputError: ``STEPSCORE_MACHINE_RATES`` is not what a provenance holds.
    """
    embeddings = backbone.get_input_embeddings()  # type: ignore[operator]
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    matrices = max(1, parameters - sum(table.numel() for table in embeddings.parameters()))
    weights = next(backbone.parameters())
    rates = rates_of(input_device(backbone), weights.dtype)
    config: Any = backbone.config
    layers = int(getattr(config, "num_hidden_layers", 1))
    size = int(getattr(config, "hidden_size", 0) or getattr(config, "n_embd", 0))
    heads = int(getattr(config, "num_attention_heads", 1))
    width = heads * int(getattr(config, "head_dim", None) or size // heads)
    return ForwardCosts(
        token=2 * matrices / rates.flops + layers * _PASSES * size * rates.number,
        fork=layers * rates.fork,
        continued=layers * width * rates.merge,
        piece=layers * rates.piece,
        batch=layers * _CALLS * rates.call,
        # Where padded rows are pieces too, padding saves nothing.
        pads=_stock_attention_is_right(backbone) and not is_float32_on_cpu(backbone),
        rates=rates,
    )


def _stock_attention_is_right(backbone: torch.nn.Module) -> bool:
    """Whether torch's attention, which a forward pass without a layout uses, is the model's own."""
    config: Any = backbone.config
    soft_cap = getattr(config, "attn_logit_softcapping", None)
    return config._attn_implementation == "sdpa" and soft_cap is None


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
    limit = positions(backbone.config.to_dict())  # type: ignore[union-attr, operator]
    if limit is not None and limit < LEAST_POSITIONS:
        return Sharing(False, f"its {limit} positions are too few to try it with")
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
