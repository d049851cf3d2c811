"""Calls of a model from an event loop: one at a time, in their order, in a thread beside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import ContextVar, copy_context
from types import TracebackType
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

Result = TypeVar("Result")

_stopped: ContextVar[threading.Event | None] = ContextVar("stepscore_stopped", default=None)
# By backbone: copies of a model that share one forward in turn, too.
_workers: WeakKeyDictionary[Any, ThreadPoolExecutor] = WeakKeyDictionary()
_lock = threading.Lock()


async def in_turn(backbone: object, work: Callable[[], Result]) -> Result:
    """Do what forwards a backbone when its turn comes, while the event loop goes on.

    A task that is cancelled before its turn does nothing; one that is cancelled in it ends with the
    batch that is being forwarded, and the next one waits for that.
    """
    stopped = threading.Event()
    context = copy_context()
    context.run(_stopped.set, stopped)
    future = _worker(backbone).submit(context.run, work)
    try:
        return await asyncio.wrap_future(future)
    finally:
        stopped.set()


class UntilStopped:
    """A progress bar that ends the work it shows once its task is cancelled."""

    def __init__(self, bar: AbstractContextManager[Any]) -> None:
        self._context = bar
        self._bar: Any = None
        self._stopped = _stopped.get()

    def __enter__(self) -> UntilStopped:
        self._bar = self._context.__enter__()
        self._end_if_stopped()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._context.__exit__(kind, error, traceback)

    def update(self, steps: int) -> None:
        """Show that some more steps are done."""
        self._bar.update(steps)
        self._end_if_stopped()

    def _end_if_stopped(self) -> None:
        if self._stopped is not None and self._stopped.is_set():
            raise asyncio.CancelledError


def _worker(backbone: object) -> ThreadPoolExecutor:
    with _lock:
        worker = _workers.get(backbone)
        if worker is None:
            worker = ThreadPoolExecutor(1, thread_name_prefix="stepscore-score")
            _workers[backbone] = worker
        return worker
