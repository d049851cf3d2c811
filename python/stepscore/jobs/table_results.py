"""Results of records as the columns of a table."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import numpy as np

from stepscore.jobs.results import ResultWriter
from stepscore.jobs.scored import ScoredRecords
from stepscore.jobs.table_kinds import REPEATED, Column
from stepscore.jobs.table_rows import Rows
from stepscore.jobs.votes import VotedRecords
from stepscore.ops.result_lines import CandidateResults, VoteResults

# Of a candidate -> the kind of its value.
_KINDS: dict[str, Any] = {
    "step_scores": ["float"],
    "steps": ["text"],
    "truncated": "int",
    "skipped": "text",
    "rank": "int",
    "answer": "text",
    "answer_class": "int",
}
_OF_A_VOTE: dict[str, Any] = {
    "winner": "int",
    "answer": "text",
    "score": "float",
    "tied": "bool",
    "margin": "float",
}


class _Vote(NamedTuple):
    """Who wins, as `VoteResults` says it of many."""

    winner: int
    score: float
    tied: bool
    margin: float


class ResultColumns:
    """Collects the results of records, and gives them back where their rows stand.

    Args:
        rows: of the table.
        length: how many there are.
        writer: gives the results as arrays.
        one_each: whether every row is one candidate, which has its values in the row itself; else
            a row has a list of them, one of each of its candidates.
    """

    def __init__(self, rows: Rows, length: int, writer: ResultWriter, *, one_each: bool) -> None:
        self._rows = rows
        self._length = length
        self._writer = writer
        self._one_each = one_each
        self._values: dict[str, list[Any]] = {}
        self._kinds: dict[str, Any] = {}
        self._columns: tuple[str, ...] = ()
        self._provenance = json.dumps(writer.provenance, ensure_ascii=False)

    def add(self, scored: ScoredRecords, voted: VotedRecords | None) -> None:
        """Put the results of some records where their rows stand."""
        self._columns = scored.scores.columns
        results, elected = self._writer.results(scored, voted)
        every = _of_candidates(results, scored)
        votes = None if elected is None else self._votes(elected)
        offsets = scored.scores.offsets.tolist()
        for record, place in enumerate(scored.records.places):
            rows = self._rows.rows_of(place)
            begin, end = offsets[record : record + 2]
            starts = [begin + start for _, start in rows]
            scored_by = scored.records.scored_by.get(record)
            for (row, _), first, last in zip(rows, starts, [*starts[1:], end], strict=True):
                for name, values in every.items():
                    self._put(name, row, values[first] if self._one_each else values[first:last])
                if "rank" in every:
                    ranks = every["rank"][first:last]
                    chosen = ranks.index(1) if 1 in ranks else None
                    self._put("chosen", row, chosen == 0 if self._one_each else chosen)
                if votes is not None:
                    self._put("votes", row, self._of_row(votes[record], every, first, last))
                self._put("provenance", row, self._told(scored_by))

    @property
    def filled(self) -> bool:
        """Whether any record has results."""
        return bool(self._values)

    def columns(self) -> dict[str, Column]:
        """Give the columns by their names, behind that of the result."""
        reasons = self._rows.faults.reasons
        if reasons:
            self._kinds["error"] = "text"
            self._values["error"] = [reasons.get(row) for row in range(self._length)]
        prefix = prefix_of(self._rows.fields.result)
        return {
            f"{prefix}{name}": Column(self._kinds[name], values)
            for name, values in self._values.items()
        }

    def _put(self, name: str, row: int, value: Any) -> None:
        if name not in self._values:
            kind = self._kind_of(name)
            per_row = self._one_each or name in ("provenance", "votes", "chosen")
            self._kinds[name] = kind if per_row else [kind]
            self._values[name] = [None] * self._length
        self._values[name][row] = value

    def _kind_of(self, name: str) -> Any:
        if name == "provenance":
            return REPEATED
        if name == "chosen":
            return "bool" if self._one_each else "int"
        if name == "votes":
            rules = [rule.label for rule in self._writer.settings.rules]
            vote = "bool" if self._one_each else _OF_A_VOTE
            return {rule: dict.fromkeys(self._columns, vote) for rule in rules}
        return _KINDS.get(name, "float")

    def _votes(self, votes: VoteResults) -> list[dict[str, dict[str, _Vote]]]:
        """Give who wins, by rule and column, of every record."""
        rules = [rule.label for rule in self._writer.settings.rules]
        parts = [array.tolist() for array in votes]
        return [
            {
                rule: dict(
                    zip(self._columns, map(_Vote._make, zip(*of_rule, strict=True)), strict=True)
                )
                for rule, *of_rule in zip(rules, *of_record, strict=True)
            }
            for of_record in zip(*parts, strict=True)
        ]

    def _of_row(
        self,
        votes: dict[str, dict[str, _Vote]],
        every: dict[str, list[Any]],
        first: int,
        last: int,
    ) -> dict[str, Any]:
        """Give the votes as the row has them whose candidates begin and end there."""

        def told(vote: _Vote) -> Any:
            is_here = first <= vote.winner < last
            if self._one_each or not is_here:
                return is_here if self._one_each else None
            return {
                "winner": vote.winner - first,
                "answer": every["answer"][vote.winner],
                "score": _finite(vote.score),
                "tied": vote.tied,
                "margin": _finite(vote.margin),
            }

        return {
            rule: {name: told(vote) for name, vote in columns.items()}
            for rule, columns in votes.items()
        }

    def _told(self, scored_by: Any) -> str:
        if scored_by is None:
            return self._provenance
        content = {**self._writer.provenance, "scored_by": scored_by}
        return json.dumps(content, ensure_ascii=False)


def _of_candidates(results: CandidateResults, scored: ScoredRecords) -> dict[str, list[Any]]:
    """Give the values of all candidates, by the names that a file has for them."""
    count = len(results.truncated)
    left_out = results.skipped.tolist()
    every: dict[str, list[Any]] = {}
    if results.step_scores is not None and results.step_offsets is not None:
        bounds = results.step_offsets.tolist()
        numbers = _or_none(results.step_scores)
        every["step_scores"] = [
            None if left_out[at] else numbers[bounds[at] : bounds[at + 1]] for at in range(count)
        ]
    every["steps"] = [scored.split.get(at) for at in range(count)]
    every["truncated"] = results.truncated.tolist()
    every["skipped"] = [scored.skipped.get(at) for at in range(count)]
    if results.scores is not None:
        for at, name in enumerate(scored.scores.columns):
            every[name] = _or_none(results.scores[:, at])
    if results.ranks is not None:
        ranks = results.ranks.tolist()
        every["rank"] = [None if left_out[at] else ranks[at] for at in range(count)]
    if results.answers is not None and results.classes is not None:
        every["answer"] = list(results.answers)
        every["answer_class"] = results.classes.tolist()
    return every


def prefix_of(result: str) -> str:
    """Give what the names of result columns begin with."""
    return f"{result}_"


def _or_none(values: Any) -> list[Any]:
    found: list[Any] = values.tolist()
    if np.isfinite(values).all():
        return found
    return [_finite(value) for value in found]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
