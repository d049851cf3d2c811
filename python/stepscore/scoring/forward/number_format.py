"""The number format of the forward pass: that which the model was loaded in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch


def as_loaded(device: torch.device) -> AbstractContextManager[object]:
    """Compute in the format that the model was loaded in, whatever its caller computes in.

    Under ``torch.autocast`` of the caller a score would be another one, or none.
    """
    try:
        return torch.autocast(device.type, enabled=False)
    except RuntimeError:  # a device that has no autocast
        return nullcontext()


@torch.inference_mode()
def overflows(backbone: torch.nn.Module) -> bool:
    """Say whether the hidden states of ids from the whole vocabulary are no numbers."""
    rows = int(backbone.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    ids = (np.arange(1, 129) * 0.618034 % 1 * rows).astype(np.int64)
    device = next(backbone.parameters()).device
    with as_loaded(device):
        hidden = backbone(
            input_ids=torch.from_numpy(ids[None]).to(device), use_cache=False
        ).last_hidden_state
    return not bool(hidden.isfinite().all())
