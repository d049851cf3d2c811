"""The routes, one file per family of clients, and the table of them.

A family is a function that takes a `Service` and gives a router. A route reads its body as a model
of pydantic, asks the service's batcher, and answers with `json_answers.answer`; what is wrong it
raises as an error of the library, or of `server.errors`, with the field of the request.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from stepscore.server.routes import (
    page,
    rerank,
    scores,
    sessions,
    sglang,
    status,
    trainers,
    vllm,
    votes,
)
from stepscore.server.service import Service

FAMILIES: tuple[Callable[[Service], APIRouter], ...] = (
    page.routes,
    status.routes,
    scores.routes,
    votes.routes,
    sessions.routes,
    vllm.routes,
    rerank.routes,
    sglang.routes,
    trainers.routes,
)
