"""GSM8K's model solutions: ``example_model_solutions.jsonl`` of openai/grade-school-math."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.ops import extract_answers
from stepscore.records.convert.layout import Layout, Objects, record_of, text_of, wrong


def matches(content: Mapping[str, Any]) -> bool:
    """A question, its ground truth, and solutions by generator."""
    return "question" in content and any(map(_is_solution, content.values()))


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Read the file.

    An object holds a question, its ground truth, and one solution with ``is_correct`` per
    generator. The steps are the solution's lines.
    """
    for index, (place, content) in enumerate(objects):
        problem = text_of(content, "question", place)
        candidates = [
            _candidate(generator, value, place)
            for generator, value in content.items()
            if _is_solution(value)
        ]
        if not candidates:
            raise wrong("solutions such as 6b_finetuning", list(content), place)
        truth = text_of(content, "ground_truth", place)
        yield record_of(f"gsm8k-{index}", problem, candidates, extract_answers([truth])[0])


def _is_solution(value: object) -> bool:
    return isinstance(value, dict) and "solution" in value


def _candidate(generator: str, value: dict[str, Any], place: str) -> dict[str, Any]:
    solution = text_of(value, "solution", place, (generator,))
    correct = value.get("is_correct")
    if not isinstance(correct, bool):
        raise wrong("true or false", correct, place, (generator, "is_correct"))
    steps = [line for line in solution.split("\n") if line.strip()]
    return {"steps": steps, "generator": generator, "correct": correct}


GSM8K = Layout(
    "gsm8k",
    "GSM8K's model solutions",
    "example_model_solutions.jsonl of openai/grade-school-math",
    matches,
    read,
)
