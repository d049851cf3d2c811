"""Whether a score of a model depends on the trace alone, to the last bit, and if not why not."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from stepscore.scoring.forward.attention import attends_over_paths
from stepscore.scoring.forward.feed_forward import torch_activations
from stepscore.scoring.forward.linear import PackedLinear, rows_move

# How far a score moved at most when real traces were regrouped, rounded up: 7e-7, 4e-4 and 7e-3 in
# docs/equal_bits.md.
MOVES_BY = {torch.float32: "1e-6", torch.float16: "1e-3", torch.bfloat16: "1e-2"}


def what_moves_scores(backbone: torch.nn.Module) -> str | None:
    """Say what moves a score when other traces are scored beside its own; None where nothing does.

    In float32 on a CPU nothing does, if every part of the model computes a row from that row alone:
    our attention, linear layers that are packed and activations that are ours, and of torch the
    embeddings and the norms.
    """
    weights = next(backbone.parameters())
    if weights.device.type != "cpu" or weights.dtype != torch.float32:
        reason = f"{str(weights.dtype).removeprefix('torch.')} on {weights.device.type}"
    elif not attends_over_paths(backbone):
        reason = "torch's attention"
    else:
        reason = next(_moving_parts(backbone), "")
    by = MOVES_BY.get(weights.dtype, "1e-6")
    return f"by about {by}: it computes with {reason}" if reason else None


def _moving_parts(backbone: torch.nn.Module) -> Iterator[str]:
    tried: set[tuple[int, int]] = set()
    for name, module in backbone.named_modules():
        if isinstance(module, PackedLinear):
            shape = module.in_features, module.out_features
            if shape not in tried and rows_move(module):
                yield f"a matrix product of {shape} numbers whose rows move here"
            tried.add(shape)
        elif not _is_of_rows(module) and next(module.parameters(recurse=False), None) is not None:
            yield f"torch's product in {name} ({type(module).__name__})"
    for activation in torch_activations(backbone):
        yield f"the activation {type(activation).__name__} of torch"


def _is_of_rows(module: torch.nn.Module) -> bool:
    """Whether a module of torch or transformers gives a row the same bits in any company."""
    known = isinstance(module, (torch.nn.Embedding, torch.nn.LayerNorm))
    return known or type(module).__name__.endswith("RMSNorm")
