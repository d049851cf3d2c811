"""Aggregated scores -> answer classes, ranks and winners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepscore.ops import extract_answers, group_answers, vote
from stepscore.pipeline.records import Candidate, Record
from stepscore.pipeline.step_scores import Scored

RULES = ("majority", "weighted", "best_of_n")
_MAJORITY = 0


@dataclass(frozen=True)
class Voted:
    """The answers of some records' candidates, and which of them win.

    Attributes:
        answers: of each candidate; None where it gives none.
        classes: int64 [candidates]; first seen = 0 within a problem, -1 = no answer.
        has_answers: whether a problem's candidates hold solutions or answers at all, [problems].
            Without, nothing can be counted: each candidate stands for itself in best-of-N.
        winner: index of the winning candidate, int64 [problems, RULES, columns]; -1 = none.
        score: what it reached, float64 of the same shape; NaN = none.
        tied: whether another answer reached the same, of the same shape.
    """

    answers: list[str | None]
    classes: NDArray[np.int64]
    has_answers: NDArray[np.bool_]
    winner: NDArray[np.int64]
    score: NDArray[np.float64]
    tied: NDArray[np.bool_]


def vote_on(scored: Scored) -> Voted:
    """Let the candidates of every problem vote, under every rule and every aggregation.

    Majority counts every candidate with an answer. A candidate without a score, because truncation
    left steps out, takes no part in the other rules.
    """
    records = scored.records
    answers, classes = read_answers(scored)
    has_answers = np.array([any(map(_can_answer, record.candidates)) for record in records])
    sizes = np.diff(scored.offsets)
    own_class = np.arange(len(classes)) - np.repeat(scored.offsets[:-1], sizes)
    ballots = np.where(np.repeat(has_answers, sizes), classes, own_class)
    shape = (len(records), len(RULES), len(scored.columns))
    winner = np.full(shape, -1, dtype=np.int64)
    score = np.full(shape, np.nan)
    tied = np.zeros(shape, dtype=np.bool_)
    most = vote(ballots, None, scored.offsets, "majority")
    winner[:, _MAJORITY] = most.winner[:, None]
    score[:, _MAJORITY] = most.score[:, None]
    tied[:, _MAJORITY] = most.tied[:, None]
    for column in range(len(scored.columns)):
        totals = np.ascontiguousarray(scored.totals[:, column])
        best = vote(ballots, totals, scored.offsets, list(RULES[1:]), nan="drop")
        winner[:, 1:, column] = best.winner
        score[:, 1:, column] = best.score
        tied[:, 1:, column] = best.tied
    countless = ~has_answers
    winner[countless, :2] = -1
    score[countless, :2] = np.nan
    tied[countless, :2] = False
    return Voted(answers, classes, has_answers, winner, score, tied)


def read_answers(scored: Scored) -> tuple[list[str | None], NDArray[np.int64]]:
    """Give the answer of every candidate, and its class among those of its problem.

    The answer is the file's own, else an earlier run's, else the solution's.
    """
    candidates = [candidate for record in scored.records for candidate in record.candidates]
    given = [c.found if c.answer is None else c.answer for c in candidates]
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
    # By keys alone: a table must not depend on what else is installed.
    return answers, group_answers(answers, scored.offsets, extract=False, verify=None)


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
    return any(part is not None for part in (candidate.answer, candidate.found, candidate.solution))


def known_correct(record: Record, answers: list[str | None]) -> list[bool] | None:
    """Tell which candidates of a record are right; None where the file does not say.

    Flags of the candidates count first, if all have one; else an answer is right if it is in the
    class of the record's known answer.
    """
    flags = [candidate.correct for candidate in record.candidates]
    if None not in flags:
        return [flag is True for flag in flags]
    if record.answer is None:
        return None
    # One by one: the units of other candidates have no say.
    pairs = [text for answer in answers for text in (record.answer, answer)]
    classes = group_answers(pairs, np.arange(0, len(pairs) + 1, 2), extract=False, verify=None)
    return [known == own != -1 for known, own in classes.reshape(-1, 2).tolist()]
