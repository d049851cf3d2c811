"""Scored records -> answers, winners, and who is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepscore.answers import Answers, Grades, grade, read_answers, stated_answers
from stepscore.jobs.scored import ScoredRecords
from stepscore.voting import DEFAULT_SETTINGS, Elections, VoteSettings, elect


@dataclass(frozen=True)
class VotedRecords:
    """What is known of some records once their candidates have voted.

    Attributes:
        answers: of the candidates.
        elections: which of them win.
        grades: which of them are right, as far as the file says it.
    """

    answers: Answers
    elections: Elections
    grades: Grades


def vote_on(
    scored: ScoredRecords,
    settings: VoteSettings = DEFAULT_SETTINGS,
    *,
    sizes: Sequence[int] = (),
    class_scores: bool = False,
) -> VotedRecords:
    """Let the candidates of every record vote, and compare them with the known answers.

    Args:
        scored: the records.
        settings: how the candidates vote.
        sizes, class_scores: see `stepscore.voting.elect`.

    Raises:
        InputError: objectives that these scores do not have, or a verifier that does not start.
    """
    scores = scored.scores
    answers = answers_of(scored, settings)
    elections = elect(
        scores,
        answers.classes,
        answers.has_answers,
        settings,
        sizes=sizes,
        class_scores=class_scores,
    )
    grades = grade(
        scored.records.known,
        answers,
        scores.offsets,
        flags=scored.records.correct,
        verify=settings.verify,
    )
    return VotedRecords(answers, elections, grades)


def answers_of(scored: ScoredRecords, settings: VoteSettings) -> Answers:
    """Read the answer of every candidate: the file's, else an earlier run's, else the text's."""
    records = scored.records
    answers, stated = stated_answers(records.answers), records.stated
    if records.read_before or scored.skipped:
        stated = stated.copy()
        stated[list(records.read_before)] = np.arange(len(records.read_before)) + len(answers)
        answers += records.read_before.values()
        stated[list(scored.skipped)] = len(answers)  # whatever it says, it takes no part
        answers.append("")
    solutions = dict(records.solutions)
    for candidate, steps in scored.split.items():  # they are free of step tags
        solutions[candidate] = "\n".join(steps)
    return read_answers(answers, stated, solutions, scored.scores.offsets, verify=settings.verify)
