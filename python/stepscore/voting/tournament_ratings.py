"""Comparisons -> one number per candidate, higher is better.

With :math:`P_{ij}` the mean points of candidate i against j over the comparisons of the two that
were decided. A candidate of whom no comparison was decided gets NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import InputError
from stepscore.voting.tournament import Comparisons
from stepscore.voting.tournament_pairings import shuffled

Float = NDArray[np.float64]
Rating = Literal["win_rate", "majority", "copeland", "borda", "elo", "bradley_terry"]

_MOST_NEWTON_STEPS = 200


def win_rate(comparisons: Comparisons) -> Float:
    """Give the mean of each candidate's points over its comparisons, in [0, 1]; ties are halves."""
    points, met = _totals(comparisons)
    return _over(points, met)


def majority(comparisons: Comparisons) -> Float:
    r"""Give the share of opponents that the majority of verdicts places below a candidate.

    :math:`|\{j : P_{ij} > 1/2\}| / |\{j : i \text{ has met } j\}|`, in [0, 1]. Ties are no wins;
    1 for one who has met all others: the Condorcet winner.

    Source: Condorcet, "Essai sur l'application de l'analyse" (1785).
    """
    means = _means(comparisons)
    return _over(np.sum(means > 0.5, axis=1), np.sum(~np.isnan(means), axis=1))


def copeland(comparisons: Comparisons) -> Float:
    r"""Give how many more opponents a candidate beats than beat it.

    :math:`|\{j : P_{ij} > 1/2\}| - |\{j : P_{ij} < 1/2\}|`; an opponent not met counts as a tie.

    Source: Copeland, "A reasonable social welfare function" (1951).
    """
    means = _means(comparisons)
    wins = np.sum(means > 0.5, axis=1) - np.sum(means < 0.5, axis=1)
    return np.where(np.isnan(means).all(axis=1), np.nan, wins)


def borda(comparisons: Comparisons) -> Float:
    r"""Give the Borda count: the points of a candidate summed over its opponents, each weighing 1.

    :math:`(n - 1) \operatorname{mean}_j P_{ij}` over the opponents that i has met, which is
    :math:`\sum_j P_{ij}` where it has met all; so an opponent not met is no loss.

    Source: Borda, "Mémoire sur les élections au scrutin" (1781), as a sum over pairs.
    """
    means = _means(comparisons)
    met = np.sum(~np.isnan(means), axis=1)
    return _over(np.nansum(means, axis=1), met) * (comparisons.candidates - 1)


def elo(
    comparisons: Comparisons,
    *,
    k: float = 32.0,
    initial: float = 1000.0,
    scale: float = 400.0,
    seed: int | None = None,
) -> Float:
    r"""Give Elo ratings, updated comparison after comparison.

    :math:`E = 1 / (1 + 10^{(R_j - R_i) / scale})`, then :math:`R_i` rises and :math:`R_j` falls by
    :math:`K (s - E)` with the points s of i. The order matters; `bradley_terry` has none.

    Args:
        comparisons: in the order of their updates.
        k: the step; large ones let the last comparisons weigh most. 32 was the federation's step
            for most players; Chatbot Arena takes 4.
        initial: the rating of all before the first comparison, Chatbot Arena's.
        scale: how much better one is who gets ten points for each of the other's; 400 is Elo's.
        seed: shuffles the comparisons first; None keeps their order.

    Raises:
        InputError: a `k` or `scale` that is not above 0.

    Source: Elo, "The Rating of Chessplayers, Past and Present" (1978).
    """
    for name, value in (("k", k), ("scale", scale)):
        if not (value > 0 and np.isfinite(value)):
            raise InputError("a number above 0", got=repr(value), argument=name, where="elo")
    known = comparisons.decided()
    ratings = np.full(comparisons.candidates, float(initial))
    order = np.arange(len(known))
    for row in order if seed is None else shuffled(order, seed):
        i, j = known.pairs[row]
        expected = 1.0 / (1.0 + 10.0 ** ((ratings[j] - ratings[i]) / scale))
        change = k * (known.points[row] - expected)
        ratings[i] += change
        ratings[j] -= change
    return np.where(_totals(comparisons)[1] > 0, ratings, np.nan)


