"""The order of candidates by their scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stepscore.ragged import segment_of


def ranks(totals: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank the candidates of every problem: 1 is best, ties keep their order, NaN comes last.

    Args:
        totals: one score per candidate, ``[candidates]``.
        offsets: where the candidates of each problem begin and end, ``[problems + 1]``.

    Returns:
        int64 ``[candidates]``.
    """
    problems = segment_of(offsets)
    order = np.lexsort((-totals, problems))
    result = np.empty(len(totals), dtype=np.int64)
    result[order] = np.arange(len(totals)) - offsets[:-1][problems] + 1
    return result
