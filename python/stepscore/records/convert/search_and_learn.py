"""Completions with step scores: the outputs of huggingface/search-and-learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import (
    Layout,
    Objects,
    are_texts,
    columns_of,
    has_lists,
    id_or,
    known_answer,
    record_of,
    text_of,
    texts_of,
    wrong,
)


def matches(content: Mapping[str, Any]) -> bool:
    """Completions, and as many scores."""
    return (
        are_texts(content.get("completions"))
        and has_lists(content, "scores")
        and len(content["scores"]) == len(content["completions"])
    )


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object holds a ``problem``, ``completions`` and in ``scores`` the step scores of each, or
    one number. What was aggregated from them is left to the vote.
    """
    for index, (place, content) in enumerate(objects):
        texts_of(content, "completions", place)
        columns = columns_of(content, ("completions", "scores"), place)
        candidates = [
            {"text": text, _kind(score, number, place): score}
            for number, (text, score) in enumerate(zip(*columns, strict=True))
        ]
        yield record_of(
            id_or(content, "unique_id", f"search_and_learn-{index}"),
            text_of(content, "problem", place),
            candidates,
            known_answer(content.get("answer")),
        )


def _kind(score: object, number: int, place: str) -> str:
    if isinstance(score, list) and score:
        return "step_scores"
    if isinstance(score, (int, float)) and not isinstance(score, bool):
        return "score"
    raise wrong("the scores of at least one step, or a number", score, place, ("scores", number))


SEARCH_AND_LEARN = Layout(
    "search_and_learn",
    "search-and-learn's completions",
    "outputs of huggingface/search-and-learn: completions with scores",
    matches,
    read,
)
