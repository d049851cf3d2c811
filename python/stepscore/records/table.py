"""Rows of Arrow, read into columns without an object of Python for a candidate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.files import batches, place_of, row_as_line, values_of
from stepscore.ops.record_scan import WantedScores
from stepscore.ragged import offsets_of
from stepscore.records.columns import RecordColumns
from stepscore.records.record import Fields, RecordId
from stepscore.records.scan import answer_of

_MESSAGES = frozenset(("message", "content", "value"))  # of a chat, which are read one by one
_LEAST_ROWS = 32  # of fewer it is not worth finding out which are plain


class _NotPlainError(Exception):
    """Rows that are read one by one."""


class TableBlock:
    """Some rows of a Parquet file.

    Args:
        rows: a ``pyarrow.RecordBatch``.
        name: of the file.
        first: the number of its first row, from 1.
    """

    def __init__(self, rows: Any, name: str, first: int) -> None:
        self._rows = rows
        self._name, self._first = name, first
        self._not_plain = 0  # rows up to there are read one by one
        self.places = [place_of(name, first + number) for number in range(len(rows))]

    def __len__(self) -> int:
        return len(self.places)

    def line(self, number: int) -> bytes:
        """Give the JSON of one record.

        Raises:
            InputError: a value that Python or JSON has no form for.
        """
        (row,) = values_of(self._rows.slice(number, 1), self._name, self._first + number)
        return row_as_line(row, self.places[number])

    def scan(
        self, start: int, stop: int, fields: Fields, wanted: WantedScores, most: int
    ) -> RecordColumns | None:
        """Read records as `LineBlock.scan` does, but a few that are not plain take others along.

        The lines of the records stay empty: nothing can be written behind them.
        """
        if start < self._not_plain:
            return None
        while True:
            try:
                return self._columns(start, stop, fields, wanted, most)
            except _NotPlainError:
                if stop - start <= _LEAST_ROWS:
                    self._not_plain = stop
                    return None
                stop = start + (stop - start) // 2

    def _columns(
        self, start: int, stop: int, fields: Fields, wanted: WantedScores, most: int
    ) -> RecordColumns:
        sizes = _Rows(self._rows.slice(start, stop - start)).sizes(fields)
        stop = start + min(int(np.searchsorted(np.cumsum(sizes), most)) + 1, len(sizes))
        rows = _Rows(self._rows.slice(start, stop - start))
        return rows.columns(self.places[start:stop], self._first + start, fields, wanted)


def table_blocks(file: Any, name: str) -> Iterator[TableBlock]:
    """Give the rows of a Parquet file, some at a time.

    Args:
        file: a ``pyarrow.parquet.ParquetFile``.
        name: of the file.

    Raises:
        InputError: a damaged file.
    """
    row = 1
    for rows in batches(file, name):
        yield TableBlock(rows, name, row)
        row += len(rows)


class _Rows:
    def __init__(self, rows: Any) -> None:
        import pyarrow

        self._types = pyarrow.types
        self._rows = rows
        self._names = rows.schema.names

    def columns(
        self, places: list[str], first: int, fields: Fields, wanted: WantedScores
    ) -> RecordColumns:
        """Read all of them; `first` is the number of the first row."""
        _demand(fields.result not in self._names)
        problem = self._column(fields.problem)
        _demand(problem is None or self._is_text(problem))
        sizes = self.sizes(fields)
        structs = self._column(fields.candidates).flatten()
        _demand(self._types.is_struct(structs.type) and structs.null_count == 0)
        names = [structs.type.field(i).name for i in range(structs.type.num_fields)]
        _demand(_MESSAGES.isdisjoint(names))
        parts = dict(zip(names, structs.flatten(), strict=True))
        values, counts, given = self._scores(parts, len(structs), wanted)
        stated, answers = self._answers(parts, len(structs))
        return RecordColumns(
            places,
            [b""] * len(places),
            self._ids(fields, first),
            self._known(fields),
            offsets_of(sizes),
            values,
            offsets_of(counts),
            given,
            stated,
            answers,
            self._flags(parts, len(structs)),
            solutions=self._solutions(parts, np.flatnonzero(stated < 0), counts),
        )

    def sizes(self, fields: Fields) -> NDArray[np.int64]:
        """Give how many candidates each has."""
        candidates = self._column(fields.candidates)
        _demand(candidates is not None and self._is_list(candidates))
        _demand(candidates.null_count == 0)
        sizes: NDArray[np.int64] = candidates.value_lengths().to_numpy().astype(np.int64)
        _demand(bool((sizes > 0).all()))
        return sizes

    def _column(self, name: str) -> Any:
        return self._rows.column(self._names.index(name)) if name in self._names else None

    def _is_text(self, array: Any) -> bool:
        types = self._types
        kind = array.type.value_type if types.is_dictionary(array.type) else array.type
        return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind))

    def _is_list(self, array: Any) -> bool:
        return bool(self._types.is_list(array.type) or self._types.is_large_list(array.type))

    def _is_number(self, array: Any) -> bool:
        return bool(self._types.is_integer(array.type) or self._types.is_floating(array.type))

    def _ids(self, fields: Fields, first: int) -> list[RecordId]:
        ids = self._column(fields.id)
        if ids is None:
            _demand(fields.id == Fields.id)
            return list(range(first, first + len(self._rows)))
        _demand(self._is_text(ids) or self._types.is_integer(ids.type))
        found: list[RecordId] = ids.to_pylist()
        _demand(ids.null_count == 0 and "" not in found)
        return found

    def _known(self, fields: Fields) -> list[str | None]:
        known = _there(self._column(fields.answer))
        if known is None:
            return [None] * len(self._rows)
        places, answers = self._spelled(known)
        said = [*(answer or None for answer in answers), None]  # at -1
        return list(map(said.__getitem__, places.tolist()))

    def _scores(
        self, parts: dict[str, Any], count: int, wanted: WantedScores
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """Give step scores, how many each candidate has, and the scores of whole solutions."""
        values, counts, given = np.empty(0), np.zeros(count, np.int64), np.full(count, np.nan)
        steps, score = _there(parts.get("step_scores")), _there(parts.get("score"))
        _demand((steps is None or steps.null_count == 0) if wanted.steps else True)
        _demand(not wanted.steps or steps is not None)
        _demand(not wanted.given or (score is not None and score.null_count == 0))
        _demand(wanted.steps or wanted.given or (steps is None and score is None))
        if score is not None:
            _demand(self._is_number(score))
            read = score.drop_null().to_numpy(zero_copy_only=False).astype(np.float64)
            _demand(bool(np.isfinite(read).all()))
            given = read if wanted.given else given
        if steps is not None:
            _demand(self._is_list(steps))
            flat = steps.flatten()
            _demand(self._is_number(flat) and flat.null_count == 0)
            read = flat.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
            low, high = (read.min(), read.max()) if len(read) else (0.0, 1.0)  # NaN, of one with it
            _demand(np.isfinite(low) and np.isfinite(high))
            lengths = steps.value_lengths()
            there = lengths.drop_null().to_numpy().astype(np.int64)
            _demand((there > 0).all())
            self._check_counts(parts, lengths)
            if wanted.steps:
                values, counts = read, there
                _demand(not wanted.bounded or (low >= 0 and high <= 1))
        return values, counts, given

    def _check_counts(self, parts: dict[str, Any], scores: Any) -> None:
        """Refuse another number of step scores than of steps."""
        steps = _there(parts.get("steps"))
        if steps is None:
            return
        _demand(self._is_list(steps) and self._is_text(steps.flatten()))
        texts, numbers = (
            lengths.fill_null(0).to_numpy() for lengths in (steps.value_lengths(), scores)
        )
        _demand(bool(((texts == numbers) | (texts == 0) | (numbers == 0)).all()))

    def _answers(self, parts: dict[str, Any], count: int) -> tuple[NDArray[np.int64], list[str]]:
        answers = _there(parts.get("answer"))
        return (np.full(count, -1), []) if answers is None else self._spelled(answers)

    def _spelled(self, answers: Any) -> tuple[NDArray[np.int64], list[str]]:
        """Give the place of each answer, -1 for null, among all spellings, each read once."""
        _demand(self._is_text(answers) or self._is_number(answers))
        coded = answers
        if not self._types.is_dictionary(answers.type):
            coded = answers.dictionary_encode()
        places = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        spelled = coded.dictionary.to_pylist()
        if self._is_text(answers):
            return places, [(text or "").strip() for text in spelled]
        return places, [answer_of(value) or "" for value in spelled]

    def _flags(self, parts: dict[str, Any], count: int) -> NDArray[np.int8]:
        correct = _there(parts.get("correct"))
        if correct is None:
            return np.full(count, -1, np.int8)
        _demand(self._types.is_boolean(correct.type))
        flags: NDArray[np.int8] = correct.cast("int8").fill_null(-1).to_numpy(zero_copy_only=False)
        return flags

    def _solutions(
        self, parts: dict[str, Any], unread: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> dict[int, str]:
        text, steps = _there(parts.get("text")), _there(parts.get("steps"))
        _demand(text is None or self._is_text(text))
        if steps is not None:
            _demand(self._is_list(steps) and self._is_text(steps.flatten()))
            _demand(steps.flatten().null_count == 0)
        solutions: dict[int, str] = {}
        if text is not None:
            solutions = dict(zip(unread.tolist(), text.take(unread).to_pylist(), strict=True))
        if steps is not None:
            for place, split in zip(unread.tolist(), steps.take(unread).to_pylist(), strict=True):
                if solutions.get(place) is None and split is not None:
                    solutions[place] = "\n".join(split)
        return {place: text for place, text in solutions.items() if text is not None}


def _there(array: Any) -> Any:
    """Give an array that holds something, else None: null is as good as none."""
    return None if array is None or array.null_count == len(array) else array


def _demand(condition: object) -> None:
    if not condition:
        raise _NotPlainError
