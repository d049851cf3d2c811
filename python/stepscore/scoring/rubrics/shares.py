r"""What several answers to a list of questions are worth together, in [0, 1].

:math:`s = \min(1, \max(0, \sum_i w_i a_i / \sum_{w_i > 0} w_i))`: the share of the points that can
be had. A negative weight takes points away from who meets its criterion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from stepscore.errors import InputError

# Of answers that are sums of probabilities.
_ROUNDING = 1e-9


def share(answers: Sequence[float], weights: Sequence[float]) -> float:
    """Give the share of the points, as above.

    Args:
        answers: of every question, in [0, 1].
        weights: of every question.

    Raises:
        InputError: answers outside of [0, 1], NaN among them; another number of weights, or such of
            which no point can be had.

    Source: Arora et al., "HealthBench" (arXiv 2505.08775); with weights that are all positive the
    explicit aggregation of Gunjal et al., "Rubrics as Rewards" (arXiv 2507.17746); with equal ones
    a checklist's share.

    Examples:
        >>> share([1, 0.5, 0], [1, 1, 1])
        0.5
        >>> share([1, 0, 1], [5, 3, -2])
        0.375
    """
    if len(answers) != len(weights) or not all(
        -_ROUNDING <= answer <= 1 + _ROUNDING for answer in answers
    ):
        raise InputError(
            f"{len(weights)} answers in [0, 1], one for each weight",
            got=repr(list(answers)),
            argument="answers",
            where="share",
        )
    check_weights("share", weights, "weights")
    gained = math.fsum(a * w for a, w in zip(answers, weights, strict=True))
    return min(1.0, max(0.0, gained / math.fsum(w for w in weights if w > 0)))


def check_weights(call: str, weights: Sequence[float], argument: str = "criteria") -> None:
    """Refuse weights of which no point can be had, and such as are no numbers."""
    if not all(isinstance(w, (int, float)) and math.isfinite(w) for w in weights) or not any(
        w > 0 for w in weights
    ):
        raise InputError(
            "finite points, some of them above 0",
            got=repr(list(weights)),
            argument=argument,
            where=call,
        )
