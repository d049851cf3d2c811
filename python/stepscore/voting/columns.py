"""The columns that candidates are voted on by: their step scores as one number, in every way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stepscore.ops import aggregate
from stepscore.ops.aggregate import AGGREGATIONS, SOFTMIN_TEMPERATURE

# They read a score as a probability, and mean nothing for logits.
NEED_PROBABILITIES = frozenset({"prod", "geometric_mean", "logit_mean", "odds_mean"})
# The column of scores of whole solutions, which a file gives beside or instead of step scores.
GIVEN = "score"
# The column of a file without scores, in which there is nothing but answers to count.
UNSCORED = "unscored"
# Where a model's author states no aggregation: the last step has seen the whole solution.
UNSTATED_AGGREGATION = "last"

# Float32 scores round to exactly 0 and 1, whose odds are not finite; 1e-7 is about one bit at 1.
ODDS_CLIP = 1e-7
AGGREGATION_PARAMETERS = {"softmin_temperature": SOFTMIN_TEMPERATURE, "odds_clip": ODDS_CLIP}

_Column = TypeVar("_Column", bound=str)


def usable(columns: Sequence[_Column], *, bounded: bool) -> list[_Column]:
    """Give the columns that have a meaning for scores of that range.

    Args:
        columns: names of aggregations, and `GIVEN`.
        bounded: whether step scores lie in [0, 1].
    """
    return [name for name in columns if bounded or name not in NEED_PROBABILITIES]


def aggregate_every_way(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    incomplete: NDArray[np.bool_],
    *,
    bounded: bool,
) -> NDArray[np.float64]:
    """Aggregate in every way that the range of the scores allows.

    Args:
        values: step scores ``[steps]``.
        offsets: where the steps of each candidate begin and end, ``[candidates + 1]``.
        incomplete: which candidates lack the score of a step, ``[candidates]``. They have no
            aggregate: what was lost is unknown, whichever steps an aggregation looks at.
        bounded: whether step scores lie in [0, 1].

    Returns:
        float64 ``[candidates, AGGREGATIONS]``; NaN where there is none.
    """
    names = usable(AGGREGATIONS, bounded=bounded)
    totals = aggregate(
        values,
        offsets,
        names,
        nan="propagate",
        temperature=SOFTMIN_TEMPERATURE,
        clip=ODDS_CLIP,
    )
    totals[incomplete] = np.nan
    if len(names) == len(AGGREGATIONS):
        return np.asarray(totals)
    every = np.full((len(totals), len(AGGREGATIONS)), np.nan)
    every[:, [AGGREGATIONS.index(name) for name in names]] = totals
    return every
