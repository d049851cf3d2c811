"""How a signal ends a command: unwound, with its exit code, whatever other threads are at."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from stepscore.files import discard_parts

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
# A wrapper passes on the signal that the terminal has sent to both: that is no second one.
_SAME = 0.5  # seconds
_OFFSET = 128  # as a shell reports a signal: 130 after Ctrl-C


class StoppedError(SystemExit):
    """A signal other than Ctrl-C; the code is that of the exit."""


def code_of(error: KeyboardInterrupt | SystemExit) -> int:
    """Give the exit code of a command that was stopped."""
    if isinstance(error, KeyboardInterrupt):
        return _OFFSET + int(signal.SIGINT)
    return int(error.code or 0)


@contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Unwind at the first signal, so that half-written files go; a second one ends at once.

    Signals that are ignored, as under nohup, stay so.
    """
    # Only the main thread may set handlers.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    first: float | None = None

    def stop(number: int, frame: object) -> None:
        nonlocal first
        now = time.monotonic()
        if first is not None and now - first < _SAME:
            return
        if first is not None:
            discard_parts()
            leave_process(_OFFSET + number)
        first = now
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise StoppedError(_OFFSET + number)

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    earlier = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def leave_process(code: int) -> NoReturn:
    """End the process without waiting for threads.

    One that comes back from a model, or from a library, while the interpreter is being taken apart
    ends the whole process with an abort; here there is no such moment.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a closed stream, or a full disk
            stream.flush()
    os._exit(code)
