"""Problems and solutions -> packed tokens, with the positions at which steps are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepscore.recipes import Encoded, Recipe, Tokenizer
from stepscore.scoring.forward.packed_traces import PackedTraces

Solution = str | Sequence[str]


@dataclass(frozen=True)
class Caller:
    """The public call that is served, so that an error can name the caller's own places.

    Attributes:
        name: the function.
        problem: trace -> where its problem stands in the arguments.
        solution: trace -> where its solution stands there.
    """

    name: str
    problem: Callable[[int], str]
    solution: Callable[[int], str]


@dataclass(frozen=True)
class Traces:
    """Checked input: one problem and its steps per trace."""

    problems: Sequence[str]
    steps: Sequence[Sequence[str]]

    def take(self, traces: NDArray[np.int64]) -> Traces:
        """Some of them."""
        return Traces([self.problems[i] for i in traces], [self.steps[i] for i in traces])


@dataclass(frozen=True)
class Rendered:
    """What is forwarded of the traces, and where it is read.

    Attributes:
        token_ids: packed ids, each trace cut after the last token that is read, [tokens].
        offsets: where each trace begins and ends, [traces + 1].
        positions: one per step that is read, counted from its trace's first token, [read].
        read_offsets: the read steps of each trace, [traces + 1].
        step_offsets: the steps that were asked for, [traces + 1].
    """

    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    positions: NDArray[np.int64]
    read_offsets: NDArray[np.int64]
    step_offsets: NDArray[np.int64]

    @property
    def tokens(self) -> PackedTraces:
        """What the engine is given."""
        return PackedTraces(self.token_ids, self.offsets, self.positions, self.read_offsets)

    @property
    def truncated(self) -> NDArray[np.int64]:
        """The steps of each trace that are not read, [traces]."""
        unread: NDArray[np.int64] = np.diff(self.step_offsets) - np.diff(self.read_offsets)
        return unread


def check_traces(
    caller: Caller, recipe: Recipe, problems: Sequence[str], solutions: Sequence[Solution]
) -> Traces:
    """Check problems and solutions, one problem each, and split the solutions into steps.

    Args:
        caller: whom the messages speak to.
        recipe: splits texts, and knows what a step may not contain.
        problems: one per solution.
        solutions: each a text or its steps.

    Raises:
        TypeError: a problem, a solution or a step of another type.
        ValueError: a solution without steps, an empty step, a step or a problem that cannot be laid
            out. The message names the solution and the step.
    """
    for index, problem in enumerate(problems):
        if index and problem is problems[index - 1]:
            continue
        if not isinstance(problem, str):
            raise TypeError(
                f"{caller.name}: {caller.problem(index)} must be a text; got "
                f"{type(problem).__name__}; pass a str"
            )
        fault = recipe.fault_in_problem(problem)
        if fault is not None:
            raise ValueError(f"{caller.name}: {caller.problem(index)}: {fault}")
    steps = [_steps(caller, recipe, solution, index) for index, solution in enumerate(solutions)]
    return Traces(problems, steps)


def _steps(caller: Caller, recipe: Recipe, solution: object, index: int) -> list[str]:
    if isinstance(solution, str):
        steps = recipe.split(solution)
    elif isinstance(solution, (list, tuple)):
        steps = list(solution)
    else:
        raise TypeError(
            f"{caller.name}: {caller.solution(index)} must be a text or a list of steps; got "
            f"{type(solution).__name__}; pass a str or a list of str"
        )
    if not steps:
        raise ValueError(
            f"{caller.name}: {caller.solution(index)} must have at least one step; got "
            f"{solution!r}; leave empty solutions out"
        )
    for number, step in enumerate(steps):
        if not isinstance(step, str):
            raise TypeError(
                f"{caller.name}: {caller.solution(index)}, step {number} must be a text; got "
                f"{type(step).__name__}; pass a str"
            )
        fault = recipe.fault_in_step(step)
        if fault is not None:
            raise ValueError(f"{caller.name}: {caller.solution(index)}, step {number}: {fault}")
    return steps


def check_truncation(caller: Caller, truncation: str) -> None:
    """Refuse a policy that is neither of the two."""
    if truncation not in ("error", "steps"):
        raise ValueError(
            f'{caller.name}: truncation must be "error" or "steps"; got {truncation!r}; pass one '
            "of these"
        )


def render(
    caller: Caller,
    recipe: Recipe,
    tokenizer: Tokenizer,
    traces: Traces,
    *,
    limit: int | None,
    truncation: str,
) -> Rendered:
    """Encode traces and cut each after the last step that is read.

    What follows the last step's position, such as the end of a chat turn, is not forwarded:
    attention is causal, so that nothing which is read could see it.

    Args:
        caller: whom the messages speak to.
        recipe: lays the traces out.
        tokenizer: the checkpoint's own.
        traces: checked problems and steps.
        limit: the model's positions; None for a model without a limit.
        truncation: ``error`` refuses a trace whose last step ends past the limit; ``steps`` leaves
            out the steps that end past it.

    Raises:
        ValueError: a trace past the limit.
    """
    encoded = recipe.encode(tokenizer, traces.problems, traces.steps)
    starts = encoded.offsets[:-1]
    counts = np.diff(encoded.step_offsets)
    positions = encoded.positions - np.repeat(starts, counts)
    fits = np.full(len(positions), True)
    if limit is not None:
        fits = positions < limit
        if truncation == "error" and not fits.all():
            _refuse_length(caller, encoded, positions, limit)
    read_offsets = _offsets(np.add.reduceat(fits, encoded.step_offsets[:-1], dtype=np.int64))
    positions = positions[fits]
    lengths = np.zeros(len(starts), dtype=np.int64)
    some = np.diff(read_offsets) > 0
    lengths[some] = positions[read_offsets[1:][some] - 1] + 1
    offsets = _offsets(lengths)
    # Token t of the packed result stands at (its trace's start) + (its place in the trace).
    source = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return Rendered(
        encoded.token_ids[source], offsets, positions, read_offsets, encoded.step_offsets
    )


def _refuse_length(
    caller: Caller, encoded: Encoded, positions: NDArray[np.int64], limit: int
) -> None:
    # The last position of a trace is its length less one; every trace has a step.
    lengths = positions[encoded.step_offsets[1:] - 1] + 1
    long = np.flatnonzero(lengths > limit)
    more = f" ({len(long)} such traces)" if len(long) > 1 else ""
    raise ValueError(
        f"{caller.name}: {caller.solution(int(long[0]))} with its problem must fit the model's "
        f"{limit} positions; got {lengths[long[0]]} tokens{more}; leave it out, or pass "
        'truncation="steps" to score the steps that fit'
    )


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets
