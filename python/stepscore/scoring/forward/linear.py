"""Linear layers on a CPU: weights packed once for oneDNN.

Torch multiplies float32 matrices with MKL, which reaches a third of the speed of oneDNN on
processors of other makers than its own. Both are part of torch.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch

from stepscore.scoring.forward.placement import waits_for_cpu

# Rows of a typical batch: the layout is chosen for them, and right for any other number.
_ROWS = 1024
# Rows that are tried, and where they are cut: into one, few, and more than a block.
_TRIED, _CUTS = 48, (1, 3, 8)


class PackedLinear(torch.nn.Module):
    """A linear layer in float32 on a CPU; its packed weight is an opaque oneDNN tensor."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), _ROWS)
        self.bias = layer.bias

    @property
    def weight(self) -> torch.Tensor:
        """The numbers, unpacked anew, for families that multiply by them themselves (Mamba)."""
        numbers: torch.Tensor = self.packed.to_dense()
        return numbers

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Give ``rows @ weight.T + bias``; a row's bits depend on that row alone."""
        if rows.numel() == self.in_features:
            # oneDNN adds up a single row another way than one of several.
            return self.forward(rows.expand(2, *rows.shape))[0]
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self.packed, self.bias, "none", [], ""
        )
        return out

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedLinear:
        """Copy all but the packed weight, which nothing can change and torch cannot copy."""
        twin = PackedLinear.__new__(PackedLinear)
        memo[id(self)] = twin
        memo[id(self.packed)] = self.packed
        twin.__dict__ = {key: copy.deepcopy(value, memo) for key, value in vars(self).items()}
        return twin

    def extra_repr(self) -> str:
        """What `torch.nn.Linear` says of itself."""
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"


@torch.no_grad()
def rows_move(layer: PackedLinear) -> bool:
    """Whether rows have other bits where they are multiplied in parts."""
    rows = torch.linspace(-1, 1, _TRIED * layer.in_features).mul(1e4).sin().view(_TRIED, -1)
    parts = [layer(part) for part in rows.tensor_split(_CUTS)]
    return not torch.equal(torch.cat(parts), layer(rows))


@torch.no_grad()
def pack_linear_layers(module: torch.nn.Module) -> None:
    """Replace the linear layers of a float32 module on a CPU, where torch would use MKL."""
    if not (torch._C.has_mkl and torch._C._has_mkldnn):
        return
    for name, child in list(module.named_children()):
        if type(child) is not torch.nn.Linear:
            pack_linear_layers(child)
        elif child.weight.dtype != torch.float32:
            continue
        elif child.weight.device.type == "cpu":
            setattr(module, name, PackedLinear(child))
        elif waits_for_cpu(child):
            # Its hook fetches the weight from a disk for each call; the product is the same.
            child._old_forward = partial(_packed_once, child)  # type: ignore[assignment]


def _packed_once(layer: torch.nn.Linear, rows: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = PackedLinear(layer)(rows)
    return out
