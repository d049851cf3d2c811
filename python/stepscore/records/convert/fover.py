"""Formally verified steps, and predictions for them: psunlpgroup/FoVer."""

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
from stepscore.records.faults import RecordError


def matches(content: Mapping[str, Any]) -> bool:
    """Solution steps with a label each."""
    return has_lists(content, "solution_steps", "error_labels")


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object holds one solution: ``problem``, ``solution_steps`` and ``error_labels``, which in
    spite of their name are true for a right step; null where nobody has said it.
    """
    for index, (place, content) in enumerate(objects):
        steps = texts_of(content, "solution_steps", place)
        labels = labels_of(content, "error_labels", len(steps), place)
        candidate = {"steps": steps, "step_labels": labels, "first_error": first_error_of(labels)}
        record_id = id_or(content, "id", f"fover-{index}")
        yield record_of(record_id, text_of(content, "problem", place), [candidate])


def predicts(content: Mapping[str, Any]) -> bool:
    """Predictions and labels of all steps in one list."""
    return has_lists(content, "y_pred_step_level", "y_true_step_level")


def refuse(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Refuse a file of predictions: it does not say which steps form a solution."""
    for place, _ in objects:
        raise RecordError(
            "solutions with their steps",
            got="FoVer's predictions of all steps in one list, without texts",
            advice="pass the data set (problem, solution_steps, error_labels)",
            place=place,
        )
    yield from ()


FOVER = Layout(
    "fover",
    "FoVer",
    "the data sets of psunlpgroup/FoVer: solution_steps with error_labels",
    matches,
    read,
    steps=("solution_steps",),
)
FOVER_PREDICTIONS = Layout(
    "fover_predictions",
    "FoVer's predictions",
    "results of psunlpgroup/FoVer, refused: which steps belong together is lost",
    predicts,
    refuse,
)
