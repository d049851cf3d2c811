"""Step scores without texts: the reward files of kimsh0507/RewardMATH_official."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stepscore.errors import InputError
from stepscore.files import LineReader
from stepscore.records.convert.layout import Layout, list_of, record_of, text_of, wrong
from stepscore.records.json_text import load_json


def read(lines: LineReader) -> Iterator[dict[str, Any]]:
    """Read a file.

    A JSON list of problems; ``score`` holds the step scores of every solution, of which the first
    is the right one. There are no texts, so that the solutions have no answers.
    """
    for index, content in enumerate(_problems(lines)):
        place = f"{lines.name}, problem {index}"
        if not isinstance(content, dict):
            raise wrong("an object", content, place)
        problem = text_of(content, "problem", place)
        generators = list_of(content, "solution_reference", place)
        scores = list_of(content, "score", place)
        if len(scores) != len(generators):
            lengths = [len(generators), len(scores)]
            raise wrong("lists of one length in solution_reference, score", lengths, place)
        candidates = [
            {"step_scores": step_scores, "generator": generator, "correct": number == 0}
            for number, (generator, step_scores) in enumerate(zip(generators, scores, strict=True))
        ]
        yield record_of(f"rewardmath-{index}", problem, candidates, None)


def _problems(lines: LineReader) -> list[Any]:
    raw = b"".join(line for _, line in lines)
    try:
        problems = load_json(raw.decode("utf-8")) if raw else []
    except ValueError as error:
        raise InputError(
            "a JSON list of problems",
            got=str(error),
            advice="pass a file of RewardMATH's reward results",
            where=lines.name,
        ) from error
    if not isinstance(problems, list):
        raise wrong("a JSON list of problems", problems, lines.name)
    return problems


REWARDMATH = Layout(
    "rewardmath",
    "a reward file of kimsh0507/RewardMATH_official: step scores without texts",
    read,
    has_scores=True,
)
