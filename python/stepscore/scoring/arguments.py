"""The arguments of the public calls: checked, and named in every error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError, InputTypeError
from stepscore.lists import as_lists
from stepscore.scoring.score_options import OnBad
from stepscore.scoring.solution_reader import SolutionReader

Solution = str | Sequence[str]


class SolutionArgument(Protocol):
    """Names the argument that holds the solution of a trace, or one of its steps."""

    def __call__(self, trace: int, *step: int) -> Argument:
        """Give the argument."""
        ...


@dataclass(frozen=True)
class TraceArguments:
    """Where the traces of a public call stand among its arguments, so that an error names them.

    Attributes:
        call: the function.
        problem: trace -> the argument that holds its problem.
        solution: trace, and perhaps a step -> the argument that holds it.
    """

    call: str
    problem: Callable[[int], Argument]
    solution: SolutionArgument

    def take(self, traces: NDArray[np.int64]) -> TraceArguments:
        """Some of the traces."""
        return TraceArguments(
            self.call,
            lambda trace: self.problem(int(traces[trace])),
            lambda trace, *step: self.solution(int(traces[trace]), *step),
        )

    def problem_fault(self, trace: int, fault: InputError) -> InputError:
        """Say of a fault that it is one of a trace's problem."""
        return addressed(fault, self.call, self.problem(trace))

    def step_fault(self, trace: int, step: int, fault: InputError) -> InputError:
        """Say of a fault that it is one of a step."""
        return addressed(fault, self.call, self.solution(trace, step))

    def encoding_fault(self, fault: InputError) -> InputError:
        """Say the same of a fault that `Recipe.encode` found in its own arguments."""
        argument = fault.argument
        if argument is not None and argument.index:
            trace, *step = argument.index
            if argument.name == "problems":
                argument = self.problem(trace)
            elif argument.name == "steps":
                argument = self.solution(trace, *step)
        return addressed(fault, self.call, argument)


def addressed(fault: InputError, call: str, argument: Argument | None) -> InputError:
    """Give a fault that knows no place, or another one, its place in the arguments of a call."""
    return type(fault)(
        fault.expected, got=fault.got, advice=fault.advice, argument=argument, where=call
    )


@dataclass(frozen=True)
class Traces:
    """Checked input: one problem and its steps per trace.

    Attributes:
        problems: one per trace.
        steps: of each trace; none of one that is skipped.
        skipped: trace -> why it cannot be scored.
        stripped: trace -> the tokens that were removed at its end, where there were some.
    """

    problems: Sequence[str]
    steps: Sequence[Sequence[str]]
    skipped: dict[int, InputError] = field(default_factory=dict)
    stripped: dict[int, int] = field(default_factory=dict)

    def take(self, traces: NDArray[np.int64]) -> Traces:
        """Some of them, as texts alone."""
        return Traces([self.problems[i] for i in traces], [self.steps[i] for i in traces])


def check_list(call: str, argument: Argument, value: object, items: str) -> None:
    """Refuse what is no list; `items` says what its items are."""
    if not isinstance(value, (list, tuple)):
        raise InputTypeError(
            f"a list, {items}",
            got=type(value).__name__,
            advice="put it into a list" if isinstance(value, str) else "pass a list",
            argument=argument,
            where=call,
        )


def score_arguments(
    call: str, problems: object, solutions: object
) -> tuple[TraceArguments, Sequence[str], Sequence[Solution]]:
    """Check one problem for all solutions, or one each, and name where they stand.

    Args:
        call: the function that was called, for messages.
        problems, solutions: its arguments.

    Returns:
        The places, one problem for each solution, and the solutions.

    Raises:
        TypeError: no list.
        ValueError: counts that do not match.
    """
    problems, solutions = as_lists(problems), as_lists(solutions)
    check_list(call, Argument("solutions"), solutions, "each item a text or a list of steps")
    assert isinstance(solutions, (list, tuple))

    def solution(trace: int, *step: int) -> Argument:
        return Argument("solutions", index=(trace, *step))

    if isinstance(problems, str):
        arguments = TraceArguments(call, lambda _: Argument("problems"), solution)
        return arguments, [problems] * len(solutions), solutions
    check_list(call, Argument("problems"), problems, "one text per solution, or a text")
    assert isinstance(problems, (list, tuple))
    if len(problems) != len(solutions):
        raise InputError(
            f"one text, or one per solution ({len(solutions)})",
            got=str(len(problems)),
            advice="repeat a problem for each of its solutions",
            argument="problems",
            where=call,
        )
    arguments = TraceArguments(call, lambda trace: Argument("problems", index=(trace,)), solution)
    return arguments, problems, solutions


def check_traces(
    arguments: TraceArguments,
    reader: SolutionReader,
    problems: Sequence[str],
    solutions: Sequence[Solution],
    on_bad: OnBad = "error",
) -> Traces:
    """Check problems and solutions, one problem each, and read the solutions as steps.

    Args:
        arguments: whom the messages speak to.
        reader: gives the steps, and knows what a text may not contain.
        problems: one per solution.
        solutions: each a text or its steps.
        on_bad: whether a solution that cannot be read is an error, or has no steps.

    Raises:
        TypeError: a problem, a solution or a step of another type.
        ValueError: a solution without steps, an empty step, a step or a problem that cannot be laid
            out. The error names the solution and the step.
    """
    for trace, problem in enumerate(problems):
        if trace and problem is problems[trace - 1]:
            continue
        fault = reader.fault_in_problem(problem)
        if fault is not None:
            raise arguments.problem_fault(trace, fault)
    skipped: dict[int, InputError] = {}
    stripped: dict[int, int] = {}
    every: list[list[str]] = []
    for trace, solution in enumerate(solutions):
        try:
            steps, removed = _steps(arguments, reader, solution, trace)
        except InputError as fault:
            if on_bad == "error":
                raise
            skipped[trace] = fault
            steps, removed = [], 0
        every.append(steps)
        if removed:
            stripped[trace] = removed
    return Traces(problems, every, skipped, stripped)


def _steps(
    arguments: TraceArguments, reader: SolutionReader, solution: object, trace: int
) -> tuple[list[str], int]:
    try:
        steps, removed = reader.steps_of(solution)
    except InputError as fault:
        raise addressed(fault, arguments.call, arguments.solution(trace)) from None
    for number, step in enumerate(steps):
        fault_in_step = reader.fault_in_step(step)
        if fault_in_step is not None:
            raise arguments.step_fault(trace, number, fault_in_step)
    return reader.as_read(steps), removed
