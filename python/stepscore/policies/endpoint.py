"""A server that speaks OpenAI's completions as a policy of a search."""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from stepscore.policies.requests import Continuation, Expand

KEY_VARIABLE = "OPENAI_API_KEY"

_RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
_FOR_ALL = frozenset({401, 403, 404})  # the key, the model or the path: no request will pass
_LONGEST_WAIT = 60.0  # seconds, whatever Retry-After says
_SHOWN = 200  # characters of an answer that is quoted in an error
_PART = 1 << 16
_LARGEST = 1 << 26  # bytes: no completion is that long


class EndpointError(RuntimeError):
    """A request that the server did not answer as it should; the message has URL and reason."""


class EndpointPolicy:
    r"""Continues traces by ``POST {url}/completions``, one request per sample, many at a time.

    Every sample is a request of its own, with its own seed, so that a server that honours seeds
    gives the same sample in every batch; vLLM and SGLang share the prefixes by themselves.

    Servers leave the stop text out of the answer, and it is put back: the one that the server names
    (``stop_reason`` of vLLM, ``matched_stop`` of SGLang), else the first. A server that names none
    does not tell a stop text from the end of the solution either: then only a text that is
    `finished`, or empty, ends it.

    Args:
        url: the base, such as ``http://localhost:8000/v1``, or with ``/completions`` at its end.
        model: the model's name on the server.
        prompt: problem -> what stands before the first step; None: the problem and a newline.
        stop: what ends a step where a request does not say.
        finished: says of the text of a continuation that it ends the solution.
        api_key: sent as a bearer token; None takes the variable OPENAI_API_KEY, if it is set. It is
            sent to no other host: redirects are errors.
        concurrency: requests in flight at most.
        timeout: seconds of one attempt.
        retries: attempts after the first, for connections that fail or time out, and the statuses
            408, 409, 429, 500, 502, 503, 504, 529.
        backoff: seconds before the first retry, doubled for each further one, and shortened by up
            to a half at random; a server's ``Retry-After`` is obeyed up to 60 s.
        logprobs: asks for log-probabilities; False for servers that refuse the field.
        extra: more fields of the request, such as ``{"top_p": 0.95}``.

    Source: the API reference of OpenAI's completions, and those of vLLM and SGLang.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        prompt: Callable[[str], str] | None = None,
        stop: Sequence[str] = ("\n\n",),
        finished: Callable[[str], bool] | None = None,
        api_key: str | None = None,
        concurrency: int = 32,
        timeout: float = 120.0,
        retries: int = 4,
        backoff: float = 0.5,
        logprobs: bool = True,
        extra: dict[str, Any] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"EndpointPolicy: url must begin with http:// or https:// and name a host; got "
                f"{parts.scheme!r} and {parts.hostname!r}; pass one such as 'http://localhost:8000/v1'"
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "EndpointPolicy: url must hold no user name, password or query; pass api_key, or "
                f"set {KEY_VARIABLE}, and other fields as extra"
            )
        if concurrency < 1 or retries < 0 or timeout <= 0 or backoff < 0:
            raise ValueError(
                "EndpointPolicy: concurrency must be at least 1, retries and backoff at least 0, "
                f"timeout above 0; got {concurrency}, {retries}, {backoff}, {timeout}"
            )
        if not stop or not all(stop):
            raise ValueError(
                "EndpointPolicy: stop must hold at least one text, none of them empty; got "
                f"{stop!r}; pass what ends a step, such as ('\\n\\n',)"
            )
        base = url.rstrip("/")
        self.url = base if base.endswith("/completions") else f"{base}/completions"
        self.model = model
        self.stop = tuple(stop)
        self._prompt = prompt or (lambda problem: problem + "\n")
        self._finished = finished or (lambda text: "\\boxed" in text)
        self._key = api_key if api_key is not None else os.environ.get(KEY_VARIABLE)
        self._concurrency = concurrency
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff
        self._logprobs = logprobs
        self._extra = dict(extra or {})

    def __repr__(self) -> str:
        return f"EndpointPolicy({self.url!r}, {self.model!r})"

    def __call__(self, requests: Sequence[Expand]) -> list[list[Continuation] | EndpointError]:
        """Draw the samples of every request; where one of them fails, its error stands instead.

        A server that cannot be reached, or refuses the key or the model, ends the call: requests
        that have not begun are given up.
        """
        jobs = [(request, seed) for request in requests for seed in request.seeds]
        if not jobs:
            return [[] for _ in requests]
        down = threading.Event()
        with ThreadPoolExecutor(min(self._concurrency, len(jobs))) as pool:
            futures = [pool.submit(self._sample, *job, down) for job in jobs]
            try:
                drawn = iter([future.result() for future in futures])
            finally:
                down.set()  # after Ctrl-C too
        answers: list[list[Continuation] | EndpointError] = []
        for request in requests:
            samples = [next(drawn) for _ in request.seeds]
            failed = [one for one in samples if isinstance(one, EndpointError)]
            good = [one for one in samples if isinstance(one, Continuation)]
            answers.append(failed[0] if failed else good)
        return answers

    def _sample(
        self, request: Expand, seed: int, down: threading.Event
    ) -> Continuation | EndpointError:
        by_steps = request.mode in ("step", "partial")
        stops = (request.stop or self.stop) if by_steps else ()
        body = {
            "model": self.model,
            "prompt": self._prompt(request.problem) + "".join(request.steps),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "n": 1,
            "seed": seed % 2**31,  # what servers accept everywhere
            **({"stop": list(stops)} if stops else {}),
            **({"logprobs": 1} if self._logprobs else {}),
            **self._extra,
        }
        try:
            choice, usage = self._ask(json.dumps(body).encode(), down)
        except EndpointError as error:
            return error
        return self._continuation(choice, usage, stops, request.mode)

    def _continuation(
        self, choice: dict[str, Any], usage: dict[str, Any], stops: tuple[str, ...], mode: str
    ) -> Continuation:
        text: str = choice["text"]
        reason = choice.get("finish_reason")
        by: object = None
        if reason == "stop" and stops and text.strip():
            named = [choice[key] for key in ("stop_reason", "matched_stop") if key in choice]
            by = named[0] if named else None if self._finished(text) else stops[0]
        at_a_stop = by in stops
        if at_a_stop and not text.endswith(str(by)):
            text += str(by)
        told = choice.get("logprobs") or {}
        chances = [chance for chance in told.get("token_logprobs") or () if chance is not None]
        tokens = usage.get("completion_tokens")
        cut = reason == "length" and mode in ("step", "rollout")
        finished = mode in ("step", "partial") and self._finished(text)
        complete = reason != "length" and not at_a_stop
        return Continuation(
            text,
            tokens if isinstance(tokens, int) else len(chances),
            float(sum(chances)),
            terminal=complete or finished or cut,
        )

    def _ask(self, body: bytes, down: threading.Event) -> tuple[dict[str, Any], dict[str, Any]]:
        """Send one request until it is answered; the choice and the usage."""
        attempt, fault = 0, "given up, because another request found the server down"
        while not down.is_set():
            wait: float | None = None
            again, for_all = True, False
            try:
                return _parse(self._post(body))
            except HTTPError as error:
                with error:
                    fault = f"status {error.code}: {_first_line(error.read(4096))}"
                again, for_all = error.code in _RETRIED, error.code in _FOR_ALL
                wait = _retry_after(error.headers.get("Retry-After"))
            except _GarbageError as error:
                fault = str(error)
            except (http.client.HTTPException, OSError) as error:
                reason = getattr(error, "reason", None) or error
                fault, for_all = f"{type(reason).__name__}: {reason}", isinstance(error, URLError)
                if isinstance(reason, TimeoutError):
                    fault, for_all = f"no answer within {self._timeout:g} s", False
            if not again or attempt == self._retries:
                if for_all:
                    down.set()
                break
            if wait is None:
                wait = self._backoff * 2**attempt * random.uniform(0.5, 1)
            attempt += 1
            down.wait(min(wait, _LONGEST_WAIT))
        tried = "" if attempt == 0 else f" ({attempt + 1} attempts)"
        fault = fault.replace(self._key, "***") if self._key else fault
        raise EndpointError(f"POST {self.url}: {fault}{tried}")

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        deadline = time.monotonic() + self._timeout
        content = b""
        with _OPENER.open(Request(self.url, body, headers), timeout=self._timeout) as answer:
            while part := answer.read1(_PART):
                content += part
                # The timeout of a socket is per byte; a server may drip.
                if time.monotonic() > deadline:
                    raise TimeoutError
                if len(content) > _LARGEST:
                    raise _GarbageError(f"an answer of more than {_LARGEST:,} bytes")
        return content


class _GarbageError(Exception):
    """An answer that is no completion."""


class _NoRedirect(HTTPRedirectHandler):
    """The key goes to the host that it was given for, and to no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = build_opener(_NoRedirect)


def _parse(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        answer = json.loads(content)
        choice = answer["choices"][0]
        usage = answer.get("usage") or {}
        if not isinstance(choice["text"], str) or not isinstance(usage, dict):
            raise TypeError
    except (ValueError, TypeError, LookupError, AttributeError):
        raise _GarbageError(f"expected a completion; got: {_first_line(content)}") from None
    return choice, usage


def _first_line(content: bytes) -> str:
    lines = content.decode("utf-8", "replace").strip().splitlines()
    return lines[0][:_SHOWN] if lines else "an empty answer"


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header; None for a date or none."""
    try:
        return max(float(value), 0.0) if value is not None else None
    except ValueError:
        return None
