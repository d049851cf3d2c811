"""The scores of candidates, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.ragged import offsets_of
from stepscore.voting.columns import GIVEN, UNSCORED, aggregate_every_way


@dataclass(frozen=True)
class CandidateScores:
    """The scores of some problems' candidates.

    Attributes:
        offsets: where the candidates of each problem begin and end, int64 ``[problems + 1]``.
        values: step scores, float64 ``[steps]``; NaN where truncation left a step out.
        step_offsets: where the steps of each candidate begin and end, int64 ``[candidates + 1]``.
        columns: the aggregations, and `GIVEN` for scores of whole solutions.
        totals: float64 ``[candidates, columns]``; NaN where there is none.
        bounded: whether step scores lie in [0, 1].
    """

    offsets: NDArray[np.int64]
    values: NDArray[np.float64]
    step_offsets: NDArray[np.int64]
    columns: tuple[str, ...]
    totals: NDArray[np.float64]
    bounded: bool

    @property
    def problems(self) -> int:
        """How many problems there are."""
        return len(self.offsets) - 1

    @property
    def has_steps(self) -> bool:
        """Whether there are step scores, or scores of whole solutions alone."""
        return len(self.values) > 0

    @property
    def has_scores(self) -> bool:
        """Whether there are scores at all, or answers alone."""
        return self.columns != (UNSCORED,)

    @cached_property
    def truncated(self) -> NDArray[np.int64]:
        """How many steps of each candidate were left out, ``[candidates]``."""
        return _left_out(self.values, self.step_offsets)

    def by(self, column: str) -> NDArray[np.float64]:
        """Give the scores of one column, ``[candidates]``."""
        return self.totals[:, self.columns.index(column)]


def _left_out(values: NDArray[np.float64], step_offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the steps of each candidate that have no score, ``[candidates]``."""
    # As in most files, and sums take longer than the look; the least is NaN where there is one.
    if not len(values) or not np.isnan(values.min()):
        return np.zeros(len(step_offsets) - 1, np.int64)
    return np.diff(offsets_of(np.isnan(values))[step_offsets])


def candidate_scores(
    offsets: NDArray[np.int64],
    *,
    steps: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None,
    given: NDArray[np.float64] | None = None,
    bounded: bool,
) -> CandidateScores:
    """Aggregate step scores in every way, and put the scores of whole solutions beside them.

    Args:
        offsets: where the candidates of each problem begin and end, ``[problems + 1]``.
        steps: step scores ``[steps]`` with their offsets ``[candidates + 1]``; NaN for a step that
            was left out.
        given: scores of whole solutions ``[candidates]``.
        bounded: whether step scores lie in [0, 1].
    """
    candidates = int(offsets[-1])
    columns: tuple[str, ...] = ()
    values, step_offsets = np.empty(0), np.zeros(candidates + 1, np.int64)
    parts: list[NDArray[np.float64]] = []
    if steps is not None:
        values, step_offsets = steps
        incomplete = _left_out(values, step_offsets) > 0
        parts.append(aggregate_every_way(values, step_offsets, incomplete, bounded=bounded))
        columns += AGGREGATIONS
    if given is not None:
        parts.append(given[:, None])
        columns += (GIVEN,)
    totals = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    return CandidateScores(offsets, values, step_offsets, columns, totals, bounded)


def without_scores(offsets: NDArray[np.int64]) -> CandidateScores:
    """Give candidates that have no scores, whose answers can be counted.

    Args:
        offsets: where the candidates of each problem begin and end, ``[problems + 1]``.
    """
    candidates = int(offsets[-1])
    step_offsets, totals = np.zeros(candidates + 1, np.int64), np.full((candidates, 1), np.nan)
    return CandidateScores(offsets, np.empty(0), step_offsets, (UNSCORED,), totals, bounded=False)
