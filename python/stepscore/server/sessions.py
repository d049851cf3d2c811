"""Sessions of a search over HTTP: traces that grow, under names that nobody can guess."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from stepscore.errors import Argument
from stepscore.scoring import ProcessRewardModel, Session, StepScores
from stepscore.scoring.arguments import TraceArguments
from stepscore.scoring.session_memory import MemoryLimitError
from stepscore.server.batching import Batcher
from stepscore.server.errors import NotFoundError, OverloadedError, TooLargeError, too_large
from stepscore.server.limits import check_texts
from stepscore.server.settings import Settings

_OPEN = TraceArguments(
    "session",
    lambda trace: Argument("problems", index=(trace,)),
    lambda trace, *_: Argument("problems", index=(trace,)),
)
_EXTEND = TraceArguments(
    "extend",
    lambda trace: Argument("nodes", index=(trace,)),
    lambda trace, *step: Argument("steps", index=(trace, *step)),
)
# Bytes of a name that is drawn at random.
_NAME = 16


@dataclass(eq=False)
class Open:
    """A session that some client has opened.

    Attributes:
        name: what its client calls it.
        session: the traces.
        roots: the names of its problems.
        numbers: a node's name -> its number in the session.
        characters: of the steps that a node adds to the one before it.
        used: when it was used last, on the clock of `time.monotonic`.
        turn: one request at a time.
        busy: how many requests use it or wait for that.
    """

    name: str
    session: Session
    roots: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    characters: dict[str, int] = field(default_factory=dict)
    used: float = field(default_factory=time.monotonic)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    busy: int = 0

    def named(self, numbers: Sequence[int], characters: Sequence[int]) -> list[str]:
        """Give nodes names."""
        names = [secrets.token_urlsafe(_NAME) for _ in numbers]
        self.numbers.update(zip(names, numbers, strict=True))
        self.characters.update(zip(names, characters, strict=True))
        return names

    def numbers_of(self, names: Sequence[str]) -> list[int]:
        """Give the numbers of nodes.

        Raises:
            NotFoundError: no node, or one that was not kept.
        """
        for place, name in enumerate(names):
            if name not in self.numbers:
                raise NotFoundError(
                    "a node of this session",
                    got="none, or one that was not kept",
                    advice="send what extend or the session's roots gave",
                    argument=Argument("nodes", index=(place,)),
                )
        return [self.numbers[name] for name in names]


@dataclass(frozen=True)
class Extended:
    """What an extension made: a name for each new node, and the scores of its new steps."""

    nodes: list[str]
    scores: StepScores


class Sessions:
    """The open sessions of a server.

    Args:
        prm: the model.
        settings: how many there may be, for how long, and in how much memory.
        batcher: takes its turn with other requests.
        on_tokens: is told how many tokens an extension has, and how many of them it forwarded.
    """

    def __init__(
        self,
        prm: Any,
        settings: Settings,
        batcher: Batcher,
        on_tokens: Callable[[int, int], object] = max,
    ) -> None:
        if isinstance(prm, ProcessRewardModel):
            # Its steps are tokenised in another thread than those of whole solutions.
            prm = replace(prm, tokenizer=deepcopy(prm.tokenizer))
        self._prm = prm
        self._settings = settings
        self._batcher = batcher
        self._on_tokens = on_tokens
        self._open: dict[str, Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def open(self, problems: Sequence[str], options: dict[str, Any]) -> Open:
        """Open a session over problems.

        Raises:
            InputError: as `ProcessRewardModel.session`.
            OverloadedError: as many as there may be are open.
        """
        self.close_idle()
        settings = self._settings
        if self._batcher.state != "ready":
            raise self._batcher.unavailable()
        check_texts(settings, _OPEN, problems, [""] * len(problems))
        if len(self._open) >= settings.max_sessions:
            oldest = min(each.used for each in self._open.values())
            raise OverloadedError(
                f"at most {settings.max_sessions} open sessions",
                got="as many",
                retry_after=oldest + settings.session_timeout - time.monotonic(),
            )
        memory = settings.session_memory // settings.max_sessions
        session = self._prm.session(list(problems), memory_limit=max(1, memory), **options)
        opened = Open(secrets.token_urlsafe(_NAME), session)
        opened.roots = opened.named(session.roots, [len(problem) for problem in problems])
        self._open[opened.name] = opened
        return opened

    async def extend(self, name: str, nodes: Sequence[str], steps: Sequence[Any]) -> Extended:
        """Continue nodes by steps, and score these.

        Raises:
            InputError: as `Session.extend`, with the field; `NotFoundError` for a session or a node
                that is not there; `TooLargeError` for more nodes or memory than a session has.
        """
        check_texts(self._settings, _EXTEND, [""] * len(steps), steps)
        async with self._in_use(name) as opened:
            session, numbers = opened.session, opened.numbers_of(nodes)
            characters = [len("".join(step)) for step in steps]
            self._check_size(opened, characters)
            work = partial(self._extend, session, numbers, list(steps))
            try:
                made = await self._batcher.run(work, sum(characters) // 4 + 1)
            except MemoryLimitError as error:
                raise TooLargeError(
                    error.expected,
                    got=error.got,
                    advice="send fewer steps, or let the server keep more",
                    argument=error.argument,
                ) from error
            return Extended(opened.named(made.nodes, characters), made.scores)

    def _check_size(self, opened: Open, new: Sequence[int]) -> None:
        """Refuse to let a session grow over its limits; `new` are the characters of new nodes."""
        field = Argument("nodes")
        nodes, most = len(opened.session) + len(new), self._settings.max_session_nodes
        if nodes > most:
            raise too_large("max_session_nodes", most, nodes, field)
        characters = sum(opened.characters.values()) + sum(new)
        most = self._settings.max_session_characters
        if characters > most:
            raise too_large("max_session_characters", most, characters, field)

    def _extend(self, session: Session, numbers: list[int], steps: list[Any]) -> Any:
        given, forwarded = session.stats.given, session.stats.forwarded
        try:
            return session.extend(numbers, steps)
        finally:
            stats = session.stats
            self._on_tokens(stats.given - given, stats.forwarded - forwarded)

    async def keep(self, name: str, nodes: Sequence[str]) -> int:
        """Release all nodes but these, their ancestors and the roots; gives how many are left.

        Raises:
            NotFoundError: a session or a node that is not there.
        """
        async with self._in_use(name) as opened:
            numbers = opened.numbers_of(nodes)
            await asyncio.to_thread(opened.session.keep, numbers)
            for key in [key for key, n in opened.numbers.items() if n not in opened.session]:
                del opened.numbers[key], opened.characters[key]
            return len(opened.session)

    async def close(self, name: str) -> None:
        """Close a session.

        Raises:
            NotFoundError: it is not there.
        """
        async with self._in_use(name) as opened:
            self._open.pop(name, None)
            await asyncio.to_thread(opened.session.close)

    @asynccontextmanager
    async def _in_use(self, name: str) -> AsyncIterator[Open]:
        """Use a session alone while the block runs; it does not grow old meanwhile.

        Raises:
            NotFoundError: it is not there.
        """
        opened = self._found(name)
        opened.busy += 1
        try:
            async with opened.turn:
                yield self._found(name)
        finally:
            opened.busy -= 1
            opened.used = time.monotonic()

    def _found(self, name: str) -> Open:
        self.close_idle()
        opened = self._open.get(name)
        if opened is None:
            raise NotFoundError(
                "an open session",
                got="none of this name: it was closed, or nobody used it for "
                f"{self._settings.session_timeout:g} s",
                advice="open another one with POST /v1/sessions",
                argument=Argument("session"),
            )
        return opened

    def close_idle(self) -> None:
        """Close the sessions that nobody has used for long."""
        oldest = time.monotonic() - self._settings.session_timeout
        for opened in [each for each in self._open.values() if each.used < oldest]:
            if not opened.busy:
                del self._open[opened.name]
                opened.session.close()

    async def close_idle_ones_forever(self) -> None:
        """Look after them while the server runs."""
        while True:
            await asyncio.sleep(min(60.0, max(0.05, self._settings.session_timeout / 4)))
            self.close_idle()
