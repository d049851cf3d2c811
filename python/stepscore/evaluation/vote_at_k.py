"""What k samples per problem would vote for, estimated from the n that were drawn."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from math import comb
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays import host_integers
from stepscore.evaluation.at_k import AtK, estimate
from stepscore.evaluation.interval import IntervalName, check_interval
from stepscore.evaluation.majority import (
    CHEAP_MAJORITY_WORK,
    MOST_MAJORITY_WORK,
    AnswerClasses,
    answer_classes,
    majority_of_all,
    majority_work,
)
from stepscore.evaluation.problems import (
    TooFew,
    by_size,
    candidates_of,
    read_correct,
    read_problems,
    read_scores,
)
from stepscore.evaluation.subsets import (
    MOST_SUBSETS,
    Election,
    vote_of_all,
    vote_of_random,
)
from stepscore.ops import Rule, vote
from stepscore.ops.aggregate import Aggregation
from stepscore.ops.vote import NanPolicy, RuleName, Ties
from stepscore.ops.vote_rule import check_rule_name
from stepscore.ragged import check_shape

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

Method: TypeAlias = Literal["auto", "exact", "subsets"]


def vote_at_k(
    correct: Any,
    answer_ids: Any,
    scores: Any,
    offsets: Any,
    ks: int | Sequence[int],
    rule: RuleName | Rule,
    *,
    how: Aggregation | None = None,
    ties: Ties = "first",
    nan: NanPolicy = "error",
    method: Method = "auto",
    subsets: int = 1000,
    too_few: TooFew = "error",
    interval: IntervalName = "bootstrap",
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
        scores: ``[n]``, or `stepscore.StepScores` of the n candidates; None is allowed where the
            rule needs none.
        offsets: where the candidates of each problem begin and end, int64 ``[problems + 1]``.
        ks: k, one or several, at least 1.
        rule: one rule of `stepscore.vote`, a name or a `stepscore.Rule` with its parameters.
        how: the aggregation of `StepScores`; None takes the one of their recipe.
        ties: see `stepscore.vote`.
        nan: see `stepscore.vote`.
        method: ``"exact"``, ``"subsets"``, or ``"auto"``: exact where that costs no more than the
            random subsets.
        subsets: random subsets per problem, at least 2.
        too_few: see `pass_at_k`.
        interval: ``"bootstrap"``, ``"normal"`` or ``"wilson"``; see `mean_interval`.
        confidence: of the interval.
        resamples: of the bootstrap.
        seed: of the subsets and the bootstrap.
        **parameters: of the rule; they go in 0.3, pass a `stepscore.Rule`.

    Returns:
        `AtK`; `exact` says which values are.

    Raises:
        ValueError: as `pass_at_k` and `stepscore.vote`; a problem that is too large to be exact
            under ``method="exact"``.

    Examples:
        >>> answers, right = [7, 7, 8], [1, 1, 0]
        >>> vote_at_k(right, answers, None, [0, 3], [1, 2, 3], "majority").mean.round(3)
        array([0.667, 0.667, 1.   ])

    Source: unbiased in the sense of pass@k, derived here; for the rules see `stepscore.Rule`.
    """
    op = "vote_at_k"
    right = read_correct(op, correct)
    answers = host_integers(op, "answer_ids", answer_ids)
    check_shape(op, "answer_ids", answers, len(right), "correct")
    rewards = None if scores is None else read_scores(op, scores, how)
    if rewards is not None:
        check_shape(op, "scores", rewards, len(right), "correct")
    bounds, sizes = read_problems(op, offsets, ks, len(right), too_few)
    check_interval(op, interval, confidence, resamples)
    rule = _read_rule(rule, parameters)
    if method not in get_args(Method):
        raise ValueError(f'{op}: method must be "auto", "exact" or "subsets"; got {method!r}')
    if subsets < 2:
        raise ValueError(f"{op}: subsets must be at least 2; got {subsets}")
    # Refuses bad data before any work.
    vote(answers, rewards, bounds, rule, ties=ties, nan=nan)
    classes = answer_classes(right, answers, bounds)
    verdicts = np.append(classes.verdicts, 0.0)[classes.class_of]
    election = Election(verdicts, answers, rewards, rule, ties, nan)
    # Ascending, so that they can be the prefixes of one vote; each row is a k.
    ascending, columns = np.unique(sizes, return_inverse=True)
    values, exact, by_subset = _values(election, classes, bounds, ascending, method, subsets, seed)
    counts = np.maximum((~np.isnan(values)).sum(axis=1), 1)
    error = (by_subset / counts).std(axis=0, ddof=1) / np.sqrt(subsets)
    return estimate(
        np.ascontiguousarray(values[columns].T),
        np.ascontiguousarray(exact[columns].T),
        error[columns],
        interval,
        confidence,
        resamples,
        seed,
    )


