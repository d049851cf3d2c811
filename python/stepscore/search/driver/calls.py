"""Calls of a model that may fail, hang, or answer nonsense: what one request did costs no other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from queue import Empty, SimpleQueue
from typing import Any

from stepscore.credentials import text_of
from stepscore.policies.requests import Continuation, ExpandRequest, without_halves
from stepscore.search.driver.threads import start_thread
from stepscore.search.requests import ScoreRequest

# Longer than any token, so that a text of more characters per token is no count of tokens.
_MOST_CHARACTERS_PER_TOKEN = 256


class UnusableError(ValueError):
    """An answer that cannot be taken; the message says why."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that found no answer.

    Attributes:
        reason: what went wrong, one line.
    """

    reason: str


def call_model(
    name: str,
    model: Callable[[list[Any]], Any],
    requests: Sequence[Any],
    check: Callable[[Any, Any], Any],
    *,
    retries: int,
    timeout: float | None,
    record: Callable[[list[int], list[Any]], None],
    count: Callable[[], None],
) -> None:
    """Get an answer or a `Failure` for every request.

    A call that raises or hangs is repeated; when it fails again the batch is halved until the
    requests at fault are alone. Requests with an unusable answer are asked again without the
    others.

    Args:
        name: of the model, for the reasons.
        model: list of requests -> sequence of as many answers.
        requests: what to ask.
        check: (request, answer) -> what is taken; raises for an unusable one.
        retries: how often a request is asked again; of a batch, only the whole and a single one.
        timeout: seconds of a call; then its thread is left behind. None: no limit, no thread.
        record: is told the indices that have their answer, and these.
        count: is called before every call.
    """

    def ask(left: list[int], attempts: int) -> None:
        reasons: dict[int, str] = {}
        for _ in range(attempts):
            count()
            taken: list[int] = []
            answers: list[Any] = []
            try:
                replies = _call(model, [requests[i] for i in left], timeout)
                if len(replies) != len(left):
                    raise UnusableError(f"gave {len(replies)} answers to {len(left)} requests")
            except Exception as error:
                broken: str | None = f"the {name} {_describe(error)}"
                continue
            broken = None
            for i, reply in zip(left, replies, strict=True):
                try:
                    if isinstance(reply, Exception):
                        raise reply
                    answers.append(check(requests[i], reply))
                    taken.append(i)
                except Exception as error:
                    reasons[i] = f"the {name} {_describe(error)}"
            record(taken, answers)
            answered = set(taken)
            left = [i for i in left if i not in answered]
            if not left:
                return
        if broken is None or len(left) == 1:
            record(left, [Failure(broken or reasons[i]) for i in left])
            return
        half = len(left) // 2
        for part in (left[:half], left[half:]):
            ask(part, retries + 1 if len(part) == 1 else 1)

    ask(list(range(len(requests))), retries + 1)


def check_expand(request: ExpandRequest, reply: Any) -> list[Continuation]:
    """Take the samples of one request."""
    if isinstance(reply, Exception):
        raise reply
    samples = [_whole(sample) for sample in reply]
    if len(samples) != request.samples:
        raise UnusableError(f"gave {len(samples)} samples; {request.samples} were asked for")
    for sample in samples:
        if sample.tokens > request.max_tokens:
            raise UnusableError(
                f"gave {sample.tokens} tokens where max_tokens is {request.max_tokens}"
            )
        if len(sample.text) > _MOST_CHARACTERS_PER_TOKEN * request.max_tokens:
            raise UnusableError(
                f"gave {len(sample.text)} characters where max_tokens is {request.max_tokens}"
            )
        if not sample.text and not (sample.terminal and request.steps):
            what = "continuation" if request.steps else "response"
            raise UnusableError(f"gave an empty {what}")
        if sample.tokens < 0 or not math.isfinite(sample.logprob):
            raise UnusableError(
                f"gave {sample.tokens} tokens of log-probability {sample.logprob}; expected a "
                "count and a finite number"
            )
    return samples


def _whole(sample: Any) -> Continuation:
    """Take a sample whose fields are what they should be.

    Half of a surrogate pair, which no file could hold at the end, is replaced here.
    """
    if not isinstance(sample, Continuation):
        raise UnusableError(f"gave {type(sample).__name__} where a Continuation was expected")
    texts = (sample.text,) if sample.answer is None else (sample.text, sample.answer)
    tokens: Any = sample.tokens
    logprob: Any = sample.logprob
    numbers = isinstance(tokens, Integral) and isinstance(logprob, Real)
    if not numbers or not all(isinstance(text, str) for text in texts):
        raise UnusableError(
            f"gave {sample!r:.100}; expected a text, a count of tokens, a number and an answer"
        )
    text, *answer = map(without_halves, texts)
    return replace(sample, text=text, answer=answer[0] if answer else None)


def check_score(request: ScoreRequest, reply: Any) -> list[float]:
    """Take the scores of one node: one for its last step, or one for each of its steps."""
    if isinstance(reply, Exception):
        raise reply
    try:
        scores = [float(reply)] if not hasattr(reply, "__len__") else [float(r) for r in reply]
    except (TypeError, ValueError):
        raise UnusableError(f"gave {reply!r:.60} where scores were expected") from None
    if len(scores) not in (1, len(request.steps)):
        raise UnusableError(f"gave {len(scores)} scores of {len(request.steps)} steps")
    if not all(map(math.isfinite, scores)):
        raise UnusableError(f"gave a score of {next(s for s in scores if not math.isfinite(s))}")
    return scores


def check_judge(request: ScoreRequest, reply: Any) -> bool:
    """Take a judgement."""
    if reply not in (True, False):
        raise UnusableError(f"gave {reply!r:.60} where True or False was expected")
    return bool(reply)


def _call(
    model: Callable[[list[Any]], Any], requests: list[Any], timeout: float | None
) -> Sequence[Any]:
    if timeout is None:
        return list(model(requests))
    done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            done.put((list(model(requests)), None))
        except BaseException as error:
            done.put((None, error))

    start_thread(run)
    try:
        replies, error = done.get(timeout=timeout)
    except Empty:
        raise TimeoutError(f"no answer within {timeout:g} s") from None
    if error is not None:
        raise error
    return list(replies)


def _describe(error: Exception) -> str:
    """What a model did, in one line; all that is kept of its errors comes from here."""
    # Keys are masked before the text is cut: a line may end inside one.
    first = (text_of(error).splitlines() or [""])[0]
    if isinstance(error, UnusableError):
        return first
    return f"raised {type(error).__name__}: {first}" if first else f"raised {type(error).__name__}"
