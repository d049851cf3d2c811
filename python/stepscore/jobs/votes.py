"""Scored records -> answers, winners, and who is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    scores, records = scored.scores, scored.records
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
        [record.answer for record in records],
        answers.texts,
        scores.offsets,
        flags=[candidate.correct for record in records for candidate in record.candidates],
        verify=settings.verify,
    )
    return VotedRecords(answers, elections, grades)


def answers_of(scored: ScoredRecords, settings: VoteSettings) -> Answers:
    """Read the answer of every candidate: the file's, else an earlier run's, else the text's."""
    candidates = [candidate for record in scored.records for candidate in record.candidates]
    given = stated_answers([candidate.answer for candidate in candidates])
    stated = [
        candidate.earlier_answer if answer is None else answer
        for candidate, answer in zip(candidates, given, strict=True)
    ]
    for candidate in scored.skipped:  # whatever it says, it takes no part
        stated[candidate] = ""
    if None not in stated:
        return read_answers(stated, (), scored.scores.offsets, verify=settings.verify)
    # Steps that the recipe has split are free of step tags.
    solutions = [
        None
        if answer is not None
        else candidate.text or candidate.solution
        if steps is None
        else "\n".join(steps)
        for answer, candidate, steps in zip(stated, candidates, scored.split, strict=True)
    ]
    return read_answers(stated, solutions, scored.scores.offsets, verify=settings.verify)
