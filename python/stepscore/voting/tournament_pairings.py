"""Who meets whom: every pair once, or a knockout whose rounds wait for their results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import InputError
from stepscore.seeds import mix

Int = NDArray[np.int64]
Float = NDArray[np.float64]


def round_robin(candidates: int, *, seed: int = 0) -> Int:
    r"""Pair every candidate with every other one, :math:`n (n - 1) / 2` pairs.

    They stand in rounds of the circle method: one place stays, the others turn by one each round,
    so that nobody meets twice in a round. The first pairs alone are a balanced sample: how often
    two candidates have met somebody differs by 1 at most, with an odd number of candidates by 2.

    Args:
        candidates: how many; with one there are no pairs.
        seed: where each candidate stands in the circle.

    Returns:
        int64 ``[pairs, 2]``.
    """
    places = shuffled(np.arange(check_count("round_robin", candidates)), seed)
    if candidates % 2:
        places = np.append(places, -1)  # who meets this rests
    pairs: list[Int] = []
    for _ in range(len(places) - 1):
        half = len(places) // 2
        games = np.stack([places[:half], places[: half - 1 : -1]], axis=1)
        pairs.append(games[(games >= 0).all(axis=1)])
        places[1:] = np.roll(places[1:], 1)
    return np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)


class Knockout:
    """A knockout: who loses is out, until one is left. ``pairs`` asks, ``tell`` answers.

    The pairs of a round are drawn by the seed; with an odd number one of those who have rested
    least rests. Where every match is decided, ``n`` candidates need ``n - 1`` matches. A match that
    is not decided (level, or no verdict) puts nobody out, because a lot would be a win that nobody
    gave; those two do not meet again, and a round that decides nothing is the last one: who is left
    then is level.

    Args:
        candidates: how many.
        seed: draws the pairs.

    Source: knockouts over sampled solutions as in Liu et al., "PairJudge RM" (arXiv 2501.13007),
    and Guo et al., "Reward Reasoning Model" (arXiv 2505.14674); those draw lots for undecided
    matches.

    Examples:
        >>> from stepscore.voting import Knockout
        >>> quality = [0.2, 0.9, 0.5]
        >>> knockout = Knockout(3)
        >>> while len(pairs := knockout.pairs()):
        ...     knockout.tell([float(quality[a] > quality[b]) for a, b in pairs])
        >>> knockout.remaining.tolist(), knockout.matches
        ([1], 2)
    """

    def __init__(self, candidates: int, *, seed: int = 0) -> None:
        self.remaining: Int = np.arange(check_count("Knockout", candidates))
        self.rounds = 0  # that have been told
        self.matches = 0
        self._seed = seed
        self._out = np.full(candidates, -1)  # the round that put each out; -1: in
        self._rests = np.zeros(candidates, np.int64)
        self._met: set[frozenset[int]] = set()
        self._asked: Int | None = None
        self._over = False

    def pairs(self) -> Int:
        """Give the pairs of this round, int64 ``[matches, 2]``; none when it is over."""
        if self._asked is None:
            self._asked = self._draw()
        return self._asked

    def tell(self, points: Any) -> None:
        """Take the results of this round.

        Args:
            points: of the first of each pair, as in `Comparisons`: above one half the second is
                out, below it the first, else nobody.

        Raises:
            InputError: not one number per pair of this round.
        """
        pairs, results = self.pairs(), np.asarray(points, np.float64)
        if results.shape != (len(pairs),) or not len(pairs):
            raise InputError(
                f"one number per pair of this round, [{len(pairs)}]",
                got=str(list(results.shape)),
                argument="points",
                where="Knockout.tell",
            )
        losers = np.concatenate([pairs[results > 0.5, 1], pairs[results < 0.5, 0]])
        self._out[losers] = self.rounds
        self.remaining = self.remaining[self._out[self.remaining] < 0]
        self._met.update(frozenset(pair) for pair in pairs.tolist())
        self.rounds += 1
        self.matches += len(pairs)
        self._over = not len(losers)
        self._asked = None

    def scores(self) -> Float:
        """Give the share of the rounds that each has survived, ``[candidates]``; 1 is still in."""
        survived = np.where(self._out < 0, self.rounds, self._out)
        return np.asarray(survived / max(self.rounds, 1) if self.rounds else np.ones(len(survived)))

    def _draw(self) -> Int:
        waiting: list[int] = shuffled(self.remaining, self._seed, self.rounds).tolist()
        pairs: list[tuple[int, int]] = []
        if self._over:
            return np.empty((0, 2), np.int64)
        if len(waiting) % 2 and len(waiting) > 1:
            resting = min(waiting, key=lambda candidate: int(self._rests[candidate]))
            self._rests[resting] += 1
            waiting.remove(resting)
        while waiting:
            candidate = waiting.pop(0)
            unmet = [other for other in waiting if frozenset((candidate, other)) not in self._met]
            if unmet:
                waiting.remove(unmet[0])
                pairs.append((candidate, unmet[0]))
        return np.array(pairs, np.int64).reshape(-1, 2)


def shuffled(items: Int, *seeds: int) -> Int:
    """Put items in an order that the seeds decide, on every machine the same."""
    state = np.uint64(0)
    for seed in seeds:
        state = mix(state ^ np.uint64(seed % 2**64))[()]
    return items[np.argsort(mix(state ^ np.arange(len(items), dtype=np.uint64)), kind="stable")]


def check_count(call: str, candidates: object) -> int:
    """Refuse what is no number of candidates."""
    if isinstance(candidates, bool) or not isinstance(candidates, (int, np.integer)):
        raise InputError(
            "a whole number", got=type(candidates).__name__, argument="candidates", where=call
        )
    if candidates < 1:
        raise InputError("at least 1", got=str(candidates), argument="candidates", where=call)
    return int(candidates)
