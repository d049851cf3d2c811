"""Solutions with planted errors: ssmisya/PRMBench."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import (
    Layout,
    Objects,
    first_error_of,
    has_lists,
    record_of,
    text_of,
    texts_of,
    wrong,
)


def matches(content: Mapping[str, Any]) -> bool:
    """A modified process, and the steps in error."""
    return has_lists(content, "modified_process", "error_steps")


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object holds a solution ``modified_process`` of ``modified_question``, and in ``error_steps``
    the steps in error, which count from 1. As the authors do, an error behind the last step is no
    error, and of several objects with one classification and ``idx`` the first counts.
    """
    seen: set[str] = set()
    for place, content in objects:
        kind, number = text_of(content, "classification", place), text_of(content, "idx", place)
        record_id = f"{kind}_{number}"
        if record_id in seen:
            left_out["repeated classification and idx"] += 1
            continue
        seen.add(record_id)
        steps = texts_of(content, "modified_process", place)
        labels: list[bool | None] = [True] * len(steps)
        errors = content.get("error_steps")
        if not isinstance(errors, list):
            raise wrong("a list of steps", errors, place, ("error_steps",))
        for place_of_error, error in enumerate(errors):
            if not isinstance(error, int) or isinstance(error, bool) or error < 1:
                expected = "the number of a step, from 1"
                raise wrong(expected, error, place, ("error_steps", place_of_error))
            if error > len(steps):
                left_out["error steps behind the last step"] += 1
            else:
                labels[error - 1] = False
        candidate = {"steps": steps, "step_labels": labels, "first_error": first_error_of(labels)}
        problem = text_of(content, "modified_question", place)
        yield record_of(record_id, problem, [candidate], classification=kind)


PRMBENCH = Layout(
    "prmbench",
    "PRMBench",
    "ssmisya/PRMBench: modified_process with error_steps",
    matches,
    read,
    steps=("modified_process", "original_process"),
)
