"""Votes of subsets of a problem's candidates: of all subsets, or of random ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepscore.ops import Rule, VoteResult, vote
from stepscore.ops.vote import NanPolicy, Ties
from stepscore.seeds import GOLDEN, finalize
from stepscore.voting.leaders import SHOWS_BEST

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Bits = NDArray[np.uint64]

MOST_SUBSETS = 1 << 18  # that vote_of_all should be asked for

_BLOCK = 1 << 20  # candidates in one call of vote


class Election(NamedTuple):
    """What is voted on, and how.

    Attributes:
        verdicts: how right the answer of each candidate is, float64 ``[n]``.
        answer_ids: int64 ``[n]``; -1 = no answer.
        scores: float64 ``[n]``, or None.
        rule: which answer wins.
        ties, nan: of `stepscore.vote`.
    """

    verdicts: Float
    answer_ids: Int
    scores: Float | None
    rule: Rule
    ties: Ties = "first"
    nan: NanPolicy = "error"

    def hold(self, rows: Int, prefixes: list[int] | None = None) -> VoteResult:
        """Let every row of candidates ``[..., k]`` vote; winners are indices into the flat rows."""
        flat = rows.ravel()
        scores = None if self.scores is None else self.scores[flat]
        offsets = np.arange(0, len(flat) + 1, rows.shape[-1])
        return vote(
            self.answer_ids[flat],
            scores,
            offsets,
            self.rule,
            ties=self.ties,
            nan=self.nan,
            prefixes=prefixes,
        )

    def verdict_on(self, rows: Int, winner: Int) -> Float:
        """How right the winners among the flat rows are, of their shape; 0 where there is none."""
        return np.where(winner < 0, 0.0, self.verdicts[rows.ravel()[winner]])


def vote_of_all(election: Election, candidates: Int, k: int) -> Float:
    """Give the mean verdict on the votes of all subsets of k, tied answers having equal chances.

    Equal chances per candidate, that is: first seen in a random order.

    Args:
        election: the rule and the data of all candidates.
        candidates: of problems of one size, ``[problems, n]``.
        k: 1 to n.

    Returns:
        ``[problems]``.
    """
    n = candidates.shape[1]
    flat = np.fromiter(chain.from_iterable(combinations(range(n), k)), np.int64, comb(n, k) * k)
    subsets = flat.reshape(-1, k)
    means = np.empty(len(candidates))
    for block in _blocks(len(candidates), subsets.size):
        rows = candidates[block][:, subsets]  # [problems, subsets, k]
        result, shape = election.hold(rows), rows.shape[:2]
        verdicts = election.verdict_on(rows, result.winner).reshape(shape)
        tied = result.tied.reshape(shape)
        verdicts[tied] = _in_any_order(election, rows[tied], verdicts[tied])
        means[block] = verdicts.mean(axis=1)
    return means


def vote_of_random(
    election: Election, candidates: Int, ks: list[int], wanted: Bool, count: int, seed: int
) -> tuple[Float, Float]:
    """Give the mean verdict on the votes of random subsets of every k.

    Every problem puts its candidates in an order of its own, drawn from its data, and then all
    problems of one size take the same places. Their errors thus do not add up where candidates are
    sorted, and the sums over problems are independent from one subset to the next. A subset of k
    is the first k places of a random order, for every k: the prefixes of one vote.

    Args:
        election: the rule and the data of all candidates.
        candidates: of problems of one size, ``[problems, n]``.
        ks: ascending, 1 to n.
        wanted: which k of a problem count in the sums, ``[ks, problems]``.
        count: how many subsets.
        seed: of the subsets.

    Returns:
        The means ``[ks, problems]``, and the sums over the problems ``[ks, count]``.
    """
    n = candidates.shape[1]
    shuffled = np.empty_like(candidates)
    for block in _blocks(len(candidates), n):
        shuffled[block] = _order_of_its_own(election, candidates[block])
    totals, by_subset = np.zeros((len(ks), len(candidates))), np.zeros((len(ks), count))
    key = finalize(finalize(_bits(seed)) ^ _bits(n))
    for drawn in _blocks(count, n):
        numbers = np.arange(drawn.start, drawn.stop, dtype=np.uint64)
        places = _order(finalize(key ^ numbers), n)[:, : ks[-1]]
        for block in _blocks(len(candidates), places.size):
            rows = shuffled[block][:, places]  # [problems, subsets, k]
            winner = np.ascontiguousarray(election.hold(rows, prefixes=ks).winner.T)
            verdicts = election.verdict_on(rows, winner.reshape(len(ks), *rows.shape[:2]))
            totals[:, block] += verdicts.sum(axis=2)
            by_subset[:, drawn] += (verdicts * wanted[:, block, None]).sum(axis=1)
    return totals / count, by_subset


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Cut `count` items of `size` candidates each into blocks; the cuts depend on nothing else."""
    step = max(_BLOCK // size, 1)
    return (slice(begin, min(begin + step, count)) for begin in range(0, count, step))


def _in_any_order(election: Election, rows: Int, otherwise: Float) -> Float:
    """Give the verdict on the first seen of tied answers, averaged over the orders of each row.

    Of all candidates that decide when they are seen first each has the same chance; which they are
    shows when each candidate in turn is put first.
    """
    k = rows.shape[1]
    orders = np.array([[first, *range(first), *range(first + 1, k)] for first in range(k)])
    result = np.empty(len(rows))
    for block in _blocks(len(rows), k * k):
        votes = election.hold(rows[block][:, orders])
        if election.rule.name in SHOWS_BEST:
            wins = votes.answer_id.reshape(-1, k) == election.answer_ids[rows[block]]
        else:
            wins = (votes.winner == k * np.arange(len(votes.winner))).reshape(-1, k)
        right = (wins * election.verdicts[rows[block]]).sum(axis=1)
        # Sums that are equal in one order of addition only may leave no winner: then the first.
        times = wins.sum(axis=1)
        result[block] = np.where(times > 0, right / np.maximum(times, 1), otherwise[block])
    return result


def _order_of_its_own(election: Election, candidates: Int) -> Int:
    """The candidates of every problem in an order that its own data decides."""
    bits = np.arange(candidates.shape[1], dtype=np.uint64)
    for values in (election.answer_ids, election.verdicts, election.scores):
        if values is not None:
            bits = finalize(bits ^ finalize(values[candidates].view(np.uint64)))
    key = np.bitwise_xor.reduce(bits, axis=1)
    return np.take_along_axis(candidates, _order(key, candidates.shape[1]), axis=1)


def _order(keys: Bits, n: int) -> Int:
    """A random order of n places for every key, ``[keys]`` -> ``[keys, n]``."""
    counters = np.arange(1, n + 1, dtype=np.uint64) * GOLDEN
    return np.argsort(finalize(keys[:, None] + counters), axis=1)


def _bits(value: int) -> Bits:
    return np.array([value & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)  # a scalar would warn
