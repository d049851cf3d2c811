"""Requests for texts as OpenAI's completions and chat completions, and what servers answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stepscore.errors import InputError
from stepscore.policies.posts import AnswerError
from stepscore.policies.requests import without_halves
from stepscore.policies.texts import GeneratedText, TextRequest, Token

# As OpenAI, vLLM, SGLang, TGI and Mistral name them: the text came to its end; the server, or a
# call of a tool, ended it. Any other reason, and none at all, is a cut.
_ENDED = frozenset({"stop", "eos", "eos_token", "stop_sequence", "end_turn"})
_GIVEN_UP = frozenset(
    {"content_filter", "abort", "error", "cancelled", "refusal", "tool_calls", "function_call"}
)
_CUT = frozenset({"length", "max_tokens", "model_length"})


def is_cut(reason: object) -> bool:
    """Tell whether a ``finish_reason`` says that the tokens ran out."""
    return isinstance(reason, str) and reason.lower() in _CUT


def check_not_given_up(reason: object) -> None:
    """Refuse a text that did not come to its end.

    Raises:
        AnswerError: the server gave it up.
    """
    if isinstance(reason, str) and reason.lower() in _GIVEN_UP:
        raise AnswerError(f"a finished text, not finish_reason {reason!r}")


def body_of(request: TextRequest, prompt: str | None, model: str) -> dict[str, Any]:
    """Give the fields of a request.

    Args:
        request: what is asked for.
        prompt: the text to continue, prefill and all, for completions; None for chat completions.
        model: the model's name on the server.
    """
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed % 2**31,  # 31 bits of seed are accepted everywhere
        "n": 1,
    }
    if request.stop:
        body["stop"] = list(request.stop)
    if request.top_p < 1:
        body["top_p"] = request.top_p
    if request.top_k:
        body["top_k"] = request.top_k
    if prompt is not None:
        body["prompt"] = prompt
        if request.logprobs:
            body["logprobs"] = request.logprobs
        return body
    assert not isinstance(request.prompt, str)
    messages = [{"role": turn.role, "content": turn.content} for turn in request.prompt]
    if request.prefill:
        messages.append({"role": "assistant", "content": request.prefill})
        # As vLLM and SGLang have it; the second field is for servers that begin a turn otherwise.
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if request.logprobs:
        body |= {"logprobs": True, "top_logprobs": request.logprobs}
    return body | {"messages": messages}


def text_of(answer: Any, stops: tuple[str, ...]) -> GeneratedText:
    """Read an answer of either kind.

    Raises:
        AnswerError, TypeError, LookupError, AttributeError: it is neither.
    """
    choice = answer["choices"][0]
    reason = choice.get("finish_reason")
    check_not_given_up(reason)
    chat = "message" in choice
    text = choice["message"]["content"] if chat else choice["text"]
    if chat and text is None:
        text = ""
    if not isinstance(text, str):
        raise AnswerError("choices[0] with a text")
    if chat:
        # Servers that take the reasoning out of a text, as vLLM and SGLang may be told to.
        reasoning = choice["message"].get("reasoning_content") or ""
        text = f"<think>{reasoning}</think>{text}" if reasoning else text
    named = [choice[key] for key in ("stop_reason", "matched_stop") if choice.get(key) in stops]
    by = named[0] if named else None
    if by is None and _is_end(reason):
        by = next((stop for stop in stops if stop and text.endswith(stop)), None)
    if by is not None:
        text = text.removesuffix(by)
    usage = answer.get("usage")
    count = usage.get("completion_tokens") if isinstance(usage, dict) else None
    tokens = tuple(_tokens(choice.get("logprobs")))
    return GeneratedText(
        without_halves(text),
        not _is_end(reason),
        by,
        tokens,
        count if type(count) is int and count >= 0 else len(tokens),
        "null" if reason is None else str(reason),
    )


def _is_end(reason: object) -> bool:
    return isinstance(reason, str) and reason.lower() in _ENDED


def checked(answer: Any) -> Any:
    """Give an answer that can be read as a text; see `text_of`."""
    text_of(answer, ())
    return answer


def _tokens(logprobs: Any) -> Iterable[Token]:
    """Read the tokens of a text, as chat completions tell them or as completions do."""
    if not isinstance(logprobs, dict):
        return
    for entry in logprobs.get("content") or ():
        top = [(_text(each), float(each["logprob"])) for each in entry.get("top_logprobs") or ()]
        yield Token(_text(entry), float(entry["logprob"]), _ordered(top))
    texts, values = logprobs.get("tokens") or (), logprobs.get("token_logprobs") or ()
    every_top = logprobs.get("top_logprobs") or [None] * len(texts)
    for text, value, top in zip(texts, values, every_top, strict=True):
        if isinstance(top, list):  # pairs or entries, as some servers have it
            pairs = [
                (_text(each), float(each["logprob"]))
                if isinstance(each, dict)
                else (str(each[0]), float(each[1]))
                for each in top
            ]
        else:
            pairs = [(str(key), float(number)) for key, number in (top or {}).items()]
        yield Token(str(text), float("nan") if value is None else float(value), _ordered(pairs))


def _text(entry: Any) -> str:
    """The text of a token."""
    token = entry["token"]
    if not isinstance(token, str):
        raise AnswerError("tokens that are texts")
    return token


def _ordered(top: list[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(top, key=lambda pair: -pair[1]))


def check_told(answer: GeneratedText | Exception, count: int, policy: str) -> None:
    """Refuse the answer to a request for the likeliest tokens that does not tell them.

    Raises:
        InputError: it tells none, or less than half of them; equal texts may have been merged.
        Exception: the answer, where it is another failure than a refusal of the request.
    """
    refused = isinstance(answer, Exception)
    if isinstance(answer, Exception) and not any(f"status {n}" in str(answer) for n in (400, 422)):
        raise answer
    told = 0 if isinstance(answer, Exception) or not answer.tokens else len(answer.tokens[0].top)
    if 2 * told >= count:
        return
    raise InputError(
        f"the {count} likeliest tokens with their log-probabilities",
        got=str(answer) if refused else f"{told} of them" if told else "none",
        advice="use a server that tells them, or a verdict that is read from the text",
        where=policy,
    )
