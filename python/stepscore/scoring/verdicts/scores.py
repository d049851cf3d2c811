"""Step scores with the verdicts they come from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.ragged import offsets_of
from stepscore.recipes import Recipe
from stepscore.scoring.arguments import TraceArguments
from stepscore.scoring.scores import StepScores
from stepscore.scoring.verdicts.verdict import StepVerdict


@dataclass(frozen=True, eq=False, repr=False)
class VerdictScores(StepScores):
    """Step scores, and the verdicts they come from.

    Attributes:
        verdicts: of every step, as ``values``.
    """

    verdicts: tuple[StepVerdict, ...] = ()

    @property
    def faults(self) -> dict[tuple[int, int], str]:
        """Candidate and step -> why the step has no verdict."""
        bounds = self.offsets.tolist()
        return {
            (trace, step - begin): fault
            for trace, (begin, end) in enumerate(pairwise(bounds))
            for step in range(begin, end)
            if (fault := self.verdicts[step].fault) is not None
        }


class MissingVerdictError(InputError):
    """A step without a verdict.

    Attributes:
        scores: of all steps, those without a verdict NaN: nothing that was paid for is lost.
    """

    scores: VerdictScores


def verdict_scores(
    recipe: Recipe,
    verdicts: Sequence[Sequence[StepVerdict]],
    skipped: Mapping[int, InputError],
    stripped: Mapping[int, int],
) -> VerdictScores:
    """Put the verdicts of candidates together; the arguments are those of `VerdictScores`."""
    flat = tuple(verdict for each in verdicts for verdict in each)
    readings = {
        reading.name: np.array(
            [verdict.readings.get(reading.name, math.nan) for verdict in flat], dtype=np.float32
        )
        for reading in recipe.readings[1:]
    }
    return VerdictScores(
        np.array([verdict.score for verdict in flat], dtype=np.float32),
        offsets_of([len(each) for each in verdicts]),
        recipe,
        np.zeros(len(verdicts), dtype=np.int64),
        dict(skipped),
        dict(stripped),
        readings,
        flat,
    )


def check_verdicts(
    arguments: TraceArguments, scores: VerdictScores, first_step: Sequence[int] | None = None
) -> None:
    """Refuse a step without a verdict.

    Args:
        arguments: whom the message speaks to.
        scores: of all steps.
        first_step: the number that the first step of each trace has in the message; None counts
            from 0.

    Raises:
        MissingVerdictError: the first such step.
    """
    for (trace, step), fault in scores.faults.items():
        number = step + (0 if first_step is None else first_step[trace])
        error = missing_verdict(arguments, trace, number, fault)
        error.scores = scores
        raise error


def missing_verdict(
    arguments: TraceArguments, trace: int, step: int, fault: str
) -> MissingVerdictError:
    """Say that a step has no verdict, and why."""
    return MissingVerdictError(
        "a verdict for every step",
        got=f"none: {fault}",
        advice=("pass ", Argument("nan", "propagate"), " to get NaN there"),
        argument=arguments.solution(trace, step),
        where=arguments.call,
    )
