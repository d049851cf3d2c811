"""Reward models of trainers: OpenRLHF's ``/get_reward`` and slime's remote reward.

Both wait for room in place of a refusal. OpenRLHF's client swallows every error, and trains on
None where all of its tries have failed; slime's ends the run.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from stepscore.errors import Argument
from stepscore.server.errors import InvalidError
from stepscore.server.json_answers import answer
from stepscore.server.rewards import Pair, Rewards, check_some
from stepscore.server.routes.bodies import Body
from stepscore.server.routes.shapes import How, Message
from stepscore.server.service import Service
from stepscore.server.templates import behind
from stepscore.server.trainer_rewards import trainer_rewards


class GetRewardBody(Body):
    """What OpenRLHF sends."""

    query: list[str]
    prompts: list[str] | None = None
    labels: list[Any] | None = None


class RemoteRewardBody(Body):
    """What slime sends, for one sample."""

    prompt: str | list[Message]
    response: str
    label: Any = None


def routes(service: Service) -> APIRouter:
    """``/get_reward``, ``/slime/reward``."""
    router = APIRouter()

    @router.post("/get_reward")
    async def get_reward(body: GetRewardBody, how: How = None) -> Response:
        """Give one reward for every query, and for its logs what else there is to say."""
        check_some(body.query, "query")
        pairs = [_queried(service, body, index) for index in range(len(body.query))]
        given = await trainer_rewards(service, pairs, how, route="/get_reward")
        logs = _logs(given, service.settings.bad_reward)
        return answer({"rewards": given.totals, "scores": given.totals, "extra_logs": logs})

    @router.post("/slime/reward")
    async def remote_reward(
        body: RemoteRewardBody,
        how: How = None,
        reward_key: Annotated[str | None, Query(min_length=1)] = None,
    ) -> Response:
        """Give the reward itself, or an object that holds it under the key that was asked for."""
        dividing = service.dividing
        field, written = Argument("response"), Argument("prompt")
        if isinstance(body.prompt, str):
            problem = dividing.prompt(body.prompt, written)
        else:
            turns = [turn.model_dump() for turn in body.prompt]
            problem = dividing.asked(turns, "prompt")
        pairs = [Pair(problem, body.response, written, field)]
        given = await trainer_rewards(service, pairs, how, route="/slime/reward")
        [total] = given.totals
        if reward_key is None:
            return answer(total)
        return answer({"step_scores": given.scores[0].tolist(), reward_key: total})

    return router


def _queried(service: Service, body: GetRewardBody, index: int) -> Pair:
    """Divide one query: behind its prompt where there is one, else by the template."""
    dividing, field = service.dividing, Argument("query", index=(index,))
    query = body.query[index]
    if body.prompts is None:
        problem, solution = dividing.whole(query, field)
        return Pair(problem, solution, field, field)
    if len(body.prompts) != len(body.query):
        raise InvalidError(
            f"one prompt for each of the {len(body.query)} queries",
            got=str(len(body.prompts)),
            argument="prompts",
        )
    prompt, written = body.prompts[index], Argument("prompts", index=(index,))
    solution = behind(prompt, query, field, f"prompts[{index}]")
    problem = dividing.prompt(prompt, written)
    return Pair(problem, solution, written, field)


def _logs(given: Rewards, bad_reward: float | None) -> dict[str, list[float]]:
    """Give what OpenRLHF logs beside rewards: it wants every key in every answer, and numbers."""
    scores = [
        [bad_reward] if bad_reward is not None and query in given.scores.skipped else list(values)
        for query, values in enumerate(given.scores)
    ]
    logs: dict[str, list[float]] = {
        "step_score_min": [float(min(values)) for values in scores],
        "step_score_last": [float(values[-1]) for values in scores],
        "steps": [len(values) for values in given.scores],
    }
    if bad_reward is not None:
        logs["bad_reward"] = [int(query in given.scores.skipped) for query in range(len(scores))]
    return logs
