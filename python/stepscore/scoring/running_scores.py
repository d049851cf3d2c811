"""What a recipe adds to the score of a step from the readings of the steps before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stepscore.recipes import Recipe


def with_running(
    recipe: Recipe,
    values: NDArray[np.float32],
    step_offsets: NDArray[np.int64],
    earlier: Sequence[NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """Give readings whose scores hold what the recipe adds to them; most add nothing.

    Args:
        recipe: says what is added.
        values: as they were read, ``[steps, readings]``.
        step_offsets: where the steps of each trace begin and end, ``[traces + 1]``.
        earlier: the readings of the steps of each trace that stand before these,
            ``[steps, readings]`` each; None for whole traces.
    """
    running = recipe.running
    if running is None:
        return values
    column = [reading.name for reading in recipe.readings].index(running.reading)
    scores = values[:, 0].astype(np.float64)
    for trace, (begin, end) in enumerate(pairwise(step_offsets.tolist())):
        before = values[:0, column] if earlier is None else earlier[trace][:, column]
        whole = np.concatenate([before, values[begin:end, column]])
        scores[begin:end] += running.added(whole)[len(before) :]
    totals: NDArray[np.float32] = values.copy()
    totals[:, 0] = scores
    return totals
