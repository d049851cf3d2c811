"""Scored records and their votes -> lines."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import pairwise, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.answers import Answers
from stepscore.jobs.scored import ScoredRecords
from stepscore.jobs.votes import VotedRecords
from stepscore.records import Fields, Record, RecordError, insert_result
from stepscore.voting import DEFAULT_SETTINGS, CandidateScores, VoteSettings, ranks


@dataclass(frozen=True)
class ResultWriter:
    """Writes the result of every record behind the record's own fields.

    Attributes:
        fields: the names of the fields.
        provenance: what stands beside every result.
        how: the aggregation that ranks.
        settings: the rules that the votes are named by.
    """

    fields: Fields
    provenance: dict[str, Any]
    how: str
    settings: VoteSettings = DEFAULT_SETTINGS

    def lines(self, scored: ScoredRecords, voted: VotedRecords | None) -> Iterator[str]:
        """Give one line per record; without votes also without ranks and answers."""
        candidates = _candidate_results(scored)
        votes: Iterator[dict[str, Any] | None] = repeat(None)
        if voted is not None:
            if scored.scores.has_scores:
                ranked = ranks(scored.scores.by(self.how), scored.scores.offsets)
                _add_ranks(candidates, ranked, scored.skipped)
            _add_answers(candidates, voted.answers)
            votes = self._votes(scored.scores, voted)
        bounds = pairwise(scored.scores.offsets.tolist())
        for record, (begin, end), vote in zip(scored.records, bounds, votes, strict=False):
            result: dict[str, Any] = {"candidates": candidates[begin:end]}
            if vote is not None:
                result["votes"] = vote
            result["provenance"] = self._provenance_of(record)
            try:
                text = _encode(result)
            except ValueError as error:  # every number was checked on its way in
                raise RecordError(
                    "a result that JSON can hold",
                    got=str(error),
                    place=record.place,
                    record_id=record.id,
                ) from error
            yield insert_result(record, self.fields, text) + "\n"

    def _provenance_of(self, record: Record) -> dict[str, Any]:
        if record.scored_by is None:
            return self.provenance
        return {**self.provenance, "scored_by": record.scored_by}

    def _votes(self, scores: CandidateScores, voted: VotedRecords) -> Iterator[dict[str, Any]]:
        """Give rule -> aggregation -> winner of every problem; None where there is no winner."""
        elections, answers = voted.elections, voted.answers.texts
        labels = [rule.label for rule in self.settings.rules]
        fields = zip(
            scores.offsets.tolist(),
            elections.winner[..., -1].tolist(),
            _or_none(elections.score[..., -1]),
            elections.tied[..., -1].tolist(),
            _or_none(elections.margin[..., -1]),
            strict=False,  # the offsets have an end more
        )
        for begin, *by_rule in fields:
            yield {
                label: {
                    column: None
                    if winner < 0
                    else {
                        "winner": winner - begin,
                        "answer": answers[winner],
                        "score": score,
                        "tied": tied,
                        "margin": margin,
                    }
                    for column, winner, score, tied, margin in zip(
                        scores.columns, *by_column, strict=True
                    )
                }
                for label, *by_column in zip(labels, *by_rule, strict=True)
            }


# A result is a tree that was made here: looking for circles in it would cost a tenth of the time.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode


def _candidate_results(scored: ScoredRecords) -> list[dict[str, Any]]:
    scores = scored.scores
    steps: Iterator[list[Any] | None] = repeat(None)
    if scores.has_steps:
        values, bounds = _or_none(scores.values), scores.step_offsets.tolist()
        steps = (values[begin:end] for begin, end in pairwise(bounds))
    rows = zip(
        scored.split, steps, _or_none(scores.totals), scores.truncated.tolist(), strict=False
    )
    results = []
    for place, (texts, step_scores, totals, lost) in enumerate(rows):
        result: dict[str, Any] = {}
        if place in scored.skipped:
            result |= {"skipped": scored.skipped[place], "step_scores": None}
            step_scores = None
        if texts is not None:
            result["steps"] = texts
        if step_scores is not None:
            result["step_scores"] = step_scores
        if lost:
            result["truncated"] = lost
        if scores.has_scores:
            result["scores"] = dict(zip(scores.columns, totals, strict=True))
        results.append(result)
    return results


def _add_ranks(
    results: list[dict[str, Any]], ranked: NDArray[np.int64], skipped: Container[int]
) -> None:
    for place, (result, rank) in enumerate(zip(results, ranked.tolist(), strict=True)):
        result["rank"] = None if place in skipped else rank


def _add_answers(results: list[dict[str, Any]], answers: Answers) -> None:
    for result, answer, answer_class in zip(
        results, answers.texts, answers.classes.tolist(), strict=True
    ):
        result["answer"] = answer
        result["answer_class"] = answer_class


def _or_none(values: NDArray[np.float64]) -> list[Any]:
    """Give nested lists, with None for what JSON has no number for."""
    if np.isfinite(values).all():
        plain: list[Any] = values.tolist()
        return plain
    objects = values.astype(np.object_)
    objects[~np.isfinite(values)] = None
    rows: list[Any] = objects.tolist()
    return rows
