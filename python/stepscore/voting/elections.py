"""Scores and classes of answers -> winners, under every rule and by every column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepscore.ops import Rule, vote
from stepscore.ops.vote_rule import ScoreNeeds
from stepscore.ragged import segment_of
from stepscore.voting.columns import usable
from stepscore.voting.rules import TypedRule
from stepscore.voting.scores import CandidateScores
from stepscore.voting.settings import VoteSettings, objectives_of


@dataclass(frozen=True)
class Elections:
    """Which candidates of some problems win.

    What rules decide is ``[problems, rules, columns, sizes]``. The last of the sizes is that of the
    largest problem, so that everybody votes; a rule that reads no single column has the same in all
    of them. Where the vote means nothing there is no winner.

    Attributes:
        winner: index of the winning candidate, int64; -1 = none.
        score: what its answer reached, float64; NaN = none.
        tied: whether another answer reached the same.
        margin: score less that of the best other answer, float64; infinite without another.
        class_scores: what the answer of each candidate reached, float64 ``[candidates, rules,
            columns, sizes]``; None unless asked for.
        unfit: whether the rule has no vote because the scores are not what it reads, bool
            ``[problems, rules, columns]``.
        exists: whether the vote means something: there are answers to count, and the rule has a use
            for the column, bool ``[problems, rules, columns]``.
        size_at: where each of the sizes that were asked for stands on the last axis.
        sizes: of the last axis, ascending.
        ids: the answer of each candidate as it was voted on, int64 ``[candidates]``: its class, or
            where nothing can be counted an answer of its own; -1 = none. Below the number of its
            problem's candidates.
        rules: as they were voted by, each with the columns that it reads together.
    """

    winner: NDArray[np.int64]
    score: NDArray[np.float64]
    tied: NDArray[np.bool_]
    margin: NDArray[np.float64]
    class_scores: NDArray[np.float64] | None
    unfit: NDArray[np.bool_]
    exists: NDArray[np.bool_]
    size_at: tuple[int, ...]
    sizes: tuple[int, ...]
    ids: NDArray[np.int64]
    rules: tuple[Rule, ...]


def elect(
    scores: CandidateScores,
    classes: NDArray[np.int64],
    has_answers: NDArray[np.bool_],
    settings: VoteSettings,
    *,
    sizes: Sequence[int] = (),
    class_scores: bool = False,
) -> Elections:
    """Let the candidates of every problem vote, under every rule and by every column, in one call.

    ``majority`` counts every candidate with an answer. A candidate without a score, because
    truncation left steps out, takes no part in the other rules.

    Args:
        scores: of the candidates.
        classes: the answer of each candidate, int64 ``[candidates]``: equal within a problem where
            the answers are, and below the number of its candidates; -1 = none, it takes no part.
        has_answers: whether there is anything to count, bool ``[problems]``. Without, each
            candidate stands for itself under a rule that chooses one, as ``best_of_n``, and the
            other rules have no vote.
        settings: rules and objectives.
        sizes: vote over the first so many candidates of every problem as well, ascending.
        class_scores: whether to give what every answer reached.

    Raises:
        InputError: objectives that these scores do not have.
    """
    largest = int(np.diff(scores.offsets).max(initial=1))
    smaller = [size for size in sizes if size < largest]
    size_at = tuple(smaller.index(size) if size < largest else len(smaller) for size in sizes)
    objectives = objectives_of(settings, scores.columns, bounded=scores.bounded)
    read = [scores.columns.index(name) for name in objectives]
    unfit = _unfit(scores, classes, settings.rules, read)
    exists = _exists(scores, has_answers, settings.rules) & ~unfit
    ids = classes
    if not has_answers.all():
        problem = segment_of(scores.offsets)
        own = np.arange(len(classes)) - scores.offsets[problem]
        ids = np.where(has_answers[problem], classes, own)
    rules = tuple(rule.over(read) for rule in settings.rules)
    result = vote(
        ids,
        scores.totals,
        scores.offsets,
        rules,
        nan="drop",
        unfit="nan",
        prefixes=[*smaller, largest],
        class_scores=class_scores,
    )
    for values, nothing in (
        (result.winner, -1),
        (result.score, np.nan),
        (result.tied, False),
        (result.margin, np.nan),
    ):
        np.copyto(values, nothing, where=~exists[..., None])
    if result.class_scores is not None:
        result.class_scores[~exists[segment_of(scores.offsets)]] = np.nan
    return Elections(
        result.winner,
        result.score,
        result.tied,
        result.margin,
        result.class_scores,
        unfit,
        exists,
        size_at,
        (*smaller, largest),
        ids,
        rules,
    )


def _exists(
    scores: CandidateScores, has_answers: NDArray[np.bool_], rules: Sequence[TypedRule]
) -> NDArray[np.bool_]:
    """Tell where a vote means something, ``[problems, rules, columns]``."""
    known = usable(scores.columns, bounded=scores.bounded)
    has_use = np.array(
        [
            [column in known or not rule.reads_one_column for column in scores.columns]
            for rule in rules
        ]
    )
    stands_alone = np.array([rule.chooses_one for rule in rules])
    can_count = has_answers[:, None] | stands_alone
    return np.asarray(can_count[:, :, None] & has_use)


def _unfit(
    scores: CandidateScores,
    classes: NDArray[np.int64],
    rules: Sequence[TypedRule],
    read: Sequence[int],
) -> NDArray[np.bool_]:
    """Tell in which problems a candidate that takes part has a score that a rule does not read.

    NaN is no such score: it takes no part.

    Args:
        read: the columns of the rules that read several.

    Returns:
        bool ``[problems, rules, columns]``.
    """
    columns, totals = scores.columns, scores.totals
    unfit = np.zeros((scores.problems, len(rules), len(columns)), np.bool_)
    problem_of, votes = segment_of(scores.offsets), classes >= 0
    outside = {needs: _outside(totals, needs) for needs in {rule.rule.scores for rule in rules}}
    for r, rule in enumerate(rules):
        if not rule.reads_scores:
            continue
        for c, column in enumerate(columns):
            if rule.suits(column, bounded=scores.bounded):
                faults = outside[rule.rule.scores].get(c)
            else:
                faults = ~np.isnan(totals[:, c])
            if faults is None:
                continue
            if not rule.reads_columns:
                unfit[problem_of[votes & faults], r, c] = True
            elif c in read:
                takes_part = votes & ~np.isnan(totals[:, read]).any(axis=1)
                unfit[problem_of[takes_part & faults], r] = True
    return unfit


def _lie_within(values: NDArray[np.float64], low: float, high: float) -> bool:
    """Tell whether all do; NaN does not."""
    return not values.size or bool(values.min() >= low and values.max() <= high)


def _outside(totals: NDArray[np.float64], needs: ScoreNeeds) -> dict[int, NDArray[np.bool_]]:
    """Tell which scores are not what a rule needs, ``[candidates]`` for columns that have some."""
    if needs.kind == "any" or _lie_within(totals, needs.low, needs.high):
        return {}
    outside = (totals < needs.low) | (totals > needs.high)
    return {c: outside[:, c] for c in np.flatnonzero(outside.any(axis=0)).tolist()}
