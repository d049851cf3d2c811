"""Exact majority votes of k samples: every composition of the sample, none of them drawn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stepscore.ragged import offsets_of, segment_of

Int = NDArray[np.int64]
Float = NDArray[np.float64]

# In units of `majority_work`; the first costs about as much as 1,000 random subsets.
CHEAP_MAJORITY_WORK = 1 << 20
MOST_MAJORITY_WORK = 1 << 25

_BLOCK = 1 << 20  # probabilities of one table


class AnswerClasses(NamedTuple):
    """The answers of every problem, the most frequent first.

    Attributes:
        counts: candidates of each class, int64 ``[classes]``.
        verdicts: the share of right ones among them, float64 ``[classes]``.
        offsets: where the classes of each problem begin and end, int64 ``[problems + 1]``.
        class_of: the class of every candidate, int64 ``[n]``; -1 = no answer.
    """

    counts: Int
    verdicts: Float
    offsets: Int
    class_of: Int


def answer_classes(correct: NDArray[np.bool_], answer_ids: Int, offsets: Int) -> AnswerClasses:
    """Count the answers of every problem, and the right ones among those who gave them."""
    problems = segment_of(offsets)
    order = np.lexsort((answer_ids, problems))
    order = order[answer_ids[order] >= 0]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (np.diff(answer_ids[order]) != 0) | (np.diff(problems[order]) != 0)
    begin = np.flatnonzero(new)
    counts = np.diff(begin, append=len(order))
    verdicts = np.add.reduceat(correct[order], begin, dtype=np.float64) / counts
    owners = problems[order][begin]
    # An order that the numbering of the answers cannot change: equal problems, equal bits.
    rank = np.lexsort((-verdicts, -counts, owners))
    place = np.empty(len(rank), dtype=np.int64)
    place[rank] = np.arange(len(rank))
    class_of = np.full(len(answer_ids), -1)
    class_of[order] = np.repeat(place, counts)
    bounds = np.searchsorted(owners, np.arange(len(offsets)))
    return AnswerClasses(counts[rank], verdicts[rank], bounds, class_of)


def majority_work(classes: AnswerClasses, problems: Int, n: int, k: int) -> Float:
    """Give what `majority_of_all` costs for each of some problems, about in multiplications."""
    if k == n:
        return np.zeros(len(problems))
    begin, end = classes.offsets[problems], classes.offsets[problems + 1]
    top = np.where(begin < end, np.append(classes.counts, 0)[begin], 0)
    work: Float = _table_size(classes, problems) * np.minimum(top, k) * (k + 1.0) ** 2
    return work


def _table_size(classes: AnswerClasses, problems: Int) -> Float:
    """Classes of each problem, once for each of those that are not wrong."""
    right = offsets_of(classes.verdicts > 0)[classes.offsets]
    rows, width = np.diff(right)[problems], np.diff(classes.offsets)[problems]
    return np.maximum(rows, 1.0) * np.maximum(width, 1)


def majority_of_all(classes: AnswerClasses, problems: Int, n: int, k: int) -> Float:
    r"""Give the expected verdict on the most frequent answer of k of a problem's n candidates.

    .. math:: \sum_a y_a P(a),\quad P(a) = \binom{n}{k}^{-1} \sum_{m_1 + \ldots + m_A + m_- = k}
              \binom{n_-}{m_-} \prod_b \binom{n_b}{m_b}
              \frac{[m_a = \max_b m_b > 0]}{|\{b : m_b = m_a\}|}

    with :math:`n_- = n - \sum_b n_b` candidates without an answer.

    Args:
        classes: of all problems.
        problems: which of them; each has n candidates.
        n: candidates.
        k: samples, 1 to n.

    Returns:
        ``[problems]``.
    """
    values = np.empty(len(problems))
    size = _table_size(classes, problems)
    order = np.argsort(size, kind="stable")  # rows of like length together
    step = max(int(_BLOCK / (size.max(initial=1) * (k + 1) ** 2)), 1)
    for begin in range(0, len(order), step):
        block = order[begin : begin + step]
        values[block] = _majority(classes, problems[block], n, k)
    return values


def _majority(classes: AnswerClasses, problems: Int, n: int, k: int) -> Float:
    begin, end = classes.offsets[problems], classes.offsets[problems + 1]
    width = np.arange(max((end - begin).max(), 1))
    there = width < (end - begin)[:, None]
    place = np.where(there, begin[:, None] + width, 0)
    counts = np.where(there, np.append(classes.counts, 0)[place], 0)
    verdicts = np.where(there, np.append(classes.verdicts, 0.0)[place], 0.0)
    # One row for every answer that is not wrong: its count, then those of the others.
    owner, leader = np.nonzero(verdicts)
    others = np.argsort(width != leader[:, None], axis=1, kind="stable")
    rows = np.take_along_axis(counts[owner], others, axis=1)
    # Most problems share their class sizes with others.
    distinct, which = np.unique(rows, axis=0, return_inverse=True)
    chances = _chance_to_lead(distinct, n, k)[which.reshape(-1)]
    values = np.zeros(len(problems))
    np.add.at(values, owner, verdicts[owner, leader] * chances)
    return np.minimum(values, 1.0)


def _chance_to_lead(counts: Int, n: int, k: int) -> Float:
    """Give the probability that the first class of every row leads among k of n candidates.

    The classes of a row ``[rows, classes]`` are drawn one after the other. For each number m of
    samples that the first one may get, the state is how many other classes have m too, and how
    many samples are still to come; more than m of one class is the end.
    """
    if k == n:  # what the vote itself gives, to the last bit
        top = counts.max(axis=1)
        return np.where(counts[:, 0] == top, 1 / (counts == top[:, None]).sum(axis=1), 0.0)
    draws = _draws(counts, n, k)
    chance = np.zeros(len(counts))
    for m in range(1, min(k, int(counts[:, 0].max(initial=0))) + 1):
        left = k - m + 1  # states: 0 to k - m samples to come
        tied = min(left // m, counts.shape[1] - 1) + 1
        # m more places, which stay 0, so that every state sees the m behind it.
        states = np.zeros((len(counts), tied, left + m))
        states[:, 0, k - m] = draws[:, 0, k - m, m]
        for draw in range(1, counts.shape[1]):
            chances = draws[:, draw, :left]
            following = np.zeros(states.shape)
            behind = sliding_window_view(states, m, axis=2)[:, :, :left]
            np.einsum("utrj,urj->utr", behind, chances[:, :, :m], out=following[:, :, :left])
            following[:, 1:, :left] += states[:, :-1, m:] * chances[:, None, :, m]
            states = following
        chance += (states.sum(axis=2) / np.arange(1, tied + 1)).sum(axis=1)
    return chance


def _draws(counts: Int, n: int, k: int) -> Float:
    """Give how one class after the other takes its samples, ``[rows, classes, k + 1, k + 1]``.

    ``[u, a, r, j]`` is the probability that j of r + j samples are of class a, all of them drawn
    from class a, those after it and the candidates without an answer.
    """
    size_of_class = counts[:, :, None]
    left = n - (np.cumsum(counts, axis=1) - counts)[:, :, None]
    j = np.arange(k + 1)
    draws = np.zeros((*counts.shape, k + 1, k + 1))
    chance = np.zeros((*counts.shape, k + 1))
    chance[:, :, 0] = 1.0
    for size in range(k + 1):
        if size:  # one more sample: of the class, or of another
            of_class = np.clip(size_of_class - j, 0, None) * chance
            chance = np.clip(left - size_of_class - (size - 1 - j), 0, None) * chance
            chance[:, :, 1:] += of_class[:, :, :-1]
            chance /= np.maximum(left - (size - 1), 1)
            chance *= left >= size
        taken = j[: size + 1]
        draws[:, :, size - taken, taken] = chance[:, :, : size + 1]
    return draws
