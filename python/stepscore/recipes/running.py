"""Scores that also depend on what was read at the steps before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import InputError

RunningAggregate = Literal["mean", "min", "max", "last"]


@dataclass(frozen=True)
class Running:
    r"""What is added to a step's score: :math:`s_k = z_k + \beta\,\mathrm{agg}(r_1, \ldots, r_k)`.

    The score of the last step is then that of the solution, and the score of any step that of the
    beginning that ends with it, as a search over steps wants it.

    Attributes:
        reading: the name of :math:`r`, one of the recipe's readings; :math:`z` is the first one.
        how: :math:`\mathrm{agg}`.
        weight: :math:`\beta`.
    """

    reading: str
    how: RunningAggregate
    weight: float

    def __post_init__(self) -> None:
        if self.how not in get_args(RunningAggregate):
            raise InputError("mean, min, max or last", got=repr(self.how), argument="aggregate")

    def added(self, readings: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give what is added at every step of one trace, from :math:`r` ``[steps]``."""
        wide = readings.astype(np.float64)
        if self.how == "mean":
            # In ascending order, so that a trace that grows has the bits of the whole.
            wide = np.cumsum(wide) / np.arange(1, len(wide) + 1)
        elif self.how == "min":
            wide = np.minimum.accumulate(wide)
        elif self.how == "max":
            wide = np.maximum.accumulate(wide)
        return self.weight * wide
