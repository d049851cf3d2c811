"""Trees and prefixes with Monte Carlo values: the process data of openreasoner/openr."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import (
    Layout,
    Objects,
    id_or,
    known_answer,
    list_of,
    record_of,
    text_of,
    wrong,
)


def matches(content: Mapping[str, Any]) -> bool:
    """A question, and reasoning steps with Monte Carlo values."""
    return "question" in content and _has_value(content.get("reasoning_steps"))


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object holds a question and ``reasoning_steps``. Of a tree every way from the question to a
    leaf is a candidate, with the value of each of its steps in ``step_values``; of a list every
    prefix of a solution is one, with its ``value``, and the value of the question alone is that of
    the record. A leaf or a prefix need not be a whole solution.
    """
    for index, (place, content) in enumerate(objects):
        question = text_of(content, "question", place)
        steps = content.get("reasoning_steps")
        value: float | None
        if isinstance(steps, dict):
            value = _value(steps, place, ("reasoning_steps",))
            candidates = list(_ways(steps, place))
        else:
            prefixes = list_of(content, "reasoning_steps", place)
            value, candidates = _prefixes(question, prefixes, place)
        if not candidates:
            left_out["questions without a step"] += 1
            continue
        yield record_of(
            id_or(content, "question_id", f"openr-{index}"),
            question,
            candidates,
            known_answer(content.get("final_answer")),
            value=value,
        )


def _ways(root: Mapping[str, Any], place: str) -> Iterator[dict[str, Any]]:
    """Give the ways to the leaves, from the first child to the last."""
    waiting: list[tuple[Mapping[str, Any], list[str], list[float]]] = [(root, [], [])]
    while waiting:
        node, steps, values = waiting.pop()
        children = node.get("children") or []
        if not isinstance(children, list):
            raise wrong("a list of nodes", children, place, ("reasoning_steps", "children"))
        if not children and steps:
            yield {"steps": steps, "step_values": values}
        for child in reversed(children):
            if not isinstance(child, dict):
                raise wrong("a node", child, place, ("reasoning_steps", "children"))
            within = ("reasoning_steps", "children")
            text = text_of(child, "text", place, within)
            waiting.append((child, [*steps, text], [*values, _value(child, place, within)]))


def _prefixes(
    question: str, prefixes: list[Any], place: str
) -> tuple[float | None, list[dict[str, Any]]]:
    value, candidates = None, []
    for index, prefix in enumerate(prefixes):
        within = ("reasoning_steps", index)
        if not isinstance(prefix, dict):
            raise wrong("an object", prefix, place, within)
        text = text_of(prefix, "solution_prefix", place, within)
        if not text.startswith(question):
            raise wrong("the question, and then the prefix", text, place, within)
        solution = text[len(question) :].strip()
        if solution:
            candidates.append({"text": solution, "value": _value(prefix, place, within)})
        else:
            value = _value(prefix, place, within)
    return value, candidates


def _value(node: Mapping[str, Any], place: str, within: tuple[str | int, ...]) -> float:
    value = node.get("mc_value")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise wrong("a number from 0 to 1", value, place, (*within, "mc_value"))
    return value


def _has_value(steps: object) -> bool:
    first = steps[0] if isinstance(steps, list) and steps else steps
    return isinstance(first, dict) and "mc_value" in first


OPENR = Layout(
    "openr",
    "openr's process data",
    "trees and prefixes of openreasoner/openr: reasoning_steps with mc_value",
    matches,
    read,
    steps=("reasoning_steps",),
)
