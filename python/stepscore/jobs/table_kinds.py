"""The tables of several libraries: rows out, columns in. None of the libraries is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stepscore.arrays import is_from
from stepscore.errors import InputError, InputTypeError
from stepscore.lists import as_list

_ROWS = 1024  # that are turned into Python together
REPEATED = "repeated text"  # the same in most rows


@dataclass(frozen=True)
class Column:
    """Values of one kind, a row each; None where there is none.

    Attributes:
        kind: ``float``, ``int``, ``bool``, ``text`` or `REPEATED`; a list of such a kind, or a
            mapping from names to kinds.
        values: plain Python.
    """

    kind: Any
    values: list[Any]


class Table(Protocol):
    """A table of some library."""

    @property
    def names(self) -> Sequence[Any]:
        """The names of its columns."""
        ...

    @property
    def null_is_absent(self) -> bool:
        """Whether a field of a struct that is null is as good as not there."""
        ...

    def __len__(self) -> int: ...

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Give the rows one after the other, with some of the columns."""
        ...

    def with_columns(self, columns: Mapping[str, Column]) -> Any:
        """Give such a table with some more columns, or others under their names."""
        ...


def table_of(value: Any, call: str) -> Table:
    """Recognise a table.

    Args:
        value: a pandas ``DataFrame``, a ``datasets.Dataset``, a pyarrow ``Table`` or
            ``RecordBatch``, a list of dicts or a dict of columns.
        call: the function that it was passed to, for messages.

    Raises:
        InputError: something else, two columns of one name, or columns of several lengths.
    """
    table = _recognised(value, call)
    if table is None:
        raise InputTypeError(
            "a pandas DataFrame, a datasets.Dataset, a pyarrow Table, a list of dicts or a dict of "
            "columns",
            got=type(value).__name__,
            advice=_advice(value),
            argument="table",
            where=call,
        )
    names = list(table.names)
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InputError(
                "columns of different names",
                got=f"{name!r} twice",
                advice="rename one of them",
                argument="table",
                where=call,
            )
    return table


def _recognised(value: Any, call: str) -> Table | None:
    if is_from(value, "pandas") and hasattr(value, "iloc") and hasattr(value, "columns"):
        return _PandasTable(value)
    if is_from(value, "datasets") and hasattr(value, "select_columns") and hasattr(value, "select"):
        return _Dataset(value)
    if is_from(value, "pyarrow") and hasattr(value, "column_names") and hasattr(value, "slice"):
        return _ArrowTable(value)
    if isinstance(value, Mapping) and not hasattr(value, "select_columns"):
        return _Columns(value, call)
    if isinstance(value, list | tuple) and all(isinstance(row, Mapping) for row in value):
        return _Rows(value)
    return None


def _advice(value: Any) -> str:
    if is_from(value, "datasets"):
        return 'pass one split of it that is no stream, such as dataset["train"]'
    if hasattr(value, "to_arrow"):
        return "pass what its to_arrow() gives"
    return "pass one of these"


class _PandasTable:
    null_is_absent = True

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.names = list(frame.columns)

    def __len__(self) -> int:
        return len(self._frame)

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        for begin in range(0, len(self), _ROWS):
            part = self._frame.iloc[begin : begin + _ROWS]
            columns = [_without_missing(part[name]) for name in names]
            for values in zip(*columns, strict=True):
                yield dict(zip(names, values, strict=True))

    def with_columns(self, columns: Mapping[str, Column]) -> Any:
        frame = self._frame.assign(**{name: column.values for name, column in columns.items()})
        # Of such values with None pandas would make floats.
        whole = {name: "Int64" for name, column in columns.items() if column.kind == "int"}
        flags = {name: "boolean" for name, column in columns.items() if column.kind == "bool"}
        real = {name: "float64" for name, column in columns.items() if column.kind == "float"}
        return frame.astype({**whole, **flags, **real})


