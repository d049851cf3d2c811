"""Scored records and their votes -> lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepscore.jobs.scored import ScoredRecords
from stepscore.jobs.votes import VotedRecords
from stepscore.ops.result_lines import CandidateResults, VoteResults, result_lines
from stepscore.records import Fields, RecordError
from stepscore.voting import DEFAULT_SETTINGS, VoteSettings, ranks


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

    def results(
        self, scored: ScoredRecords, voted: VotedRecords | None
    ) -> tuple[CandidateResults, VoteResults | None]:
        """Give the results of the records as arrays; without votes also without ranks, answers."""
        scores = scored.scores
        skipped = np.zeros(int(scores.offsets[-1]), np.bool_)
        skipped[list(scored.skipped)] = True
        candidates = CandidateResults(scores.offsets, scores.truncated, skipped)
        if scores.has_steps:
            candidates = candidates._replace(
                step_scores=scores.values, step_offsets=scores.step_offsets
            )
        if scores.has_scores:
            candidates = candidates._replace(scores=scores.totals)
        votes = None
        if voted is not None:
            if scores.has_scores:
                ranked = ranks(scores.by(self.how), scores.offsets)
                candidates = candidates._replace(ranks=ranked)
            answers, elections = voted.answers, voted.elections
            candidates = candidates._replace(answers=answers.texts, classes=answers.classes)
            votes = VoteResults(
                elections.winner[..., -1],
                elections.score[..., -1],
                elections.tied[..., -1],
                elections.margin[..., -1],
            )
        return candidates, votes

    def lines(self, scored: ScoredRecords, voted: VotedRecords | None) -> bytes:
        """Give the lines of the records; without votes also without ranks and answers.

        Raises:
            RecordError: an earlier provenance that JSON cannot hold.
        """
        scores, places = scored.scores, scored.records.places
        candidates, votes = self.results(scored, voted)
        provenance = [_encode(self.provenance)] * len(places)
        for record, scored_by in scored.records.scored_by.items():
            try:
                provenance[record] = _encode({**self.provenance, "scored_by": scored_by})
            except ValueError as error:  # every number was checked on its way in
                raise RecordError(
                    "a result that JSON can hold",
                    got=str(error),
                    place=places[record],
                    record_id=scored.records.ids[record],
                ) from error
        return result_lines(
            scored.records.lines,
            provenance,
            candidates._replace(heads=_heads(scored)),
            votes,
            result=self.fields.result,
            columns=scores.columns,
            rules=[rule.label for rule in self.settings.rules],
        )


# A result is a tree that was made here: looking for circles in it would cost a tenth of the time.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode


def _heads(scored: ScoredRecords) -> dict[int, str]:
    """Give candidate -> what stands first in its result, as JSON without the braces."""
    heads: dict[int, dict[str, Any]] = {
        place: {"skipped": reason, "step_scores": None} for place, reason in scored.skipped.items()
    }
    for place, steps in scored.split.items():
        heads.setdefault(place, {})["steps"] = steps
    return {place: _encode(fields)[1:-1] for place, fields in heads.items()}
