"""Samples with reward-model scores: the ``rm_maj_eval`` files of QwenLM/Qwen2.5-Math."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import (
    Layout,
    Objects,
    columns_of,
    has_lists,
    record_of,
    text_of,
    wrong,
)

_COLUMNS = ("code", "pred", "score", "pred_score")


def matches(content: Mapping[str, Any]) -> bool:
    """Samples in ``code``, and their rewards in ``pred_score``."""
    return has_lists(content, "code", "pred_score") and "question" in content


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object holds a question, its answer ``gt``, and in parallel lists the samples' texts
    ``code``, parsed answers ``pred``, verdicts ``score`` and reward-model scores ``pred_score``.
    """
    for place, content in objects:
        problem = text_of(content, "question", place)
        candidates = [
            {"text": text, "answer": answer, "score": _reward(rewards, place), "correct": correct}
            for text, answer, correct, rewards in zip(
                *columns_of(content, _COLUMNS, place), strict=True
            )
        ]
        if "idx" not in content:
            raise wrong("the number of the problem", None, place, ("idx",))
        yield record_of(content["idx"], problem, candidates, text_of(content, "gt", place))


def _reward(rewards: object, place: str) -> Any:
    if not isinstance(rewards, list) or len(rewards) != 1:
        raise wrong("a list of one score per sample", rewards, place, ("pred_score",))
    return rewards[0]


QWEN_RM_MAJ = Layout(
    "qwen_rm_maj",
    "Qwen2.5-Math's rm_maj_eval",
    "a rm_maj_eval file of QwenLM/Qwen2.5-Math: samples with reward-model scores",
    matches,
    read,
)
