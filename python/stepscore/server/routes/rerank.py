"""Rerankers' routes: Cohere's shape, as vLLM and LiteLLM have it, Infinity's, and TEI's."""

from __future__ import annotations

import time
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field, ValidationError
from starlette.responses import Response

from stepscore.errors import Argument
from stepscore.server.errors import InvalidError, of_validation
from stepscore.server.json_answers import answer
from stepscore.server.rewards import (
    Pair,
    Rewards,
    at_separators,
    check_activation,
    check_some,
    check_unused,
    read_as_written,
    rewarded,
)
from stepscore.server.routes.bodies import Body, SolutionText, usage
from stepscore.server.routes.shapes import How, ShapeBody, new_id, no_truncation, pairs_of
from stepscore.server.service import Service


class Document(Body):
    """A document that is more than a text."""

    text: str


class RerankBody(ShapeBody):
    """What the routes in Cohere's shape read: the query is a problem, documents are solutions."""

    query: str
    documents: list[SolutionText | Document]
    top_n: int | None = Field(None, ge=0, description="how many to give; none and 0 give all")
    return_documents: bool | None = None
    rank_fields: list[str] | None = None
    instruction: str | None = None
    use_activation: bool | None = None
    raw_scores: bool = False
    truncate_prompt_tokens: int | None = None
    truncation_side: Literal["left", "right"] | None = None
    max_tokens_per_query: int | None = None
    max_tokens_per_doc: int | None = None
    max_chunks_per_doc: int | None = None


class TeiBody(Body):
    """What TEI's routes have in common; a text that is too long is an error, and never cut."""

    truncate: bool | None = None
    truncation_direction: Literal["left", "right", "Left", "Right"] | None = None
    raw_scores: bool = False


class TeiRerankBody(TeiBody):
    """What TEI's ``/rerank`` reads."""

    query: str
    texts: list[str]
    return_text: bool = False


class PredictBody(TeiBody):
    """What ``/predict`` reads: a text, a pair, or a list of such."""

    inputs: str | list[str] | list[list[str]]


def routes(service: Service) -> APIRouter:
    """``/rerank`` and its versions, ``/infinity/rerank``, ``/predict``."""
    router = APIRouter()

    async def reranked(body: RerankBody, how: str | None) -> Rewards:
        service.check_model(body.model)
        _check_rerank(service, body)
        documents = [
            each.model_dump() if isinstance(each, Document) else each for each in body.documents
        ]
        pairs = pairs_of(service, ("query", body.query), ("documents", documents))
        return await rewarded(service, pairs, how, route="rerank")

    async def cohere(body: RerankBody, how: How = None) -> Response:
        """Order documents, best first."""
        return answer(_as_cohere(service, body, await reranked(body, how)))

    for path in ("/v1/rerank", "/v2/rerank"):
        router.post(path)(cohere)

    @router.post("/rerank")
    async def rerank(body: dict[str, Any], how: How = None) -> Response:
        """Order documents in Cohere's shape, or texts in TEI's: the body has one of them."""
        if ("texts" in body) == ("documents" in body):
            raise InvalidError(
                "either documents, as Cohere and vLLM have it, or texts, as TEI does",
                got="both" if "texts" in body else "none",
                argument="documents",
            )
        if "texts" in body:
            return await tei(_read(TeiRerankBody, body), how)
        return await cohere(_read(RerankBody, body), how)

    async def tei(body: TeiRerankBody, how: str | None) -> Response:
        _check_raw(service, body.raw_scores)
        pairs = pairs_of(service, ("query", body.query), ("texts", body.texts))
        rewards = await rewarded(service, pairs, how, route="rerank")
        return answer(_as_tei(body, rewards))

    @router.post("/infinity/rerank")
    async def infinity(body: RerankBody, how: How = None) -> Response:
        """Order documents; in the answer they are texts, where Cohere's are objects."""
        return answer(_as_infinity(service, body, await reranked(body, how)))

    @router.post("/predict")
    async def predict(body: PredictBody, how: How = None) -> Response:
        """Give one number for a text or a pair, or for each of a list."""
        _check_raw(service, body.raw_scores)
        check_some(body.inputs, "inputs")
        pairs, is_list = _predicted(service, body.inputs)
        rewards = await rewarded(service, pairs, how, route="predict")
        results = [[{"score": total, "label": rewards.how}] for total in rewards.totals]
        return answer(results if is_list else results[0])

    return router


