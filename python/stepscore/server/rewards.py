"""One number, or one per step, for each solution of a request in another server's shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.ops.aggregate import Aggregation
from stepscore.recipes import Recipe
from stepscore.scoring.arguments import Solution, TraceArguments
from stepscore.scoring.ranking import check_ranking
from stepscore.scoring.reserved_tokens import ENDINGS
from stepscore.scoring.score_options import ScoreOptions
from stepscore.scoring.scores import (
    StepScores,
    check_aggregation,
    check_direction,
    default_aggregate,
)
from stepscore.server.batching import Answer
from stepscore.server.errors import InvalidError
from stepscore.server.service import Service
from stepscore.server.templates import check_unmarked_solution


@dataclass(frozen=True)
class Pair:
    """A problem and a solution of it, with the fields that hold them."""

    problem: str
    solution: Solution
    problem_field: Argument
    solution_field: Argument


@dataclass(frozen=True)
class Rewards:
    """What pairs are worth.

    Attributes:
        scores: of the steps of each; one that could not be scored is among `StepScores.skipped`.
        totals: one number for each, in float64.
        how: the aggregation that made them.
        tokens: of all traces.
    """

    scores: StepScores
    totals: list[float]
    how: Aggregation
    tokens: int

    @property
    def best_first(self) -> list[int]:
        """The pairs in the order of their totals; ties keep the order of the request."""
        return sorted(range(len(self.totals)), key=lambda pair: -self.totals[pair])


async def scored(
    service: Service,
    pairs: Sequence[Pair],
    options: ScoreOptions | None = None,
    *,
    route: str,
    held: bool = False,
) -> Answer:
    """Score the solutions of pairs.

    Args:
        service: what serves.
        pairs: at least one.
        route: for messages.
        options, held: as in `Batcher.score`.

    Raises:
        InputError: as `Batcher.score`, with the field.
    """
    places = TraceArguments(
        route,
        lambda trace: pairs[trace].problem_field,
        lambda trace, *step: _solution_field(pairs[trace], step),
    )
    problems, solutions = [pair.problem for pair in pairs], [pair.solution for pair in pairs]
    return await service.batcher.score(places, problems, solutions, options, held=held)


async def rewarded(
    service: Service,
    pairs: Sequence[Pair],
    how: str | None,
    *,
    route: str,
    held: bool = False,
    unscored: float | None = None,
) -> Rewards:
    """Score the solutions of pairs, and make one number of each.

    Args:
        service, pairs, route, held: as in `scored`.
        how: the aggregation that the request asks for; None takes that of the server.
        unscored: the number of a solution that cannot be scored; None makes it an error.

    Raises:
        InputError: as `scored`; a total that is no number.
    """
    recipe = service.prm.recipe
    check_ranking(route, how, None)
    asked: Any = how or service.settings.how
    check_aggregation(route, recipe, asked)
    check_direction(route, recipe)
    options = ScoreOptions(on_bad="error" if unscored is None else "keep")
    given = await scored(service, pairs, options, route=route, held=held)
    totals = given.scores.totals(asked)
    if given.scores.skipped:
        totals[list(given.scores.skipped)] = unscored
    chosen = asked or default_aggregate(recipe)
    for pair in np.flatnonzero(~np.isfinite(totals)).tolist():
        raise InputError(
            f"a finite {chosen} of its step scores",
            got=str(totals[pair]),
            advice="choose another aggregation with ?how=NAME",
            argument=pairs[pair].solution_field,
        )
    return Rewards(given.scores, totals.tolist(), chosen, given.tokens)


def rows(scores: StepScores, pair: int) -> list[list[float]]:
    """Give what a server of classifiers gives at the steps of a solution; see `row`."""
    return [row(scores.recipe, score) for score in scores[pair].tolist()]


def row(recipe: Recipe, score: float) -> list[float]:
    """Give the labels of a step as a server of classifiers has them.

    Of a head with two outputs under a softmax they are its two probabilities, and the one that is
    the score keeps its bits; else the score alone.
    """
    column = softmax_column(recipe)
    if column is None:
        return [score]
    return [1.0 - score, score] if column else [score, 1.0 - score]


def softmax_column(recipe: Recipe) -> int | None:
    """Which of two outputs under a softmax the score is; None where it is something else."""
    reading = recipe.readings[0]
    if recipe.head.outputs != 2 or reading.activation != "softmax" or reading.threshold is not None:
        return None
    return reading.column if recipe.places is None and recipe.running is None else None


def check_activation(recipe: Recipe, wanted: bool | None, argument: str) -> None:
    """Refuse to give what stands before the activation: a score is what comes behind it.

    Raises:
        InvalidError: it is asked for, and the recipe has an activation.
    """
    if wanted is False and recipe.readings[0].activation != "identity":
        raise InvalidError(
            "true, or nothing",
            got="false",
            advice=f"the scores of {recipe.name!r} are read behind its activation",
            argument=argument,
        )


def check_unused(given: Mapping[str, Any], advice: str = "leave it out") -> None:
    """Refuse fields that would change what other servers answer, and that change nothing here.

    Args:
        given: field -> its value; None where it is not there.
        advice: what to do.

    Raises:
        InvalidError: with the first one that is there.
    """
    for name, value in given.items():
        if value is not None:
            raise InvalidError(
                "no such field, which would change nothing",
                got=type(value).__name__,
                advice=advice,
                argument=name,
            )


def check_some(values: Sequence[Any], argument: str) -> None:
    """Refuse an empty list.

    Raises:
        InvalidError: it is empty.
    """
    if not values:
        raise InvalidError("at least one", got="none", argument=argument)


def read_as_written(service: Service, pair: Pair) -> Pair:
    """Read a solution as a model wrote it, special tokens and all.

    The tokens that end a text in any published vocabulary go; where the recipe's separator is an
    entry of the model's vocabulary and stands in the text, it ends every step.

    Raises:
        InvalidError: a mark of a chat template inside of it; a separator behind which more stands.
    """
    assert isinstance(pair.solution, str)
    kept = ENDINGS.without_end(pair.solution)[0]
    check_unmarked_solution(kept, pair.solution_field)
    return replace(pair, solution=at_separators(service, kept, pair.solution_field))


def at_separators(service: Service, text: str, argument: Argument) -> Solution:
    """Divide a solution at the recipe's separators, where they are more than white space.

    Raises:
        InvalidError: something stands behind the last one.
    """
    separator = service.prm.recipe.separator
    tokenizer = getattr(service.prm, "tokenizer", None)
    added: dict[str, int] = {} if tokenizer is None else tokenizer.get_added_vocab()
    if not separator.strip() or separator not in added or separator not in text:
        return text
    return ended_steps(text, separator, argument)


def ended_steps(text: str, mark: str, argument: Argument) -> list[str]:
    """Give the steps of a text in which a mark ends every step.

    Raises:
        InvalidError: something stands behind the last mark.
    """
    *steps, rest = text.split(mark)
    if rest.strip() or not steps:
        raise InvalidError(
            f"{mark!r} at the end of every step",
            got="a text that ends without it" if steps else "a text without it",
            argument=argument,
        )
    return steps


def _solution_field(pair: Pair, step: tuple[int, ...]) -> Argument:
    field = pair.solution_field
    if isinstance(pair.solution, str):  # its steps are no items of the request
        return field
    return Argument(field.name, index=(*field.index, *step))
