"""SGLang's ``/v1/score``, the one shape that carries step scores, and what verl asks it for."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from stepscore.errors import Argument
from stepscore.scoring.reserved_tokens import ENDINGS
from stepscore.server.errors import InvalidError
from stepscore.server.json_answers import answer
from stepscore.server.rewards import (
    Pair,
    check_some,
    check_unused,
    ended_steps,
    rows,
    scored,
    softmax_column,
)
from stepscore.server.routes.bodies import Body, usage
from stepscore.server.routes.shapes import How, WholeTexts, divided_pairs
from stepscore.server.service import Service
from stepscore.server.trainer_rewards import trainer_rewards

# The name of a model in requests that name none.
_ANY_MODEL = "default"


class ScoringBody(Body):
    """What ``/sglang/v1/score`` reads."""

    query: str = Field(description="the problem, or its prompt in the chat template")
    items: str | list[str] = Field(description="solutions with a token at the end of every step")
    score_extraction_token: str = Field(min_length=1, description="that token")
    apply_softmax: bool = False
    model: str = _ANY_MODEL
    temperature: float = 1.0
    item_first: bool = False
    return_token_logprobs: bool = False
    return_pooled_hidden_states: bool = False
    label_token_ids: list[Any] | None = None
    embed_override_token_id: int | None = None
    query_embed_overrides: list[Any] | None = None
    item_embed_overrides: list[Any] | None = None


class EmbeddingsBody(Body):
    """What ``/v1/embeddings`` reads."""

    input: WholeTexts = Field(description="texts that hold a problem and its solution each")
    model: str = _ANY_MODEL
    encoding_format: Literal["float"] = "float"
    dimensions: int | None = None
    user: str | None = None
    rid: str | list[str] | None = None
    priority: int | None = None


def routes(service: Service) -> APIRouter:
    """``/sglang/v1/score``, because ``/v1/score`` is vLLM's, and ``/v1/embeddings``."""
    router = APIRouter()

    @router.post("/v1/embeddings")
    async def embeddings(body: EmbeddingsBody, how: How = None) -> Response:
        """Give one number for every text, where SGLang gives what a reward model's head does.

        Waits for room: verl takes a refusal for the end.
        """
        service.check_model(None if body.model == _ANY_MODEL else body.model)
        check_unused({"dimensions": body.dimensions})
        pairs = divided_pairs(service, body.input)
        given = await trainer_rewards(service, pairs, how, route="/v1/embeddings")
        data = [
            {"embedding": [total], "index": index, "object": "embedding"}
            for index, total in enumerate(given.totals)
        ]
        content = {
            "data": data,
            "model": service.name,
            "object": "list",
            "usage": _usage(given.tokens),
        }
        return answer(content)

    @router.post("/sglang/v1/score")
    async def score(body: ScoringBody) -> Response:
        """Give the labels' scores at every occurrence of the token in every item."""
        service.check_model(None if body.model == _ANY_MODEL else body.model)
        _check(service, body)
        items = [body.items] if isinstance(body.items, str) else body.items
        check_some(items, "items")
        problem = service.dividing.prompt(body.query, Argument("query"))
        pairs = []
        for index, item in enumerate(items):
            field = Argument("items", index=() if isinstance(body.items, str) else (index,))
            # A text that ends a turn may be the very token; then it ends steps.
            text = (
                item
                if item.rstrip().endswith(body.score_extraction_token)
                else (ENDINGS.without_end(item)[0])
            )
            steps = ended_steps(text, body.score_extraction_token, field)
            pairs.append(Pair(problem, steps, Argument("query"), field))
        given = await scored(service, pairs, route="score")
        content = {
            "scores": [rows(given.scores, index) for index in range(len(pairs))],
            "pooled_hidden_states": None,
            "token_logprobs": None,
            "model": body.model,
            "usage": _usage(given.tokens),
            "object": "scoring",
        }
        return answer(content)

    return router


def _usage(tokens: int) -> dict[str, Any]:
    return {
        **usage(tokens),
        "completion_tokens": 0,
        "prompt_tokens_details": None,
        "reasoning_tokens": 0,
    }


def _check(service: Service, body: ScoringBody) -> None:
    """Refuse what would give other numbers than those that the recipe reads."""
    check_unused(
        {
            "label_token_ids": body.label_token_ids,
            "embed_override_token_id": body.embed_override_token_id,
            "query_embed_overrides": body.query_embed_overrides,
            "item_embed_overrides": body.item_embed_overrides,
            "item_first": body.item_first or None,
            "return_token_logprobs": body.return_token_logprobs or None,
            "return_pooled_hidden_states": body.return_pooled_hidden_states or None,
        },
        "leave it out: the recipe knows what is read of the model",
    )
    if body.temperature != 1.0:
        raise InvalidError("1, or nothing", got=str(body.temperature), argument="temperature")
    softmax = softmax_column(service.prm.recipe) is not None
    if body.apply_softmax is not softmax:
        raise InvalidError(
            str(softmax).lower(),
            got=str(body.apply_softmax).lower(),
            advice=f"so are the scores of {service.prm.recipe.name!r} read",
            argument="apply_softmax",
        )
