"""Steps with estimated labels in their text: peiyi9979/Math-Shepherd."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import (
    Layout,
    Objects,
    first_error_of,
    has_texts,
    record_of,
    text_of,
    wrong,
)

TAG = "ки"
_LABELS = {"+": True, "-": False}
_FIRST_STEP = re.compile(r"\s*Step 1:")


def matches(content: Mapping[str, Any]) -> bool:
    """A text with tags in ``input``, and the same with labels in ``label``."""
    return has_texts(content, "input", "label") and TAG in content["input"]


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    ``input`` is the question and the numbered steps, each with the tag ``ки`` behind it. ``label``
    is the same text with ``+`` or ``-`` in place of every tag: whether the answer was reached from
    there. A ``ки`` that stands in both is text. The question ends where ``Step 1:`` begins.
    """
    for index, (place, content) in enumerate(objects):
        pieces, labels = _split(content, place)
        starts = list(_FIRST_STEP.finditer(pieces[0]))
        if not starts:
            raise wrong("a question, and then Step 1:", pieces[0], place, ("input",))
        problem = pieces[0][: starts[-1].start()].strip()
        steps = [pieces[0][starts[-1].start() :], *pieces[1:]]
        candidate = {
            "steps": [step.strip() for step in steps],
            "step_labels": labels,
            "first_error": first_error_of(labels),
        }
        source = content.get("task")
        yield record_of(f"math_shepherd-{index}", problem, [candidate], task=source)


def _split(content: Mapping[str, Any], place: str) -> tuple[list[str], list[bool]]:
    """Give the texts before the tags, and the labels that stand in the place of the tags."""
    text, labelled = text_of(content, "input", place), text_of(content, "label", place)
    pieces: list[str] = []
    labels: list[bool] = []
    begin = here = there = 0  # of the step, and how far both texts have been read
    while (tag := text.find(TAG, here)) >= 0:
        behind = there + tag - here
        if labelled[there:behind] != text[here:tag]:
            break
        if labelled[behind : behind + 1] in _LABELS:
            pieces.append(text[begin:tag])
            labels.append(_LABELS[labelled[behind]])
            begin = here = tag + len(TAG)
            there = behind + 1
        elif labelled.startswith(TAG, behind):  # a part of a word
            here, there = tag + len(TAG), behind + len(TAG)
        else:
            break
    if not pieces or text[here:].strip() != labelled[there:].strip():
        expected = "the text of input, with + or - in place of every tag"
        raise wrong(expected, labelled[there:], place, ("label",))
    if text[begin:].strip():
        raise wrong("a tag behind every step", text[begin:], place, ("input",))
    return pieces, labels


MATH_SHEPHERD = Layout(
    "math_shepherd",
    "Math-Shepherd",
    "peiyi9979/Math-Shepherd: input with a tag behind every step, label with + and -",
    matches,
    read,
)
