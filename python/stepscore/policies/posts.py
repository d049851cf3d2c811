"""POST requests to one URL, many at once: each with a deadline, repeated where that may help."""

from __future__ import annotations

import asyncio
import functools
import json
import random
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

try:
    import anyio
    import httpx
    from anyio.from_thread import start_blocking_portal
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'EndpointPolicy needs httpx; type: pip install "stepscore[hf]"', name=error.name
    ) from error

from stepscore.credentials import masked

Reply = TypeVar("Reply")

_REPEATED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
_FOR_ALL = frozenset({401, 403, 404})  # the key, the model or the path: no request will pass
_FAILURES = (httpx.RequestError, httpx.InvalidURL, UnicodeError)  # the latter of a host's name
_UNREACHABLE = (httpx.ConnectError, httpx.ProxyError)
_LONGEST_WAIT = 60.0  # seconds, whatever Retry-After says
_QUOTED = 200  # characters of an answer in an error
_MOST_BYTES = 1 << 26  # of an answer: no completion is that long
_MOST_BYTES_OF_A_FAULT = 1 << 16


# What an attempt has begun, by the events of httpcore -> what it lacks where its time is up.
_STAGES = {
    "connection.connect_tcp.started": "no connection",
    "connection.start_tls.started": "no TLS handshake",
    "http11.send_request_headers.started": "no answer",
}


class EndpointError(RuntimeError):
    """A request that the server did not answer as it should; the message has URL and reason."""


class AnswerError(ValueError):
    """An answer that is not what was expected; the message says in what."""


@dataclass(eq=False)
class _FaultError(Exception):
    """Why an attempt failed, and what follows from it."""

    reason: str
    repeat: bool = True
    for_all: bool = False  # no other request will pass either
    wait: float | None = None  # seconds that the server asks for


