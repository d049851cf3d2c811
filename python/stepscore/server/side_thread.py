"""A thread for small work beside the event loop: all that came while it was busy goes at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# Pieces of work that go over together: the first waits for the last of them.
_TOGETHER = 32


class SideThread:
    """Does work in its order. A hand-over takes longer than such work, so there is one for many.

    Args:
        name: of the thread.
        work: is given some pieces, and gives what became of each, or why nothing did.
    """

    def __init__(self, name: str, work: Callable[[list[Any]], Sequence[Any | Exception]]) -> None:
        self._work = work
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._handing: asyncio.Task[None] | None = None

    async def do(self, piece: Any) -> Any:
        """Give what becomes of a piece; a call that is cancelled before its turn does nothing.

        Raises:
            Exception: what the work gives for it.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((piece, future))
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
                pieces = [piece for piece, _ in some]
                given = await loop.run_in_executor(self._pool, self._work, pieces)
                for (_, future), each in zip(some, given, strict=True):
                    if future.done():  # nobody waits for it
                        continue
                    if isinstance(each, Exception):
                        future.set_exception(each)
                    else:
                        future.set_result(each)
        finally:
            self._handing = None
