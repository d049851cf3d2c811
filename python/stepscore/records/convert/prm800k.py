"""Human step ratings: both phases of openai/prm800k."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import (
    Layout,
    Objects,
    first_error_of,
    has_lists,
    known_answer,
    list_of,
    object_of,
    record_of,
    text_of,
    wrong,
)

_RATINGS = (-1, 0, 1, None)


def matches(content: Mapping[str, Any]) -> bool:
    """A question with a problem, and a label with steps."""
    question, label = content.get("question"), content.get("label")
    return (
        isinstance(question, dict)
        and "problem" in question
        and isinstance(label, dict)
        and has_lists(label, "steps")
    )


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object is a labelling of one problem. The trace goes on with the chosen completion of every
    step, else with what the labeler wrote, and ends where there is neither; in phase 2 the step
    that ``found_error`` rejects, which was generated beforehand, is its last. ``step_ratings`` are
    -1, 0 and 1 as given, null for a step of the labeler; ``step_labels`` call all but -1 right.
    """
    for index, (place, content) in enumerate(objects):
        question, label = object_of(content, "question", place), object_of(content, "label", place)
        problem = text_of(question, "problem", place, ("question",))
        trace = list(_trace(question, label, place))
        if not trace:
            left_out["labelled problems without a step"] += 1
            continue
        ratings = [rating for _, rating in trace]
        labels = [None if rating is None else rating >= 0 for rating in ratings]
        candidate = {
            "steps": [text for text, _ in trace],
            "step_ratings": ratings,
            "step_labels": labels,
            "first_error": first_error_of(labels),
        }
        yield record_of(
            f"prm800k-{index}",
            problem,
            [candidate],
            known_answer(question.get("ground_truth_answer")),
            finish_reason=label.get("finish_reason"),
        )


def _trace(
    question: Mapping[str, Any], label: Mapping[str, Any], place: str
) -> Iterator[tuple[str, int | None]]:
    generated = question.get("pre_generated_steps") or []
    if not isinstance(generated, list):
        raise wrong("a list of steps", generated, place, ("question", "pre_generated_steps"))
    for number, step in enumerate(list_of(label, "steps", place, ("label",))):
        within = ("label", "steps", number)
        if not isinstance(step, dict):
            raise wrong("an object", step, place, within)
        completions, chosen = step.get("completions") or [], step.get("chosen_completion")
        if not isinstance(completions, list):
            raise wrong("a list of completions", completions, place, (*within, "completions"))
        written = step.get("human_completion")
        if chosen is not None:
            if not isinstance(chosen, int) or not 0 <= chosen < len(completions):
                raise wrong("the number of a completion", chosen, place, within)
            yield _rated(completions[chosen], place, within)
        elif written is not None:
            yield _rated(written, place, within)
        else:
            # What was generated beforehand is recognised by its text.
            rejected = [
                completion
                for completion in completions
                if number < len(generated)
                and isinstance(completion, dict)
                and completion.get("text") == generated[number]
            ]
            if rejected:
                yield _rated(rejected[0], place, within)
            return


def _rated(completion: object, place: str, within: tuple[str | int, ...]) -> tuple[str, int | None]:
    if not isinstance(completion, dict) or completion.get("rating") not in _RATINGS:
        raise wrong("a text with a rating of -1, 0 or 1", completion, place, within)
    return text_of(completion, "text", place, within), completion.get("rating")


PRM800K = Layout(
    "prm800k",
    "PRM800K",
    "phase1 and phase2 files of openai/prm800k: rated steps",
    matches,
    read,
)