def _as_cohere(service: Service, body: RerankBody, rewards: Rewards) -> dict[str, Any]:
    results = [
        {"index": index}
        | ({} if body.return_documents is False else {"document": {"text": _text(body, index)}})
        | {"relevance_score": rewards.totals[index]}
        for index in rewards.best_first[: body.top_n or None]
    ]
    return {
        "id": new_id("rerank"),
        "model": service.name,
        "usage": usage(rewards.tokens),
        "results": results,
    }


def _as_infinity(service: Service, body: RerankBody, rewards: Rewards) -> dict[str, Any]:
    results = [
        {"relevance_score": rewards.totals[index], "index": index}
        | {"document": _text(body, index) if body.return_documents else None}
        for index in rewards.best_first[: body.top_n or None]
    ]
    return {
        "object": "rerank",
        "results": results,
        "model": service.name,
        "usage": usage(rewards.tokens),
        "id": new_id("rerank"),
        "created": int(time.time()),
    }


def _as_tei(body: TeiRerankBody, rewards: Rewards) -> list[dict[str, Any]]:
    return [
        {"index": index}
        | ({"text": body.texts[index]} if body.return_text else {})
        | {"score": rewards.totals[index]}
        for index in rewards.best_first
    ]


def _read(kind: type[Any], body: dict[str, Any]) -> Any:
    """Read a body whose shape is known by now."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise of_validation(error.errors()) from None


def _check_rerank(service: Service, body: RerankBody) -> None:
    check_activation(service.prm.recipe, body.use_activation, "use_activation")
    _check_raw(service, body.raw_scores)
    no_truncation(
        truncate_prompt_tokens=body.truncate_prompt_tokens,
        max_tokens_per_query=body.max_tokens_per_query,
        max_tokens_per_doc=body.max_tokens_per_doc,
        max_chunks_per_doc=body.max_chunks_per_doc,
    )
    check_unused({"instruction": body.instruction})
    if body.rank_fields not in (None, ["text"]):
        raise InvalidError('["text"], or nothing', got="other fields", argument="rank_fields")


def _check_raw(service: Service, raw_scores: bool) -> None:
    if raw_scores and service.prm.recipe.readings[0].activation != "identity":
        raise InvalidError(
            "false, or nothing",
            got="true",
            advice="a score is what the recipe reads behind the head's activation",
            argument="raw_scores",
        )


def _text(body: RerankBody, index: int) -> str:
    document = body.documents[index]
    if isinstance(document, Document):
        return document.text
    return document if isinstance(document, str) else "\n".join(document)


def _predicted(
    service: Service, inputs: str | list[str] | list[list[str]]
) -> tuple[list[Pair], bool]:
    """Give the pairs of inputs, and whether they are a list of such."""
    if isinstance(inputs, str):
        return [_pair(service, [inputs], ())], False
    if isinstance(inputs[0], str):
        return [_pair(service, inputs, ())], False
    return [_pair(service, each, (index,)) for index, each in enumerate(inputs)], True


def _pair(service: Service, texts: list[str], index: tuple[int, ...]) -> Pair:
    """Read one text that holds a problem and its solution, or one of each."""
    field = Argument("inputs", index=index)
    if len(texts) == 1:
        problem, solution = service.dividing.whole(texts[0], field)
        return read_as_written(service, Pair(problem, solution, field, field))
    if len(texts) != 2:
        raise InvalidError(
            "a text, or a pair of a problem and a solution",
            got=f"{len(texts)} texts",
            argument=field,
        )
    first, second = (Argument("inputs", index=(*index, place)) for place in (0, 1))
    return Pair(texts[0], at_separators(service, texts[1], second), first, second)
