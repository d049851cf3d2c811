"""Scored records and their votes -> lines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.jobs.step_scores import Scored
from stepscore.records.records import Fields, Record, SentenceError, insert_result
from stepscore.voting.settings import DEFAULT_SETTINGS, VoteSettings
from stepscore.voting.votes import Voted, ranks


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

    def lines(self, scored: Scored, voted: Voted | None) -> Iterator[str]:
        """Give one line per record; without votes also without ranks and answers."""
        candidates = _candidate_results(scored)
        if voted is not None:
            totals = scored.totals[:, scored.columns.index(self.how)]
            _add_ranks(candidates, ranks(totals, scored.offsets), voted)
        elections = None if voted is None else _Elections(scored, voted, self.settings)
        bounds = scored.offsets.tolist()
        for problem, record in enumerate(scored.records):
            result: dict[str, Any] = {
                "candidates": candidates[bounds[problem] : bounds[problem + 1]]
            }
            if elections is not None:
                result["votes"] = elections.of(problem)
            result["provenance"] = self._provenance_of(record)
            try:
                text = _encode(result)
            except ValueError as error:  # every number was checked on its way in
                raise SentenceError(
                    record.place, record.id, f"cannot be written: {error}"
                ) from error
            yield insert_result(record, self.fields, text) + "\n"

    def _provenance_of(self, record: Record) -> dict[str, Any]:
        if record.scored_by is None:
            return self.provenance
        return {**self.provenance, "scored_by": record.scored_by}


# A result is a tree that was made here: looking for circles in it would cost a tenth of the time.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode


def _candidate_results(scored: Scored) -> list[dict[str, Any]]:
    totals = _rows(scored.totals)
    results = []
    for steps, scores, row, lost in zip(
        scored.split, scored.step_scores, totals, scored.truncated.tolist(), strict=True
    ):
        result: dict[str, Any] = {}
        if steps is not None:
            result["steps"] = steps
        if scores is not None:
            result["step_scores"] = scores if not lost else [_finite(score) for score in scores]
        if lost:
            result["truncated"] = lost
        result["scores"] = dict(zip(scored.columns, row, strict=True))
        results.append(result)
    return results


def _add_ranks(results: list[dict[str, Any]], ranked: NDArray[np.int64], voted: Voted) -> None:
    for result, rank, answer, answer_class in zip(
        results, ranked.tolist(), voted.answers, voted.classes.tolist(), strict=True
    ):
        result["rank"] = rank
        result["answer"] = answer
        result["answer_class"] = answer_class


class _Elections:
    """The votes of one chunk, as they are written."""

    def __init__(self, scored: Scored, voted: Voted, settings: VoteSettings) -> None:
        self._columns = scored.columns
        self._rules = [rule.label for rule in settings.rules]
        self._answers = voted.answers
        self._begins = scored.offsets.tolist()
        score, margin = _or_none(voted.score), _or_none(voted.margin)
        self._fields = [voted.winner.tolist(), score, voted.tied.tolist(), margin]

    def of(self, problem: int) -> dict[str, dict[str, dict[str, Any] | None]]:
        """Give rule -> aggregation -> winner; None where the two have no winner."""
        begin, answers = self._begins[problem], self._answers
        by_rule = zip(*(field[problem] for field in self._fields), strict=True)
        return {
            rule: {
                column: None
                if winner < 0
                else {
                    "winner": winner - begin,
                    "answer": answers[winner],
                    "score": score,
                    "tied": tied,
                    "margin": margin,
                }
                for column, winner, score, tied, margin in zip(self._columns, *fields, strict=True)
            }
            for rule, fields in zip(self._rules, by_rule, strict=True)
        }


def _or_none(values: NDArray[np.float64]) -> list[Any]:
    """Give nested lists, with None for what JSON has no number for."""
    found = values.astype(np.object_)
    found[~np.isfinite(values)] = None
    rows: list[Any] = found.tolist()
    return rows


def _rows(totals: NDArray[np.float64]) -> list[list[float | None]]:
    rows: list[list[float | None]] = totals.tolist()
    if not np.isfinite(totals).all():
        rows = [[_finite(value) for value in row] for row in rows]
    return rows


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
