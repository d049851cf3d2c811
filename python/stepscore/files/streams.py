"""Outputs that are no files: pipes and terminals, which get the whole text at the end or none."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile

# What the system calls the open files of a process itself -> the number of one.
_OPEN_FILE = re.compile(r"/dev/(stdin|stdout|stderr)|(?:/dev|/proc/self)/fd/([0-9]+)")
_STANDARD = {"stdin": 0, "stdout": 1, "stderr": 2}


def is_stream(path: str) -> bool:
    """Say whether a path names an open file of this process, a pipe, or a terminal."""
    if _OPEN_FILE.fullmatch(path):
        return True
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def is_standard_output(path: str | None) -> bool:
    """Say whether what is written to a path arrives where standard output does."""
    if path is None or not is_stream(path):
        return False
    try:
        return os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:
        return False


class Stream:
    """Text that is kept in a nameless file until all of it is there.

    Attributes:
        descriptor: of the nameless file.

    Raises:
        OSError: a path that cannot be opened. A FIFO waits for its reader here.
    """

    def __init__(self, path: str) -> None:
        open_file = _OPEN_FILE.fullmatch(path)
        if open_file is None:
            self._sink = os.open(path, os.O_WRONLY | os.O_NOCTTY)
        else:  # opened by its name again, a file that it is redirected to would be cut off
            name, number = open_file.groups()
            self._sink = os.dup(int(number) if name is None else _STANDARD[name])
        self._kept = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self.descriptor = self._kept.fileno()

    def deliver(self) -> None:
        """Write all of it to where it belongs."""
        if sys.stdout is not None:
            sys.stdout.flush()
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        with os.fdopen(self._sink, "wb", closefd=False) as sink:
            shutil.copyfileobj(self._kept, sink, 1 << 20)

    def close(self) -> None:
        """Let go of both."""
        self._kept.close()
        os.close(self._sink)
