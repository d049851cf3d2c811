"""Rollouts: the generations that volcengine/verl dumps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import (
    Layout,
    Objects,
    has_texts,
    known_answer,
    record_of,
    text_of,
    wrong,
)

# How Qwen's chat template reads once its special tokens are gone.
_SYSTEM, _USER, _ASSISTANT = "system\n", "user\n", "\nassistant\n"


def matches(content: Mapping[str, Any]) -> bool:
    """A prompt, a response, its score and the training step."""
    return has_texts(content, "input", "output") and "score" in content and "step" in content


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object is one rollout: ``input``, ``output``, ``score``, ``step`` and, as the reward function
    gives them, the known answer ``gts`` and the verdict ``acc``. Rollouts of one input and step are
    the candidates of one record, wherever they stand, so that the whole file is held. The problem
    is the user's turn where the input is a chat in the form of Qwen's template, else the input.
    """
    records: dict[tuple[str, Any], dict[str, Any]] = {}
    for place, content in objects:
        prompt = text_of(content, "input", place)
        if not isinstance(content.get("step"), int):
            raise wrong("the number of the training step", content.get("step"), place, ("step",))
        key = prompt, content["step"]
        if key not in records:
            answer = known_answer(content.get("gts"))
            if answer is None and content.get("gts") is not None:
                left_out["known answers that are not one text or number"] += 1
            record_id = f"verl-{len(records)}"
            records[key] = record_of(record_id, _problem(prompt), [], answer, step=key[1])
        elif records[key].get("answer") != known_answer(content.get("gts")):
            raise wrong(
                "the known answer that this input has in an earlier line",
                content.get("gts"),
                place,
                ("gts",),
            )
        score = content.get("score")
        if isinstance(score, bool) or not isinstance(score, (int, float)):
            raise wrong("a number", score, place, ("score",))
        candidate: dict[str, Any] = {"text": text_of(content, "output", place), "score": score}
        if content.get("acc") in (0, 1):
            candidate["correct"] = bool(content["acc"])
        records[key]["candidates"].append(candidate)
    yield from records.values()


def _problem(prompt: str) -> str:
    if not prompt.endswith(_ASSISTANT):
        return prompt
    turns = prompt.removesuffix(_ASSISTANT)
    if turns.startswith(_USER):
        return turns.removeprefix(_USER).strip()
    system, user, problem = turns.partition("\n" + _USER)
    return problem.strip() if user and system.startswith(_SYSTEM) else prompt


VERL = Layout(
    "verl",
    "verl's rollouts",
    "generations that verl dumps (rollout_data_dir): input, output, score, step",
    matches,
    read,
)
