"""vLLM's routes: ``/pooling``, ``/classify``, ``/score``; verl asks the second one."""

from __future__ import annotations

import base64
import sys
import time
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from stepscore.errors import Argument
from stepscore.server.errors import InvalidError
from stepscore.server.json_answers import answer
from stepscore.server.rewards import (
    Pair,
    check_activation,
    check_unused,
    read_as_written,
    rewarded,
    rows,
    scored,
)
from stepscore.server.routes.bodies import SolutionText, usage
from stepscore.server.routes.shapes import (
    How,
    Message,
    ShapeBody,
    WholeTexts,
    divided_pairs,
    new_id,
    no_truncation,
    pairs_of,
)
from stepscore.server.service import Service
from stepscore.server.trainer_rewards import trainer_rewards

# The names of the problems and of the solutions, in the order in which they are looked for.
_SPELLINGS = (
    ("queries", "documents"),
    ("queries", "items"),
    ("data_1", "data_2"),
    ("text_1", "text_2"),
)
Texts = str | list[str]
Solutions = str | list[SolutionText]


class VllmBody(ShapeBody):
    """What all of vLLM's routes read."""

    use_activation: bool | None = None
    truncate_prompt_tokens: int | None = None
    truncation_side: Literal["left", "right"] | None = None


class TextsBody(VllmBody):
    """Whole texts, or a chat: a problem and its solution in either."""

    input: WholeTexts | None = None
    messages: list[Message] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool = False
    continue_final_message: bool = False
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class PoolingBody(TextsBody):
    """What ``/pooling`` reads."""

    task: str | None = Field(None, description="token_classify, or none")
    encoding_format: Literal["float", "base64"] = "float"
    embed_dtype: Literal["float32"] = "float32"
    endianness: Literal["native", "little", "big"] = "native"
    dimensions: int | None = None
    normalize: bool | None = None


class ScoreBody(VllmBody):
    """What ``/score`` reads: one of four pairs of fields."""

    queries: Texts | None = None
    documents: Solutions | None = None
    items: Solutions | None = None
    data_1: Texts | None = None
    data_2: Solutions | None = None
    text_1: Texts | None = None
    text_2: Solutions | None = None
    instruction: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    max_tokens_per_query: int | None = None
    max_tokens_per_doc: int | None = None


def routes(service: Service) -> APIRouter:
    """``/pooling``, ``/classify``, ``/score``, ``/v1/score``."""
    router = APIRouter()
    recipe = service.prm.recipe

    @router.post("/pooling")
    async def pooling(body: PoolingBody) -> Response:
        """Give a row for every step: the probabilities of its labels, or its score."""
        service.check_model(body.model)
        check_unused({"normalize": body.normalize}, "vLLM has use_activation in its place")
        check_unused({"dimensions": body.dimensions})
        check_activation(recipe, body.use_activation, "use_activation")
        if body.task not in (None, "token_classify"):
            raise InvalidError("token_classify", got="another task", argument="task")
        pairs = [read_as_written(service, pair) for pair in _pairs(service, body)]
        given = await scored(service, pairs, route="pooling")
        data = [
            {"index": index, "object": "pooling", "data": _encoded(rows(given.scores, index), body)}
            for index in range(len(given.scores))
        ]
        return answer(_listed(service, "pool", data, given.tokens))

    @router.post("/classify")
    async def classify(body: TextsBody, how: How = None) -> Response:
        """Give one number for every text. Waits for room: verl takes a refusal for the end."""
        service.check_model(body.model)
        # use_activation is what verl always sends as false; a score is read as its recipe says.
        pairs = _pairs(service, body)
        given = await trainer_rewards(service, pairs, how, route="/classify")
        data = [
            {
                "index": index,
                "label": "bad_reward" if index in given.scores.skipped else given.how,
                "probs": [total],
                "num_classes": 1,
            }
            for index, total in enumerate(given.totals)
        ]
        return answer(_listed(service, "classify", data, given.tokens))

    async def score(body: ScoreBody, how: How = None) -> Response:
        """Give one number for every pair of a problem and a solution."""
        service.check_model(body.model)
        check_activation(recipe, body.use_activation, "use_activation")
        _check_score(body)
        asked, given = _spelling(body)
        solutions = getattr(body, given)
        solutions = [solutions] if isinstance(solutions, str) else solutions
        pairs = pairs_of(service, (asked, getattr(body, asked)), (given, solutions))
        rewards = await rewarded(service, pairs, how, route="score")
        data = [
            {"index": index, "object": "score", "score": total}
            for index, total in enumerate(rewards.totals)
        ]
        return answer(_listed(service, "score", data, rewards.tokens))

    for path in ("/score", "/v1/score"):
        router.post(path)(score)
    return router


def _listed(service: Service, kind: str, data: list[dict[str, Any]], tokens: int) -> dict[str, Any]:
    return {
        "id": new_id(kind),
        "object": "list",
        "created": int(time.time()),
        "model": service.name,
        "data": data,
        "usage": {**usage(tokens), "completion_tokens": 0, "prompt_tokens_details": None},
    }


def _pairs(service: Service, body: TextsBody) -> list[Pair]:
    """Divide what a body holds; solutions are as they were written."""
    if (body.input is None) == (body.messages is None):
        raise InvalidError(
            "either input or messages",
            got="both" if body.messages is not None else "none",
            argument="input",
        )
    no_truncation(truncate_prompt_tokens=body.truncate_prompt_tokens)
    check_unused(
        {
            "chat_template": body.chat_template,
            "chat_template_kwargs": body.chat_template_kwargs or None,
            "add_generation_prompt": body.add_generation_prompt or None,
            "continue_final_message": body.continue_final_message or None,
        },
        "leave it out: the recipe lays a trace out as the model was trained",
    )
    dividing = service.dividing
    if body.messages is not None:
        problem, text = dividing.messages([turn.model_dump() for turn in body.messages])
        last = Argument("messages", index=(len(body.messages) - 1,))
        before = Argument("messages", index=(len(body.messages) - 2,))
        return [Pair(problem, text, before, last)]
    assert body.input is not None
    return divided_pairs(service, body.input)


def _encoded(values: list[list[float]], body: PoolingBody) -> list[list[float]] | str:
    if body.encoding_format == "float":
        return values
    order = sys.byteorder if body.endianness == "native" else body.endianness
    array = np.array(values, dtype="<f4" if order == "little" else ">f4")
    return base64.b64encode(array.tobytes()).decode()


def _check_score(body: ScoreBody) -> None:
    no_truncation(
        truncate_prompt_tokens=body.truncate_prompt_tokens,
        max_tokens_per_query=body.max_tokens_per_query,
        max_tokens_per_doc=body.max_tokens_per_doc,
    )
    check_unused(
        {
            "instruction": body.instruction,
            "chat_template_kwargs": body.chat_template_kwargs or None,
        },
        "leave it out: the recipe lays a trace out as the model was trained",
    )


def _spelling(body: ScoreBody) -> tuple[str, str]:
    """Find the two fields that a body has.

    Raises:
        InvalidError: it has others, too, or none of the pairs.
    """
    every = sorted({name for pair in _SPELLINGS for name in pair})
    there = [name for name in every if getattr(body, name) is not None]
    for pair in _SPELLINGS:
        if sorted(pair) == there:
            return pair
    raise InvalidError(
        " or ".join(f"{asked} and {given}" for asked, given in _SPELLINGS),
        got=" and ".join(there) or "none of them",
        argument=there[0] if there else "queries",
    )