def _without_missing(series: Any) -> list[Any]:
    missing = series.isna().tolist()
    values = series.tolist()
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]


class _ArrowTable:
    null_is_absent = True

    def __init__(self, table: Any) -> None:
        self._table = table
        self.names = list(table.schema.names)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        chosen = self._table.select(list(names))
        for begin in range(0, len(self), _ROWS):
            yield from chosen.slice(begin, _ROWS).to_pylist()

    def with_columns(self, columns: Mapping[str, Column]) -> Any:
        import pyarrow

        kept = [name for name in self.names if name not in columns]
        arrays = [self._table.column(name) for name in kept]
        fields = [self._table.schema.field(name) for name in kept]
        for name, column in columns.items():
            array = arrow_array(column)
            array = array.dictionary_encode() if column.kind == REPEATED else array
            arrays.append(array)
            fields.append(pyarrow.field(name, array.type))
        schema = pyarrow.schema(fields, metadata=self._table.schema.metadata)
        return type(self._table).from_arrays(arrays, schema=schema)


class _Dataset:
    null_is_absent = True

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.names = list(dataset.column_names)

    def __len__(self) -> int:
        return len(self._dataset)

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        chosen = self._dataset.select_columns(list(names)).with_format(None)
        for begin in range(0, len(self), _ROWS):
            part = chosen[begin : begin + _ROWS]
            for values in zip(*(part[name] for name in names), strict=True):
                yield dict(zip(names, values, strict=True))

    def with_columns(self, columns: Mapping[str, Column]) -> Any:
        known = [name for name in columns if name in self.names]
        dataset = self._dataset.remove_columns(known) if known else self._dataset
        for name, column in columns.items():
            dataset = dataset.add_column(name, arrow_array(column))
        return dataset


class _Rows:
    null_is_absent = False

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = rows
        self.names = list(dict.fromkeys(name for row in rows for name in row))

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            yield {name: row[name] for name in names if name in row}

    def with_columns(self, columns: Mapping[str, Column]) -> list[dict[str, Any]]:
        added = {name: column.values for name, column in columns.items()}
        return [
            {**row, **{name: values[place] for name, values in added.items()}}
            for place, row in enumerate(self._rows)
        ]


class _Columns:
    null_is_absent = False

    def __init__(self, columns: Mapping[str, Any], call: str) -> None:
        self._given = columns
        self._lists = {
            name: as_list(call, f"table.{name}", values, "a value per row")
            for name, values in columns.items()
        }
        self.names = list(columns)
        lengths = {name: len(values) for name, values in self._lists.items()}
        if len(set(lengths.values())) > 1:
            raise InputError(
                "columns of one length",
                got=", ".join(f"{count} in {name!r}" for name, count in lengths.items()),
                advice="pass a value per row in each",
                argument="table",
                where=call,
            )
        self._length = next(iter(lengths.values()), 0)

    def __len__(self) -> int:
        return self._length

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        for values in zip(*(self._lists[name] for name in names), strict=True):
            yield dict(zip(names, values, strict=True))

    def with_columns(self, columns: Mapping[str, Column]) -> dict[str, Any]:
        return {**self._given, **{name: column.values for name, column in columns.items()}}


def arrow_array(column: Column) -> Any:
    """Give a column as an Arrow array of its kind, whatever values are missing."""
    import pyarrow

    plain = {
        "float": pyarrow.float64(),
        "int": pyarrow.int64(),
        "bool": pyarrow.bool_(),
        "text": pyarrow.string(),
        REPEATED: pyarrow.string(),
    }

    def kind_of(kind: Any) -> Any:
        if isinstance(kind, list):
            return pyarrow.list_(kind_of(kind[0]))
        if isinstance(kind, dict):
            return pyarrow.struct([(name, kind_of(item)) for name, item in kind.items()])
        return plain[kind]

    return pyarrow.array(column.values, type=kind_of(column.kind))
