"""GSM8K's model solutions: ``example_model_solutions.jsonl`` of openai/grade-school-math."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stepscore.files import LineReader
from stepscore.ops import extract_answers
from stepscore.records.convert.layout import Layout, objects, record_of, text_of, wrong


def read(lines: LineReader) -> Iterator[dict[str, Any]]:
    """Read the file.

    A line holds a question, its ground truth, and one solution with ``is_correct`` per generator.
    The steps are the solution's lines.
    """
    for index, (place, content) in enumerate(objects(lines)):
        problem = text_of(content, "question", place)
        candidates = [
            _candidate(generator, value, place)
            for generator, value in content.items()
            if isinstance(value, dict) and "solution" in value
        ]
        if not candidates:
            raise wrong("solutions such as 6b_finetuning", list(content), place)
        truth = text_of(content, "ground_truth", place)
        yield record_of(f"gsm8k-{index}", problem, candidates, extract_answers([truth])[0])


def _candidate(generator: str, value: dict[str, Any], place: str) -> dict[str, Any]:
    solution = text_of(value, "solution", place, (generator,))
    correct = value.get("is_correct")
    if not isinstance(correct, bool):
        raise wrong("true or false", correct, place, (generator, "is_correct"))
    steps = [line for line in solution.split("\n") if line.strip()]
    return {"steps": steps, "generator": generator, "correct": correct}


GSM8K = Layout(
    "gsm8k",
    "example_model_solutions.jsonl of openai/grade-school-math",
    read,
    has_scores=False,
    few_generators=True,
)
