"""A number that is read from the outputs of a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Activation = Literal["identity", "sigmoid", "softmax", "tanh", "softplus"]


@dataclass(frozen=True)
class Reading:
    r"""A number read from the head's outputs: :math:`r = \sum_i w_i\, a(z)_i`.

    Attributes:
        name: what it measures, such as ``validity``.
        activation: :math:`a`; ``softmax`` is over the outputs, the others are of each.
        weights: :math:`w`, one per output; all 0 but for one 1 reads that output.
        score_range: the least and the greatest value.
        higher_is_better: whether a step is better the higher it is.
        threshold: where set, the reading is 1 from there on, and else 0.
    """

    name: str
    activation: Activation
    weights: tuple[float, ...]
    score_range: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True
    threshold: float | None = None

    @property
    def column(self) -> int | None:
        """The output that is read alone, or None for a sum of several."""
        ones = [i for i, weight in enumerate(self.weights) if weight]
        return ones[0] if len(ones) == 1 and self.weights[ones[0]] == 1.0 else None
