"""Files that are compressed by Zstandard, read and written by the package zstandard."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, Any

from stepscore.files.signatures import not_installed

MAGIC = b"\x28\xb5\x2f\xfd"
# The package gives all of what it makes of so much at once.
_READ = 1 << 14
_LEVEL = 3  # zstd's own default


class DamagedError(OSError):
    """What is no compressed content."""


def package(name: str) -> Any:
    """Give the package.

    Args:
        name: of the file that needs it.

    Raises:
        InputError: it is not installed.
    """
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise not_installed("zstandard", "fast", name) from error
    return zstandard


def writer(raw: IO[bytes]) -> Any:
    """Give a file whose content arrives compressed in `raw`, which stays open."""
    return (
        package("")
        .ZstdCompressor(level=_LEVEL, write_checksum=True)
        .stream_writer(raw, closefd=False)
    )


def reader(raw: IO[bytes], name: str) -> IO[bytes]:
    """Give the content of a compressed file.

    Reading it raises EOFError where the file ends too early, and DamagedError where it is damaged.

    Args:
        raw: the file; it stays open.
        name: of the file, for messages.
    """
    return io.BufferedReader(_Content(_decompressed(raw, package(name))), 1 << 20)


def _decompressed(raw: IO[bytes], zstandard: Any) -> Iterator[bytes]:
    # A stream of the package ends in silence where a file is cut.
    frame, begun, rest = zstandard.ZstdDecompressor().decompressobj(), False, b""
    while True:
        compressed = rest or raw.read(_READ)
        if not compressed:
            break
        begun = True
        try:
            content = frame.decompress(compressed)
        except zstandard.ZstdError as error:
            raise DamagedError(str(error)) from error
        if content:
            yield content
        rest = frame.unused_data if frame.eof else b""
        if frame.eof:
            frame, begun = zstandard.ZstdDecompressor().decompressobj(), bool(rest)
    if begun:
        raise EOFError("the file ends within what was compressed")


class _Content(io.RawIOBase):
    """Pieces as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
