"""A file that appears whole or not at all."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from stepscore.errors import Argument, InputError
from stepscore.files import parquet, parts, zstd
from stepscore.files.streams import Stream, is_stream

_BUFFER = 1 << 20
# Endings of a name whose files need a package -> refuses the path where it is not installed.
_NEEDS: dict[str, Callable[[str], Any]] = {".zst": zstd.package, ".parquet": parquet.package}


class WholeFile:
    """A text file that appears under its name when the block ends well, and never in part.

    It is written to a hidden file in the same folder, which an error or Ctrl-C removes. What a run
    that was killed has left is removed by the next one of the same output. A file that is replaced
    leaves its permissions, and where the system allows it its owner, to the new one.

    A pipe or a terminal (``/dev/stdout``, a FIFO) gets the text at the end of the block, or none.

    Args:
        path: where it will stand; compressed when it ends in ``.gz`` or ``.zst``, and a table when
            it ends in ``.parquet``, for which JSONL is written.
        overwrite: whether an existing file may be replaced.
        announce: is told the path and the file before it has its name.

    Raises:
        InputError: an existing file without `overwrite`, a folder or a disk, a folder that is
            missing or cannot be written to, a full disk.
        BrokenPipeError: the reader of a pipe has gone.
    """

    def __init__(
        self, path: str, *, overwrite: bool = False, announce: parts.Announce | None = None
    ) -> None:
        self.name = path
        self._announce = announce
        self._overwrite = overwrite
        # A link keeps pointing to the file that it names.
        self._streams = is_stream(path)
        self._target = Path(path if self._streams else os.path.realpath(path))
        self._check_target()
        self._ending = self._target.suffix
        if self._ending in _NEEDS:
            _NEEDS[self._ending](path)
        self._file: Any = None
        self._part: parts.Part | Stream | None = None
        self._raw: IO[bytes] | None = None

    def __enter__(self) -> WholeFile:
        try:
            self._part = Stream(self.name) if self._streams else parts.Part(self._target)
        except OSError as error:
            raise self._unwritable(error) from error
        self._raw = os.fdopen(self._part.descriptor, "wb", _BUFFER, closefd=False)
        self._file = self._raw
        if self._ending == ".gz":
            self._file = gzip.GzipFile("", "wb", compresslevel=6, fileobj=self._raw, mtime=0)
        elif self._ending == ".zst":
            self._file = zstd.writer(self._raw)
        elif self._ending == ".parquet":
            try:
                # The types of the columns are known when all rows are.
                self._file = tempfile.TemporaryFile(dir=self._target.parent)
            except OSError as error:
                self._discard()
                raise self._unwritable(error) from error
        return self

    def write(self, text: str) -> None:
        """Add text."""
        self.write_bytes(encoded(text, self.name))

    def write_bytes(self, text: bytes) -> None:
        """Add text that is UTF-8 already."""
        try:
            self._file.write(text)
        except OSError as error:
            raise self._unwritable(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if exception is None:
                self._finish()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            self._discard()

    def _finish(self) -> None:
        assert self._raw is not None
        assert self._part is not None
        if self._ending == ".parquet":
            parquet.write_table(self._file, self._raw, self.name)
        if self._file is not self._raw:
            self._file.close()
        self._raw.flush()
        # Another program may have made the file meanwhile.
        self._check_target()
        if isinstance(self._part, parts.Part):
            self._part.deliver(self._announce)
        else:
            self._part.deliver()

    def _discard(self) -> None:
        """Remove what is left of the hidden file; after a good end nothing is."""
        try:
            if self._ending == ".parquet" and self._file is not None:
                self._file.close()
            if self._raw is not None:
                self._raw.close()
        except OSError:
            pass  # a full disk: what was buffered is not wanted any more
        finally:
            if self._part is not None:
                self._part.close()

    def _check_target(self) -> None:
        if self.name == "-":
            raise InputError(
                "the name of a file to write, which appears whole or not at all",
                got="standard output",
                advice="pass a name such as out.jsonl, or /dev/stdout to have it there at the end",
                where=self.name,
            )
        if self._streams:
            return
        folder = self._target.parent
        if self._target.exists() and not self._target.is_file():
            raise InputError(
                "the name of a plain file to write",
                got="a folder" if self._target.is_dir() else "a disk or a socket",
                advice="pass another name",
                where=self.name,
            )
        if self._target.exists() and not self._overwrite:
            raise InputError(
                "a file that does not exist yet",
                got="one that does",
                advice=("pass ", Argument("overwrite", True), " to replace it, or another name"),
                where=self.name,
            )
        if not folder.is_dir():
            raise InputError(
                "a file in an existing folder",
                got=f"{folder}, which is none",
                advice=f"make it with: mkdir -p {folder}",
                where=self.name,
            )

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            "an output that can be written",
            got=error.strerror or str(error),
            advice="nothing was written; check the folder's permissions and free space",
            where=self.name,
        )


def encoded(text: str, name: str) -> bytes:
    """Give text as UTF-8.

    Raises:
        InputError: half of a surrogate pair in it; `name` is that of the output.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            "text that can be written as UTF-8",
            got="half of a surrogate pair",
            advice="nothing was written; repair the input",
            where=name,
        ) from error


def check_different(paths: Mapping[str, str | None]) -> None:
    """Refuse one file in two places.

    Args:
        paths: the argument that names each file -> its path, ``-`` for standard input; None where
            there is none.

    Raises:
        InputError: two that lead to the same file, also over links.
    """
    argument_of: dict[str, str] = {}
    for argument, path in paths.items():
        if path is None or path == "-":
            continue
        earlier = argument_of.setdefault(os.path.realpath(path), argument)
        if earlier != argument:
            raise InputError(
                ("another file than ", Argument(earlier)),
                got=f"{path}, which is the same file",
                advice="pass another name",
                argument=argument,
            )