def bradley_terry(comparisons: Comparisons, *, deviation: float = 1.0) -> Float:
    r"""Give the log-strengths of the Bradley-Terry model, whatever the order of the comparisons.

    The :math:`\theta` that maximise :math:`\sum s \log \sigma(\theta_i - \theta_j) + (1 - s)
    \log \sigma(\theta_j - \theta_i) - \sum_i \theta_i^2 / (2\, deviation^2)` over all comparisons
    (i, j) with points s, by Newton's method. They sum to 0, :math:`\sigma(\theta_i - \theta_j)` is
    the probability that i beats j, and :math:`1000 + 400\,\theta / \ln 10` is on Elo's scale.

    Args:
        comparisons: in any order.
        deviation: of the normal prior around 0. Without one (``math.inf``) nobody's rating is
            finite who has won everything, as the best of a consistent judge has; 1 makes the better
            of two typical candidates win about 7 times of 10.

    Raises:
        InputError: without a prior, candidates who never lost a point to the others: their rating
            would be infinite; a `deviation` that is not above 0.

    Source: Bradley and Terry, "Rank analysis of incomplete block designs" (1952); where the maximum
    exists without a prior: Ford, "Solution of a ranking problem from binary comparisons" (1957).
    """
    if not deviation > 0:
        raise InputError(
            "a number above 0", got=repr(deviation), argument="deviation", where="bradley_terry"
        )
    known = comparisons.decided()
    met = _totals(comparisons)[1] > 0
    if not met.any():
        return np.full(comparisons.candidates, np.nan)
    penalty = 1.0 / deviation**2
    if penalty == 0.0:
        _check_connected(known, met)
    theta = np.zeros(comparisons.candidates)
    value = _objective(known, theta, penalty)
    for _ in range(_MOST_NEWTON_STEPS):
        step = _newton_step(known, theta, met, penalty)
        if np.abs(step).max() < 1e-13 * max(1.0, np.abs(theta).max()):
            break
        size = 1.0
        while (ahead := _objective(known, theta + size * step, penalty)) < value and size > 1e-9:
            size /= 2
        theta, value = theta + size * step, max(ahead, value)
    return np.where(met, theta, np.nan)


RATINGS: dict[Rating, Callable[[Comparisons], Float]] = {
    "win_rate": win_rate,
    "majority": majority,
    "copeland": copeland,
    "borda": borda,
    "elo": elo,
    "bradley_terry": bradley_terry,
}
"""The ratings by name."""


def _totals(comparisons: Comparisons) -> tuple[Float, Float]:
    """Give each candidate's points and the number of its comparisons, of those decided."""
    known = comparisons.decided()
    points, met = np.zeros(comparisons.candidates), np.zeros(comparisons.candidates)
    for side, gained in ((0, known.points), (1, 1.0 - known.points)):
        np.add.at(points, known.pairs[:, side], gained)
        np.add.at(met, known.pairs[:, side], 1.0)
    return points, met


def _means(comparisons: Comparisons) -> Float:
    """Give the mean points of each against each, ``[candidates, candidates]``; NaN: not met."""
    known = comparisons.decided()
    points, met = np.zeros((2, comparisons.candidates, comparisons.candidates))
    i, j = known.pairs.T
    np.add.at(points, (i, j), known.points)
    np.add.at(points, (j, i), 1.0 - known.points)
    np.add.at(met, (i, j), 1.0)
    np.add.at(met, (j, i), 1.0)
    return _over(points, met)


def _over(total: NDArray[np.generic], count: NDArray[np.generic]) -> Float:
    """Divide; NaN where nothing was counted."""
    numbers = np.asarray(count, np.float64)
    return np.asarray(total, np.float64) / np.where(numbers > 0, numbers, np.nan)


def _objective(known: Comparisons, theta: Float, penalty: float) -> float:
    i, j = known.pairs.T
    gap = theta[i] - theta[j]
    fit = known.points * -np.logaddexp(0, -gap) + (1 - known.points) * -np.logaddexp(0, gap)
    return float(fit.sum() - penalty / 2 * (theta**2).sum())


def _newton_step(known: Comparisons, theta: Float, met: NDArray[np.bool_], penalty: float) -> Float:
    i, j = known.pairs.T
    chance = 0.5 * (1.0 + np.tanh((theta[i] - theta[j]) / 2))  # sigma, without overflow
    gradient, curvature = -penalty * theta, np.zeros((len(theta), len(theta)))
    np.add.at(gradient, i, known.points - chance)
    np.add.at(gradient, j, chance - known.points)
    weight = chance * (1 - chance)
    for a, b, signed in ((i, i, weight), (j, j, weight), (i, j, -weight), (j, i, -weight)):
        np.add.at(curvature, (a, b), signed)
    curvature += penalty * np.eye(len(theta)) + np.diag((~met).astype(np.float64))
    if penalty == 0.0:  # a common shift changes nothing: keep the sum at 0
        curvature += np.outer(met, met) / met.sum()
    return np.asarray(np.linalg.solve(curvature, gradient))


def _check_connected(known: Comparisons, met: NDArray[np.bool_]) -> None:
    """Refuse candidates that split in two groups of which one never lost a point to the other."""
    n = known.candidates
    reaches = np.eye(n, dtype=np.bool_)  # i took points from j, directly or through others
    i, j = known.pairs.T
    reaches[i[known.points > 0], j[known.points > 0]] = True
    reaches[j[known.points < 1], i[known.points < 1]] = True
    for middle in range(n):
        reaches |= np.outer(reaches[:, middle], reaches[middle])
    players = np.flatnonzero(met)
    apart = ~(reaches[np.ix_(players, players)].all(axis=0))
    if apart.any():
        never = players[apart].tolist()
        raise InputError(
            "candidates of whom each has lost a point to each other one, at least through others",
            got=f"none lost by {never[0]} to some of them",
            advice="pass a finite deviation",
            argument="comparisons",
            where="bradley_terry",
        )
