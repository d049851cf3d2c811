"""The logged samples of EleutherAI/lm-evaluation-harness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from stepscore.records.convert.layout import (
    Layout,
    Objects,
    are_texts,
    has_lists,
    id_or,
    known_answer,
    list_of,
    record_of,
    wrong,
)

_PROBLEMS = ("question", "problem", "Question", "Problem", "input", "query")


def matches(content: Mapping[str, Any]) -> bool:
    """A document, its number, and responses."""
    return "doc_id" in content and "doc" in content and has_lists(content, "resps")


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object holds a document, what the model wrote (``resps``) and the known answer (``target``).
    The problem is the document's question, else the whole prompt. A document stands in the file
    once for each filter, with the same responses; it is read once. What the filters made of the
    responses, and their verdicts, are left to the vote.
    """
    seen: dict[Any, int] = {}
    for index, (place, content) in enumerate(objects):
        number = id_or(content, "doc_id", f"lm_eval-{index}")
        texts = _texts(content, place)
        if number in seen:
            if seen[number] != hash(tuple(texts)):
                expected = "the responses that this doc_id has in an earlier line"
                raise wrong(expected, texts, place, ("resps",))
            left_out["lines of a further filter"] += 1
            continue
        seen[number] = hash(tuple(texts))
        answer = known_answer(content.get("target"))
        if answer is None:
            left_out["known answers that are not one text or number"] += 1
        yield record_of(
            number,
            _problem(content, place),
            [{"text": text} for text in texts],
            answer,
        )


def _texts(content: Mapping[str, Any], place: str) -> list[str]:
    responses = list_of(content, "resps", place)
    if not all(are_texts(of_request) for of_request in responses):
        raise wrong("generated texts", responses, place, ("resps",))
    return list(chain.from_iterable(responses))


def _problem(content: Mapping[str, Any], place: str) -> str:
    doc = content.get("doc")
    for name in _PROBLEMS:
        if isinstance(doc, dict) and isinstance(doc.get(name), str):
            text: str = doc[name]
            return text
    prompt = content.get("arguments")
    while isinstance(prompt, (dict, list)) and prompt:
        prompt = next(iter(prompt.values())) if isinstance(prompt, dict) else prompt[0]
    if not isinstance(prompt, str):
        raise wrong(f"a text in one of {', '.join(_PROBLEMS)}, or a prompt", doc, place, ("doc",))
    return prompt


LM_EVAL = Layout(
    "lm_eval",
    "lm-evaluation-harness' samples",
    "logged samples of lm-evaluation-harness: doc, target, resps",
    matches,
    read,
)
