"""Candidates in the order of their aggregated scores."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError, InputTypeError, did_you_mean
from stepscore.lists import as_lists
from stepscore.ops.aggregate import AGGREGATIONS, Aggregation
from stepscore.scoring.arguments import Solution, TraceArguments, check_list
from stepscore.scoring.scores import StepScores


@dataclass(frozen=True)
class Ranked:
    """One candidate of a ranking.

    Attributes:
        index: its place in the list that was ranked.
        score: its aggregated score; NaN when steps were left out, or when it could not be scored.
        text: the candidate; one given as steps is joined by newlines.
        step_scores: one per step.
    """

    index: int
    score: float
    text: str
    step_scores: list[float]


def rank_arguments(
    call: str, problem: object, candidates: object, how: object, top_k: object
) -> tuple[TraceArguments, list[str], Sequence[Solution]]:
    """Check a problem and its candidates, and name where they stand.

    Args:
        call: the function that was called, for messages.
        problem, candidates, how, top_k: its arguments.

    Returns:
        The places, the problem for each candidate, and the candidates.

    Raises:
        TypeError, ValueError: as `ProcessRewardModel.rank`.
    """
    if not isinstance(problem, str):
        raise InputTypeError(
            "a text",
            got=type(problem).__name__,
            advice="pass a str, or use rank_many",
            argument="problem",
            where=call,
        )
    candidates = as_lists(candidates)
    check_ranking(call, how, top_k)
    check_candidates(call, Argument("candidates"), candidates)
    assert isinstance(candidates, (list, tuple))
    arguments = TraceArguments(
        call,
        lambda _: Argument("problem"),
        lambda trace, *step: Argument("candidates", index=(trace, *step)),
    )
    return arguments, [problem] * len(candidates), candidates


def check_ranking(call: str, how: object, top_k: object) -> None:
    """Refuse an unknown aggregation, and a `top_k` that is no positive number."""
    if how is not None and not isinstance(how, str):
        raise InputTypeError(
            "the name of one aggregation",
            got=type(how).__name__,
            advice="for several at once use score(...).aggregate([...])",
            argument="how",
            where=call,
        )
    if how is not None and how not in AGGREGATIONS:
        raise InputError(
            f"one of {', '.join(AGGREGATIONS)}",
            got=repr(how),
            advice=did_you_mean(
                how, AGGREGATIONS, "pass one of these, or None for the recipe's default"
            ),
            argument="how",
            where=call,
        )
    if top_k is None:
        return
    if isinstance(top_k, bool) or not isinstance(top_k, SupportsIndex):
        raise InputTypeError(
            "a whole number or None", got=type(top_k).__name__, argument="top_k", where=call
        )
    if operator.index(top_k) < 1:
        raise InputError(
            "at least 1",
            got=str(top_k),
            advice="pass None for all",
            argument="top_k",
            where=call,
        )


def check_candidates(call: str, argument: Argument, candidates: object) -> None:
    """Refuse what is no list of candidates, and an empty one."""
    check_list(call, argument, candidates, "each item a text or a list of steps")
    if not candidates:
        raise InputError(
            "at least one candidate",
            got="none",
            advice="leave the problem out",
            argument=argument,
            where=call,
        )


def check_problems_and_candidates(call: str, problems: object, candidates: object) -> None:
    """Refuse what is no list of problems with a list of candidates for each."""
    check_list(call, Argument("problems"), problems, "one text per problem")
    check_list(call, Argument("candidates"), candidates, "one list of candidates per problem")
    assert isinstance(problems, (list, tuple))
    assert isinstance(candidates, (list, tuple))
    if len(problems) != len(candidates):
        raise InputError(
            f"one list per problem ({len(problems)})",
            got=str(len(candidates)),
            advice="pass a list of candidates for each problem",
            argument="candidates",
            where=call,
        )
    for index, solutions in enumerate(candidates):
        check_candidates(call, Argument("candidates", index=(index,)), solutions)


def rank_scores(
    candidates: Sequence[Sequence[Solution]],
    scores: StepScores,
    how: Aggregation | None,
    top_k: int | None,
) -> list[list[Ranked]]:
    """Order the candidates of each problem, best first; ties keep the order of the input.

    Args:
        candidates: of each problem.
        scores: of all candidates, one problem behind the other.
        how: the aggregation; None takes the recipe's default.
        top_k: how many of each problem to give; None gives all.
    """
    totals = scores.totals(how)
    rankings, first = [], 0
    for solutions in candidates:
        rows = [scores[first + index] for index in range(len(solutions))]
        rankings.append(_ranked(solutions, rows, totals[first : first + len(rows)], top_k))
        first += len(rows)
    return rankings


def _ranked(
    solutions: Sequence[Solution],
    step_scores: Sequence[NDArray[np.float32]],
    totals: NDArray[np.float64],
    top_k: int | None,
) -> list[Ranked]:
    # NaN sorts last, and a stable sort keeps ties in the order of the input.
    best: Iterable[int] = np.argsort(-totals, kind="stable")[:top_k].tolist()
    return [
        Ranked(index, float(totals[index]), _text(solutions[index]), step_scores[index].tolist())
        for index in best
    ]


def _text(solution: Solution) -> str:
    if isinstance(solution, (list, tuple)):
        return "\n".join(map(str, solution))
    return str(solution)  # whatever was kept as a candidate that cannot be scored
