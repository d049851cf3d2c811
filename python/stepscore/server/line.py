"""The requests that wait for a forward pass, in their order, and what the next one takes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.scoring.scores import StepScores
from stepscore.scoring.together import Part, PreparedScores


@dataclass(eq=False)
class Scoring:
    """A request that waits to be scored.

    Attributes:
        call: what it asks for.
        future: its answer.
        since: when it came.
        tokens: what the traces take that are left.
        begin: the traces before this one went into earlier forward passes.
    """

    call: PreparedScores
    future: asyncio.Future[StepScores]
    since: float
    tokens: int
    begin: int = 0

    def cut(self, room: int, *, at_least: int) -> Part | None:
        """Take as many of the traces that are left as fit, but at least so many, if any."""
        call, begin = self.call, self.begin
        total = _tokens_from(call, begin)
        count = max(at_least, int(total.searchsorted(room, side="right")))
        if not count:
            return None
        self.begin += count
        # What the rest shares with these is forwarded again.
        done = self.begin == len(call.lengths)
        self.tokens = 0 if done else int(_tokens_from(call, self.begin)[-1])
        return Part(call, begin, self.begin)


@dataclass(eq=False)
class Alone:
    """Work that forwards by itself, such as the next steps of a session."""

    work: Callable[[], Any]
    future: asyncio.Future[Any]
    since: float
    tokens: int


Waiting = Scoring | Alone


@dataclass(frozen=True, eq=False)
class Taken:
    """What of a request goes into a forward pass: some of its traces, or its work."""

    waiting: Waiting
    part: Part | None

    @property
    def is_last(self) -> bool:
        """Whether the request is answered then."""
        return self.part is None or self.part.is_last


class Line:
    """Requests in the order of their arrival.

    Args:
        token_budget: of a forward pass.
        batch_requests: of a forward pass.

    Attributes:
        tokens: what all of them take.
        arrived: is set when one comes.
        full: is set while there is enough for a whole forward pass.
    """

    def __init__(self, token_budget: int, batch_requests: int) -> None:
        self.tokens = 0
        self.arrived, self.full = asyncio.Event(), asyncio.Event()
        self._token_budget, self._batch_requests = token_budget, batch_requests
        self._queue: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def first(self) -> Waiting:
        """Who came first."""
        return self._queue[0]

    def append(self, waiting: Waiting) -> None:
        """Let a request wait."""
        self._queue.append(waiting)
        self._count(waiting.tokens)
        self.arrived.set()

    def leave(self, waiting: Waiting) -> None:
        """Take a request out, of which a part may be left; it may also be there no more."""
        if waiting in self._queue:
            self._queue.remove(waiting)
            self._count(-waiting.tokens)

    def next(self) -> list[Taken]:
        """Take from the front what goes into one forward pass.

        A request goes into it whole, or waits for the next one; only one that is over the budget by
        itself is cut. What it begins with as another request of its problem takes no room again.
        """
        batch: list[Taken] = []
        room = self._token_budget
        of_problem: dict[str, PreparedScores] = {}
        while self._queue and len(batch) < self._batch_requests:
            waiting, before = self._queue[0], self._queue[0].tokens
            part: Part | None = None
            takes = before
            if isinstance(waiting, Alone):
                if batch:
                    break
            else:
                other = of_problem.setdefault(waiting.call.problem, waiting.call)
                if other is not waiting.call:
                    takes -= waiting.call.shares_with(other)
                if takes <= room:
                    part = Part(waiting.call, waiting.begin, len(waiting.call.lengths))
                elif batch and before <= self._token_budget:
                    break
                else:
                    part = waiting.cut(room, at_least=0 if batch else 1)
                    if part is None:
                        break
            batch.append(Taken(waiting, part))
            if part is not None and not part.is_last:
                self._count(waiting.tokens - before)
                break
            self._queue.popleft()
            self._count(-before)
            if part is None:
                break
            room -= takes
        return batch

    def _count(self, tokens: int) -> None:
        self.tokens += tokens
        if self.tokens >= self._token_budget or len(self._queue) >= self._batch_requests:
            self.full.set()
        else:
            self.full.clear()


def _tokens_from(call: PreparedScores, begin: int) -> NDArray[np.int64]:
    """Count the tokens up to each trace from one on, ``[traces that are left]``."""
    costs = call.new_tokens[begin:].copy()
    costs[0] = call.lengths[begin]  # nothing is there yet that it could share
    return np.cumsum(costs)
