"""Responses of a batch: what ``vllm run-batch`` and OpenAI's batch interface write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import Layout, Objects, list_of, record_of, text_of, wrong


def matches(content: Mapping[str, Any]) -> bool:
    """The id of a request, and its response."""
    return "custom_id" in content and "response" in content


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object is the response to one request, which ``custom_id`` names; its choices are the
    candidates. The prompts stand in another file, so that the records have no problem. A request
    that failed is left out.
    """
    for place, content in objects:
        number = text_of(content, "custom_id", place)
        response = content.get("response")
        body = response.get("body", response) if isinstance(response, dict) else None
        if content.get("error") or not isinstance(body, dict) or "choices" not in body:
            left_out["requests that failed"] += 1
            continue
        choices = list_of(body, "choices", place, ("response", "body"))
        candidates = [_candidate(choice, index, place) for index, choice in enumerate(choices)]
        yield record_of(number, None, candidates)


def _candidate(choice: Any, index: int, place: str) -> dict[str, Any]:
    if not isinstance(choice, dict):
        raise wrong("an object", choice, place, ("choices", index))
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if text is not None and not isinstance(text, str):
        raise wrong("a text", text, place, ("choices", index))
    # Without content, as where the model only called a tool, there is no solution.
    return {"text": text or "", "finish_reason": choice.get("finish_reason")}


VLLM_BATCH = Layout(
    "vllm_batch",
    "vLLM's batch output",
    "what vllm run-batch and OpenAI's batch interface write: custom_id, response",
    matches,
    read,
)
