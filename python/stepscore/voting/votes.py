"""Aggregated scores -> answer classes, ranks and winners."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.jobs.step_scores import Scored
from stepscore.ops import extract_answers, group_answers, vote
from stepscore.ops.answer_key import AnswerGroups
from stepscore.ops.vote import VoteResult
from stepscore.records.records import Candidate, InputError
from stepscore.voting.columns import usable
from stepscore.voting.rules import TypedRule
from stepscore.voting.settings import DEFAULT_SETTINGS, VoteSettings, objectives_of

_BEST_OF_N = "best_of_n"


@dataclass(frozen=True)
class Voted:
    """The answers of some records' candidates, and which of them win.

    What rules decide is ``[problems, rules, columns]``; a rule that reads no single column has the
    same in all of them.

    Attributes:
        answers: of each candidate; None where it gives none.
        groups: their classes, first seen = 0 within a problem, -1 = no answer.
        has_answers: whether a problem's candidates hold solutions or answers at all, [problems].
            Without, nothing can be counted: each candidate stands for itself in best-of-N.
        winner: index of the winning candidate, int64; -1 = none.
        score: what it reached, float64; NaN = none.
        tied: whether another answer reached the same.
        margin: score less that of the best other answer, float64; infinite without another.
        unfit: whether the rule has no vote because the scores are not what it reads.
        exists: whether the vote means something: there are answers to count, and the rule has a use
            for the column.
    """

    answers: list[str | None]
    groups: AnswerGroups
    has_answers: NDArray[np.bool_]
    winner: NDArray[np.int64]
    score: NDArray[np.float64]
    tied: NDArray[np.bool_]
    margin: NDArray[np.float64]
    unfit: NDArray[np.bool_]
    exists: NDArray[np.bool_]

    @property
    def classes(self) -> NDArray[np.int64]:
        """The class of each candidate."""
        return self.groups.ids


def vote_on(scored: Scored, settings: VoteSettings = DEFAULT_SETTINGS) -> Voted:
    """Let the candidates of every problem vote, under every rule and every aggregation.

    Majority counts every candidate with an answer. A candidate without a score, because truncation
    left steps out, takes no part in the other rules.

    Raises:
        InputError: objectives that these scores do not have, or a verifier that does not start.
    """
    columns = scored.columns
    objectives = objectives_of(settings, columns, bounded=scored.bounded)
    answers, groups = read_answers(scored, settings)
    has_answers = np.array([any(map(_can_answer, record.candidates)) for record in scored.records])
    known = usable(columns, bounded=scored.bounded)
    shape = (len(scored.records), len(settings.rules), len(columns))
    winner = np.empty(shape, dtype=np.int64)
    score, margin = np.empty(shape), np.empty(shape)
    tied, unfit, exists = (np.empty(shape, dtype=np.bool_) for _ in range(3))
    for r, rule in enumerate(settings.rules):
        ballots = ballots_of(rule, scored, groups.ids, has_answers)
        for c, column in enumerate(columns):
            if c == 0 or rule.reads_one_column:
                result, misfits = elect(rule, scored, ballots, column, objectives)
            winner[:, r, c] = result.winner
            score[:, r, c] = result.score
            tied[:, r, c] = result.tied
            margin[:, r, c] = result.margin
            unfit[:, r, c] = misfits
            means_something = column in known or not rule.reads_one_column
            exists[:, r, c] = means_something & ~misfits & (has_answers | (rule.name == _BEST_OF_N))
    return Voted(answers, groups, has_answers, winner, score, tied, margin, unfit, exists)


def ballots_of(
    rule: TypedRule, scored: Scored, classes: NDArray[np.int64], has_answers: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Give the answer that each candidate votes for under a rule; -1 = it takes no part.

    Where nothing can be counted, best-of-N alone still has a meaning.
    """
    if rule.name != _BEST_OF_N or has_answers.all():
        return classes
    sizes = np.diff(scored.offsets)
    own_class = np.arange(len(classes)) - np.repeat(scored.offsets[:-1], sizes)
    return np.where(np.repeat(has_answers, sizes), classes, own_class)


def elect(
    rule: TypedRule,
    scored: Scored,
    ballots: NDArray[np.int64],
    column: str,
    objectives: Sequence[str],
    **more: Any,
) -> tuple[VoteResult, NDArray[np.bool_]]:
    """Let the candidates vote under one rule.

    Args:
        rule: the rule.
        scored: the candidates with their scores.
        ballots: the answer that each votes for, -1 = it takes no part.
        column: the aggregation at hand.
        objectives: those of a rule that reads several.
        **more: for ``stepscore.vote``: ``prefixes``, ``class_scores``.

    Returns:
        The result, and which problems have scores that the rule does not read, and so no winner.
    """
    if not rule.reads_scores:
        nobody = np.zeros(len(scored.records), dtype=np.bool_)
        return vote(ballots, None, scored.offsets, rule.name, **more), nobody
    read = objectives if rule.reads_columns else [column]
    scores = scored.totals[:, [scored.columns.index(name) for name in read]]
    misfits = _misfits(rule, scored, ballots, read, scores)
    if misfits.any():
        ballots = np.where(np.repeat(misfits, np.diff(scored.offsets)), -1, ballots)
    cast_by = rule.rule
    if not rule.reads_columns:
        return vote(ballots, scores[:, 0], scored.offsets, cast_by, nan="drop", **more), misfits
    result = vote(ballots, scores, scored.offsets, cast_by, nan="drop", **more)
    # The same for every column: `columns` is the second axis.
    return VoteResult(*(None if field is None else field[:, 0] for field in result)), misfits


