"""The number format of the forward pass: that which the model was loaded in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def as_loaded(device: torch.device) -> AbstractContextManager[object]:
    """Compute in the format that the model was loaded in, whatever its caller computes in.

    Under ``torch.autocast`` of the caller a score would be another one, or none.
    """
    try:
        return torch.autocast(device.type, enabled=False)
    except RuntimeError:  # a device that has no autocast
        return nullcontext()
