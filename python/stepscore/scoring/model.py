"""A process reward model that is ready to score."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, SupportsIndex, overload

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.hub import stderr_is_terminal
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.recipes import Recipe, Tokenizer
from stepscore.scoring.chunks import ahead, waves
from stepscore.scoring.forward.engine import Engine
from stepscore.scoring.forward.head import HeadWeights
from stepscore.scoring.forward.plan import ForwardCosts
from stepscore.scoring.render import (
    Caller,
    Rendered,
    Solution,
    check_traces,
    check_truncation,
    render,
)
from stepscore.scoring.scores import StepScores, default_aggregate
from stepscore.scoring.session import Session

Truncation = Literal["error", "steps"]

# Seconds: a bar that appears and vanishes at once tells nobody anything.
_WORTH_A_BAR = 1.0


@dataclass(frozen=True)
class Ranked:
    """One candidate of a ranking.

    Attributes:
        index: its place in the list that was ranked.
        score: its aggregated score; NaN when steps were left out.
        text: the candidate; one given as steps is joined by newlines.
        step_scores: one per step.
    """

    index: int
    score: float
    text: str
    step_scores: list[float]


@dataclass(frozen=True, eq=False)
class ProcessRewardModel:
    """A backbone, the head that reads it, and the recipe that says how; made by `stepscore.load`.

    Attributes:
        name: what it was loaded by.
        revision: the commit of a Hugging Face repository; None for a local folder.
        recipe: how traces are laid out and read.
        tokenizer: the checkpoint's own.
        backbone: the stock model, without a language-model head.
        head: the head's weights.
        max_length: the most tokens of a trace; None for a model without a limit.
        token_budget: the most tokens of a batch, padding included.
        costs: what sharing a prefix saves and costs; None forwards every trace whole, padded.
        rope_switch_length: the length at which the model changes its rotary frequencies; None for
            most.
        cache_limit: the most tokens of a trace whose keys and values are kept; None for all.
        show_progress: True or False; None shows a bar when a person watches a long run.
    """

    name: str
    revision: str | None
    recipe: Recipe
    tokenizer: Tokenizer
    backbone: torch.nn.Module
    head: HeadWeights
    max_length: int | None
    token_budget: int
    costs: ForwardCosts | None = None
    rope_switch_length: int | None = None
    cache_limit: int | None = None
    show_progress: bool | None = None

    @property
    def device(self) -> torch.device:
        """Where the backbone runs."""
        return next(self.backbone.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The backbone's number format."""
        return next(self.backbone.parameters()).dtype

    @property
    def turn(self) -> int | None:
        """Until 0.3 the old name of `rope_switch_length`."""
        warnings.warn(
            "ProcessRewardModel.turn is called rope_switch_length now; turn goes in stepscore 0.3",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.rope_switch_length

    def __repr__(self) -> str:
        return (
            f"ProcessRewardModel({self.name!r}, recipe={self.recipe.name!r}, "
            f"device={str(self.device)!r}, dtype={str(self.dtype).removeprefix('torch.')!r})"
        )

    @overload
    def score(
        self, problems: str, solutions: Sequence[Solution], *, truncation: Truncation = "error"
    ) -> StepScores: ...
    @overload
    def score(
        self,
        problems: Sequence[str],
        solutions: Sequence[Solution],
        *,
        truncation: Truncation = "error",
    ) -> StepScores: ...
    def score(
        self,
        problems: str | Sequence[str],
        solutions: Sequence[Solution],
        *,
        truncation: Truncation = "error",
    ) -> StepScores:
        """Score every step of every solution; the order is kept.

        Equal calls give equal bits, and so does the same set of solutions in another order. In
        another company a solution may share its batch with other lengths; matrix products of
        another shape round differently, so that its scores then agree to about 1e-6 in float32
        (more in half precision), not bit for bit. From equal hidden states the tail gives equal
        bits always.

        Args:
            problems: one problem for all solutions, or one each.
            solutions: each a text, which the recipe splits into steps, or a list of its steps.
            truncation: ``error`` refuses a trace longer than the model's positions. ``steps``
                leaves out the steps that end past them: they get NaN, `StepScores.truncated` counts
                them, and one warning is given.

        Returns:
            As many scores as steps; nothing for no solutions.

        Raises:
            TypeError: an argument of another type.
            ValueError: counts that do not match, a solution without steps, an empty step, a step
                that contains the separator, a trace that is too long. The message names the place.
        """
        _expect_list("score", "solutions", solutions, "each a text or a list of steps")
        if isinstance(problems, str):
            caller = Caller("score", lambda _: "problems", "solutions[{}]".format)
            return self._score(caller, [problems] * len(solutions), solutions, truncation)
        _expect_list("score", "problems", problems, "one text per solution, or a text")
        if len(problems) != len(solutions):
            raise ValueError(
                f"score: problems must be one text, or one per solution: expected {len(solutions)} "
                f"for {len(solutions)} solutions; got {len(problems)}; repeat a problem for each "
                "of its solutions"
            )
        caller = Caller("score", "problems[{}]".format, "solutions[{}]".format)
        return self._score(caller, problems, solutions, truncation)

    def rank(
        self,
        problem: str,
        candidates: Sequence[Solution],
        *,
        how: str | None = None,
        top_k: int | None = None,
        truncation: Truncation = "error",
    ) -> list[Ranked]:
        """Order the candidates of one problem, best first; ties keep the order of the input.

        Args:
            problem: the problem.
            candidates: its solutions, each a text or a list of steps.
            how: one of the aggregations of `stepscore.aggregate`; None takes the recipe's default,
                and ``last`` where the model's author states none.
            top_k: how many to return; None returns all.
            truncation: as in `score`; a candidate with steps left out gets NaN and comes last.

        Raises:
            TypeError, ValueError: as in `score`; no candidates; an unknown ``how``; a ``top_k``
                below 1.
        """
        if not isinstance(problem, str):
            raise TypeError(
                f"rank: problem must be a text; got {type(problem).__name__}; pass a str, or use "
                "rank_many"
            )
        _check_ranking("rank", how, top_k)
        _check_candidates("rank", "candidates", candidates)
        caller = Caller("rank", lambda _: "problem", "candidates[{}]".format)
        scores = self._score(caller, [problem] * len(candidates), candidates, truncation)
        return _ranked(candidates, scores, _totals(scores, how), top_k)

    def rank_many(
        self,
        problems: Sequence[str],
        candidates: Sequence[Sequence[Solution]],
        *,
        how: str | None = None,
        top_k: int | None = None,
        truncation: Truncation = "error",
    ) -> list[list[Ranked]]:
        """Order the candidates of every problem, as `rank` does; all are forwarded together.

        Args:
            problems: the problems.
            candidates: for each problem, its solutions.
            how, top_k, truncation: as in `rank`.

        Raises:
            TypeError, ValueError: as in `rank`; counts that do not match.
        """
        _check_ranking("rank_many", how, top_k)
        _expect_list("rank_many", "problems", problems, "one text per problem")
        _expect_list("rank_many", "candidates", candidates, "one list of candidates per problem")
        if len(problems) != len(candidates):
            raise ValueError(
                f"rank_many: candidates must hold one list per problem: expected {len(problems)}; "
                f"got {len(candidates)}; pass a list of candidates for each problem"
            )
        for index, own in enumerate(candidates):
            _check_candidates("rank_many", f"candidates[{index}]", own)
        flat = [candidate for own in candidates for candidate in own]
        of = [index for index, own in enumerate(candidates) for _ in own]
        caller = Caller(
            "rank_many",
            lambda trace: f"problems[{of[trace]}]",
            lambda trace: f"candidates[{of[trace]}][{trace - of.index(of[trace])}]",
        )
        scores = self._score(caller, [problems[index] for index in of], flat, truncation)
        totals = _totals(scores, how)
        rankings, begin = [], 0
        for own in candidates:
            end = begin + len(own)
            part = _part(scores, begin, end)
            rankings.append(_ranked(own, part, totals[begin:end], top_k))
            begin = end
        return rankings

    def session(self, problems: str | Sequence[str], *, memory_limit: int | None = None) -> Session:
        """Open a session, in which traces grow step by step and only new tokens are forwarded.

        Args:
            problems: one problem, or several.
            memory_limit: the most bytes of keys and values that are kept; beyond it those not used
                for longest are dropped, and computed again when they are wanted. None takes half of
                the memory that is free now.

        Raises:
            TypeError, ValueError: problems that cannot be laid out, a limit below 1.

        Examples:
            >>> import stepscore
            >>> prm = stepscore.load("lab")
            >>> with prm.session("Tom has 3 apples and buys 4 more. How many?") as session:
            ...     first = session.extend(session.roots[0], ["3 + 4 = 7", "3 + 4 = 8"])
            ...     second = session.extend(first.nodes, ["The answer is 7", "The answer is 8"])
            >>> [len(scores) for scores in second.scores]
            [1, 1]
        """
        problems = [problems] if isinstance(problems, str) else problems
        _expect_list("session", "problems", problems, "one text per problem")
        if memory_limit is not None and memory_limit < 1:
            raise ValueError(
                f"session: memory_limit must be at least 1 byte; got {memory_limit}; pass None for "
                "half of the free memory"
            )
        return Session(self, problems, memory_limit)

    def _score(
        self,
        caller: Caller,
        problems: Sequence[str],
        solutions: Sequence[Solution],
        truncation: Truncation,
    ) -> StepScores:
        check_truncation(caller, truncation)
        traces = check_traces(caller, self.recipe, problems, solutions)
        if not traces.steps:
            nothing = np.zeros(0, dtype=np.int64)
            return StepScores(
                np.zeros(0, dtype=np.float32), np.zeros(1, dtype=np.int64), self.recipe, nothing
            )
        step_offsets = _offsets(len(steps) for steps in traces.steps)
        values = np.full(step_offsets[-1], np.nan, dtype=np.float32)
        truncated = np.zeros(len(traces.steps), dtype=np.int64)
        engine = self.engine

        def prepare(wave: NDArray[np.int64]) -> Rendered:
            own = Caller(
                caller.name,
                lambda trace: caller.problem(int(wave[trace])),
                lambda trace: caller.solution(int(wave[trace])),
            )
            return render(
                own,
                self.recipe,
                self.tokenizer,
                traces.take(wave),
                limit=self.max_length,
                truncation=truncation,
            )

        with self._progress(len(values)) as bar:
            for wave, rendered in ahead(prepare, waves(traces)):
                truncated[wave] = rendered.truncated
                starts = step_offsets[wave] - rendered.read_offsets[:-1]
                counts = np.diff(rendered.read_offsets)
                # A trace's steps are left out from its end only: the read ones are its first ones.
                steps = np.arange(len(rendered.positions)) + np.repeat(starts, counts)
                values[steps] = engine.read(caller.name, rendered.tokens, bar.update)
        if truncated.any():
            warnings.warn(
                f"{caller.name}: {truncated.sum()} steps of {np.count_nonzero(truncated)} "
                f"solutions end past the model's {self.max_length} positions and were not scored "
                "(NaN)",
                stacklevel=3,
            )
        return StepScores(values, step_offsets, self.recipe, truncated)

    @property
    def engine(self) -> Engine:
        """What forwards and reads."""
        return Engine(
            self.backbone,
            self.head,
            self.token_budget,
            self.costs,
            self.rope_switch_length,
            self.cache_limit,
        )

    def _progress(self, steps: int) -> Any:
        """A bar for a person who watches a run of more than a moment."""
        from tqdm.auto import tqdm

        show = stderr_is_terminal() if self.show_progress is None else self.show_progress
        return tqdm(
            total=steps,
            unit="step",
            desc=f"score {self.name}",
            disable=not show,
            delay=0 if self.show_progress else _WORTH_A_BAR,
        )


def _offsets(counts: Iterable[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *counts])


def _check_ranking(call: str, how: object, top_k: object) -> None:
    if how is not None and not isinstance(how, str):
        raise TypeError(
            f"{call}: how must be the name of one aggregation; got {type(how).__name__}; for "
            "several at once use score(...).aggregate([...])"
        )
    if how is not None and how not in AGGREGATIONS:
        raise ValueError(
            f"{call}: how must be one of {', '.join(AGGREGATIONS)}; got {how!r}; pass one of "
            "these, or None for the recipe's default"
        )
    if top_k is None:
        return
    if isinstance(top_k, bool) or not isinstance(top_k, SupportsIndex):
        raise TypeError(f"{call}: top_k must be a whole number or None; got {type(top_k).__name__}")
    if operator.index(top_k) < 1:
        raise ValueError(f"{call}: top_k must be at least 1; got {top_k}; pass None for all")


def _expect_list(call: str, place: str, value: object, items: str) -> None:
    if not isinstance(value, (list, tuple)):
        hint = "put it into a list" if isinstance(value, str) else "pass a list"
        raise TypeError(
            f"{call}: {place} must be a list, {items}; got {type(value).__name__}; {hint}"
        )


def _check_candidates(call: str, place: str, candidates: object) -> None:
    _expect_list(call, place, candidates, "each item a text or a list of steps")
    if not candidates:
        raise ValueError(
            f"{call}: {place} must hold at least one candidate; got none; leave the problem out"
        )


def _totals(scores: StepScores, how: str | None) -> NDArray[np.float32]:
    chosen = default_aggregate(scores.recipe) if how is None else how
    totals = np.array(scores.aggregate(chosen, nan="propagate"))
    # What a candidate lost is unknown, whichever steps the aggregation looks at.
    totals[scores.truncated > 0] = np.nan
    return totals


def _part(scores: StepScores, begin: int, end: int) -> StepScores:
    first, last = scores.offsets[begin], scores.offsets[end]
    return StepScores(
        scores.values[first:last],
        scores.offsets[begin : end + 1] - first,
        scores.recipe,
        scores.truncated[begin:end],
    )


def _ranked(
    candidates: Sequence[Solution],
    scores: StepScores,
    totals: NDArray[np.float32],
    top_k: int | None,
) -> list[Ranked]:
    # NaN sorts last, and a stable sort keeps ties in the order of the input.
    best: Iterable[int] = np.argsort(-totals, kind="stable")[:top_k].tolist()
    return [
        Ranked(index, float(totals[index]), _text(candidates[index]), scores[index].tolist())
        for index in best
    ]


def _text(candidate: Solution) -> str:
    return candidate if isinstance(candidate, str) else "\n".join(candidate)
