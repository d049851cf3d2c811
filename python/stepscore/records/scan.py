"""Lines of the plain form, read into columns by the compiled core."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stepscore.ops.record_scan import JsonScalar, WantedScores, scan_records
from stepscore.records.candidates import read_answer
from stepscore.records.columns import RecordColumns
from stepscore.records.convert import LAYOUTS
from stepscore.records.record import Fields

_BLOCK_BYTES = 1 << 20
# Steps under one of these names would pass for as many short solutions: they are looked at.
_NAMES_OF_STEPS = frozenset(name for layout in LAYOUTS.values() for name in layout.steps)


def has_plain_form(fields: Fields) -> bool:
    """Tell whether records with these names of fields can be plain: none leads into others."""
    if any("." in name for name in vars(fields).values()):
        return False
    return fields.candidates == Fields.candidates or fields.candidates not in _NAMES_OF_STEPS


@dataclass(frozen=True)
class LineBlock:
    """Some lines of a file.

    Attributes:
        places: file and line of each.
        lines: the bytes of each.
    """

    places: Sequence[str]
    lines: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.lines)

    def line(self, number: int) -> bytes:
        """Give the JSON of one record."""
        return self.lines[number]

    def scan(
        self, start: int, stop: int, fields: Fields, wanted: WantedScores, most: int
    ) -> RecordColumns | None:
        """Read records as `parse_record` does for ``scores``, as long as they are plain.

        Args:
            start, stop: which of them.
            fields: the names of the fields, which `has_plain_form`.
            wanted: the scores that every candidate must have.
            most: after so many candidates no further record is begun.

        Returns:
            The records from `start` on; None where the first is not plain.
        """
        scan = scan_records(
            self.lines,
            start=start,
            stop=stop,
            fields=(fields.id, fields.problem, fields.candidates, fields.answer, fields.result),
            wanted=wanted,
            most=most,
        )
        read = len(scan.ids)
        if not read:
            return None
        given = scan.scores if wanted.given else np.full(len(scan.answer), np.nan)
        unread = np.flatnonzero(scan.solution >= 0).tolist()
        return RecordColumns(
            list(self.places[start : start + read]),
            [line.strip() for line in self.lines[start : start + read]],
            scan.ids,
            [answer_of(value) or None for value in scan.known],
            scan.offsets,
            scan.step_scores,
            scan.step_offsets,
            given,
            scan.answer,
            [answer_of(value) or "" for value in scan.answers],
            scan.correct,
            solutions=dict(zip(unread, scan.solutions, strict=True)),
        )


def line_blocks(lines: Iterable[tuple[str, bytes]]) -> Iterator[LineBlock]:
    """Gather lines of about a megabyte."""
    places: list[str] = []
    contents: list[bytes] = []
    size = 0
    for place, line in lines:
        places.append(place)
        contents.append(line)
        size += len(line)
        if size >= _BLOCK_BYTES:
            yield LineBlock(places, tuple(contents))
            places, contents, size = [], [], 0
    if places:
        yield LineBlock(places, tuple(contents))


def answer_of(value: JsonScalar) -> str | None:
    """Give an answer as `read_answer` does; most are texts."""
    return value.strip() if type(value) is str else read_answer(value, ())
