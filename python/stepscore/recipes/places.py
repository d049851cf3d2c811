"""Steps that are judged at several tokens, one question after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stepscore.recipes.reading import Reading


@dataclass(frozen=True)
class Places:
    r"""What is asked of a step at several tokens, and how the answers become its readings.

    At each token two rows are read, of the good and the bad answer, :math:`z^+` and :math:`z^-`,
    with :math:`p = \mathrm{softmax}(z^+, z^-)_0`. The score is `refused` where a gate has
    :math:`z^- > z^+`, else :math:`p` of the last question, or 1 where that is a gate itself.

    Attributes:
        questions: what each token answers, in their order in the layout.
        gates: how many of the first ones must be answered well.
        refused: the score where one is not.
    """

    questions: tuple[str, ...]
    gates: int
    refused: float = -1.0

    # Of the two outputs at a token: the difference tells who is greater, exactly, and the
    # probability may be 0.5 for both.
    token_readings: ClassVar[tuple[Reading, ...]] = (
        Reading("difference", "identity", (1.0, -1.0), (-np.inf, np.inf)),
        Reading("probability", "softmax", (1.0, 0.0)),
    )

    def readings(self) -> tuple[Reading, ...]:
        """Give what is known of a step: the score, and the probability of each question."""
        score = Reading("score", "softmax", (1.0, 0.0), (min(self.refused, 0.0), 1.0))
        return (score, *(Reading(name, "softmax", (1.0, 0.0)) for name in self.questions))

    def joined(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Join what was read at tokens ``[steps * questions, 2]`` to ``[steps, 1 + questions]``."""
        count = len(self.questions)
        difference = values[:, 0].reshape(-1, count)
        probability = values[:, 1].reshape(-1, count)
        every = np.ones(len(probability), np.float32)
        score = probability[:, -1] if count > self.gates else every
        gates = difference[:, : self.gates]
        score = np.where((gates < 0).any(1), np.float32(self.refused), score)
        # What is no number refuses nothing, and must not be hidden by what is.
        score = np.where(np.isnan(difference).any(1), np.float32(np.nan), score)
        return np.concatenate([score[:, None], probability], axis=1, dtype=np.float32)
