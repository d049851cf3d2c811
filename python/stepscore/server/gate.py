"""What every request passes before a route sees it: key, body, time; and what is noted of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stepscore.errors import InputError
from stepscore.server.errors import (
    RequestError,
    TooSlowError,
    UnavailableError,
    described,
    headers_of,
    status_of,
    too_large,
    unexpected,
)
from stepscore.server.json_answers import answer
from stepscore.server.metrics import Metrics
from stepscore.server.security import Keys, check_origin, without_prefix
from stepscore.server.settings import Settings

# The status in metrics and log of a request whose client has gone before it was answered.
GONE = 499
log = logging.getLogger("stepscore.access")


class _ClientGoneError(Exception):
    """Nobody is left to answer."""


class Gate:
    """Lets a request through to an ASGI application, or answers it.

    Args:
        app: the application.
        settings: limits of bodies and times.
        keys: who may ask.
        metrics: counts requests.
        paths: of the routes, with names in braces for their parameters.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        keys: Keys,
        metrics: Metrics,
        paths: Sequence[str],
    ) -> None:
        self._app = app
        self._settings = settings
        self._keys = keys
        self._metrics = metrics
        self._paths = [(compile_path(path)[0], path) for path in dict.fromkeys(paths)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle what a connection brings."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        status = 0

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.in_progress.inc()
        try:
            await self._answered(scope, receive, noting_send)
        except _ClientGoneError:
            status = GONE
        except InputError as error:
            await self._refuse(error, scope, receive, noting_send)
        except Exception as error:
            content = {"error": unexpected(error)}
            if not status:
                await answer(content, 500)(scope, receive, noting_send)
        except asyncio.CancelledError:
            status = status or GONE
            raise
        finally:
            seconds = time.perf_counter() - begin
            self._metrics.in_progress.dec()
            route = self._route(scope)
            self._metrics.count(route, status, seconds)
            log.info("%s %s %d %.1f ms", scope["method"], route, status, seconds * 1e3)

    def _route(self, scope: Scope) -> str:
        """Give the path of the route that is asked, without what stands for its parameters.

        Nobody else's word comes into metrics and log, and a request has a route before it has a
        key.
        """
        found = (path for pattern, path in self._paths if pattern.match(scope["path"]))
        return next(found, "other")

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        without_prefix(scope)
        check_origin(scope["headers"])
        self._keys.check(scope)
        _check_coding(dict(scope["headers"]))
        body = await self._body(scope, receive)
        seconds = self._settings.request_timeout
        asked = asyncio.ensure_future(self._app(scope, _given(body, receive), send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait([asked, gone], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                await asked
                return
        finally:
            gone.cancel()
            if not asked.done():
                asked.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await asked
        if gone.done() and not gone.cancelled():
            raise _ClientGoneError
        raise UnavailableError(
            f"an answer within {seconds:g} s", got="none", advice="send less at once"
        )

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read a body within its limits."""
        most = self._settings.max_body_bytes
        length = dict(scope["headers"]).get(b"content-length", b"")
        if length.isdigit() and int(length) > most:
            raise too_large("max_body_bytes", most, int(length), None)
        try:
            return await asyncio.wait_for(_all_of(receive, most), self._settings.body_timeout)
        except asyncio.TimeoutError:
            raise TooSlowError(
                f"a whole body within {self._settings.body_timeout:g} s",
                got="a part of it",
                advice="send it faster",
            ) from None

    async def _refuse(self, error: InputError, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(error)
        if status_of(error) in (400, 408, 413):
            headers["Connection"] = "close"  # what is left of the body is not read
        response = answer({"error": described(error)}, status_of(error), headers)
        await response(scope, receive, send)


def _check_coding(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body that is compressed, or whose end a proxy may see elsewhere.

    Raises:
        RequestError: with what to send.
    """
    if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"", b"identity"):
        raise RequestError(
            "a body as it is", got="a compressed one", advice="send it without Content-Encoding"
        )
    if b"content-length" in headers and b"transfer-encoding" in headers:
        raise RequestError(
            "one end of the body", got="Content-Length and Transfer-Encoding", advice="send one"
        )


async def _all_of(receive: Receive, most: int) -> bytes:
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        part = message.get("body", b"")
        length += len(part)
        if length > most:
            raise too_large("max_body_bytes", most, length, None)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _given(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read already, and then what comes."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            await asyncio.Event().wait()  # who has gone is noticed elsewhere
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
