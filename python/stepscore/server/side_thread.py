"""A thread for small work beside the event loop: all that came while it was busy goes at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# What work gives, or why it gives nothing.
Outcome = tuple[Any, Exception | None]
# Pieces of work that go over together: the first waits for the last of them.
_TOGETHER = 32


def outcomes(work: Sequence[Callable[[], Any]]) -> list[Outcome]:
    """Do work, and give what each piece of it gives or raises."""
    given: list[Outcome] = []
    for each in work:
        try:
            given.append((each(), None))
        except Exception as error:
            given.append((None, error))
    return given


class SideThread:
    """Does work in its order. A hand-over takes longer than such work, so there is one for many.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._handing: asyncio.Task[None] | None = None

    async def do(self, work: Callable[[], Any]) -> Any:
        """Do work, and give what it gives; a call that is cancelled before its turn does nothing.

        Raises:
            Exception: what the work raises.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        if self._handing is None:
            self._handing = asyncio.create_task(self._hand_over())
        return await future

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _hand_over(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                some = [self._waiting.popleft() for _ in range(min(_TOGETHER, len(self._waiting)))]
                some = [each for each in some if not each[1].done()]
                given = await loop.run_in_executor(self._pool, outcomes, [work for work, _ in some])
                for (_, future), (value, fault) in zip(some, given, strict=True):
                    if future.done():  # nobody waits for it
                        continue
                    if fault is None:
                        future.set_result(value)
                    else:
                        future.set_exception(fault)
        finally:
            self._handing = None
