"""Rows of a table as the lines of a file, and what is wrong with them by row and column."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from stepscore.errors import Argument, InputError
from stepscore.files import number_in, place_of
from stepscore.jobs.skips import OnError, Skips
from stepscore.jobs.table_kinds import Table
from stepscore.records import Fields, Group, RecordError, are_messages, field_in, groups_of
from stepscore.records.faults import FieldPath

# What JSON has no form for, and a text says.
_AS_TEXT = (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID)
_NAME = "table"
# What of an earlier result is read again.
_OF_A_RESULT = ("step_scores", "steps", "skipped", "answer", "score")
EARLIER = (*_OF_A_RESULT, "truncated", "provenance")
_OF_A_SAMPLE = ("text", "steps", "score", "step_scores", "correct", "message")


class Rows:
    """The records of a table: a row each, or the rows that share a value.

    Args:
        table: where they stand.
        fields: the names of its columns, or the ways to what stands in them.
        group_by: the column whose value the rows of one problem share; None where a row holds all
            candidates of its problem.
        call: the function that it was passed to, for messages.
        earlier: the columns, by their part of a result, that an earlier call has written and that
            are read as its result.

    Attributes:
        fields: as they were given.
        names: of the columns that are read.
        faults: takes the errors of records; see `RowFaults`.
        groups: the place of a record -> the rows that were gathered for it.
        read: how many rows were read.
        one_each: whether every row that was read is one candidate.
    """

    def __init__(
        self,
        table: Table,
        fields: Fields,
        group_by: str | None,
        call: str,
        on_error: OnError,
        earlier: dict[str, str],
    ) -> None:
        self._table = table
        self.fields = fields
        self._group_by = group_by
        self._earlier = earlier
        self.groups: dict[str, Group] = {}
        self.names = _names(table, fields, group_by, call)
        self.faults = RowFaults(on_error, self)
        self.read = 0
        self.one_each = group_by is not None

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Give (place, JSON) of every record."""
        if self._group_by is None:
            for number, row in enumerate(self._rows()):
                self.read = number + 1
                yield from self._line(number, self._with_result(row, [row]))
            return
        results: dict[str, dict[str, Any]] = {}
        groups = groups_of(self._samples(results), self._group_by, self.fields, self.faults.take)
        for group in groups:
            self.groups[group.place] = group
            if self._earlier:
                rows = [results[place] for place, _ in group.rows]
                group.first = self._with_result(group.first, rows)
            yield group.place, group.line(self.fields)

    def rows_of(self, place: str) -> list[tuple[int, int]]:
        """Give the rows of a record, and where the candidates of each begin."""
        if self._group_by is None:
            return [(_row_of(place), 0)]
        return [(_row_of(row), begin) for row, begin in self.groups[place].rows]

    def _rows(self) -> Iterator[dict[str, Any]]:
        return self._table.rows([*self.names, *self._earlier.values()])

    def _samples(self, results: dict[str, dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
        for number, row in enumerate(self._rows()):
            place = place_of(_NAME, number)
            self.read = number + 1
            if self._earlier:
                results[place] = row
            sample = {name: row[name] for name in self.names if name in row}
            value = _plain(field_in(sample, self.fields.candidates)[1], absent=False)
            if isinstance(value, list) and not (len(value) == 1 and are_messages(value)):
                self.one_each = False
            yield from self._line(number, sample)

    def _line(self, number: int, row: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
        place = place_of(_NAME, number)
        try:
            yield place, _as_line(row, absent=self._table.null_is_absent)
        except RecordError as fault:
            self.faults.take(fault.of_record(place, None))

    def _with_result(
        self, content: dict[str, Any], rows: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """Give a record with the result of an earlier call, as a file holds it."""
        if not self._earlier:
            return content
        kept = {name: content[name] for name in content if name not in self._earlier.values()}
        parts = [
            {part: _plain(row.get(name), absent=False) for part, name in self._earlier.items()}
            for row in rows
        ]
        if any(part["truncated"] is None for part in parts):  # left out of that call
            return kept
        result: dict[str, Any] = {"candidates": [each for part in parts for each in _results(part)]}
        provenance = parts[0].get("provenance")
        if isinstance(provenance, str):
            result["provenance"] = json.loads(provenance)
        return {**kept, self.fields.result: result}


def _results(parts: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the results of the candidates of a row, as a file holds them."""
    of_candidates = {part: value for part, value in parts.items() if part in _OF_A_RESULT}
    if isinstance(parts["truncated"], list):
        columns = of_candidates.items()
        results = [
            {part: None if values is None else values[at] for part, values in columns}
            for at in range(len(parts["truncated"]))
        ]
    else:
        results = [of_candidates]
    for result in results:
        for part in ("steps", "skipped"):
            if result.get(part) is None:
                result.pop(part, None)
        if "score" in result:
            result["scores"] = {"score": result.pop("score")}
    return results


class RowFaults(Skips):
    """Takes the errors of records, and names the row that a gathered candidate stands in.

    Attributes:
        reasons: row -> why it was left out.
    """

    def __init__(self, on_error: OnError, rows: Rows) -> None:
        super().__init__(on_error)
        self._rows = rows
        self.reasons: dict[int, str] = {}

    def take(self, error: RecordError) -> None:
        """Take the error of one record.

        Raises:
            RecordError: that error under ``stop``, with its row.
        """
        named = self._of_a_row(error)
        super().take(named)
        group = self._rows.groups.get(error.place)
        places = [error.place] if group is None else [place for place, _ in group.rows]
        for place in places:
            self.reasons[_row_of(place)] = str(named)

    def _of_a_row(self, error: RecordError) -> RecordError:
        group = self._rows.groups.get(error.place)
        field = error.field
        if group is None or len(field) < 2 or field[0] != self._rows.fields.candidates:
            return error
        assert isinstance(field[1], int)
        place, begin = [(p, b) for p, b in group.rows if b <= field[1]][-1]
        candidate = group.candidates[field[1]]
        rest: FieldPath = field[2:]
        if field[0] in self._rows.names:
            rest = (field[0], field[1] - begin, *rest)
        elif not rest:  # all of what the row has of it
            rest = ("steps" if candidate.get("steps") else "text",)
        return RecordError(
            error.expected,
            got=error.got,
            advice=error.advice,
            field=rest,
            place=place,
            record_id=error.record_id,
        )


def _row_of(place: str) -> int:
    number = number_in(place)
    assert number is not None
    return number


def _names(table: Table, fields: Fields, group_by: str | None, call: str) -> list[str]:
    """Give the columns that are read.

    Raises:
        InputError: one that is needed, and not there.
    """
    needed = {"candidates": fields.candidates} if group_by is None else {"group_by": group_by}
    there = set(table.names)
    found: list[str] = []
    for argument, name in needed.items():
        if _column(name, there) is None:
            shown = ", ".join(repr(each) for each in table.names)
            raise InputError(
                f"the column {name!r}",
                got=shown or "a table without columns",
                advice=(
                    "name it with ",
                    Argument(argument if argument == "group_by" else f"fields.{argument}"),
                    *(
                        (", or where a row is one sample pass ", Argument("group_by"))
                        if argument == "candidates"
                        else ()
                    ),
                ),
                argument="table",
                where=call,
            )
    wanted = [*needed.values(), fields.id, fields.problem, fields.candidates, fields.answer]
    if group_by is not None and _column(fields.candidates, there) is None:
        wanted += _OF_A_SAMPLE
    for name in wanted:
        column = _column(name, there)
        if column is not None and column not in found:
            found.append(column)
    return found


def _column(name: str, there: set[Any]) -> str | None:
    """Give the column that a name, or the first part of a way, stands for."""
    if name in there:
        return name
    first = name.partition(".")[0]
    return first if first in there else None


def _as_line(row: dict[str, Any], *, absent: bool) -> bytes:
    parts = []
    for name, value in row.items():
        plain = _plain(value, absent=absent)
        try:
            text = json.dumps(plain, ensure_ascii=False, default=_told)
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which the record's reader names
            text = json.dumps(plain, default=_told)
        except (TypeError, ValueError) as error:
            raise RecordError(
                "texts, numbers, lists and dicts",
                got=str(error),
                advice="turn it into one of these",
                field=(name,),
            ) from None
        if "Infinity" in text and _is_infinite(plain):
            raise RecordError(
                "finite numbers",
                got="infinity",
                advice="write None for what is missing",
                field=(name,),
            )
        parts.append(f"{json.dumps(name, ensure_ascii=False)}: {text}")
    return f"{{{', '.join(parts)}}}".encode()


def _plain(value: Any, *, absent: bool) -> Any:
    """Give a value without arrays, and without the fields of structs that Arrow says are null."""
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if isinstance(value, dict):
        return {
            key: _plain(item, absent=absent)
            for key, item in value.items()
            if item is not None or not absent
        }
    if isinstance(value, list | tuple):
        return [_plain(item, absent=absent) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), absent=absent)
    return value


def _told(value: Any) -> str:
    if isinstance(value, _AS_TEXT):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__}")


def _is_infinite(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_is_infinite, value.values()))
    if isinstance(value, list):
        return any(map(_is_infinite, value))
    return isinstance(value, float) and value in (float("inf"), float("-inf"))
