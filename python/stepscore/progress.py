"""How far a file has been worked through, and what takes long, for a person who watches."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_SECONDS_BETWEEN = 0.2
_SECONDS_BEFORE = 0.8  # until what takes long is named
_BAR_WIDTH = 24


class Progress:
    """One line on a terminal: share of the file, how much is done, rate, time left.

    On anything but a terminal it shows nothing. The share may also be that of something else than
    bytes, such as problems, where `size` and positions count these.

    Attributes:
        count: what is done.
        seconds: how long that took, at the end.
        size: as it was given.

    Args:
        what: the word in front.
        size: the file's bytes, or what else positions count; None where nobody knows.
        stream: where it is shown; None takes standard error.
        unit: what is counted.
    """

    def __init__(
        self,
        what: str,
        size: int | None,
        stream: IO[str] | None = None,
        unit: str = "candidates",
    ) -> None:
        self.count = 0
        self.seconds = 0.0
        self._what = what
        self.size = size
        self._unit = unit
        self._stream = sys.stderr if stream is None else stream
        self._shown = self._stream is not None and self._stream.isatty()
        self._started = self._last = time.monotonic()
        self._width = 0
        self._skipped = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self.seconds = time.monotonic() - self._started
        if self._shown and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()

    def skip(self, position: int) -> None:
        """Begin to measure here: what comes before was done by an earlier run.

        Args:
            position: how much of the `size` that is.
        """
        self._skipped = position
        self._started = time.monotonic()

    def update(self, count: int, position: int, note: str = "") -> None:
        """Count what is done.

        Args:
            count: how much more.
            position: how much of the `size` has been worked through.
            note: stands at the end of the line.
        """
        self.count += count
        now = time.monotonic()
        if not self._shown or now - self._last < _SECONDS_BETWEEN:
            return
        self._last = now
        line = self._line(now - self._started, position) + note
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)

    def _line(self, seconds: float, position: int) -> str:
        done = f"{self.count:,} {self._unit}, {self.count / seconds:,.0f}/s"
        if not self.size:
            return f"{self._what}: {done}"
        share = min(position / self.size, 1.0)
        bar = ("#" * round(share * _BAR_WIDTH)).ljust(_BAR_WIDTH, ".")
        worked = min(max(position - self._skipped, 0) / self.size, 1.0)
        left = f", {_duration(seconds / worked * (1 - share))} left" if worked else ""
        return f"{self._what} {share:4.0%} [{bar}] {done}{left}"


@contextmanager
def named_when_long(what: str, stream: IO[str] | None = None) -> Iterator[None]:
    """Name what is going on, in a line of standard error, once it takes close to a second.

    Args:
        what: such as ``loading the PRM lab``.
        stream: where it is said; None takes standard error.
    """
    to = sys.stderr if stream is None else stream
    over = threading.Event()

    def name() -> None:
        if not over.wait(_SECONDS_BEFORE):
            try:
                to.write(f"{what} ...\n")
                to.flush()
            except (OSError, ValueError):
                pass  # a closed stream

    teller = threading.Thread(target=name, daemon=True)
    if to is not None:
        teller.start()
    try:
        yield
    finally:
        over.set()
        if to is not None:
            teller.join()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