def _read_rule(rule: RuleName | Rule, parameters: Mapping[str, Any]) -> Rule:
    if isinstance(rule, str):
        check_rule_name("vote_at_k", rule)
        rule = Rule(rule, **parameters)
        if parameters:
            warnings.warn(
                f"vote_at_k: parameters beside the rule go in stepscore 0.3; pass {rule!r}",
                DeprecationWarning,
                stacklevel=3,
            )
        return rule
    if not isinstance(rule, Rule):
        raise TypeError(f"vote_at_k: rule must be a name or a Rule; got {rule!r}")
    if parameters:
        raise TypeError(
            f"vote_at_k: {min(parameters)} stands beside a Rule, which has its parameters already"
        )
    return rule


def _values(
    election: Election,
    classes: AnswerClasses,
    offsets: Int,
    ks: Int,
    method: Method,
    subsets: int,
    seed: int,
) -> tuple[Float, Bool, Float]:
    """Give value and exactness ``[ks, problems]``, and the sum over problems of every subset."""
    by_classes = election.rule.name == "majority" and election.ties == "first"
    values = np.full((len(ks), len(offsets) - 1), np.nan)
    exact = np.ones(values.shape, dtype=np.bool_)
    by_subset = np.zeros((subsets, len(ks)))
    for n, problems in by_size(offsets):
        fitting = ks[ks <= n].tolist()
        for row, k in enumerate(fitting):
            countable = _countable(classes, problems, n, k, method, subsets, by_classes)
            exact[row, problems] = countable
            counted = problems[countable]
            if len(counted) and by_classes:
                values[row, counted] = majority_of_all(classes, counted, n, k)
            elif len(counted):
                values[row, counted] = vote_of_all(election, candidates_of(offsets, counted, n), k)
        rows = slice(len(fitting))
        sampled = problems[~exact[rows, problems].all(axis=0)]
        if len(sampled):
            wanted = ~exact[rows, sampled]
            means, sums = vote_of_random(
                election, candidates_of(offsets, sampled, n), fitting, wanted, subsets, seed
            )
            values[rows, sampled] = np.where(wanted, means, values[rows, sampled])
            by_subset[:, rows] += sums.T
    return values, exact, by_subset


def _countable(
    classes: AnswerClasses,
    problems: Int,
    n: int,
    k: int,
    method: Method,
    subsets: int,
    by_classes: bool,
) -> Bool:
    """Which problems are counted exactly, by their classes or subset by subset."""
    if by_classes:
        cheap, most = CHEAP_MAJORITY_WORK, MOST_MAJORITY_WORK
        work = majority_work(classes, problems, n, k)
    else:
        cheap, most = min(subsets, MOST_SUBSETS), MOST_SUBSETS
        work = np.full(len(problems), float(min(comb(n, k), most + 1)))
    countable: Bool = work <= {"auto": cheap, "exact": most, "subsets": -1}[method]
    if method == "exact" and not countable.all():
        raise ValueError(
            f"vote_at_k: {k} of the {n} candidates of problem {problems[~countable][0]} are too "
            'many for method="exact"; pass method="subsets", or leave out that k'
        )
    return countable
