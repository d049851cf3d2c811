"""The application: one model behind routes, with everything that is asked before and after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

import stepscore
from stepscore.errors import InputError
from stepscore.server.errors import (
    NotAllowedError,
    NotFoundError,
    RequestError,
    described,
    headers_of,
    of_validation,
    status_of,
)
from stepscore.server.gate import Gate
from stepscore.server.json_answers import answer
from stepscore.server.routes import FAMILIES
from stepscore.server.security import Keys
from stepscore.server.service import Service
from stepscore.server.settings import Settings


def create_app(
    prm: Any,
    settings: Settings | None = None,
    *,
    keys: Sequence[str] = (),
    name: str | None = None,
) -> FastAPI:
    """Make the application of ASGI that serves a model.

    Args:
        prm: what `stepscore.load` gives, or a generative PRM.
        settings: its limits; None takes the defaults.
        keys: one of them must come with every request but ``/health``; without any, everybody may
            ask, which is for a server that only this machine reaches.
        name: what clients call the model; None takes its own name.

    Raises:
        InputError: a key that is none.

    Examples:
        >>> import stepscore
        >>> from fastapi.testclient import TestClient
        >>> from stepscore.server import create_app
        >>> problem, steps = "85+95-16+20+11-30=?", ["85+95=180", "180-16=154"]
        >>> with TestClient(create_app(stepscore.load("lab"))) as client:
        ...     body = {"problems": problem, "solutions": [steps]}
        ...     answer = client.post("/v1/step_scores", json=body).json()
        >>> [score > 0.5 for score in answer["results"][0]["step_scores"]]
        [True, False]
    """
    settings = Settings() if settings is None else settings
    service = Service.of(prm, settings, name)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        async with service.batcher:
            tidying = asyncio.create_task(service.sessions.close_idle_ones_forever())
            try:
                yield
            finally:
                tidying.cancel()
                with suppress(asyncio.CancelledError):
                    await tidying

    app = FastAPI(
        title="stepscore",
        version=stepscore.__version__,
        lifespan=running,
        docs_url=None,  # their pages load scripts of other hosts
        redoc_url=None,
        redirect_slashes=False,  # to where no key is in front of the path, nor a proxy's TLS
    )
    app.state.service = service
    paths: list[str] = []
    for routes in FAMILIES:
        router = routes(service)
        app.include_router(router)
        paths += [route.path for route in router.routes if isinstance(route, APIRoute)]
    app.add_exception_handler(InputError, _library_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(
        Gate, settings=settings, keys=Keys(keys), metrics=service.metrics, paths=paths
    )
    return app


async def _library_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, InputError)
    return _told(error)


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return _told(_no_json())
    if any(each["loc"] == ("body",) and each["input"] is None for each in found):
        return _told(_no_json("none"))
    if any(isinstance(each["input"], bytes) for each in found):  # nothing has read it
        advice = 'send the header "Content-Type: application/json"'
        return _told(_no_json("one of another type, or of none", advice))
    return _told(of_validation(found))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _told(NotFoundError("a route of this server", got="another path"))
    if error.status_code == 405:
        response = _told(NotAllowedError("another method", got=request.method))
        response.headers.update(error.headers or {})
        return response
    return _told(_no_json())


def _no_json(got: str = "something else", advice: str = "send a JSON object") -> RequestError:
    return RequestError("a body of JSON", got=got, advice=advice)


def _told(error: InputError) -> Response:
    return answer({"error": described(error)}, status_of(error), headers_of(error))
