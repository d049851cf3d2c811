"""The tail of the forward pass: hidden states at step ends -> step scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.recipes import Recipe
from stepscore.scoring.forward.number_format import as_loaded
from stepscore.scoring.forward.packed_traces import PackedTraces
from stepscore.scoring.head_readings import read_head


class StepHead(Protocol):
    """What reads hidden states where steps end."""

    @property
    def width(self) -> int:
        """How many numbers it reads at a position."""
        ...

    def read(
        self,
        hidden: torch.Tensor,
        rows: NDArray[np.int64],
        traces: PackedTraces,
        steps: NDArray[np.int64],
    ) -> torch.Tensor:
        """Give float32 ``[rows, width]`` of rows of hidden states, at which these steps end."""
        ...


Layers = tuple[tuple[torch.Tensor, torch.Tensor | None], ...]


@dataclass(frozen=True, eq=False)
class HeadWeights:
    """A recipe's head with its weights, float32, on the CPU and wherever they were asked for."""

    recipe: Recipe
    layers: Layers
    copies: dict[torch.device, Layers] = field(default_factory=dict, repr=False, compare=False)

    @property
    def width(self) -> int:
        """How many numbers it reads at a position."""
        return len(self.recipe.token_readings)

    def read(
        self,
        hidden: torch.Tensor,
        rows: NDArray[np.int64],
        traces: PackedTraces,
        steps: NDArray[np.int64],
    ) -> torch.Tensor:
        """Read rows of the packed hidden states, where some steps of traces end."""
        return read_steps(self, hidden, rows)

    def on(self, device: torch.device) -> Layers:
        """The layers on a device; copied there once."""
        if device.type != "cuda":
            return self.layers
        if device not in self.copies:
            self.copies[device] = tuple(
                (weight.to(device), None if bias is None else bias.to(device))
                for weight, bias in self.layers
            )
        return self.copies[device]


def read_steps(
    head: HeadWeights, hidden: torch.Tensor, positions: NDArray[np.int64]
) -> torch.Tensor:
    """Score the steps that end at ``positions`` of the packed hidden states ``[tokens, H]``.

    Only these rows are read, where they are: on a GPU the head is one launch on the current stream,
    and nothing waits. A row's score depends on that row alone (on a GPU the inner product of an MLP
    head is torch's, whose bits may depend on the number of rows).

    Returns:
        float32 ``[steps, readings]``, on the device of the hidden states.
    """
    rows = torch.from_numpy(positions)
    if hidden.device.type == "cuda":
        rows = rows.pin_memory().to(hidden.device, non_blocking=True)
    elif hidden.device.type != "cpu":  # a device without ops of ours: its rows come here
        hidden = hidden.index_select(0, rows.to(hidden.device)).cpu()
        rows = torch.arange(len(positions))
    layers = head.on(hidden.device)
    with torch.inference_mode(), as_loaded(hidden.device):
        scores: torch.Tensor = read_head(head.recipe.token_readings, layers, hidden, rows)
    return scores
