"""What k samples per problem would reach, estimated from the n that were drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays.call import host_integers, host_reals
from stepscore.evaluation.interval import check_interval, mean_interval
from stepscore.evaluation.majority import (
    CHEAP_MAJORITY_WORK,
    MOST_MAJORITY_WORK,
    answer_classes,
    majority_of_all,
    majority_work,
)
from stepscore.evaluation.subsets import MOST_SUBSETS, Ballot, vote_of_all, vote_of_random
from stepscore.ops import Rule, vote
from stepscore.ragged import check_shape, read_offsets

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

_BLOCK = 1 << 20  # candidates


class AtK(NamedTuple):
    """An estimate for every k.

    Attributes:
        values: of every problem, float64 ``[problems, ks]``; NaN = it has fewer than k candidates.
        mean: over the problems that have a value, float64 ``[ks]``.
        low: lower end of the confidence interval for the choice of the problems, float64 ``[ks]``.
        high: upper end, float64 ``[ks]``.
        exact: whether the value is exact, bool ``[problems, ks]``; else it comes from random
            subsets.
        sampling_error: standard error of `mean` that is due to the random subsets alone, float64
            ``[ks]``; 0 where all is exact. The interval contains it already, in the values.
    """

    values: Float
    mean: Float
    low: Float
    high: Float
    exact: Bool
    sampling_error: Float


def pass_at_k(
    correct: Any,
    offsets: Any,
    ks: int | Sequence[int],
    *,
    too_few: str = "error",
    interval: str = "bootstrap",
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> AtK:
    r"""Estimate how often one of k samples is right.

    .. math:: \mathrm{pass@}k = 1 - \binom{n - c}{k} / \binom{n}{k}
              = \sum_{i=1}^{c} \binom{n - i}{k - 1} / \binom{n}{k}

    for a problem with n candidates of which c are right: unbiased, and without cancellation in the
    second form, which is the one that is computed.

    Args:
        correct: whether each candidate is right, bool or 0 and 1, ``[n]``.
        offsets: where the candidates of each problem begin and end, int64 ``[problems + 1]``.
        ks: k, one or several, at least 1.
        too_few: a problem with fewer than k candidates: ``"error"``, or ``"nan"``, which leaves it
            out of the mean for this k.
        interval: ``"bootstrap"``, ``"normal"`` or ``"wilson"``; see `mean_interval`.
        confidence: of the interval.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        `AtK`; all of it exact.

    Raises:
        ValueError: lengths or offsets that do not fit, `correct` other than 0 and 1, a k below 1,
            a problem with fewer than k candidates under ``too_few="error"`` (the message names the
            first).

    Source: "Evaluating Large Language Models Trained on Code".
    """
    op = "pass_at_k"
    right = _read_correct(op, correct)
    bounds, sizes = _read_problems(op, offsets, ks, len(right), too_few)
    check_interval(op, interval, confidence, resamples)
    counts = np.concatenate([[0], np.cumsum(right, dtype=np.int64)])[bounds]
    c = np.diff(counts)
    values = np.full((len(bounds) - 1, len(sizes)), np.nan)
    for n, problems in _by_size(bounds):
        for column, k in enumerate(sizes):
            if k <= n:
                reached = np.concatenate([[0.0], np.cumsum(_rank_weights(n, k))])
                reached[n - k + 1 :] = 1.0  # too few are wrong to fill k places
                values[problems, column] = reached[c[problems]]
    exact = np.ones(values.shape, dtype=np.bool_)
    return _estimate(values, exact, np.zeros(len(sizes)), interval, confidence, resamples, seed)


def prm_at_k(
    correct: Any,
    scores: Any,
    offsets: Any,
    ks: int | Sequence[int],
    *,
    nan: str = "error",
    too_few: str = "error",
    interval: str = "bootstrap",
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> AtK:
    r"""Estimate how often the best-scored of k samples is right (best-of-k).

    .. math:: \mathrm{prm@}k = \sum_{i=1}^{n} \bar y_{(i)} \binom{n - i}{k - 1} / \binom{n}{k}

    with the n candidates of a problem in order of falling score and :math:`\bar y_{(i)}` the share
    of right ones among those that have the score of candidate (i): unbiased, equal scores being
    chosen from with equal chances.

    Args:
        correct: whether each candidate is right, bool or 0 and 1, ``[n]``.
        scores: ``[n]``.
        offsets: where the candidates of each problem begin and end, int64 ``[problems + 1]``.
        ks: k, one or several, at least 1.
        nan: ``"error"`` raises on a NaN score; ``"drop"`` never chooses that candidate, which still
            counts as a sample.
        too_few: see `pass_at_k`.
        interval: ``"bootstrap"``, ``"normal"`` or ``"wilson"``; see `mean_interval`.
        confidence: of the interval.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        `AtK`; all of it exact.

    Raises:
        ValueError: as `pass_at_k`, or a NaN score.

    Source: best-of-N as in search-and-learn, which reads the first k samples; the closed form is
    its mean over all subsets, derived here.
    """
    op = "prm_at_k"
    right = _read_correct(op, correct).astype(np.float64)
    rewards = host_reals(op, "scores", scores)
    check_shape(op, "scores", rewards, len(right), "correct")
    missing = np.isnan(rewards)
    if nan not in ("error", "drop"):
        raise ValueError(f'{op}: nan must be "error" or "drop"; got {nan!r}')
    if nan == "error" and missing.any():
        raise ValueError(
            f'{op}: scores[{np.argmax(missing)}] is NaN; nan="drop" never chooses that candidate'
        )
    bounds, sizes = _read_problems(op, offsets, ks, len(right), too_few)
    check_interval(op, interval, confidence, resamples)
    right[missing] = 0.0
    values = np.full((len(bounds) - 1, len(sizes)), np.nan)
    for n, problems in _by_size(bounds):
        weights = {column: _rank_weights(n, k) for column, k in enumerate(sizes) if k <= n}
        for block in _blocks(problems, n) if weights else ():
            candidates = _candidates(bounds, block, n)
            falling = -rewards[candidates]  # NaN is sorted behind all
            order = np.argsort(falling, axis=1)
            falling = np.take_along_axis(falling, order, 1)
            verdicts = np.take_along_axis(right[candidates], order, 1)
            verdicts = _mean_of_equals(falling, verdicts)
            for column, weight in weights.items():
                # Over their own sum: where all are right the result is 1 to the last bit.
                whole = np.einsum("pn,n->p", np.ones((1, n)), weight)
                values[block, column] = np.einsum("pn,n->p", verdicts, weight) / whole
    exact = np.ones(values.shape, dtype=np.bool_)
    return _estimate(values, exact, np.zeros(len(sizes)), interval, confidence, resamples, seed)


def vote_at_k(
    correct: Any,
    answer_ids: Any,
    scores: Any,
    offsets: Any,
    ks: int | Sequence[int],
    rule: str,
    *,
    method: str = "auto",
    subsets: int = 1000,
    too_few: str = "error",
    interval: str = "bootstrap",
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    **parameters: Any,
) -> AtK:
    r"""Estimate how often the answer that k samples vote for is right.

    .. math:: \mathrm{vote@}k = \binom{n}{k}^{-1} \sum_{|S| = k}
              \mathrm{E}[\, y(\mathrm{vote}(S)) \,]

    over the subsets of a problem's n candidates, each in random order: the first seen of tied
    answers wins, so that tied answers of a majority have equal chances. :math:`y(a)` is the
    share of right candidates among the n that give the answer a, 0 or 1 where the judge and the
    grouping agree; 0 where nobody gives an answer. A candidate without an answer counts as a
    sample and takes no part in the vote. (``best_of_n`` so elects an answer; `prm_at_k` judges the
    chosen candidate itself.)

    - exact ``majority``: the multivariate hypergeometric distribution of the class sizes, by
      dynamic programming over the classes
    - exact, other rules: `stepscore.vote` on all subsets in one call
    - ``subsets``: `stepscore.vote` on random subsets. They depend on the seed, on n and on the
      problem's own data: not on the other problems. Larger k extend the subsets of smaller k.

    Args:
        correct: whether each candidate is right, bool or 0 and 1, ``[n]``.
        answer_ids: int64 ``[n]``, equal ids within a problem are equal answers; -1 = no answer.
        scores: ``[n]``; None is allowed where the rule needs none.
        offsets: where the candidates of each problem begin and end, int64 ``[problems + 1]``.
        ks: k, one or several, at least 1.
        rule: one rule of `stepscore.vote`.
        method: ``"exact"``, ``"subsets"``, or ``"auto"``: exact where that costs no more than the
            random subsets.
        subsets: random subsets per problem, at least 2.
        too_few: see `pass_at_k`.
        interval: ``"bootstrap"``, ``"normal"`` or ``"wilson"``; see `mean_interval`.
        confidence: of the interval.
        resamples: of the bootstrap.
        seed: of the subsets and the bootstrap.
        **parameters: those of `stepscore.vote`, such as ``nan="drop"``.

    Returns:
        `AtK`; `exact` says which values are.

    Raises:
        ValueError: as `pass_at_k` and `stepscore.vote`; a problem that is too large to be exact
            under ``method="exact"``.

    Source: unbiased in the sense of pass@k, derived here; for the rules see `stepscore.vote`.
    """
    op = "vote_at_k"
    right = _read_correct(op, correct)
    answers = host_integers(op, "answer_ids", answer_ids)
    check_shape(op, "answer_ids", answers, len(right), "correct")
    rewards = None if scores is None else host_reals(op, "scores", scores)
    if rewards is not None:
        check_shape(op, "scores", rewards, len(right), "correct")
    bounds, sizes = _read_problems(op, offsets, ks, len(right), too_few)
    check_interval(op, interval, confidence, resamples)
    if not isinstance(rule, str):
        raise TypeError(f"{op}: rule must be one name; got {rule!r}")
    if method not in ("auto", "exact", "subsets"):
        raise ValueError(f'{op}: method must be "auto", "exact" or "subsets"; got {method!r}')
    if subsets < 2:
        raise ValueError(f"{op}: subsets must be at least 2; got {subsets}")
    vote(answers, rewards, bounds, Rule(rule, **parameters))  # refuses a bad ballot before any work
    classes = answer_classes(right, answers, bounds)
    verdicts = np.append(classes.verdicts, 0.0)[classes.of]
    ballot = Ballot(verdicts, answers, rewards, rule, parameters)
    by_classes = rule == "majority" and not parameters
    most = MOST_MAJORITY_WORK if by_classes else MOST_SUBSETS
    cheap = CHEAP_MAJORITY_WORK if by_classes else min(subsets, most)
    limit = {"auto": cheap, "exact": most, "subsets": -1}[method]
    values = np.full((len(bounds) - 1, len(sizes)), np.nan)
    exact = np.ones(values.shape, dtype=np.bool_)
    by_subset = np.zeros((subsets, len(sizes)))
    for n, problems in _by_size(bounds):
        for column, k in enumerate(sizes):
            if k > n:
                continue
            if by_classes:
                work = majority_work(classes, problems, n, k)
            else:
                work = np.full(len(problems), min(comb(n, k), most + 1))
            counted, sampled = problems[work <= limit], problems[work > limit]
            if method == "exact" and len(sampled):
                raise ValueError(
                    f"{op}: {k} of the {n} candidates of problem {sampled[0]} are too many for "
                    'method="exact"; pass method="subsets", or leave out that k'
                )
            exact[sampled, column] = False
            if len(counted) and by_classes:
                values[counted, column] = majority_of_all(classes, counted, n, k)
            elif len(counted):
                values[counted, column] = vote_of_all(ballot, _candidates(bounds, counted, n), k)
            if len(sampled):
                values[sampled, column], sums = vote_of_random(
                    ballot, _candidates(bounds, sampled, n), k, subsets, seed
                )
                by_subset[:, column] += sums
    counts = np.maximum((~np.isnan(values)).sum(axis=0), 1)
    error = (by_subset / counts).std(axis=0, ddof=1) / np.sqrt(subsets)
    return _estimate(values, exact, error, interval, confidence, resamples, seed)


def _read_correct(op: str, correct: Any) -> Bool:
    verdicts = host_reals(op, "correct", correct)
    check_shape(op, "correct", verdicts)
    if (other := np.flatnonzero((verdicts != 0) & (verdicts != 1))).size:
        i = other[0]
        raise ValueError(f"{op}: correct must be true or false; correct[{i}] is {verdicts[i]}")
    right: Bool = verdicts != 0
    return right


def _read_problems(
    op: str, offsets: Any, ks: int | Sequence[int], n: int, too_few: str
) -> tuple[Int, list[int]]:
    """The offsets and the list of k, checked against each other."""
    if too_few not in ("error", "nan"):
        raise ValueError(f'{op}: too_few must be "error" or "nan"; got {too_few!r}')
    bounds = read_offsets(op, offsets, n, "candidates")
    sizes = np.atleast_1d(host_integers(op, "ks", ks))
    check_shape(op, "ks", sizes)
    if not len(sizes) or sizes.min() < 1:
        raise ValueError(f"{op}: ks must hold at least one k, each 1 or more; got {sizes.tolist()}")
    counts = np.diff(bounds)
    if too_few == "error" and (short := np.flatnonzero(counts < sizes.max())).size:
        raise ValueError(
            f"{op}: problem {short[0]} has {counts[short[0]]} candidates, fewer than k = "
            f'{sizes.max()}; leave out that k, or pass too_few="nan" to leave out such problems'
        )
    return bounds, sizes.tolist()


def _by_size(bounds: Int) -> Iterator[tuple[int, Int]]:
    """Problems with equally many candidates together: how many, and which problems."""
    counts = np.diff(bounds)
    order = np.argsort(counts, kind="stable")
    cuts = np.flatnonzero(np.diff(counts[order])) + 1
    for problems in np.split(order, cuts):
        if len(problems):
            yield int(counts[problems[0]]), problems


def _blocks(problems: Int, n: int) -> list[Int]:
    """Cut problems into blocks whose candidates a cache holds."""
    return np.array_split(problems, -(-len(problems) * n // _BLOCK))


def _candidates(bounds: Int, problems: Int, n: int) -> Int:
    return bounds[problems, None] + np.arange(n)


def _rank_weights(n: int, k: int) -> Float:
    r"""How likely the candidate of rank i is the best of k, :math:`i = 1 \dots n`.

    :math:`\binom{n - i}{k - 1} / \binom{n}{k}`, as a product of the ratios of neighbours: all
    positive and below 1, so nothing overflows and nothing cancels.
    """
    i = np.arange(1, n)
    ratios = np.maximum(n - i - k + 1, 0) / (n - i)
    return np.cumprod(np.concatenate([[k / n], ratios]))


def _mean_of_equals(falling: Float, verdicts: Float) -> Float:
    """Replace the verdicts of equally scored candidates of a problem by their mean."""
    new = np.ones(falling.shape, dtype=np.bool_)
    new[:, 1:] = falling[:, 1:] != falling[:, :-1]
    begin = np.flatnonzero(new)
    if len(begin) == new.size:
        return verdicts
    times = np.diff(begin, append=new.size)
    means = np.add.reduceat(verdicts.ravel(), begin) / times
    return np.repeat(means, times).reshape(verdicts.shape)


def _estimate(
    values: Float,
    exact: Bool,
    sampling_error: Float,
    interval: str,
    confidence: float,
    resamples: int,
    seed: int,
) -> AtK:
    ends = mean_interval(values, interval, confidence=confidence, resamples=resamples, seed=seed)
    return AtK(values, *ends, exact, sampling_error)
