"""Step scores and rankings: ``/v1/step_scores``, ``/v1/rank``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import Field
from starlette.responses import Response

from stepscore.errors import Argument, InputError, did_you_mean
from stepscore.ops.aggregate import AGGREGATIONS, Aggregation
from stepscore.scoring.arguments import Solution, score_arguments
from stepscore.scoring.ranking import rank_arguments, rank_scores
from stepscore.scoring.scores import StepScores, check_aggregation, check_direction
from stepscore.server.errors import described
from stepscore.server.json_answers import answer, number, numbers
from stepscore.server.routes.bodies import ScoringBody, SolutionText, usage
from stepscore.server.service import Service


class StepScoresBody(ScoringBody):
    """What ``/v1/step_scores`` reads; as the arguments of `ProcessRewardModel.score`."""

    problems: str | list[str] = Field(description="one for all solutions, or one each")
    solutions: list[SolutionText] = Field(description="texts, or lists of steps")
    how: str | list[str] = Field(default_factory=list, description="aggregations to give, too")
    return_steps: bool = Field(False, description="whether to give the steps as they are read")


class RankBody(ScoringBody):
    """What ``/v1/rank`` reads; as the arguments of `ProcessRewardModel.rank`."""

    problem: str
    candidates: list[SolutionText] = Field(description="texts, or lists of steps")
    how: str | None = Field(None, description="the aggregation; none takes the recipe's own")
    top_k: int | None = None


def routes(service: Service) -> APIRouter:
    """``/v1/step_scores``, ``/v1/rank``."""
    router = APIRouter()

    @router.post("/v1/step_scores")
    async def step_scores(body: StepScoresBody) -> Response:
        """Score every step of solutions; they are one trie where they share their problem."""
        service.check_model(body.model)
        how = [body.how] if isinstance(body.how, str) else body.how
        _check_names(how)
        check_aggregation("step_scores", service.prm.recipe, how)
        arguments, problems, solutions = score_arguments(
            "step_scores", body.problems, body.solutions
        )
        given = await service.batcher.score(arguments, problems, solutions, body.options())
        every = results(given.scores, how)
        if body.return_steps:
            for result, solution in zip(every, solutions, strict=True):
                if "skipped" not in result:
                    result["steps"] = _steps_read(service.prm, solution, body)
        content = {
            "object": "step_scores",
            "model": service.name,
            "recipe": service.prm.recipe.name,
            "results": every,
            "usage": usage(given.tokens),
        }
        return answer(content)

    @router.post("/v1/rank")
    async def rank(body: RankBody) -> Response:
        """Order the candidates of a problem, best first."""
        service.check_model(body.model)
        recipe = service.prm.recipe
        how: Any = body.how
        arguments, problems, candidates = rank_arguments(
            "rank", body.problem, body.candidates, how, body.top_k
        )
        check_direction("rank", recipe)
        check_aggregation("rank", recipe, how)
        given = await service.batcher.score(arguments, problems, candidates, body.options())
        scores = given.scores
        [ranking] = rank_scores([candidates], scores, how, body.top_k)
        every = results(scores, [])
        ranked = [
            {**every[each.index], "score": number(each.score)}
            | ({} if np.isfinite(each.score) else {"score_reason": _no_total(scores, each.index)})
            for each in ranking
        ]
        content = {
            "object": "ranking",
            "model": service.name,
            "recipe": recipe.name,
            "results": ranked,
            "usage": usage(given.tokens),
        }
        return answer(content)

    return router


def _steps_read(prm: Any, solution: Solution, body: ScoringBody) -> list[str]:
    """Give the texts that have a score each."""
    reader = replace(prm.reader, special_tokens=body.special_tokens)
    return list(reader.as_read(reader.steps_of(solution)[0]))


def results(scores: StepScores, how: list[str]) -> list[dict[str, Any]]:
    """Give the scores of each solution, their aggregates, and why a number is missing.

    Args:
        scores: of the solutions.
        how: names of aggregations.
    """
    names: list[Aggregation] = [name for name in AGGREGATIONS if name in how]
    totals = scores.aggregate(names, nan="propagate") if names else None
    every = []
    for index, values in enumerate(scores):
        result: dict[str, Any] = {"index": index, "step_scores": numbers(values.tolist())}
        readings = {
            name: numbers(read[scores.offsets[index] : scores.offsets[index + 1]].tolist())
            for name, read in scores.readings.items()
        }
        if readings:
            result["readings"] = readings
        if totals is not None:
            result |= _aggregates(scores, index, names, totals[index])
        if index in scores.skipped:
            result["skipped"] = described(scores.skipped[index])
        if index in scores.stripped:
            result["stripped"] = scores.stripped[index]
        if scores.truncated[index]:
            result["truncated"] = int(scores.truncated[index])
        missing = _missing(values, int(scores.truncated[index]))
        if missing:
            result["missing"] = missing
        every.append(result)
    return every


def _aggregates(
    scores: StepScores, index: int, names: list[Aggregation], totals: NDArray[np.float64]
) -> dict[str, Any]:
    if scores.truncated[index] or index in scores.skipped:
        nothing = dict.fromkeys(names)
        return {"aggregates": nothing, "aggregates_reason": _no_total(scores, index)}
    given = dict(zip(names, numbers(totals.tolist()), strict=True))
    if None in given.values():
        return {"aggregates": given, "aggregates_reason": "they are no finite numbers"}
    return {"aggregates": given}


def _no_total(scores: StepScores, index: int) -> str:
    if index in scores.skipped:
        return "it was skipped"
    if scores.truncated[index]:
        return "truncation left steps out"
    return "it is no finite number"


def _missing(values: NDArray[np.float32], truncated: int) -> list[dict[str, Any]]:
    """Say why steps have no score: the last ones were left out, others are what the model gave."""
    first = len(values) - truncated
    return [
        {
            "step": int(step),
            "reason": "truncation left it out"
            if step >= first
            else f"the model gave {values[step]}",
        }
        for step in np.flatnonzero(~np.isfinite(values))
    ]


def _check_names(how: list[str]) -> None:
    for place, name in enumerate(how):
        if name not in AGGREGATIONS:
            raise InputError(
                f"one of {', '.join(AGGREGATIONS)}",
                got=repr(name),
                advice=did_you_mean(name, AGGREGATIONS),
                argument=Argument("how", index=(place,)),
            )
