"""How much one request may ask for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stepscore.errors import InputError
from stepscore.scoring.arguments import Solution, TraceArguments
from stepscore.scoring.solution_reader import SolutionReader
from stepscore.scoring.together import PreparedScores
from stepscore.server.errors import too_large
from stepscore.server.settings import Settings


def check_texts(
    settings: Settings,
    arguments: TraceArguments,
    problems: Sequence[str],
    solutions: Sequence[Solution],
) -> None:
    """Refuse more solutions, steps or characters than a request may have.

    Raises:
        TooLargeError: with the field.
    """
    if len(solutions) > settings.max_candidates:
        field = arguments.solution(settings.max_candidates)
        raise too_large("max_candidates", settings.max_candidates, len(solutions), field)
    characters = 0
    for place, (problem, solution) in enumerate(zip(problems, solutions, strict=True)):
        if not place or problem is not problems[place - 1]:
            characters += len(problem)
        if isinstance(solution, str):
            characters += len(solution)
        else:
            _check_steps(settings, arguments, place, len(solution))
            characters += sum(len(step) for step in solution if isinstance(step, str))
        if characters > settings.max_characters:
            raise too_large(
                "max_characters", settings.max_characters, characters, arguments.solution(place)
            )


def check_split(
    settings: Settings,
    arguments: TraceArguments,
    reader: SolutionReader,
    solutions: Sequence[Solution],
) -> None:
    """Refuse texts that a model reads as more steps than a solution may have.

    Raises:
        TooLargeError: with the field.
    """
    for place, solution in enumerate(solutions):
        if not isinstance(solution, str):
            continue  # `check_texts` has counted them
        try:
            steps, _ = reader.steps_of(solution)
        except InputError:
            continue  # who scores it says what is wrong with it, or keeps its place
        _check_steps(settings, arguments, place, len(reader.as_read(steps)))


def check_prepared(settings: Settings, arguments: TraceArguments, call: PreparedScores) -> None:
    """Refuse more steps or tokens than a request may have.

    Raises:
        TooLargeError: with the field.
    """
    if len(call.steps) and call.steps.max() > settings.max_steps:
        place = int(np.argmax(call.steps > settings.max_steps))
        _check_steps(settings, arguments, place, int(call.steps[place]))
    tokens = int(call.new_tokens.sum())
    if tokens > settings.max_request_tokens:
        raise too_large("max_request_tokens", settings.max_request_tokens, tokens, None)


def _check_steps(settings: Settings, arguments: TraceArguments, place: int, steps: int) -> None:
    if steps > settings.max_steps:
        field = arguments.solution(place, settings.max_steps)
        raise too_large("max_steps", settings.max_steps, steps, field)
