"""The arguments of the public calls: checked, and named in every error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError, InputTypeError
from stepscore.recipes import Recipe

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
    """Checked input: one problem and its steps per trace."""

    problems: Sequence[str]
    steps: Sequence[Sequence[str]]

    def take(self, traces: NDArray[np.int64]) -> Traces:
        """Some of them."""
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


def check_problem(recipe: Recipe, problem: object) -> InputError | None:
    """Say why a problem cannot be laid out, or give None."""
    if not isinstance(problem, str):
        return InputTypeError("a text", got=type(problem).__name__, advice="pass a str")
    return recipe.fault_in_problem(problem)


def check_traces(
    arguments: TraceArguments,
    recipe: Recipe,
    problems: Sequence[str],
    solutions: Sequence[Solution],
) -> Traces:
    """Check problems and solutions, one problem each, and split the solutions into steps.

    Args:
        arguments: whom the messages speak to.
        recipe: splits texts, and knows what a step may not contain.
        problems: one per solution.
        solutions: each a text or its steps.

    Raises:
        TypeError: a problem, a solution or a step of another type.
        ValueError: a solution without steps, an empty step, a step or a problem that cannot be laid
            out. The error names the solution and the step.
    """
    for trace, problem in enumerate(problems):
        if trace and problem is problems[trace - 1]:
            continue
        fault = check_problem(recipe, problem)
        if fault is not None:
            raise arguments.problem_fault(trace, fault)
    steps = [_steps(arguments, recipe, solution, trace) for trace, solution in enumerate(solutions)]
    return Traces(problems, steps)


def _steps(arguments: TraceArguments, recipe: Recipe, solution: object, trace: int) -> list[str]:
    if isinstance(solution, str):
        steps = recipe.split(solution)
    elif isinstance(solution, (list, tuple)):
        steps = list(solution)
    else:
        raise InputTypeError(
            "a text or a list of steps",
            got=type(solution).__name__,
            advice="pass a str or a list of str",
            argument=arguments.solution(trace),
            where=arguments.call,
        )
    if not steps:
        raise InputError(
            "at least one step",
            got=repr(solution),
            advice="leave empty solutions out",
            argument=arguments.solution(trace),
            where=arguments.call,
        )
    for number, step in enumerate(steps):
        fault = _step_fault(recipe, step)
        if fault is not None:
            raise arguments.step_fault(trace, number, fault)
    return steps


def _step_fault(recipe: Recipe, step: object) -> InputError | None:
    if not isinstance(step, str):
        return InputTypeError("a text", got=type(step).__name__, advice="pass a str")
    return recipe.fault_in_step(step)
