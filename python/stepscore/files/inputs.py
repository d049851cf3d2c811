"""One file or many, read as one after the other."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence

from stepscore.errors import InputError
from stepscore.files.folder import parts_in
from stepscore.files.lines import LineReader


class Inputs:
    """The lines of files, one file after the other.

    Iterating gives (place, bytes) as `LineReader` does.

    Args:
        paths: files; ``-`` for standard input, alone; patterns such as ``in-*.jsonl``, whose files
            come in the order of their names; folders that a job has written.

    Attributes:
        paths: the files, without patterns.
        name: of the file, or of all, as messages give it.
        size: bytes of all; None where one is a pipe or standard input.
        can_be_read_again: whether all are files on a disk.

    Raises:
        InputError: what `LineReader` raises of each, before any is read; a pattern without files.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = _without_patterns(paths)
        self.size: int | None = 0
        self.can_be_read_again = True
        self._done = 0
        # A pipe can be opened once.
        self._open: dict[str, LineReader] = {}
        self._reading: LineReader | None = None
        for path in self.paths:
            reader = LineReader(path)
            if reader.size is None:
                self.size, self.can_be_read_again = None, False
                self._open[path] = reader
            elif len(self.paths) == 1:
                self.size, self._open[path] = reader.size, reader
            else:
                if self.size is not None:
                    self.size += reader.size
                reader.__exit__()
        more = f" and {len(self.paths) - 1:,} more" if len(self.paths) > 1 else ""
        first = self._open.get(self.paths[0])
        self.name = (self.paths[0] if first is None else first.name) + more

    def __enter__(self) -> Inputs:
        return self

    def __exit__(self, *exception: object) -> None:
        for reader in self._open.values():
            reader.__exit__()
        if self._reading is not None:
            self._reading.__exit__()

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        for reader in self.readers():
            yield from reader

    def readers(self) -> Iterator[LineReader]:
        """Give the files one after the other, each open until the next is asked for."""
        for path in self.paths:
            self._reading = self._open[path] if path in self._open else LineReader(path)
            with self._reading as reader:
                yield reader
                self._done += reader.size or 0
            self._reading = None

    def position(self) -> int:
        """How many bytes of all files have been read, to compare with `size`."""
        here = 0 if self._reading is None else self._reading.position()
        return self._done + here if self.size is not None else 0

    def count(self) -> int:
        """Count the lines of files that can be read again."""
        with Inputs(self.paths) as again:
            return sum(
                reader.table().metadata.num_rows if reader.is_table else sum(1 for _ in reader)
                for reader in again.readers()
            )


def _without_patterns(paths: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    for path in paths:
        parts = parts_in(path) if os.path.isdir(path) else None
        if parts is not None:
            found += parts
            continue
        if path == "-" or not glob.has_magic(path) or os.path.lexists(path):
            found.append(path)
            continue
        matching = sorted(glob.glob(path, recursive=True))
        if not matching:
            raise InputError(
                "files that match the pattern", got="none", advice="check the path", where=path
            )
        found += matching
    return tuple(found)
