"""Scoring from an event loop: `await`, or `async for` over candidates as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from stepscore.errors import Argument, InputError, InputTypeError
from stepscore.lists import as_lists
from stepscore.ops.aggregate import Aggregation
from stepscore.recipes import Recipe
from stepscore.scoring.arguments import Solution, TraceArguments, check_list, score_arguments
from stepscore.scoring.ranking import (
    Ranked,
    check_candidates,
    check_ranking,
    rank_arguments,
    rank_scores,
)
from stepscore.scoring.score_options import NonFinite, OnBad, ScoreOptions, SpecialTokens
from stepscore.scoring.score_traces import check_finite
from stepscore.scoring.scores import (
    StepScores,
    all_readings,
    check_aggregation,
    check_direction,
    joined,
    only,
)
from stepscore.scoring.truncation import Truncation
from stepscore.scoring.turns import in_turn

# Candidates that wait for the model, before whoever makes them waits, too.
_WAITING = 1024
_END = object()


@dataclass(frozen=True)
class ScoredCandidate:
    """One candidate of a stream.

    Attributes:
        index: its place in the stream.
        candidate: as it came.
        scores: its step scores alone; `StepScores.skipped` says why it has none.
    """

    index: int
    candidate: Any
    scores: StepScores

    @property
    def step_scores(self) -> list[float]:
        """One per step."""
        return [float(score) for score in self.scores.values]


class Scorer(Protocol):
    """What `ProcessRewardModel` has, and is used here."""

    @property
    def backbone(self) -> Any:
        """What is forwarded by one call at a time."""
        ...

    @property
    def engine(self) -> Any:
        """Knows the process that can score."""
        ...

    @property
    def recipe(self) -> Recipe:
        """Says what the scores are."""
        ...

    def _score(
        self,
        arguments: TraceArguments,
        problems: Sequence[str],
        solutions: Sequence[Solution],
        options: ScoreOptions,
    ) -> StepScores:
        """Score traces."""
        ...


class ScoresAsynchronously:
    """The asynchronous forms of `ProcessRewardModel`."""

    async def ascore(
        self: Scorer,
        problems: str | Sequence[str],
        solutions: Sequence[Solution],
        *,
        truncation: Truncation = "error",
        on_bad: OnBad = "error",
        special_tokens: SpecialTokens = "strip_end",
        nan: NonFinite = "error",
    ) -> StepScores:
        """Score as `score` does, bit for bit, while the event loop goes on.

        Several calls are forwarded one after the other, in their order. A call that is cancelled
        before its turn does nothing; later it ends with the batch that is being forwarded.

        Args:
            problems, solutions, truncation, on_bad, special_tokens, nan: as in `score`.

        Raises:
            TypeError, ValueError, RuntimeError: as in `score`.

        Examples:
            >>> import asyncio, stepscore
            >>> prm = stepscore.load("lab")
            >>> solutions = [["85+95=180", "180-16=154"]]
            >>> scores = asyncio.run(prm.ascore("85+95-16+20+11-30=?", solutions))
            >>> (scores.values > 0.5).tolist()
            [True, False]
        """
        arguments, each, solutions = score_arguments("ascore", problems, solutions)
        options = ScoreOptions(truncation, on_bad, special_tokens, nan)
        self.engine.check_process("ascore")
        return await in_turn(
            self.backbone, partial(self._score, arguments, each, solutions, options)
        )

    async def arank(
        self: Scorer,
        problem: str,
        candidates: Sequence[Solution] | AsyncIterable[Solution],
        *,
        how: Aggregation | None = None,
        top_k: int | None = None,
        truncation: Truncation = "error",
        on_bad: OnBad = "error",
        special_tokens: SpecialTokens = "strip_end",
        nan: NonFinite = "error",
    ) -> list[Ranked]:
        """Rank as `rank` does, while the event loop goes on.

        Args:
            problem, how, top_k, truncation, on_bad, special_tokens, nan: as in `rank`.
            candidates: a list, ranked bit for bit as by `rank`; or what gives them as they are
                made, which are scored meanwhile, as by `ascore_stream`.

        Raises:
            TypeError, ValueError, RuntimeError: as in `rank`, and what `candidates` raises.

        Examples:
            >>> import asyncio, stepscore
            >>> prm = stepscore.load("lab")
            >>> candidates = ["85+95=170", "85+95=180"]
            >>> best, worst = asyncio.run(prm.arank("85+95-16+20+11-30=?", candidates))
            >>> best.text
            '85+95=180'
        """
        options = ScoreOptions(truncation, on_bad, special_tokens, nan)
        check_direction("arank", self.recipe)
        check_aggregation("arank", self.recipe, how)
        if not isinstance(candidates, AsyncIterable):
            arguments, problems, every = rank_arguments("arank", problem, candidates, how, top_k)
            self.engine.check_process("arank")
            scores = await in_turn(
                self.backbone, partial(self._score, arguments, problems, every, options)
            )
        else:
            check_ranking("arank", how, top_k)
            stream = _scored_as_they_come(self, "arank", problem, candidates, options)
            scored = [each async for each in stream]
            check_candidates("arank", Argument("candidates"), scored)
            every = [each.candidate for each in scored]
            scores = joined([each.scores for each in scored])
        [ranking] = rank_scores([every], scores, how, top_k)
        return ranking

    async def ascore_stream(
        self: Scorer,
        problem: str | None,
        candidates: AsyncIterable[Any] | Sequence[Any],
        *,
        truncation: Truncation = "error",
        on_bad: OnBad = "error",
        special_tokens: SpecialTokens = "strip_end",
        nan: NonFinite = "error",
    ) -> AsyncIterator[ScoredCandidate]:
        """Score candidates as they come, and give each as soon as it is scored, in their order.

        Whatever has come while a forward pass ran goes into the next one together, so that scoring
        runs beside what makes the candidates and never waits for all of them. Which ones are
        forwarded together depends on when they come, and moves scores no more than other batches
        move those of `score`. Leaving the loop ends the scoring, and closes `candidates`.

        Args:
            problem: one problem for all; None where each item is a pair of problem and solution.
            candidates: gives solutions, each a text or a list of steps.
            truncation, on_bad, special_tokens, nan: as in `score`. A candidate at fault is raised
                in its turn, after those that came before it.

        Yields:
            `ScoredCandidate`, in the order in which the candidates came.

        Raises:
            TypeError, ValueError, RuntimeError: as in `score`; and what `candidates` raises, once
                those that it gave before are scored.

        Examples:
            >>> import asyncio, stepscore
            >>> prm = stepscore.load("lab")
            >>> async def sampled():
            ...     for text in ["85+95=170", "85+95=180"]:
            ...         yield text
            >>> async def until_one_is_right():
            ...     async for scored in prm.ascore_stream("85+95-16+20+11-30=?", sampled()):
            ...         if min(scored.step_scores) > 0.5:
            ...             return scored.index
            >>> asyncio.run(until_one_is_right())
            1
        """
        options = ScoreOptions(truncation, on_bad, special_tokens, nan)
        stream = _scored_as_they_come(self, "ascore_stream", problem, candidates, options)
        async with aclosing(stream):
            async for scored in stream:
                yield scored


async def _scored_as_they_come(
    scorer: Scorer, call: str, problem: str | None, candidates: Any, options: ScoreOptions
) -> AsyncGenerator[ScoredCandidate, None]:
    """Score candidates in groups of what has come; see `ScoresAsynchronously.ascore_stream`."""
    options.check(call)
    scorer.engine.check_process(call)
    if problem is not None and not isinstance(problem, str):
        raise InputTypeError(
            "a text, or None for pairs",
            got=type(problem).__name__,
            advice="pass one problem, or pairs of problem and solution as candidates",
            argument="problem",
            where=call,
        )
    if not isinstance(candidates, AsyncIterable):
        candidates = as_lists(candidates)
        check_list(call, Argument("candidates"), candidates, "or what gives them in async for")
    waiting: asyncio.Queue[Any] = asyncio.Queue(_WAITING)
    receiving = asyncio.create_task(_receive(candidates, waiting))
    try:
        first, ended = 0, False
        while not ended:
            group = [await waiting.get()]
            while not waiting.empty():
                group.append(waiting.get_nowait())
            ended = group[-1] is _END
            if ended:
                group.pop()
            async for scored in _scored_group(scorer, call, problem, group, first, options):
                yield scored
            first += len(group)
        await receiving
    finally:
        while not waiting.empty():  # room for what says the end
            waiting.get_nowait()
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


async def _scored_group(
    scorer: Scorer,
    call: str,
    problem: str | None,
    group: list[Any],
    first: int,
    options: ScoreOptions,
) -> AsyncGenerator[ScoredCandidate, None]:
    """Score what came together; one at fault costs none of the others, and is raised in its turn.

    Args:
        scorer: the model.
        call: the function that was called, for messages.
        problem: of all; None where each item is a pair.
        group: what came.
        first: the place of its first item in the stream.
        options: what is refused, left out or passed on.
    """
    if not group:
        return
    try:
        problems, solutions = _pairs(call, problem, group, first)
        kept = replace(options, on_bad="keep", nan="propagate")
        arguments = _arguments(call, problem, first)
        work = partial(scorer._score, arguments, problems, solutions, kept)
        scores = await in_turn(scorer.backbone, work)
    except InputError:
        if len(group) == 1:
            raise
        for place, each in enumerate(group):
            async for scored in _scored_group(
                scorer, call, problem, [each], first + place, options
            ):
                yield scored
        return
    for place, candidate in enumerate(solutions):
        alone = only(scores, place)
        if options.on_bad == "error" and 0 in alone.skipped:
            raise alone.skipped[0]
        if options.nan == "error":
            here = _arguments(call, problem, first + place)
            number_format = scorer.engine.number_format
            values = all_readings(alone)
            check_finite(here, values, alone.offsets, alone.truncated, number_format=number_format)
        yield ScoredCandidate(first + place, candidate, alone)


async def _receive(candidates: Any, waiting: asyncio.Queue[Any]) -> None:
    """Put candidates where they wait for the model, and say when there are no more."""
    try:
        if isinstance(candidates, AsyncIterable):
            async for candidate in candidates:
                await waiting.put(candidate)
        else:
            for candidate in candidates:
                await waiting.put(candidate)
    except asyncio.CancelledError:  # of whoever reads, or of the source, whose request was aborted
        close = getattr(candidates, "aclose", None)
        if close is not None:
            await close()
        raise
    finally:
        await waiting.put(_END)


def _pairs(
    call: str, problem: str | None, group: list[Any], first: int
) -> tuple[list[Any], list[Any]]:
    """Problems and solutions of what came."""
    if problem is not None:
        return [problem] * len(group), [as_lists(each) for each in group]
    for place, pair in enumerate(group):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InputTypeError(
                "a pair of problem and solution, because problem is None",
                got=type(pair).__name__,
                advice="pass (problem, solution), or the problem itself",
                argument=Argument("candidates", index=(first + place,)),
                where=call,
            )
    return [pair[0] for pair in group], [as_lists(pair[1]) for pair in group]


def _arguments(call: str, problem: str | None, first: int) -> TraceArguments:
    """Where the traces of a group stand among the arguments."""

    def candidate(trace: int, *step: int) -> Argument:
        return Argument("candidates", index=(first + trace, *step))

    if problem is None:
        return TraceArguments(call, candidate, candidate)
    return TraceArguments(call, lambda _: Argument("problem"), candidate)
