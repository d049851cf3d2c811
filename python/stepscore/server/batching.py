"""Requests of many clients in one forward pass: first come, first served, each answered alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from stepscore.scoring import ProcessRewardModel, StepScores
from stepscore.scoring.arguments import Solution, TraceArguments
from stepscore.scoring.score_options import ScoreOptions
from stepscore.scoring.together import Call, Part, PreparedScores, read_together
from stepscore.scoring.turns import in_turn
from stepscore.server.errors import OverloadedError, UnavailableError
from stepscore.server.limits import check_prepared, check_split, check_texts
from stepscore.server.line import Alone, Line, Scoring, Taken, Waiting
from stepscore.server.room import Room
from stepscore.server.settings import Settings
from stepscore.server.side_thread import SideThread

# What work gives, or why it gives nothing.
Outcome = tuple[Any, Exception | None]
State = Literal["loading", "ready", "draining"]
# Of the rates of past forward passes, which tell when to come again; the last one counts so much.
_LATEST = 0.2


@dataclass(frozen=True)
class Answer:
    """What a request is answered with.

    Attributes:
        scores: of its solutions.
        tokens: of all their traces, each whole.
    """

    scores: StepScores
    tokens: int


@dataclass(frozen=True)
class Batch:
    """What one forward pass did.

    Attributes:
        requests: how many were in it, with a part at least.
        tokens: of the budget that they took.
        given: tokens of their traces.
        forwarded: tokens that went through the model, padding included.
        seconds: how long it took.
    """

    requests: int
    tokens: int
    given: int
    forwarded: int
    seconds: float


@dataclass(eq=False)
class Batcher:
    """Scores the requests of many clients together, while it is entered.

    All of it happens in one event loop, but for tokenising and the forward passes: each has a
    thread, and there is one forward pass at a time. In float32 on a CPU an answer has the bits of
    `ProcessRewardModel.score`, whatever was forwarded with it.

    Args:
        prm: the model; one that writes its verdicts is asked for one request after the other.
        settings: limits, token budget and latency.
        on_batch: is told of every forward pass.

    Attributes:
        state: ``loading`` until it is entered, ``draining`` once it is left, or told to.
        line: the requests that wait for their forward pass.
        requests: room for requests that are not answered yet.
        tokens: room for their tokens.
    """

    prm: Any
    settings: Settings = field(default_factory=Settings)
    on_batch: Callable[[Batch], object] = id
    state: State = field(default="loading", init=False)

    def __post_init__(self) -> None:
        self._budget = self.settings.budget_of(self.prm)
        self.line = Line(self._budget, self.settings.batch_requests)
        self.requests = Room(self.settings.max_requests)
        self.tokens = Room(self.settings.max_waiting_tokens)
        self._empty = asyncio.Event()
        self._in_house = 0  # accepted, or held
        self._tokens_a_second = 0.0
        self._together = isinstance(self.prm, ProcessRewardModel)
        if self._together:
            # A tokenizer is not for two threads at once, and who serves a model may use it, too.
            self._own = replace(self.prm, tokenizer=deepcopy(self.prm.tokenizer))
            self._engine = self._own.engine

    async def __aenter__(self) -> Batcher:
        self._tokeniser = SideThread("stepscore-tokenise", self._prepare)
        self._serving = asyncio.create_task(self._serve())
        self.state = "ready"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()
        self._serving.cancel()
        with suppress(asyncio.CancelledError):
            await self._serving
        self._tokeniser.close()

    async def score(
        self,
        arguments: TraceArguments,
        problems: Sequence[str],
        solutions: Sequence[Solution],
        options: ScoreOptions | None = None,
        *,
        held: bool = False,
    ) -> Answer:
        """Score solutions as `ProcessRewardModel.score` does, in one forward pass with others.

        A call that is cancelled leaves the line; once it is being forwarded its scores are dropped.

        Args:
            arguments: where the texts stand among the fields of the request.
            problems: one per solution.
            solutions: each a text or its steps.
            options: as those of `ProcessRewardModel.score`; None takes its defaults.
            held: waits where there is no room, in place of an error, for clients that take one for
                a reward.

        Raises:
            InputError: as `ProcessRewardModel.score`, with the field; `TooLargeError` over a limit;
                `OverloadedError` without room; `UnavailableError` in a shutdown.
        """
        options = ScoreOptions() if options is None else options
        check_texts(self.settings, arguments, problems, solutions)
        async with self._accepted(held) as until:
            if not self._together:
                return await self._score_alone(arguments, problems, solutions, options, until)
            loop = asyncio.get_running_loop()
            asked = Call(arguments, problems, solutions, options)
            call: PreparedScores = await self._tokeniser.do(asked)
            check_prepared(self.settings, arguments, call)
            if not len(call.lengths):
                return Answer(call.scores(), 0)
            tokens = int(call.new_tokens.sum())
            async with self.tokens.taken_for(tokens, until, self._overloaded):
                waiting = Scoring(call, loop.create_future(), loop.time(), tokens)
                return Answer(await self._answered(waiting), call.tokens)

    async def run(self, work: Callable[[], Any], tokens: int, *, held: bool = False) -> Any:
        """Do work that forwards by itself when its turn comes.

        Args:
            work: is called in the thread of the forward passes.
            tokens: about as many as it forwards.
            held: as in `score`.

        Raises:
            OverloadedError: without room.
            UnavailableError: in a shutdown.
            Exception: what the work raises.
        """
        async with self._accepted(held) as until:
            return await self._run(work, tokens, until)

    async def drain(self) -> None:
        """Finish what was accepted, and refuse what comes; give up what takes too long."""
        self.state = "draining"
        if self._in_house:
            self._empty.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._empty.wait(), self.settings.drain_timeout)
        while len(self.line):
            waiting = self.line.first
            self.line.leave(waiting)
            waiting.future.set_exception(self.unavailable())

    def unavailable(self) -> UnavailableError:
        """Say that nothing is accepted."""
        return UnavailableError(
            "a server that takes requests", got=f"one that is {self.state}", advice="try another"
        )

    @asynccontextmanager
    async def _accepted(self, held: bool) -> AsyncIterator[float | None]:
        """Accept a request while the block runs; gives the time up to which it may be held."""
        if self.state != "ready":
            raise self.unavailable()
        until = None
        if held and self.requests.waiting + self.tokens.waiting < self.settings.max_held:
            until = asyncio.get_running_loop().time() + self.settings.hold_timeout
        elif not self.tokens.has(1):
            raise self._overloaded()
        self._in_house += 1
        try:
            async with self.requests.taken_for(1, until, self._overloaded):
                yield until
        finally:
            self._in_house -= 1
            if not self._in_house:
                self._empty.set()

    async def _score_alone(
        self,
        arguments: TraceArguments,
        problems: Sequence[str],
        solutions: Sequence[Solution],
        options: ScoreOptions,
        until: float | None,
    ) -> Answer:
        """Score with a model that writes its verdicts."""
        reader = replace(self.prm.reader, special_tokens=options.special_tokens)
        check_split(self.settings, arguments, reader, solutions)
        work = partial(self.prm._score, arguments, problems, solutions, options)
        # About as many as a text has words and signs.
        tokens = sum(map(len, problems)) + sum(len("".join(each)) for each in solutions)
        return Answer(await self._run(work, tokens // 4 + 1, until), 0)

    async def _run(self, work: Callable[[], Any], tokens: int, until: float | None) -> Any:
        loop = asyncio.get_running_loop()
        async with self.tokens.taken_for(tokens, until, self._overloaded):
            return await self._answered(Alone(work, loop.create_future(), loop.time(), tokens))

    async def _answered(self, waiting: Waiting) -> Any:
        """Let a request wait in the line for its answer."""
        self.line.append(waiting)
        try:
            return await waiting.future
        except asyncio.CancelledError:
            if not waiting.future.cancelled():
                waiting.future.exception()  # asyncio logs one that nobody has looked at
            self.line.leave(waiting)
            raise

    async def _serve(self) -> None:
        """Forward what waits, batch by batch."""
        while True:
            while not len(self.line):
                self.line.arrived.clear()
                await self.line.arrived.wait()
            await self._fill()
            batch = self.line.next()
            if batch:
                await self._forward(batch)

    async def _fill(self) -> None:
        """Wait until a batch is full, or the first of it has waited for long enough."""
        now = asyncio.get_running_loop().time()
        left = self.line.first.since + self.settings.latency - now
        if left > 0 and not self.line.full.is_set() and self.state == "ready":
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.line.full.wait(), left)

    def _prepare(self, calls: list[Call]) -> list[PreparedScores | Exception]:
        return PreparedScores.of_many(self._own, calls)

    async def _forward(self, batch: list[Taken]) -> None:
        """Forward a batch in its thread, and give the answers that are complete."""
        first = batch[0].waiting
        work = (
            partial(_outcomes, first.work)
            if isinstance(first, Alone)
            else partial(self._read, [taken.part for taken in batch if taken.part is not None])
        )
        try:
            given = await in_turn(self.prm.backbone, work)
        except Exception as error:
            given = [(None, error)] * len(batch)
        for taken, (answer, fault) in zip(batch, given, strict=True):
            waiting = taken.waiting
            if waiting.future.done():  # its client has gone
                continue
            if fault is not None:
                self.line.leave(waiting)
                waiting.future.set_exception(fault)
            elif taken.is_last:
                waiting.future.set_result(answer)

    def _read(self, parts: list[Part]) -> list[Outcome]:
        """Forward parts, and give the scores of those whose last part this was, or the fault."""
        given = forwarded = 0

        def count(plan: Any) -> None:
            nonlocal given, forwarded
            given, forwarded = given + plan.given, forwarded + plan.forwarded

        begin = time.perf_counter()
        faults = read_together(self._engine, parts, count)
        seconds = time.perf_counter() - begin
        tokens = sum(int(part.call.new_tokens[part.begin : part.end].sum()) for part in parts)
        rate = tokens / max(seconds, 1e-9)
        before = self._tokens_a_second or rate
        self._tokens_a_second = (1 - _LATEST) * before + _LATEST * rate
        self.on_batch(Batch(len(parts), tokens, given, forwarded, seconds))
        given_back: list[Outcome] = []
        for part, fault in zip(parts, faults, strict=True):
            if fault is not None or not part.is_last:
                given_back.append((None, fault))
            else:
                given_back += _outcomes(part.call.scores)
        return given_back

    def _overloaded(self) -> OverloadedError:
        """Say that there is no room, and when there will be: once half of what is there is done."""
        settings = self.settings
        rate = self._tokens_a_second or self._budget
        return OverloadedError(
            f"at most {settings.max_requests} requests and {settings.max_waiting_tokens} tokens "
            "that wait",
            got=f"{self.requests.taken} requests with {self.tokens.taken} tokens",
            retry_after=self.tokens.taken / 2 / rate,
        )


def _outcomes(work: Callable[[], Any]) -> list[Outcome]:
    """Do work, and give what it gives or raises, as a batch of one."""
    try:
        return [(work(), None)]
    except Exception as error:
        return [(None, error)]
