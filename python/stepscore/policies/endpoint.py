"""A server that speaks OpenAI's completions as a policy of a search."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import SplitResult, urlsplit

from stepscore.credentials import remember
from stepscore.errors import Argument, InputError
from stepscore.policies.endpoint_texts import (
    body_of,
    check_not_given_up,
    check_told,
    checked,
    is_cut,
    text_of,
)
from stepscore.policies.posts import AnswerError, EndpointError, Posts
from stepscore.policies.requests import Continuation, ExpandRequest, without_halves
from stepscore.policies.texts import GeneratedText, TextRequest, Turn

__all__ = ["KEY_VARIABLE", "EndpointError", "EndpointPolicy"]

KEY_VARIABLE = "OPENAI_API_KEY"


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
        timeout: seconds of one attempt, from the look-up of the host to the last byte of the
            answer.
        retries: attempts after the first, for connections that fail or time out, and the statuses
            408, 409, 429, 500, 502, 503, 504, 529.
        backoff: seconds before the first retry, doubled for each further one, and shortened by up
            to a half at random; a server's ``Retry-After`` is obeyed up to 60 s.
        logprobs: asks for log-probabilities; False for servers that refuse the field.
        template: lays out the turns of a conversation as a text that ends where the model's turn
            begins, so that `generate` sends all of them to ``/completions``; None leaves it to the
            server, at ``/chat/completions``.
        continues: whether the server continues a last message of the assistant, as vLLM and SGLang
            do with ``continue_final_message``; False refuses a prefill behind turns that the
            server lays out.
        extra: more fields of the request, such as ``{"top_p": 0.95}``.

    Raises:
        ModuleNotFoundError: on import, without httpx.
        ValueError: a URL, a key or a number that cannot be used.

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
        template: Callable[[Sequence[Turn]], str] | None = None,
        continues: bool = True,
        extra: dict[str, Any] | None = None,
    ) -> None:
        parts = _parts(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError(
                f"EndpointPolicy: url must begin with http:// or https:// and name a host; got "
                f"{parts.scheme!r} and {parts.hostname!r}; pass one such as 'http://localhost:8000/v1'"
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "EndpointPolicy: url must hold no user name, password or query; pass api_key, or "
                f"set {KEY_VARIABLE}, and other fields as extra"
            )
        counts = isinstance(concurrency, int) and isinstance(retries, int)
        limits = counts and concurrency >= 1 and retries >= 0
        if not (limits and timeout > 0 and 0 <= backoff < math.inf):
            raise ValueError(
                "EndpointPolicy: concurrency must be at least 1, retries and backoff at least 0, "
                f"timeout above 0, and counts whole numbers; got {concurrency}, {retries}, "
                f"{backoff}, {timeout}"
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
        self._logprobs = logprobs
        self._template = template
        self._continues = continues
        self._told: dict[bool, int] = {}  # chat completions? -> likeliest tokens that were told
        self._extra = dict(extra or {})
        key = _key(api_key)
        if key:
            remember(key)
        self._posts = Posts(self.url, key, concurrency, timeout, retries, backoff)
        self._chat_posts = replace(self._posts, url=f"{_base(self.url)}/chat/completions")

    def __repr__(self) -> str:
        return f"EndpointPolicy({self.url!r}, {self.model!r})"

    def __call__(
        self, requests: Sequence[ExpandRequest]
    ) -> list[list[Continuation] | EndpointError]:
        """Draw the samples of every request; where one of them fails, its error stands instead.

        A server that cannot be reached, or refuses the key or the model, ends the call: requests
        that have not begun are given up.
        """
        bodies = [body for request in requests for body in self._bodies(request)]
        if not bodies:
            return [[] for _ in requests]
        replies = iter(self._posts.send(bodies, _completion, "a completion"))
        answers: list[list[Continuation] | EndpointError] = []
        for request in requests:
            samples = [next(replies) for _ in request.seeds]
            faults = [reply for reply in samples if isinstance(reply, EndpointError)]
            choices = [reply for reply in samples if not isinstance(reply, EndpointError)]
            answers.append(
                faults[0]
                if faults
                else [self._continuation(*choice, request) for choice in choices]
            )
        return answers

    @property
    def name(self) -> str:
        """The model and its server, for provenance."""
        return f"{self.model} at {_base(self.url)}"

    def generate(self, requests: Sequence[TextRequest]) -> list[GeneratedText | EndpointError]:
        """Write texts with their tokens, as generative PRMs ask for them; see `TextPolicy`.

        A text goes to ``/completions``, and so do turns where there is a `template`; other turns go
        to ``/chat/completions``.

        Raises:
            InputError: log-probabilities where `logprobs` is False, a prefill behind turns where
                the server does not continue one; nothing has been sent.
        """
        prompts = [self._text_to_continue(request) for request in requests]
        answers: dict[int, GeneratedText | EndpointError] = {}
        for posts, chosen in (
            (self._posts, [i for i, prompt in enumerate(prompts) if prompt is not None]),
            (self._chat_posts, [i for i, prompt in enumerate(prompts) if prompt is None]),
        ):
            if chosen:
                bodies = [
                    body_of(requests[i], prompts[i], self.model) | self._extra for i in chosen
                ]
                for i, reply in zip(chosen, posts.send(bodies, checked, "a text"), strict=True):
                    failed = isinstance(reply, EndpointError)
                    answers[i] = reply if failed else text_of(reply, requests[i].stop)
        return [answers[i] for i in range(len(requests))]

    def check_logprobs(self, count: int, prompt: str | tuple[Turn, ...]) -> None:
        """Ask once for one token, and see whether the `count` likeliest come with it.

        Args:
            count: how many.
            prompt: of the kind that will be asked: a text, or turns.

        Raises:
            InputError: they do not.
            EndpointError: the server does not answer.
        """
        chat = not isinstance(prompt, str) and self._template is None
        if count > self._told.get(chat, 0):
            short = "1" if isinstance(prompt, str) else (Turn("user", "1"),)
            [answer] = self.generate([TextRequest(short, 0, 1, logprobs=count)])
            check_told(answer, count, "EndpointPolicy")
            self._told[chat] = count

    def _text_to_continue(self, request: TextRequest) -> str | None:
        """The text to send to completions; None for turns that the server lays out."""
        if request.logprobs and not self._logprobs:
            raise InputError(
                "log-probabilities from the server",
                got="logprobs=False",
                advice="use a server that tells them, or a verdict that is read from the text",
                where="EndpointPolicy",
            )
        if isinstance(request.prompt, str):
            return request.prompt + request.prefill
        if self._template is not None:
            return self._template(request.prompt) + request.prefill
        if request.prefill and not self._continues:
            raise InputError(
                "a server that continues a text of the model, because the verdict begins with "
                f"{request.prefill[:40]!r}",
                got="continues=False",
                advice=(
                    "pass ",
                    Argument("template"),
                    ", so that the turns go to /completions as one text",
                ),
                where="EndpointPolicy",
            )
        return None

    def _stops(self, request: ExpandRequest) -> tuple[str, ...]:
        return (request.stop or self.stop) if request.mode in ("step", "partial") else ()

    def _bodies(self, request: ExpandRequest) -> list[dict[str, Any]]:
        """The fields of every sample's request."""
        stops = self._stops(request)
        shared = {
            "model": self.model,
            "prompt": self._prompt(request.problem) + "".join(request.steps),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "n": 1,
            **({"stop": list(stops)} if stops else {}),
            **({"logprobs": 1} if self._logprobs else {}),
        }
        # 31 bits of seed are accepted everywhere.
        return [{**shared, "seed": seed % 2**31, **self._extra} for seed in request.seeds]

    def _continuation(
        self, choice: dict[str, Any], drawn: _Drawn, request: ExpandRequest
    ) -> Continuation:
        text = drawn.text
        mode, stops = request.mode, self._stops(request)
        reason = choice.get("finish_reason")
        by: object = None
        if reason == "stop" and stops and text.strip():
            named = [choice[key] for key in ("stop_reason", "matched_stop") if key in choice]
            by = named[0] if named else None if self._finished(text) else stops[0]
        at_a_stop = by in stops
        if at_a_stop and not text.endswith(str(by)):
            text += str(by)
        cut = is_cut(reason) and mode in ("step", "rollout")
        finished = mode in ("step", "partial") and self._finished(text)
        complete = not is_cut(reason) and not at_a_stop
        return Continuation(
            text,
            drawn.tokens,
            drawn.logprob,
            terminal=complete or finished or cut,
        )


