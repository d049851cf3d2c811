"""Room for so much at a time: taken in the order of arrival, at once or after a wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Room:
    """So many units; who finds too few is refused, or waits for those that others give back.

    Attributes:
        limit: all there are. Who comes first into an empty room is let in whatever it needs.
        taken: those that are in use.
        waiting: how many wait.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    def has(self, amount: int) -> bool:
        """Whether somebody who comes now is let in at once."""
        return not self._queue and self._fits(amount)

    @asynccontextmanager
    async def taken_for(
        self, amount: int, until: float | None, refused: Callable[[], Exception]
    ) -> AsyncIterator[None]:
        """Use some units while the block runs.

        Args:
            amount: how many.
            until: the loop's time up to which to wait for them; None does not wait.
            refused: makes what is raised where there are too few.
        """
        if self.has(amount):
            self.taken += amount
        elif until is None:
            raise refused()
        else:
            await self._wait(amount, until, refused)
        try:
            yield
        finally:
            self.taken -= amount
            self._let_in()

    async def _wait(self, amount: int, until: float, refused: Callable[[], Exception]) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._queue.append((amount, turn))
        try:
            await asyncio.wait([turn], timeout=max(0.0, until - loop.time()))
        except asyncio.CancelledError:
            if turn.done():  # let in, and gone in one moment
                self.taken -= amount
            self._leave(amount, turn)
            raise
        if not turn.done():
            self._leave(amount, turn)
            raise refused()

    def _leave(self, amount: int, turn: asyncio.Future[None]) -> None:
        """Let those behind somebody who has gone take the turn."""
        if not turn.done():
            self._queue.remove((amount, turn))
        self._let_in()

    def _let_in(self) -> None:
        while self._queue and self._fits(self._queue[0][0]):
            amount, turn = self._queue.popleft()
            self.taken += amount
            turn.set_result(None)

    def _fits(self, amount: int) -> bool:
        return self.taken == 0 or self.taken + amount <= self.limit
