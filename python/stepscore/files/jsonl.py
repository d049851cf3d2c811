"""Files: lines read lazily, and output that appears whole or not at all."""

from __future__ import annotations

import gzip
import os
import secrets
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from stepscore.records.records import InputError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BUFFER = 1 << 20


class LineReader:
    """The lines of a file, of a gzip file (by its ``.gz``), or of standard input (``-``).

    Iterating gives (place, bytes) per line, the place as ``file:line``; lines of white space alone
    are left out.

    Raises:
        InputError: a file that is missing or cannot be read, also while it is being read.
    """

    def __init__(self, path: str) -> None:
        self.name = "<stdin>" if path == "-" else path
        self.size: int | None = None
        self._is_own = path != "-"
        if path == "-":
            if sys.stdin is None:
                raise InputError(
                    "<stdin>: expected records on standard input; it is closed; pipe them in, or "
                    "pass the name of a file"
                )
            self._raw: IO[bytes] = sys.stdin.buffer
        else:
            try:
                self._raw = open(path, "rb", buffering=_BUFFER)  # noqa: SIM115 - closed by __exit__
                self.size = os.fstat(self._raw.fileno()).st_size
            except OSError as error:
                raise _unreadable(self.name, error) from error
        self._lines: Any = self._raw
        if path.endswith(".gz"):
            self._lines = gzip.GzipFile(fileobj=self._raw)

    def __enter__(self) -> LineReader:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._is_own:
            self._lines.close()
            self._raw.close()

    def position(self) -> int:
        """How many bytes of the file have been read, to compare with `size`."""
        return self._raw.tell() if self.size is not None else 0

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        try:
            for number, line in enumerate(self._lines, 1):
                content = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
                if content.strip():
                    yield f"{self.name}:{number}", content
        except (OSError, EOFError, zlib.error) as error:
            raise _unreadable(self.name, error) from error


class WholeFile:
    """A text file that appears under its name when the block ends well, and never in part.

    It is written to a hidden file in the same folder, which an error or Ctrl-C removes.

    Args:
        path: where it will stand; compressed when it ends in ``.gz``.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: an existing file without `overwrite`, something that is not a plain file, a
            folder that is missing or cannot be written to, a full disk.
    """

    def __init__(self, path: str, *, overwrite: bool = False) -> None:
        self.name = path
        self._overwrite = overwrite
        # A link keeps pointing to the file that it names.
        self._target = Path(os.path.realpath(path))
        self._check_target()
        self._part = self._target.with_name(f".{self._target.name}.{secrets.token_hex(4)}.part")
        self._file: Any = None
        self._raw: IO[bytes] | None = None

    def __enter__(self) -> WholeFile:
        try:
            self._raw = open(self._part, "xb", buffering=_BUFFER)
        except OSError as error:
            raise self._unwritable(error) from error
        self._file = self._raw
        if self._target.suffix == ".gz":
            self._file = gzip.GzipFile("", "wb", compresslevel=6, fileobj=self._raw, mtime=0)
        return self

    def write(self, text: str) -> None:
        """Add text."""
        try:
            self._file.write(text.encode())
        except UnicodeEncodeError as error:
            raise InputError(
                f"{self.name}: expected text that can be written as UTF-8; got half of a surrogate "
                "pair; nothing was written; repair the input"
            ) from error
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
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            self._discard()

    def _finish(self) -> None:
        assert self._raw is not None
        if self._file is not self._raw:
            self._file.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        # Another program may have made the file meanwhile.
        self._check_target()
        os.replace(self._part, self._target)
        _sync_folder(self._target.parent)

    def _discard(self) -> None:
        """Remove what is left of the hidden file; after a good end nothing is."""
        if self._raw is None:
            return
        try:
            self._raw.close()
        except OSError:
            pass  # a full disk: what was buffered is not wanted any more
        finally:
            self._part.unlink(missing_ok=True)

    def _check_target(self) -> None:
        if self.name == "-":
            raise InputError(
                "-: expected the name of a file to write, which appears whole or not at all; got "
                "standard output; pass a name such as out.jsonl"
            )
        if self._target.exists() and not self._target.is_file():
            raise InputError(
                f"{self.name}: expected the name of a plain file to write; got something else; "
                "pass another name"
            )
        if self._target.exists() and not self._overwrite:
            raise InputError(
                f"{self.name}: expected a file that does not exist yet; it does; pass "
                "--overwrite to replace it, or another name"
            )
        if not self._target.parent.is_dir():
            raise InputError(
                f"{self.name}: expected an existing folder; there is no {self._target.parent}; "
                f"make it with: mkdir -p {self._target.parent}"
            )

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"{self.name}: expected to write the output; got {error.strerror or error}; nothing "
            "was written; check the folder's permissions and free space"
        )


def check_different(paths: Mapping[str, str | None]) -> None:
    """Refuse one file in two places.

    Args:
        paths: the argument of each -> its path, ``-`` for standard input; None where it is absent.

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
                f"{argument}: expected another file than {earlier}; got {path}, which is the same "
                "file; pass another name"
            )


def _unreadable(name: str, error: BaseException) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{name}: expected a file; there is none; check the path")
    reason = getattr(error, "strerror", None) or error
    advice = "check the file"
    if isinstance(error, (gzip.BadGzipFile, EOFError, zlib.error)):
        advice = "it is no whole gzip file; fetch it again, or rename it without .gz"
    return InputError(f"{name}: expected a readable file; got: {reason}; {advice}")


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where the file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
