"""Traces with the place of their mistake: WHGTyen/BIG-Bench-Mistake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import (
    Layout,
    Objects,
    known_answer,
    record_of,
    text_of,
    texts_of,
    wrong,
)


def matches(content: Mapping[str, Any]) -> bool:
    """Steps, and the number of the mistake."""
    return "mistake_index" in content and "steps" in content


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object holds one trace: ``input``, ``steps``, its ``answer``, the known answer ``target``,
    and ``mistake_index``, the first wrong step from 0, null where none is wrong. A trace without a
    mistake may still answer wrongly.
    """
    for index, (place, content) in enumerate(objects):
        steps = texts_of(content, "steps", place)
        mistake = content.get("mistake_index")
        if mistake is not None and (type(mistake) is not int or not 0 <= mistake < len(steps)):
            expected = f"the number of one of {len(steps)} steps, from 0, or null"
            raise wrong(expected, mistake, place, ("mistake_index",))
        # A trace may end without an answer, which is then none, and not read from its text.
        answer = None if content.get("answer") is None else text_of(content, "answer", place)
        first_error = -1 if mistake is None else mistake
        candidate = {"steps": steps, "answer": answer, "first_error": first_error}
        yield record_of(
            f"bbmistake-{index}",
            text_of(content, "input", place),
            [candidate],
            known_answer(content.get("target")),
        )


BBMISTAKE = Layout(
    "bbmistake",
    "BIG-Bench-Mistake",
    "WHGTyen/BIG-Bench-Mistake: steps with mistake_index",
    matches,
    read,
    steps=("steps",),
)
