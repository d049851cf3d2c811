"""Steps with a label each: the stepwise supervision format of TRL's PRM trainer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import (
    Layout,
    Objects,
    first_error_of,
    has_lists,
    id_or,
    labels_of,
    record_of,
    text_of,
    texts_of,
)


def matches(content: Mapping[str, Any]) -> bool:
    """A prompt, and as many labels as completions."""
    return (
        has_lists(content, "completions", "labels")
        and isinstance(content.get("prompt"), str)
        and len(content["completions"]) == len(content["labels"])
    )


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object holds one solution: ``prompt``, its steps in ``completions``, and in ``labels``
    whether each is right.
    """
    for index, (place, content) in enumerate(objects):
        steps = texts_of(content, "completions", place)
        labels = labels_of(content, "labels", len(steps), place)
        candidate = {"steps": steps, "step_labels": labels, "first_error": first_error_of(labels)}
        record_id = id_or(content, "id", f"trl_stepwise-{index}")
        yield record_of(record_id, text_of(content, "prompt", place), [candidate])


TRL_STEPWISE = Layout(
    "trl_stepwise",
    "TRL's stepwise supervision",
    "data of TRL's PRM trainer: prompt, completions (one solution's steps), labels",
    matches,
    read,
    steps=("completions",),
)
