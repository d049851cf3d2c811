"""The norm behind a model's last layer, applied to the rows that are read."""

from __future__ import annotations

import copy
from functools import cached_property
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
# Root mean squares of normed rows over the norm's own gain are 1, but for rounding and for its
# epsilon; those of a residual stream are anything, and different in every row.
_NOT_NORMED, _NORMED = 0.25, 0.02


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

    @cached_property
    def gain(self) -> NDArray[np.float64] | None:
        """What it multiplies each channel by; None where it is no RMS norm."""
        weight = next(iter(self.module.parameters()), None)
        if weight is None or weight.is_meta:
            return None
        ones = torch.ones(1, weight.shape[-1])
        plus, minus, more = (self(ones * factor).double()[0] for factor in (1, -1, 4))
        scale = plus.abs().max()
        odd = torch.allclose(plus, -minus) and torch.allclose(plus, more, rtol=1e-3)
        if not odd or not torch.isfinite(scale) or scale <= 0:
            return None
        gain: NDArray[np.float64] = plus.numpy()
        return gain

    def check(self, call: str, rows: Any, *, applied: bool) -> None:
        """Refuse rows that lack the norm where it is not applied, and normed ones where it is.

        Raises:
            ValueError: such rows. Scores of them would be wrong, and look like scores.
        """
        if self.gain is None or not len(rows):
            return
        loud = np.abs(self.gain) > 1e-3 * np.abs(self.gain).max()
        sample = as_tensor(rows)[:_SAMPLE].double().cpu().numpy()[:, loud] / self.gain[loud]
        sizes = np.sqrt(np.mean(sample**2, axis=1))
        off = np.abs(sizes[np.isfinite(sizes)] - 1)
        if not len(off):
            return
        if not applied and np.median(off) > _NOT_NORMED:
            raise InputError(
                "hidden states after the model's final norm, whose rows have a size of 1 over its "
                "weights",
                got=f"rows of {sizes[0]:.3g}",
                advice="pass norm=, such as the norm of this model",
                argument="hidden",
                where=call,
            )
        if applied and off.max() < _NORMED:
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
    """Find the norm behind the last layer of a stock model; None where it has no known name."""
    for name in NAMES:
        module = getattr(backbone, name, None)
        if isinstance(module, torch.nn.Module):
            return FinalNorm(module)
    return None


def as_tensor(rows: Any) -> torch.Tensor:
    """Give rows as a tensor; those of NumPy may be bfloat16, which torch does not take from it."""
    if isinstance(rows, torch.Tensor):
        return rows
    rows = np.ascontiguousarray(rows)
    if rows.dtype.name == "bfloat16":
        return torch.from_numpy(rows.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(rows if rows.flags.writeable else rows.copy())