def _parts(url: str) -> SplitResult:
    """Take a URL apart; what Python says of one that it cannot read may quote a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # is read when it is asked for
    except (ValueError, TypeError, AttributeError):
        raise ValueError(
            "EndpointPolicy: url must be one that can be read, with a port of 1 to 65535 if any; "
            "got something else, which is not shown; pass one such as 'http://localhost:8000/v1'"
        ) from None
    return parts


def _base(url: str) -> str:
    return url.removesuffix("/completions").removesuffix("/chat")


def _key(api_key: str | None) -> str | None:
    key = os.environ.get(KEY_VARIABLE) if api_key is None else api_key
    if key is not None and not isinstance(key, str):
        raise TypeError(f"EndpointPolicy: api_key must be a str; got {type(key).__name__}")
    if key and not (key.isascii() and key.isprintable() and key == key.strip()):
        what = KEY_VARIABLE if api_key is None else "api_key"
        raise ValueError(
            f"EndpointPolicy: {what} must be printable ASCII without blanks around it, or else a "
            "header cannot hold it; got something else, which is not shown"
        )
    return key


@dataclass(frozen=True)
class _Drawn:
    """What an answer says of a sample, checked.

    Attributes:
        text: without halves of surrogate pairs, which no file could hold.
        tokens: how many.
        logprob: the sum of those that the server offers.
    """

    text: str
    tokens: int
    logprob: float


def _completion(answer: Any) -> tuple[dict[str, Any], _Drawn]:
    """The choice of an answer, and what was drawn.

    Raises:
        AnswerError, TypeError, LookupError, AttributeError: it is no completion.
    """
    choice = answer["choices"][0]
    check_not_given_up(choice.get("finish_reason"))
    text, logprobs = choice["text"], choice.get("logprobs")
    if not isinstance(text, str):
        raise AnswerError(f"choices[0].text a text, not {_named(text)}")
    offered = [] if logprobs is None else _get(logprobs, "choices[0].logprobs", "token_logprobs")
    known = [value for value in offered or [] if value is not None]
    if not isinstance(offered, list | None) or not all(map(_is_finite, known)):
        raise AnswerError("choices[0].logprobs.token_logprobs a list of finite numbers")
    usage = answer.get("usage")
    tokens = None if usage is None else _get(usage, "usage", "completion_tokens")
    if tokens is not None and (type(tokens) is not int or tokens < 0):
        raise AnswerError(f"usage.completion_tokens a count, not {tokens!r:.40}")
    return choice, _Drawn(
        without_halves(text), len(known) if tokens is None else tokens, float(sum(known))
    )


def _get(value: Any, name: str, key: str) -> Any:
    if not isinstance(value, dict):
        raise AnswerError(f"{name} an object, not {_named(value)}")
    return value.get(key)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _named(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", type(None): "null", bool: "a bool"}
    return kinds.get(type(value), "a number")
