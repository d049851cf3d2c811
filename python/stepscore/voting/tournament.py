"""Comparisons of candidates two by two: what `tournament_ratings` turns into one number for each.

A comparison that nobody decided (the verdict did not come) is NaN: it is no win, no loss and no
tie, and no rating counts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import InputError, did_you_mean

Int = NDArray[np.int64]
Float = NDArray[np.float64]

BothOrders = Literal["average", "agree"]
BOTH_ORDERS: tuple[BothOrders, ...] = get_args(BothOrders)


@dataclass(frozen=True, init=False, eq=False)
class Comparisons:
    """What came out where candidates met, one comparison per row.

    Attributes:
        pairs: the two candidates of each, int64 ``[comparisons, 2]``; a pair may meet again.
        points: of the first of the two, float64 ``[comparisons]``: 1 it is better, 0 the other is,
            0.5 they are level, between them a probability or a share of verdicts; NaN undecided.
            The second gets ``1 - points``.
        candidates: how many there are; some may have met nobody.

    Raises:
        InputError: shapes that do not fit, a candidate that is not there or meets itself, points
            outside [0, 1].
    """

    pairs: Int
    points: Float
    candidates: int

    def __init__(self, pairs: Any, points: Any, candidates: int) -> None:
        games, results = np.asarray(pairs), np.asarray(points, np.float64)
        if not games.size:  # an empty list has no shape and no type
            games = np.empty((0, 2), np.int64)
        _check(games, results, candidates)
        object.__setattr__(self, "pairs", games.astype(np.int64))
        object.__setattr__(self, "points", results)
        object.__setattr__(self, "candidates", candidates)

    def __len__(self) -> int:
        return len(self.points)

    def decided(self) -> Comparisons:
        """Give those that are not NaN."""
        known = ~np.isnan(self.points)
        return Comparisons(self.pairs[known], self.points[known], self.candidates)

    @property
    def abstentions(self) -> int:
        """How many are NaN."""
        return int(np.isnan(self.points).sum())


def both_orders(shown_first: Any, shown_second: Any, how: BothOrders = "average") -> Float:
    r"""Make one result of a pair that was judged in both orders, so that places cannot decide.

    With :math:`a` the points of a candidate where it stood first, :math:`b` where it stood second:
    average :math:`(a + b) / 2`; agree: 1 where both are above one half, 0 where both are below,
    else one half. A judge that always prefers the first place gives one half either way. Where a
    verdict of one order is missing, NaN: the other alone would bring its place along.

    Args:
        shown_first, shown_second: points of the candidate in either order, ``[pairs]``.
        how: ``average`` or ``agree``.

    Raises:
        InputError: another `how`; points outside [0, 1]; lengths that differ.

    Source: Zheng et al., "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena" (2023), section
    3.4: a win is one only where it is one in both orders.
    """
    first, second = np.asarray(shown_first, np.float64), np.asarray(shown_second, np.float64)
    if how not in BOTH_ORDERS:
        raise InputError(
            f"one of {', '.join(BOTH_ORDERS)}",
            got=repr(how),
            advice=did_you_mean(how, BOTH_ORDERS),
            argument="how",
            where="both_orders",
        )
    if first.shape != second.shape:
        raise InputError(
            f"as many results as in the first order, {list(first.shape)}",
            got=str(list(second.shape)),
            argument="shown_second",
            where="both_orders",
        )
    for name, points in (("shown_first", first), ("shown_second", second)):
        _check_points(points, name, "both_orders")
    if how == "average":
        return np.asarray((first + second) / 2)
    points = np.where((first > 0.5) & (second > 0.5), 1.0, 0.5)
    points[(first < 0.5) & (second < 0.5)] = 0.0
    points[np.isnan(first) | np.isnan(second)] = np.nan
    return points


def _check(pairs: NDArray[Any], points: Float, candidates: int) -> None:
    where = "Comparisons"
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise InputError(
            "whole numbers [comparisons, 2]",
            got=f"{pairs.dtype} {list(pairs.shape)}",
            argument="pairs",
            where=where,
        )
    if points.shape != (len(pairs),):
        raise InputError(
            f"one number per pair, [{len(pairs)}]",
            got=str(list(points.shape)),
            argument="points",
            where=where,
        )
    wrong = ((pairs < 0) | (pairs >= candidates)).any(axis=1) | (pairs[:, 0] == pairs[:, 1])
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"two different candidates of {candidates}, counted from 0",
            got=f"{pairs[place].tolist()} in row {place}",
            argument="pairs",
            where=where,
        )
    _check_points(points, "points", where)


def _check_points(points: Float, argument: str, where: str) -> None:
    wrong = (points < 0) | (points > 1)  # NaN is neither
    if wrong.any():
        raise InputError(
            "points in [0, 1], or NaN for none",
            got=f"{points[wrong][0]:g}",
            argument=argument,
            where=where,
        )
