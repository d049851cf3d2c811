"""A language model's output matrix as a head: the log-probability of the token that follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.recipes import Recipe
from stepscore.scoring.forward.number_format import as_loaded
from stepscore.scoring.forward.packed_traces import PackedTraces
from stepscore.scoring.likelihood.output_products import next_token_logprobs


@dataclass(frozen=True, eq=False)
class LikelihoodHead:
    """A language model's output matrix, in the model's number format and on its device.

    Attributes:
        recipe: what reads it.
        weight: ``[V, H]``; the embeddings themselves where the two are tied.
        bias: ``[V]``, or None.
    """

    recipe: Recipe
    weight: torch.Tensor
    bias: torch.Tensor | None = None

    @property
    def width(self) -> int:
        """One number at a position: a log-probability."""
        return 1

    def read(
        self,
        hidden: torch.Tensor,
        rows: NDArray[np.int64],
        traces: PackedTraces,
        steps: NDArray[np.int64],
    ) -> torch.Tensor:
        """Give the log-probability of the token behind each position, float32 ``[rows, 1]``.

        What traces share is read once for all of them.
        """
        asked = np.stack([rows, traces.tokens_after(steps)], axis=1)
        distinct, which = np.unique(asked, axis=0, return_inverse=True)
        device = self.weight.device
        places = torch.from_numpy(distinct).to(hidden.device)
        with torch.inference_mode(), as_loaded(device):
            states = hidden.index_select(0, places[:, 0]).to(device)
            targets = places[:, 1].to(device)
            logprobs = next_token_logprobs(states, self.weight, targets, bias=self.bias)
            return logprobs[torch.from_numpy(which.reshape(-1)).to(device), None]
