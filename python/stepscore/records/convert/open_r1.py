"""Generations with verdicts: the data sets of huggingface/open-r1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import (
    Layout,
    Objects,
    are_texts,
    id_or,
    known_answer,
    record_of,
    text_of,
    texts_of,
    wrong,
)

# (the list, what it says of a generation); the first that has a verdict calls it right or wrong.
_VERDICTS = ("correctness_math_verify", "correctness_llama")
_LISTS = (*_VERDICTS, "finish_reasons", "is_reasoning_complete")


def matches(content: Mapping[str, Any]) -> bool:
    """A problem, and its generations."""
    return "problem" in content and are_texts(content.get("generations"))


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read a file.

    An object holds a ``problem``, its ``answer``, ``generations``, and in lists beside them what
    Math-Verify and Llama say of each, why it ended, and whether its reasoning did. A generation is
    right where Math-Verify says so, and where it was not asked, where Llama does.
    """
    for index, (place, content) in enumerate(objects):
        texts = texts_of(content, "generations", place)
        lists = {name: content[name] for name in _LISTS if content.get(name) is not None}
        for name, values in lists.items():
            if not isinstance(values, list) or len(values) != len(texts):
                expected = f"one item for each of the {len(texts)} generations"
                raise wrong(expected, values, place, (name,))
        candidates: list[dict[str, Any]] = []
        for number, text in enumerate(texts):
            said = {name: values[number] for name, values in lists.items()}
            verdicts = [said[name] for name in _VERDICTS if isinstance(said.get(name), bool)]
            candidate = {"text": text, "correct": verdicts[0] if verdicts else None, **said}
            candidates.append({name: v for name, v in candidate.items() if v is not None})
        yield record_of(
            id_or(content, "uuid", f"open_r1-{index}"),
            text_of(content, "problem", place),
            candidates,
            known_answer(content.get("answer")),
        )


OPEN_R1 = Layout(
    "open_r1",
    "open-r1's generations",
    "data sets of open-r1, such as OpenR1-Math-220k: generations with verdicts",
    matches,
    read,
)
