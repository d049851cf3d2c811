"""Parquet files as lines of JSON, read and written by pyarrow some rows at a time."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import uuid
from collections.abc import Iterator
from typing import IO, Any

from stepscore.errors import InputError
from stepscore.files.signatures import not_installed

MAGIC = b"PAR1"
_ROWS = 1024
_BUFFER = 1 << 20
# Rows of one group of the files that are written: as many as fill so much text, at most so many.
_GROUP_BYTES, _GROUP_ROWS = 1 << 25, 1 << 16
# What JSON has no form for, and a text says.
_AS_TEXT = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
)


def package(name: str) -> Any:
    """Give the package.

    Args:
        name: of the file that needs it.

    Raises:
        InputError: it is not installed.
    """
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise not_installed("pyarrow", "parquet", name) from error
    return pyarrow


def open_parquet(raw: IO[bytes], name: str) -> Any:
    """Open a Parquet file so that a row group is read piece by piece, however large it is.

    Args:
        raw: the file.
        name: of the file, for messages.

    Returns:
        A ``pyarrow.parquet.ParquetFile``.

    Raises:
        InputError: no such package, or a damaged file.
    """
    pyarrow = package(name)
    try:
        file = pyarrow.parquet.ParquetFile(raw, buffer_size=_BUFFER, pre_buffer=False)
        twice = _twice(file.schema_arrow)
    except (pyarrow.ArrowException, OSError) as error:
        raise unreadable(name, error) from error
    if twice is not None:
        raise InputError(
            "every column once, and every field of a struct",
            got=f"{twice!r} twice",
            advice="leave one of them out of the file, or give it another name",
            where=name,
        )
    return file


def _twice(fields: Any) -> str | None:
    """Give a name that stands twice among some fields, or within one of them; None without one."""
    seen: set[str] = set()
    for field in fields:
        if field.name in seen:
            return str(field.name)
        seen.add(field.name)
        within = [field.type.field(place) for place in range(field.type.num_fields)]
        found = _twice(within)
        if found is not None:
            return found
    return None


def place_of(name: str, row: int) -> str:
    """Name a row, from 1, as messages do."""
    return f"{name}: row {row}"


def rows_as_lines(file: Any, name: str) -> Iterator[tuple[str, bytes]]:
    """Give (place, JSON) of every row.

    A field of a struct that is null is left out: Arrow does not tell it from one that is not there.

    Args:
        file: what `open_parquet` has given.
        name: of the file, for messages.

    Raises:
        InputError: a damaged file, or a value that JSON has no form for.
    """
    row = 0
    for batch in batches(file, name):
        for content in values_of(batch, name, row + 1):
            row += 1
            place = place_of(name, row)
            yield place, row_as_line(content, place)


def values_of(rows: Any, name: str, first: int) -> list[dict[str, Any]]:
    """Give rows as objects of Python.

    Args:
        rows: a batch of Arrow.
        name: of the file, for messages.
        first: the number of the first row, from 1.

    Raises:
        InputError: a value that Python has no form for, such as a part of a microsecond; the
            message names the row and the column.
    """
    try:
        content: list[dict[str, Any]] = rows.to_pylist()
        return content
    except (ValueError, OverflowError):
        pass  # which of them?
    for number in range(len(rows)):
        for column in rows.schema.names:
            try:
                rows.column(column)[number].as_py()
            except (ValueError, OverflowError) as error:
                raise InputError(
                    "values that Python has a form for",
                    got=str(error).split(". ")[0],
                    advice="leave the column out of the file, or write it as text",
                    where=f"{place_of(name, first + number)}: {column}",
                ) from error
    raise AssertionError("no value is at fault")


def batches(file: Any, name: str) -> Iterator[Any]:
    """Give the rows as batches of Arrow.

    Args:
        file, name: as in `rows_as_lines`.

    Raises:
        InputError: a damaged file.
    """
    import pyarrow

    try:
        yield from file.iter_batches(_ROWS)
    except (pyarrow.ArrowException, OSError) as error:
        raise unreadable(name, error) from error


def unreadable(name: str, error: BaseException) -> InputError:
    """Give the error of a Parquet file that is damaged."""
    return InputError(
        "a readable Parquet file",
        got=str(error).splitlines()[0],
        advice="fetch or write it again",
        where=name,
    )


def write_table(lines: IO[bytes], sink: IO[bytes], name: str) -> None:
    """Write a table of the lines of a file.

    Args:
        lines: a file of JSONL, which can be read again from its beginning.
        sink: gets the table.
        name: of the output, for messages.

    Raises:
        InputError: values of one field that no column can hold together.
        OSError: a full disk.
    """
    pyarrow = package(name)
    schema, row = None, 1
    try:
        for rows in _groups(lines):
            new = _table(pyarrow, rows).schema
            if schema is not None:
                new = pyarrow.unify_schemas([schema, new], promote_options="permissive")
            schema, row = new, row + len(rows)
        with pyarrow.parquet.ParquetWriter(
            sink, schema or pyarrow.schema([]), compression="zstd"
        ) as writer:
            for rows in _groups(lines):
                writer.write_table(_table(pyarrow, rows, schema))
    except (pyarrow.ArrowException, OverflowError) as error:
        raise InputError(
            "values of one type in every field, which the columns of Parquet need",
            got=f"others from line {row} on: {str(error).splitlines()[0]}",
            advice="write JSONL instead, as out.jsonl or out.jsonl.zst",
            where=name,
        ) from error


def _table(pyarrow: Any, rows: list[dict[str, Any]], schema: Any = None) -> Any:
    names = dict.fromkeys(name for row in rows for name in row) if schema is None else schema.names
    return pyarrow.table({name: [row.get(name) for row in rows] for name in names}, schema=schema)


def _groups(lines: IO[bytes]) -> Iterator[list[dict[str, Any]]]:
    lines.seek(0)
    rows: list[dict[str, Any]] = []
    size = 0
    for line in lines:
        rows.append(_without_empty(json.loads(line)))
        size += len(line)
        if size >= _GROUP_BYTES or len(rows) >= _GROUP_ROWS:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _without_empty(value: Any) -> Any:
    """Give a value with null in place of every empty object, which Parquet has no column for."""
    if isinstance(value, dict):
        return {key: _without_empty(item) for key, item in value.items()} or None
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value


def row_as_line(row: dict[str, Any], place: str) -> bytes:
    """Give a row as JSON; see `rows_as_lines`.

    Raises:
        InputError: a value that JSON has no form for.
    """
    try:
        text = _as_json(row)
    except TypeError:
        for name, value in row.items():
            _check_column(name, value, place)
        raise
    if "Infinity" in text:  # or a text that says so
        for name, value in row.items():
            _check_column(name, value, place)
    return text.encode()


def _as_json(value: Any) -> str:
    return json.dumps(_without_null(value), ensure_ascii=False, default=_told)


def _told(value: Any) -> str:
    if isinstance(value, _AS_TEXT):
        return str(value)
    raise TypeError(type(value).__name__)


def _check_column(name: str, value: Any, place: str) -> None:
    """Refuse what JSON has no form for; NaN is left to who reads the record."""
    got, advice = "", "leave that column out of the file"
    try:
        json.loads(_as_json(value), parse_constant=_finite)
    except TypeError as error:
        got = str(error)
    except ValueError as error:
        got, advice = str(error), "write null for what is missing"
    if got:
        raise InputError(
            "columns that JSON can hold: texts, finite numbers, lists, structs",
            got=f"{got} in {name!r}",
            advice=advice,
            where=place,
        )


def _finite(constant: str) -> float:
    if constant == "NaN":
        return math.nan
    raise ValueError(constant)


def _without_null(value: Any) -> Any:
    """Leave out fields that are null, at every depth; what is null in a list stays."""
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    return value
