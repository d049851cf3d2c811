"""Lines whose candidates carry scores, read as columns: the plain ones together, others alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stepscore.jobs.file_scores import LayoutCheck
from stepscore.jobs.files import Files, OpenFiles, record_lines
from stepscore.ops.record_scan import WantedScores
from stepscore.records import (
    Fields,
    LineBlock,
    Record,
    RecordColumns,
    RecordError,
    TableBlock,
    UniqueIds,
    has_plain_form,
    line_blocks,
    parse_record,
    table_blocks,
)

_LINES_AT_ONCE = 1024


class ScoredLines:
    """Reads the records of a file that are voted on by what they carry.

    What the compiled reader does not take for plain is parsed by itself, which finds the words for
    what is wrong with it.

    Args:
        fields: the names of the fields.
        check: learns which scores the file carries, and refuses a record that differs.
        on_fault: gets the error of a record that cannot be processed, and raises or returns to
            leave it out.
    """

    def __init__(
        self, fields: Fields, check: LayoutCheck, on_fault: Callable[[RecordError], None]
    ) -> None:
        self._fields = fields
        self._check = check
        self._on_fault = on_fault
        self._unique = UniqueIds()
        self._may_be_plain = has_plain_form(fields)

    def chunks(
        self, blocks: Iterator[LineBlock | TableBlock], chunk_size: int
    ) -> Iterator[RecordColumns]:
        """Group whole problems until a group has `chunk_size` candidates; leave out known ids.

        Args:
            blocks: all records.
            chunk_size: how many candidates.
        """
        chunk = _Chunk()
        for block in blocks:
            at = 0
            while at < len(block):
                plain = self._plain(block, at, chunk_size - chunk.candidates)
                if plain is None:
                    record = self._other(block.places[at], block.line(at))
                    at += 1
                    if record is not None:
                        chunk.add_record(record)
                else:
                    chunk.add(plain)
                    at += len(plain)
                if chunk.candidates >= chunk_size:
                    yield chunk.take()
        if chunk.candidates:
            yield chunk.take()

    def _plain(self, block: LineBlock | TableBlock, at: int, most: int) -> RecordColumns | None:
        """Read lines up to the first that is not plain, or whose id is known; None if it is that.

        Until the first record has told which scores there are, none is plain.
        """
        layout = self._check.layout
        if layout is None or not self._may_be_plain:
            return None
        wanted = WantedScores(layout.steps, layout.given, layout.bounded)
        stop = min(at + _LINES_AT_ONCE, len(block))
        plain = block.scan(at, stop, self._fields, wanted, most)
        if plain is None:
            return None
        fresh = self._unique.add(plain.ids, plain.places)
        if fresh == len(plain):
            return plain
        return block.scan(at, at + fresh, self._fields, wanted, most)

    def _other(self, place: str, line: bytes) -> Record | None:
        """Read one line; None for a record at fault."""
        try:
            record = parse_record(line, place, self._fields, "scores")
            self._check.check(record)
            self._unique.check(record)
        except RecordError as error:
            self._on_fault(error)
            return None
        return record


class _Chunk:
    """Grows by columns and by records, in the order of the file."""

    def __init__(self) -> None:
        self.candidates = 0
        self._parts: list[RecordColumns] = []
        self._records: list[Record] = []  # behind the parts

    def add(self, columns: RecordColumns) -> None:
        self._close()
        self._parts.append(columns)
        self.candidates += columns.candidates

    def add_record(self, record: Record) -> None:
        self._records.append(record)
        self.candidates += len(record.candidates)

    def take(self) -> RecordColumns:
        """Give all of it, and begin anew."""
        self._close()
        columns = RecordColumns.joined(self._parts)
        self._parts, self.candidates = [], 0
        return columns

    def _close(self) -> None:
        if self._records:
            self._parts.append(RecordColumns.of(self._records))
            self._records = []


def blocks_of(opened: OpenFiles, files: Files) -> Iterator[LineBlock | TableBlock]:
    """Give the records of the inputs, some at a time.

    Rows of a table come as they are where no line is needed for them: nothing is written, and they
    are neither gathered nor counted.
    """
    if opened.out is not None or files.group_by is not None or files.share is not None:
        yield from line_blocks(record_lines(opened, files))
        return
    for reader in opened.lines.readers():
        if reader.is_table:
            yield from table_blocks(reader.table(), reader.name)
        else:
            yield from line_blocks(reader)
