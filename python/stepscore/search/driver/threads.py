"""Threads in which models work; the process does not end while one may come back from a call."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

THREAD_NAME = "stepscore-search"
_WAIT = 5.0  # seconds, at the end of the process, for all of them together

_threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def start_thread(work: Callable[..., None], *arguments: Any) -> None:
    """Run a function in a thread that nobody has to wait for."""
    thread = threading.Thread(target=work, args=arguments, name=THREAD_NAME, daemon=True)
    _threads.add(thread)
    thread.start()


def _wait() -> None:
    """Let calls return that a search left behind.

    A thread that comes back from torch while the interpreter is taken apart ends the whole process
    with an abort. One that hangs is waited for in vain.
    """
    end = time.monotonic() + _WAIT
    for thread in list(_threads):
        thread.join(max(0.0, end - time.monotonic()))


atexit.register(_wait)
