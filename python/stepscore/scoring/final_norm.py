"""The norm behind a model's last layer, applied to the rows that are read."""

from __future__ import annotations

import copy
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.errors import InputError
from stepscore.scoring.forward.number_format import as_loaded

# How the families of transformers call it.
NAMES = ("norm", "ln_f", "final_layernorm", "final_layer_norm", "final_norm")
# Enough rows to tell what all of them are.
_SAMPLE = 64
# Root mean squares of normed rows over the norm's own gain are 1, but for rounding, and a little
# less for its epsilon; those of a residual stream are anything, another in every row.
_NOT_NORMED = 0.1
_NORMED = -0.05, 0.005
# So many rows are not all of that size by chance.
_NO_CHANCE = 6


class FinalNorm:
    """A norm of a stock model as a function of rows, in the number format of these.

    Attributes:
        module: the model's own module.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self._copies: dict[tuple[torch.device, torch.dtype], torch.nn.Module] = {}

    def __repr__(self) -> str:
        return f"FinalNorm({self.module!r})"

    def __call__(self, rows: Any) -> torch.Tensor:
        """Give the normed rows ``[n, H]``, of NumPy or torch, as a tensor."""
        tensor = as_tensor(rows)
        with torch.no_grad(), as_loaded(tensor.device):
            normed: torch.Tensor = self._like(tensor)(tensor)
        return normed

    @property
    def gain(self) -> NDArray[np.float64] | None:
        """What it multiplies each channel by; None where it is no norm of rows."""
        return None if self._scale is None else self._scale[0]

    @cached_property
    def _scale(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """What an RMS or layer norm multiplies each channel by, and what it adds then.

        A row of ones has no variance, and one of alternating signs has no mean, and a size of 1.
        """
        weight = next(iter(self.module.parameters()), None)
        if weight is None or weight.is_meta or weight.shape[-1] % 2:
            return None
        ones = torch.ones(weight.shape[-1])
        signs = ones.clone()
        signs[1::2] = -1
        probes = torch.stack([ones, -ones, signs, -signs, 4 * signs])
        up, down, plus, minus, more = self(probes).double()
        shift = (up + down) / 2
        gain = (plus - shift) * signs
        scale = float(gain.abs().max())
        close = partial(torch.allclose, rtol=1e-3, atol=1e-3 * scale)
        if not (0 < scale < float("inf") and close(plus + minus, 2 * shift) and close(plus, more)):
            return None
        return gain.numpy(), shift.numpy()

    def check(self, call: str, rows: Any, *, applied: bool) -> None:
        """Refuse rows that lack the norm where it is not applied, and normed ones where it is.

        Raises:
            ValueError: such rows. Scores of them would be wrong, and look like scores.
        """
        if self._scale is None or not len(rows):
            return
        gain, shift = self._scale
        loud = np.abs(gain) > 1e-3 * np.abs(gain).max()
        sample = as_tensor(rows)[:_SAMPLE].detach().double().cpu().numpy() - shift
        sample = sample[:, loud] / gain[loud]
        sizes = np.sqrt(np.mean(sample**2, axis=1))
        off = sizes[np.isfinite(sizes) & (sizes > 0)] - 1
        if not applied and np.abs(off).max(initial=0) > _NOT_NORMED:
            raise InputError(
                "hidden states after the model's final norm, whose rows have a size of 1 over its "
                "weights",
                got=f"rows of other sizes, such as {1 + off[np.argmax(np.abs(off))]:.3g}",
                advice="pass norm=, such as the norm of this model",
                argument="hidden",
                where=call,
            )
        low, high = _NORMED
        if applied and len(off) >= _NO_CHANCE and low < off.min() and off.max() < high:
            raise InputError(
                "hidden states before the model's final norm",
                got="rows that have it already",
                advice="leave norm out",
                argument="norm",
                where=call,
            )

    def _like(self, rows: torch.Tensor) -> torch.nn.Module:
        """The module in the number format and on the device of rows, as `load` would hold it."""
        key = rows.device, rows.dtype
        if all(each.device == key[0] and each.dtype == key[1] for each in self.module.parameters()):
            return self.module
        if key not in self._copies:
            self._copies[key] = copy.deepcopy(self.module).to(*key)
        return self._copies[key]


def final_norm(backbone: torch.nn.Module) -> FinalNorm | None:
    """Find the norm behind the last layer of a stock model; None where it has no known name.

    A backbone that ends before its last layer has none.
    """
    for name in NAMES:
        module = getattr(backbone, name, None)
        if isinstance(module, torch.nn.Module):
            return None if isinstance(module, torch.nn.Identity) else FinalNorm(module)
    return None


def as_tensor(rows: Any) -> torch.Tensor:
    """Give rows as a tensor; those of NumPy may be bfloat16, which torch does not take from it."""
    if isinstance(rows, torch.Tensor):
        return rows
    rows = np.ascontiguousarray(rows)
    if rows.dtype.name == "bfloat16":
        return torch.from_numpy(rows.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(rows if rows.flags.writeable else rows.copy())
