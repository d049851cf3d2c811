"""Records as columns: what scores and votes read of them, one array for all their candidates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from stepscore.ragged import offsets_of
from stepscore.records.record import Candidate, Record, RecordId

_Value = TypeVar("_Value")
_FLAGS = {None: -1, False: 0, True: 1}


@dataclass(frozen=True)
class RecordColumns:
    """Some records, one behind the other.

    Attributes:
        places: file and line of each, for messages.
        lines: the JSON object of each as it stands in the file; the result is put into it.
        ids: of each.
        known: the known answer of each, stripped.
        offsets: where the candidates of each begin and end, int64 ``[records + 1]``.
        values: step scores, float64 ``[steps]``; NaN for a step that truncation left out.
        step_offsets: where those of each candidate begin and end, int64 ``[candidates + 1]``.
        given: scores of whole solutions, float64 ``[candidates]``; NaN where there is none.
        stated: the answer that each candidate states, int64 ``[candidates]``: a place in `answers`,
            or -1 where it states none.
        answers: as they are stated, stripped; empty = there is none.
        correct: whether the file calls a candidate right, int8 ``[candidates]``: 1, 0, or -1 where
            it does not say.
        solutions: candidate -> its solution as one text, of those that state no answer.
        read_before: candidate -> the answer that an earlier run read, of those that state none.
        split_before: candidate -> the steps that an earlier run split its text into.
        skipped: candidate -> why an earlier run could not score it; it takes no part.
        scored_by: record -> the provenance of step scores that an earlier run wrote.
    """

    places: list[str]
    lines: list[bytes]
    ids: list[RecordId]
    known: list[str | None]
    offsets: NDArray[np.int64]
    values: NDArray[np.float64]
    step_offsets: NDArray[np.int64]
    given: NDArray[np.float64]
    stated: NDArray[np.int64]
    answers: list[str]
    correct: NDArray[np.int8]
    solutions: Mapping[int, str] = field(default_factory=dict)
    read_before: Mapping[int, str] = field(default_factory=dict)
    split_before: Mapping[int, list[str]] = field(default_factory=dict)
    skipped: Mapping[int, str] = field(default_factory=dict)
    scored_by: Mapping[int, dict[str, Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def candidates(self) -> int:
        """How many candidates all of them have."""
        return int(self.offsets[-1])

    @classmethod
    def of(cls, records: Sequence[Record]) -> RecordColumns:
        """Give records as columns."""
        candidates = [candidate for record in records for candidate in record.candidates]
        rows = [candidate.step_scores or () for candidate in candidates]
        places: dict[str, int] = {}
        return cls(
            [record.place for record in records],
            [record.line.encode() for record in records],
            [record.id for record in records],
            [record.answer for record in records],
            offsets_of(len(record.candidates) for record in records),
            np.fromiter(chain.from_iterable(rows), np.float64),
            offsets_of(map(len, rows)),
            np.array([candidate.score for candidate in candidates], np.float64),
            np.fromiter(
                (
                    -1 if c.answer is None else places.setdefault(c.answer, len(places))
                    for c in candidates
                ),
                np.int64,
            ),
            list(places),
            np.fromiter((_FLAGS[candidate.correct] for candidate in candidates), np.int8),
            solutions=_some(_unread_solution(candidate) for candidate in candidates),
            read_before=_some(
                candidate.earlier_answer if candidate.answer is None else None
                for candidate in candidates
            ),
            split_before=_some(candidate.earlier_steps for candidate in candidates),
            skipped=_some(candidate.skipped for candidate in candidates),
            scored_by=_some(record.scored_by for record in records),
        )

    @classmethod
    def joined(cls, parts: Sequence[RecordColumns]) -> RecordColumns:
        """Give several as one."""
        if len(parts) == 1:
            return parts[0]
        records = offsets_of(len(part) for part in parts)[:-1].tolist()
        candidates = offsets_of(part.candidates for part in parts)[:-1].tolist()
        spellings = offsets_of(len(part.answers) for part in parts)[:-1].tolist()
        stated = [
            np.where(part.stated < 0, -1, part.stated + first)
            for part, first in zip(parts, spellings, strict=True)
        ]
        return cls(
            [place for part in parts for place in part.places],
            [line for part in parts for line in part.lines],
            [record_id for part in parts for record_id in part.ids],
            [answer for part in parts for answer in part.known],
            offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
            np.concatenate([part.values for part in parts]),
            offsets_of(np.concatenate([np.diff(part.step_offsets) for part in parts])),
            np.concatenate([part.given for part in parts]),
            np.concatenate(stated),
            [answer for part in parts for answer in part.answers],
            np.concatenate([part.correct for part in parts]),
            solutions=_moved((part.solutions for part in parts), candidates),
            read_before=_moved((part.read_before for part in parts), candidates),
            split_before=_moved((part.split_before for part in parts), candidates),
            skipped=_moved((part.skipped for part in parts), candidates),
            scored_by=_moved((part.scored_by for part in parts), records),
        )


def _unread_solution(candidate: Candidate) -> str | None:
    return (candidate.text or candidate.solution) if candidate.answer is None else None


def _some(values: Iterable[_Value | None]) -> dict[int, _Value]:
    """Give place -> value of those that are there."""
    return {place: value for place, value in enumerate(values) if value is not None}


def _moved(parts: Iterable[Mapping[int, _Value]], firsts: Sequence[int]) -> dict[int, _Value]:
    """Give place -> value of all parts, whose places begin at `firsts`."""
    return {
        first + place: value
        for part, first in zip(parts, firsts, strict=True)
        for place, value in part.items()
    }
