"""Samples with reward-model scores: the ``rm_maj_eval`` files of QwenLM/Qwen2.5-Math."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stepscore.files import LineReader
from stepscore.records.convert.layout import Layout, list_of, objects, record_of, text_of, wrong

_COLUMNS = ("code", "pred", "score", "pred_score")


def read(lines: LineReader) -> Iterator[dict[str, Any]]:
    """Read a file.

    A line holds a question, its answer ``gt``, and in parallel lists the samples' texts ``code``,
    parsed answers ``pred``, verdicts ``score`` and reward-model scores ``pred_score``.
    """
    for place, content in objects(lines):
        problem = text_of(content, "question", place)
        columns = [list_of(content, name, place) for name in _COLUMNS]
        lengths = [len(column) for column in columns]
        if len(set(lengths)) != 1:
            raise wrong(f"lists of one length in {', '.join(_COLUMNS)}", lengths, place)
        candidates = [
            {"text": text, "answer": answer, "score": _reward(rewards, place), "correct": correct}
            for text, answer, correct, rewards in zip(*columns, strict=True)
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
    "a rm_maj_eval file of QwenLM/Qwen2.5-Math: samples with reward-model scores",
    read,
    has_scores=True,
)