def _misfits(
    rule: TypedRule,
    scored: Scored,
    ballots: NDArray[np.int64],
    read: Sequence[str],
    scores: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Tell in which problems a candidate that takes part has a score that the rule does not read.

    NaN is no such score: it takes no part.
    """
    low, high = rule.rule.scores.low, rule.rule.scores.high
    if not all(rule.suits(name, bounded=scored.bounded) for name in read):
        outside = ~np.isnan(scores)
    elif low <= np.fmin.reduce(scores, axis=None) and np.fmax.reduce(scores, axis=None) <= high:
        return np.zeros(len(scored.records), dtype=np.bool_)
    else:
        outside = (scores < low) | (scores > high)
    faults = outside.any(axis=1) & ~np.isnan(scores).any(axis=1) & (ballots >= 0)
    return np.logical_or.reduceat(faults, scored.offsets[:-1])


def read_answers(scored: Scored, settings: VoteSettings) -> tuple[list[str | None], AnswerGroups]:
    """Give the answer of every candidate, and the classes of equal ones.

    The answer is the file's own, else an earlier run's, else the solution's.
    """
    candidates = [candidate for record in scored.records for candidate in record.candidates]
    given = [c.earlier_answer if c.answer is None else c.answer for c in candidates]
    # Steps that the recipe has split are free of step tags.
    solutions = [
        None if known is not None else candidate.solution if split is None else "\n".join(split)
        for known, candidate, split in zip(given, candidates, scored.split, strict=True)
    ]
    stated = extract_answers(solutions)
    answers = [
        found if known is None else known or None
        for known, found in zip(given, stated, strict=True)
    ]
    return answers, _group(answers, scored.offsets, settings)


def known_right(
    scored: Scored, answers: list[str | None], settings: VoteSettings
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], tuple[str, ...]]:
    """Tell which candidates are right, for the problems of which the file says it.

    Flags of the candidates count first, if all have one; else an answer is right if it is in the
    class of the record's known answer.

    Returns:
        Whether each candidate is right; of which problems that is known; and what the verifier
        could not decide, as in `AnswerGroups`.
    """
    right = np.zeros(len(answers), dtype=np.bool_)
    known = np.zeros(len(scored.records), dtype=np.bool_)
    pairs: list[str | None] = []
    asked: list[int] = []  # candidates, and the pair of each
    pair_of: list[int] = []
    for problem, (begin, end) in enumerate(pairwise(scored.offsets.tolist())):
        record = scored.records[problem]
        flags = [candidate.correct for candidate in record.candidates]
        known[problem] = None not in flags or record.answer is not None
        if None not in flags:
            right[begin:end] = flags
        elif record.answer is not None:
            # One by one: the units of other candidates have no say.
            own = answers[begin:end]
            number = {text: len(pairs) // 2 + n for n, text in enumerate(dict.fromkeys(own))}
            pairs += [text for answer in number for text in (record.answer, answer)]
            asked += range(begin, end)
            pair_of += [number[answer] for answer in own]
    groups = _group(pairs, np.arange(0, len(pairs) + 1, 2), settings)
    first, second = groups.ids.reshape(-1, 2).T
    right[asked] = ((first == second) & (second >= 0))[pair_of]
    return right, known, groups.undecided


def ranks(totals: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank the candidates of every problem: 1 is best, ties keep the file's order, NaN comes last.

    Args:
        totals: one score per candidate.
        offsets: where the candidates of each problem begin and end.

    Returns:
        int64 ``[candidates]``.
    """
    problems = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order = np.lexsort((-totals, problems))
    result = np.empty(len(totals), dtype=np.int64)
    result[order] = np.arange(len(totals)) - offsets[:-1][problems] + 1
    return result


def _can_answer(candidate: Candidate) -> bool:
    return any(
        part is not None
        for part in (candidate.answer, candidate.earlier_answer, candidate.solution)
    )


def _group(
    answers: list[str | None], offsets: NDArray[np.int64], settings: VoteSettings
) -> AnswerGroups:
    with warnings.catch_warnings():
        # What could not be decided is counted, and stands in the summary.
        warnings.filterwarnings("ignore", message="group_answers: math-verify gave no verdict")
        try:
            return group_answers(
                answers, offsets, extract=False, verify=settings.verify, explain=True
            )
        except RuntimeError as error:
            reason = str(error).removeprefix("group_answers: ")
            raise InputError(f"--verify {settings.verify}: {reason}") from error
