"""The lines of a file, read one after the other."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from typing import IO, Any

from stepscore.errors import InputError
from stepscore.files import parquet, zstd
from stepscore.files.signatures import GZIP, STDIN, folder_fault, foreign_file

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BUFFER = 1 << 20
_MAGIC = 4  # bytes that tell the form of a file


class LineReader:
    """The lines of a file, or of standard input (``-``); of a table the rows, as JSON.

    Files of gzip, Zstandard and Parquet are known by their first bytes. Iterating gives
    (place, bytes) per line, the place as ``file:line``, of a table as ``file: row 17``; blank lines
    are left out. `chunks` gives the content of a text without regard to lines; a file is read in
    one of the two ways.

    Attributes:
        name: of the file, as messages give it.
        size: its bytes; None for standard input and a pipe.

    Raises:
        InputError: a file that is missing or cannot be read, also while it is being read; a folder;
            a file that holds no lines of text, with the command that makes some of it.
    """

    def __init__(self, path: str) -> None:
        self.name = STDIN if path == "-" else path
        self.size: int | None = None
        self._closes = path != "-"
        self._begins_with = b""
        self._position = 0
        if path == "-":
            if sys.stdin is None:
                raise InputError(
                    "lines on standard input",
                    got="a closed stream",
                    advice="pipe them in, or pass the name of a file",
                    where=self.name,
                )
            self._raw: IO[bytes] = sys.stdin.buffer
        else:
            try:
                self._raw = open(path, "rb", buffering=_BUFFER)  # noqa: SIM115 - closed by __exit__
                found = os.fstat(self._raw.fileno())
                self.size = found.st_size if stat.S_ISREG(found.st_mode) else None
            except IsADirectoryError as error:
                raise folder_fault(path, os.listdir(path)) from error
            except OSError as error:
                raise self._unreadable(error) from error
        self._lines: Any = self._raw
        self._begins_with = self._first_bytes()
        try:
            if path.endswith(".gz") or self._begins_with.startswith(GZIP):
                self._lines = gzip.GzipFile(fileobj=self._raw)
            elif path.endswith(".zst") or self._begins_with.startswith(zstd.MAGIC):
                self._lines = zstd.reader(self._raw, self.name)
        except InputError:
            self.__exit__()
            raise

    def __enter__(self) -> LineReader:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._closes:
            self.position()  # which stays known
            self._lines.close()
            self._raw.close()

    def position(self) -> int:
        """How many bytes of the file have been read, to compare with `size`."""
        if not self._raw.closed and self.size is not None:
            self._position = self._raw.tell()
        return self._position

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        if self.is_table:
            yield from parquet.rows_as_lines(self.table(), self.name)
            return
        try:
            for number, line in enumerate(self._lines, 1):
                content = self._checked(line) if number == 1 else line
                if content.strip():
                    yield f"{self.name}:{number}", content
        except (OSError, EOFError, zlib.error) as error:
            raise self._unreadable(error) from error

    @property
    def is_table(self) -> bool:
        """Whether it is a Parquet file, of which `table` gives the columns."""
        return self._begins_with == parquet.MAGIC

    def table(self) -> Any:
        """Give the file as a ``pyarrow.parquet.ParquetFile``.

        Raises:
            InputError: no such package, or a damaged file.
        """
        return parquet.open_parquet(self._raw, self.name)

    def chunks(self, size: int) -> Iterator[bytes]:
        """Give the content in pieces of at most `size` bytes."""
        try:
            chunk = self._checked(self._lines.read(size))
            while chunk:
                yield chunk
                chunk = self._lines.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: BaseException) -> InputError:
        if isinstance(error, FileNotFoundError):
            return InputError(
                "an existing file", got="none", advice="check the path", where=self.name
            )
        advice = "check the file"
        if isinstance(error, (gzip.BadGzipFile, zstd.DamagedError, EOFError, zlib.error)):
            is_zstd = self._begins_with.startswith(zstd.MAGIC) or self.name.endswith(".zst")
            what, ending = ("Zstandard", ".zst") if is_zstd else ("gzip", ".gz")
            advice = f"it is no whole {what} file: fetch it again, or rename it without {ending}"
        reason = getattr(error, "strerror", None) or error
        return InputError("a readable file", got=str(reason), advice=advice, where=self.name)

    def _first_bytes(self) -> bytes:
        # Only a file can be read again from its beginning.
        if self.size is None:
            return b""
        begins_with = self._raw.read(_MAGIC)
        self._raw.seek(0)
        return begins_with

    def _checked(self, first: bytes) -> bytes:
        """Give the first bytes without a byte order mark; refuse those of no text."""
        fault = foreign_file(self.name, first)
        if fault is not None:
            raise fault
        return first.removeprefix(_BYTE_ORDER_MARK)


def number_in(place: str) -> int | None:
    """Give the number of the line, or of the row, in a place; None where there is none."""
    number = place.rpartition(":")[2].removeprefix(" row ")
    return int(number) if number.isdecimal() else None