@dataclass(frozen=True)
class Posts:
    """How requests are sent to a URL.

    Attributes:
        url: where to; a redirect is an error, so that the key goes to no other host.
        key: sent as a bearer token, and never shown; None sends none.
        concurrency: requests in flight at most.
        timeout: seconds from the look-up of the host to the last byte of an answer.
        retries: attempts after the first.
        backoff: seconds before the first of them, doubled for each further one, and shortened by
            up to a half at random; a server's ``Retry-After`` is obeyed up to 60 s.
    """

    url: str
    key: str | None = field(repr=False)
    concurrency: int
    timeout: float
    retries: int
    backoff: float

    def send(
        self, bodies: Sequence[Mapping[str, Any]], read: Callable[[Any], Reply], expected: str
    ) -> list[Reply | EndpointError]:
        """Send every body as JSON; where no attempt succeeds, the error stands in its place.

        A server that cannot be reached, or refuses the key or the model, ends the call: requests
        that have not begun are given up.

        Args:
            bodies: of the requests.
            read: takes an answer's JSON; it raises AnswerError, TypeError, LookupError or
                AttributeError for one that is not what was expected.
            expected: names that, as in ``"a completion"``.
        """
        # A loop in a thread of its own: the caller may run one already, as notebooks do.
        with start_blocking_portal() as portal:
            return portal.call(self._send_all, bodies, read, expected)

    async def _send_all(
        self, bodies: Sequence[Mapping[str, Any]], read: Callable[[Any], Reply], expected: str
    ) -> list[Reply | EndpointError]:
        lookups = _look_up_in_threads(asyncio.get_running_loop())
        replies: dict[int, Reply | EndpointError] = {}
        queue, down = enumerate(bodies), anyio.Event()
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        # No timeouts of httpx: they are per read, and a server may drip.
        client = httpx.AsyncClient(
            headers=headers,
            timeout=None,
            limits=httpx.Limits(max_connections=self.concurrency),
            verify=_system_certificates(),
        )

        async def work() -> None:
            for place, body in queue:
                try:
                    replies[place] = await self._send(client, lookups, body, read, expected, down)
                except EndpointError as error:
                    replies[place] = error

        async with client, anyio.create_task_group() as workers:
            for _ in range(min(self.concurrency, len(bodies))):
                workers.start_soon(work)
        return [replies[place] for place in range(len(bodies))]

    async def _send(
        self,
        client: httpx.AsyncClient,
        lookups: Counter[str],
        body: Mapping[str, Any],
        read: Callable[[Any], Reply],
        expected: str,
        down: anyio.Event,
    ) -> Reply:
        """Repeat one request until it is answered."""
        attempt, reason = 0, "given up, because another request found the server down"
        while not down.is_set():
            try:
                content = await self._attempt(client, lookups, json.dumps(body).encode())
                return self._read(content, read, expected)
            except _FaultError as fault:
                reason = fault.reason
                if not fault.repeat or attempt == self.retries:
                    if fault.for_all:
                        down.set()
                    break
                wait = fault.wait
            if wait is None:
                wait = self.backoff * 2**attempt * random.uniform(0.5, 1)
            attempt += 1
            with anyio.move_on_after(min(wait, _LONGEST_WAIT)):
                await down.wait()
        attempts = "" if attempt == 0 else f" ({attempt + 1} attempts)"
        raise EndpointError(f"POST {self.url}: {masked(reason)}{attempts}")

    def _read(self, content: bytes, read: Callable[[Any], Reply], expected: str) -> Reply:
        try:
            return read(json.loads(content))
        except RecursionError:
            detail = " whose JSON nests less deeply"
        except AnswerError as error:
            detail = f" with {error}"
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
            detail = ""
        raise _FaultError(f"expected {expected}{detail}; got: {self._quote(content)}")

    async def _attempt(
        self, client: httpx.AsyncClient, lookups: Counter[str], body: bytes
    ) -> bytes:
        """Send a request once; gives the content of the answer."""
        content = bytearray()
        answer: httpx.Response | None = None
        lacks = "no connection"

        async def trace(event: str, _: object) -> None:
            nonlocal lacks
            lacks = _STAGES.get(event, lacks)

        try:
            with anyio.fail_after(self.timeout):
                asked = client.stream("POST", self.url, content=body, extensions={"trace": trace})
                async with asked as answer:
                    most = _MOST_BYTES if answer.is_success else _MOST_BYTES_OF_A_FAULT
                    async for part in answer.aiter_bytes():
                        content += part
                        if len(content) > most:
                            break
        except TimeoutError:
            if answer is None:
                host = httpx.URL(self.url).host
                lacks = f"no address of {host}" if lookups[host] > 0 else lacks
                raise _FaultError(f"{lacks} within {self.timeout:g} s") from None
            if answer.is_success:
                raise _FaultError(
                    f"an answer that had not ended within {self.timeout:g} s, after "
                    f"{len(content):,} bytes"
                ) from None
        except _FAILURES as error:
            raise _FaultError(_cause(error), for_all=isinstance(error, _UNREACHABLE)) from None
        if not answer.is_success:  # also where the text of the fault did not end in time
            raise _FaultError(
                f"status {answer.status_code}: {self._quote(content)}",
                repeat=answer.status_code in _REPEATED,
                for_all=answer.status_code in _FOR_ALL,
                wait=_seconds(answer.headers.get("Retry-After")),
            )
        if len(content) > _MOST_BYTES:
            raise _FaultError(f"an answer of more than {_MOST_BYTES:,} bytes")
        return bytes(content)

    @staticmethod
    def _quote(content: bytes | bytearray) -> str:
        """The beginning of an answer, on one line."""
        lines = masked(content.decode("utf-8", "replace")).strip().splitlines()
        return lines[0][:_QUOTED] if lines else "an empty answer"


def _look_up_in_threads(loop: asyncio.AbstractEventLoop) -> Counter[str]:
    """Let the loop look up hosts in threads that nobody waits for.

    asyncio would wait at its end, and Python at its own, for a resolver that hangs.

    Returns:
        The hosts that are being looked up, at any time.
    """
    pending: Counter[str] = Counter()

    async def getaddrinfo(host: Any, port: Any, **options: int) -> Any:
        found = loop.create_future()
        name = host.decode() if isinstance(host, bytes) else str(host)

        def settle(give: Callable[[Any], None], value: Any) -> None:
            pending.subtract([name])
            if not found.done():  # the deadline may have passed
                give(value)

        def look_up() -> None:
            try:
                given = found.set_result, socket.getaddrinfo(host, port, **options)
            except Exception as error:
                given = found.set_exception, error  # type: ignore[assignment]
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, *given)

        pending.update([name])
        threading.Thread(target=look_up, daemon=True).start()
        return await found

    loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign]
    return pending


@functools.cache
def _system_certificates() -> ssl.SSLContext:
    """The authorities that the system trusts, as the rest of Python does."""
    return ssl.create_default_context()


def _cause(error: BaseException) -> str:
    """What the system said, where it said something; else what httpx did."""
    deepest = error
    while deepest.__cause__ is not None or deepest.__context__ is not None:
        deepest = deepest.__cause__ or deepest.__context__ or deepest
    speaker = deepest if isinstance(deepest, OSError) else error
    return f"{type(speaker).__name__}: {speaker}".rstrip(": ")


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header; None for a date or none."""
    try:
        return max(0.0, float(retry_after)) if retry_after is not None else None
    except ValueError:
        return None
