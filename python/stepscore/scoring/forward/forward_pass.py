"""The forward pass: the batches of a plan through the backbone, one hidden state per token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.errors import InputError
from stepscore.scoring.forward.attention import attends_over_paths
from stepscore.scoring.forward.key_values import Prefix
from stepscore.scoring.forward.layout import Layout, laid_out
from stepscore.scoring.forward.number_format import as_loaded
from stepscore.scoring.forward.placement import input_device
from stepscore.scoring.forward.plan import Plan
from stepscore.scoring.forward.prefix_cache import PrefixCache

# Any id of the vocabulary does: nothing that is read can see a token to its right.
_FILL = 0


@torch.inference_mode()
def hidden_states(
    backbone: torch.nn.Module,
    plan: Plan,
    *,
    prefixes: Sequence[Prefix | None] = (None,),
    keep: dict[int, Prefix] | None = None,
) -> Iterator[torch.Tensor]:
    """Forward the batches of a plan: hidden states after the final norm, ``[rows, H]`` of each.

    Args:
        backbone: the stock model.
        plan: what is forwarded.
        prefixes: what the traces of each group continue.
        keep: gets, for every piece of the plan, the prefix that ends with it, with all keys and
            values; None keeps them for as long as a piece of the plan continues them.
    """
    _check_ids(backbone, plan.token_ids)
    if plan.padded:
        for batch in range(len(plan)):
            yield _padded(backbone, plan, batch)
        return
    cache = PrefixCache(plan, prefixes, keep)
    for batch in range(len(plan)):
        layout = cache.layout(batch, input_device(backbone))
        yield _packed(backbone, plan, batch, layout)
        cache.release(batch)


def _packed(backbone: torch.nn.Module, plan: Plan, batch: int, layout: Layout) -> torch.Tensor:
    """Forward pieces one behind the other; every layer but attention sees one long row."""
    pieces = plan.pieces(batch)
    begin, end = plan.offsets[pieces.start], plan.offsets[pieces.stop]
    shift = plan.start[pieces.start : pieces.stop] - plan.offsets[pieces.start : pieces.stop]
    lengths = plan.lengths[pieces.start : pieces.stop]
    positions = np.arange(begin, end) + np.repeat(shift, lengths)
    device = input_device(backbone)
    with laid_out(layout), as_loaded(device):
        hidden: torch.Tensor = backbone(
            input_ids=_to(device, plan.token_ids[None, begin:end].astype(np.int64)),
            position_ids=_to(device, positions[None]),
            use_cache=False,
        ).last_hidden_state
    return hidden[0]


def _padded(backbone: torch.nn.Module, plan: Plan, batch: int) -> torch.Tensor:
    """Forward pieces as rows of equal length, filled up on the right.

    No attention mask is passed. Attention is causal and the padding stands on the right, so that no
    token that is read can see it; a mask would change nothing but the cost, because with one the
    attention kernels need the ``[rows, 1, longest, longest]`` matrix of it.
    """
    pieces = plan.pieces(batch)
    rows = np.full((len(pieces), plan.widths[pieces.start]), _FILL, dtype=np.int64)
    for row, piece in zip(rows, pieces, strict=True):
        row[: plan.lengths[piece]] = plan.token_ids[plan.offsets[piece] : plan.offsets[piece + 1]]
    with ExitStack() as stack:
        stack.enter_context(as_loaded(input_device(backbone)))
        if attends_over_paths(backbone):
            every_row = np.arange(len(rows) + 1) * rows.shape[1]
            stack.enter_context(laid_out(Layout(every_row, [None] * len(rows))))
        hidden: torch.Tensor = backbone(
            input_ids=_to(input_device(backbone), rows), use_cache=False
        ).last_hidden_state
    return hidden.flatten(0, 1)


def _to(device: torch.device, values: NDArray[np.int64]) -> torch.Tensor:
    """Bring values to a device without waiting for it."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _check_ids(backbone: torch.nn.Module, token_ids: NDArray[np.int32]) -> None:
    rows = backbone.get_input_embeddings().num_embeddings  # type: ignore[operator]
    # On a GPU the lookup itself would end the process's CUDA context.
    if token_ids.size and token_ids.max() >= rows:
        raise InputError(
            f"every token to have one of the model's {rows} embeddings",
            got=f"the id {token_ids.max()}",
            advice="use the tokenizer that was published with the checkpoint",
            where="score",
        )
