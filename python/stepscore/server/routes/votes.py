"""Votes over answers and scores that are there already: ``/v1/vote``; no model is asked."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from stepscore.errors import Argument, InputError
from stepscore.ops import extract_answers, group_answers
from stepscore.scoring.arguments import TraceArguments
from stepscore.scoring.solution_reader import fault_in_characters
from stepscore.server.errors import InvalidError
from stepscore.server.json_answers import answer, number
from stepscore.server.limits import check_texts
from stepscore.server.routes.bodies import Body
from stepscore.server.service import Service
from stepscore.voting import (
    DEFAULT_RULES,
    TypedRule,
    VoteSettings,
    candidate_scores,
    elect,
    parse_rules,
)
from stepscore.voting.scores import without_scores


class VoteBody(Body):
    """What ``/v1/vote`` reads: the candidates of one problem."""

    answers: list[str | None] | None = Field(None, description="of each candidate; null for none")
    texts: list[str] | None = Field(None, description="or the solutions that state them")
    scores: list[float | None] | None = Field(
        None, description="of each candidate; null takes no part; none at all counts answers"
    )
    rules: list[str] = Field(
        default_factory=list,
        max_length=64,
        description="NAME[:PARAM=VALUE[,PARAM=VALUE]], as stepscore.Rule",
    )


def routes(service: Service) -> APIRouter:
    """``/v1/vote``."""
    router = APIRouter()

    @router.post("/v1/vote")
    async def vote(body: VoteBody) -> Response:
        """Let the candidates of a problem vote, by one rule or by several."""
        field = _check(body)
        arguments = TraceArguments(
            "vote", lambda _: Argument(field), lambda trace, *_: Argument(field, index=(trace,))
        )
        texts = [text or "" for text in getattr(body, field)]
        for place, text in enumerate(texts):
            fault = fault_in_characters(text)
            if fault is not None:
                raise fault.at(argument=Argument(field, index=(place,)))
        check_texts(service.settings, arguments, [""] * len(texts), texts)
        return answer(await asyncio.to_thread(_voted, body))

    return router


def _check(body: VoteBody) -> str:
    """Give the field that holds the answers, and refuse lists of different lengths."""
    given = [name for name in ("answers", "texts") if getattr(body, name) is not None]
    if len(given) != 1:
        raise InvalidError(
            "either answers or texts",
            got="both" if given else "none",
            advice="send the answers, or the solutions that state them",
            argument="answers",
        )
    [field] = given
    count = len(getattr(body, field))
    if not count:
        raise InvalidError("at least one candidate", got="none", argument=field)
    if body.scores is not None and len(body.scores) != count:
        raise InvalidError(
            f"one score for each of the {count} candidates",
            got=str(len(body.scores)),
            advice="send null for a candidate that has none",
            argument="scores",
        )
    return field


def _voted(body: VoteBody) -> dict[str, Any]:
    """Vote, outside of the event loop: answers may be long."""
    texts = body.answers if body.answers is not None else extract_answers(body.texts or ())
    offsets = np.array([0, len(texts)], dtype=np.int64)
    ids = group_answers(texts, offsets, extract=False, verify=None)
    # What says that there is no answer, such as N/A, is none.
    answers = [None if id < 0 else text for id, text in zip(ids.tolist(), texts, strict=True)]
    if body.scores is None:
        scores, default = without_scores(offsets), DEFAULT_RULES[:1]
    else:
        given = np.array([math.nan if score is None else score for score in body.scores])
        scores, default = candidate_scores(offsets, given=given, bounded=False), DEFAULT_RULES
    rules = _rules(body.rules) if body.rules else default
    elections = elect(scores, ids, np.array([True]), VoteSettings(rules))
    results = []
    for place, rule in enumerate(rules):
        at = (0, place, 0, -1)
        winner = int(elections.winner[at])
        result: dict[str, Any] = {
            "rule": rule.label,
            "winner": None,
            "answer": None,
            "score": number(float(elections.score[at])),
            "margin": number(float(elections.margin[at])),
            "tied": bool(elections.tied[at]),
        }
        if winner >= 0:
            result |= {"winner": winner, "answer": answers[winner]}
        if winner < 0 or result["margin"] is None:
            result["reason"] = _reason(winner, bool(elections.unfit[0, place, 0]))
        results.append(result)
    return {
        "object": "vote",
        "answers": answers,
        "answer_ids": ids.tolist(),
        "results": results,
    }


def _rules(texts: Sequence[str]) -> tuple[TypedRule, ...]:
    """Read rules as they are typed, and name the field of one that is wrong."""
    rules: tuple[TypedRule, ...] = ()
    for place in range(len(texts)):
        try:
            rules = parse_rules(texts[: place + 1])
        except InputError as error:
            raise error.at(argument=Argument("rules", index=(place,))) from None
    return rules


def _reason(winner: int, unfit: bool) -> str:
    """Say why there is no winner, or no margin."""
    if winner >= 0:
        return "no other answer: there is no margin"
    if unfit:
        return "the scores are not what the rule reads"
    return "no candidate takes part: none has an answer, or a score that the rule reads"
