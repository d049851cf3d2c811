"""Votes of subsets of a problem's candidates: of all subsets, or of random ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepscore.ops import Rule, VoteResult, vote

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Bits = NDArray[np.uint64]

MOST_SUBSETS = 1 << 18  # that vote_of_all should be asked for

_BLOCK = 1 << 20  # candidates in one call of vote


class Ballot(NamedTuple):
    """What is voted on, and how.

    Attributes:
        verdicts: how right the answer of each candidate is, float64 ``[n]``.
        answer_ids: int64 ``[n]``; -1 = no answer.
        scores: float64 ``[n]``, or None.
        rule: of `stepscore.vote`.
        parameters: of `stepscore.vote`.
    """

    verdicts: Float
    answer_ids: Int
    scores: Float | None
    rule: str
    parameters: dict[str, Any]


def vote_of_all(ballot: Ballot, candidates: Int, k: int) -> Float:
    """Give the mean verdict on the votes of all subsets of k, tied answers having equal chances.

    Equal chances per candidate, that is: first seen in a random order.

    Args:
        ballot: the votes.
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
        rows = candidates[block][:, subsets]
        elected, tied = _elect(ballot, rows)
        elected[tied] = _elect_in_any_order(ballot, rows[tied], elected[tied])
        means[block] = elected.mean(axis=1)
    return means


def vote_of_random(
    ballot: Ballot, candidates: Int, k: int, count: int, seed: int
) -> tuple[Float, Float]:
    """Give the mean verdict on the votes of random subsets of k.

    Every problem puts its candidates in an order of its own, drawn from its data, and then all
    problems of one size take the same places. Their errors thus do not add up where candidates are
    sorted, and the sums over problems are independent from one subset to the next.

    Args:
        ballot: the votes.
        candidates: of problems of one size, ``[problems, n]``.
        k: 1 to n.
        count: how many subsets.
        seed: of the subsets.

    Returns:
        The means ``[problems]``, and the sums over the problems ``[count]``.
    """
    n = candidates.shape[1]
    shuffled = np.empty_like(candidates)
    for block in _blocks(len(candidates), n):
        shuffled[block] = _own_order(ballot, candidates[block])
    totals, by_subset = np.zeros(len(candidates)), np.zeros(count)
    key = _mix(_mix(_bits(seed)) ^ _bits(n))
    for drawn in _blocks(count, n):
        # All places in an order: its first k are the subset of k, for every k.
        places = _order(_mix(key ^ np.arange(drawn.start, drawn.stop, dtype=np.uint64)), n)[:, :k]
        for block in _blocks(len(candidates), places.size):
            elected, _ = _elect(ballot, shuffled[block][:, places])
            totals[block] += elected.sum(axis=1)
            by_subset[drawn] += elected.sum(axis=0)
    return totals / count, by_subset


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Cut `count` items of `size` candidates each into blocks; the cuts depend on nothing else."""
    step = max(_BLOCK // size, 1)
    return (slice(begin, min(begin + step, count)) for begin in range(0, count, step))


def _vote(ballot: Ballot, rows: Int) -> VoteResult:
    """Let every row of candidates vote, ``[..., k]``; a winner is an index into the flat rows."""
    flat = rows.ravel()
    scores = None if ballot.scores is None else ballot.scores[flat]
    bounds = np.arange(0, len(flat) + 1, rows.shape[-1])
    return vote(ballot.answer_ids[flat], scores, bounds, Rule(ballot.rule, **ballot.parameters))


def _elect(ballot: Ballot, rows: Int) -> tuple[Float, Bool]:
    """Give the verdict on the vote of every row, ``[..., k]``, and whether it was tied."""
    found, shape = _vote(ballot, rows), rows.shape[:-1]
    elected = np.where(found.winner < 0, 0.0, ballot.verdicts[rows.ravel()[found.winner]])
    return elected.reshape(shape), found.tied.reshape(shape)


def _elect_in_any_order(ballot: Ballot, rows: Int, otherwise: Float) -> Float:
    """Give the verdict on the first seen of tied answers, averaged over the orders of each row.

    The answer of the first seen of all candidates with a tied answer wins, so that each of these
    has the same chance; which they are shows when each candidate in turn is put first.
    """
    k = rows.shape[1]
    others = np.array([[j, *range(j), *range(j + 1, k)] for j in range(k)])
    result = np.empty(len(rows))
    for block in _blocks(len(rows), k * k):
        answer = _vote(ballot, rows[block][:, others]).answer_id.reshape(-1, k)
        wins = answer == ballot.answer_ids[rows[block]]
        right = (wins * ballot.verdicts[rows[block]]).sum(axis=1)
        # Sums that are equal in one order of addition only may leave no winner: then the first.
        times = wins.sum(axis=1)
        result[block] = np.where(times > 0, right / np.maximum(times, 1), otherwise[block])
    return result


def _own_order(ballot: Ballot, candidates: Int) -> Int:
    """The candidates of every problem in an order that its own data decides."""
    bits = np.arange(candidates.shape[1], dtype=np.uint64)
    for values in (ballot.answer_ids, ballot.verdicts, ballot.scores):
        if values is not None:
            bits = _mix(bits ^ _mix(values[candidates].view(np.uint64)))
    key = np.bitwise_xor.reduce(bits, axis=1)
    return np.take_along_axis(candidates, _order(key, candidates.shape[1]), axis=1)


def _order(keys: Bits, n: int) -> Int:
    """A random order of n places for every key, ``[keys]`` -> ``[keys, n]``."""
    counters: Bits = np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN
    return np.argsort(_mix(keys[:, None] + counters), axis=1)


def _bits(value: int) -> Bits:
    return np.array([value & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)  # a scalar would warn


# SplitMix64: the golden ratio as its increment, and its finalizer.
_GOLDEN = _bits(0x9E3779B97F4A7C15)


def _mix(bits: Bits) -> Bits:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Bits = bits ^ (bits >> np.uint64(31))
    return mixed
