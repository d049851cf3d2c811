"""Solutions cut or ordered in other ways, to be scored beside the solutions themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument
from stepscore.lists import as_list


def reversed_steps(solutions: Sequence[Sequence[str]]) -> list[list[str]]:
    """Give solutions with their steps from the last to the first, for `both_directions`.

    Examples:
        >>> from stepscore.scoring import combined
        >>> combined.reversed_steps([["a", "b"], ["c"]])
        [['b', 'a'], ['c']]
    """
    return [list(reversed(steps)) for steps in _steps("reversed_steps", solutions)]


def merged_pairs(
    solutions: Sequence[Sequence[str]], *, joiner: str = "\n"
) -> tuple[list[list[str]], NDArray[np.int64]]:
    """Give every beginning of solutions with its last two steps merged, for `hierarchical`.

    Args:
        solutions: the steps of each.
        joiner: stands between the two.

    Returns:
        The merged traces, one for each step but a solution's first one, in order; and how many
        belong to each solution.

    Examples:
        >>> from stepscore.scoring import combined
        >>> combined.merged_pairs([["a", "b", "c"]])
        ([['a\\nb'], ['a', 'b\\nc']], array([2]))
    """
    every = _steps("merged_pairs", solutions)
    merged = [
        [*steps[: k - 1], steps[k - 1] + joiner + steps[k]]
        for steps in every
        for k in range(1, len(steps))
    ]
    return merged, np.array([max(0, len(steps) - 1) for steps in every], dtype=np.int64)


def as_one_step(solutions: Sequence[str | Sequence[str]], *, joiner: str = "\n") -> list[list[str]]:
    r"""Give every solution as one step, so that it gets one score.

    Args:
        solutions: each a text or its steps.
        joiner: stands between steps.

    Source: the authors' code of ReasonFlux-PRM for training; for vision-language models
    unverified.

    Examples:
        >>> from stepscore.scoring import combined
        >>> combined.as_one_step(["a", ["b", "c"]])
        [['a'], ['b\nc']]
    """
    every = as_list("as_one_step", "solutions", solutions, "a text or the steps of each")
    return [[each if isinstance(each, str) else joiner.join(each)] for each in every]


def _steps(call: str, solutions: Sequence[Sequence[str]]) -> list[list[str]]:
    """Give the steps of each solution; a text is none, whose letters would be its steps."""
    return [
        as_list(call, Argument("solutions", index=(place,)), steps, "the steps of a solution")
        for place, steps in enumerate(as_list(call, "solutions", solutions, "the steps of each"))
    ]
