"""Files of every kind that ``stepscore vote`` reads, the same on every machine."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

ANSWERS = [
    "12", "12.0", "\\frac{24}{2}", "1/2", "0.5", "50%", "x+1", "1+x", "(1,2)", "7 hours", "7",
    "-3", "1,000", "1000", "\\boxed{9}",
]  # fmt: skip
# Half of the step scores are among these: ties, and scores at the borders of the range.
FREQUENT = [0.0, 0.1, 0.25, 0.5, 0.5, 0.75, 0.9, 1.0]


class Draw:
    """Draws by `random.Random.random` alone, the one sequence that Python promises to keep."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random

    def of(self, values: Any) -> Any:
        return values[int(self.random() * len(values))]

    def between(self, low: float, high: float) -> float:
        return round(low + self.random() * (high - low), 3)


def step_scores(draw: Draw, steps: int) -> list[float]:
    return [draw.of(FREQUENT) if draw.random() < 0.5 else draw.random() for _ in range(steps)]


def candidate(draw: Draw, kind: str, style: str, answer: str) -> dict[str, Any]:
    """One candidate with the scores of that kind, whose answer is told in that style."""
    steps = 1 + int(draw.random() * 6)
    told = {
        "answers": {"answer": answer},
        "texts": {"text": f"We think.\nThe answer is {answer}." if answer else "Hm"},
        "steps": {"steps": ["a step"] * (steps - 1) + [f"\\boxed{{{answer}}}" if answer else "Hm"]},
        "blank": {"answer": ""},
        "scores alone": {},
    }[style]
    scores: dict[str, Any] = {"step_scores": step_scores(draw, steps)}
    if kind == "logits":
        scores = {"step_scores": [draw.between(-4, 3) for _ in range(steps)]}
    elif kind == "score":
        scores = {"score": draw.of([0.5, 1.0, -2.0, draw.between(-3, 3)])}
    elif kind == "both":
        scores["score"] = draw.between(-3, 3)
    return told | scores


def truncated(draw: Draw, record: dict[str, Any]) -> None:
    """Turn the scores into those of an earlier run, which left some last steps out."""
    results = []
    for given in record["candidates"]:
        scores = given.pop("step_scores")
        lost = draw.of(range(len(scores))) + 1 if draw.random() < 0.15 else 0
        results.append({"step_scores": scores[: len(scores) - lost] + [None] * lost})
    provenance = {"model": "m", "how": "min"}
    record["stepscore"] = {"candidates": results, "provenance": provenance}


def records(kind: str, seed: int, problems: int = 40, size: int = 8) -> list[dict[str, Any]]:
    """Problems of up to `size` candidates.

    Args:
        kind: ``probabilities``, ``logits``, ``score``, ``both``, ``unknown`` (no known answers) or
            ``truncated``.
    """
    draw = Draw(seed)
    lines = []
    for index in range(problems):
        pool = [draw.of(ANSWERS) for _ in range(5)]
        style = draw.of(["answers", "answers", "answers", "texts", "steps", "scores alone"])
        style = "blank" if index % 37 == 5 else style
        count = size if draw.random() < 0.8 else 1 + int(draw.random() * size)
        given = [
            candidate(draw, kind, style, draw.of(pool) if draw.random() < 0.9 else "")
            for _ in range(count)
        ]
        line: dict[str, Any] = {"id": index if index % 3 else f"p{index}", "candidates": given}
        if kind != "unknown" and draw.random() < 0.9:
            line["answer"] = draw.of(pool)
        if kind != "unknown" and index % 11 == 0:
            for one in given:
                one["correct"] = draw.random() < 0.4
        if kind == "truncated":
            truncated(draw, line)
        lines.append(line)
    return lines


KINDS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    kind: lambda kind=kind, seed=seed: records(kind, seed)  # type: ignore[misc]
    for seed, kind in enumerate(
        ("probabilities", "logits", "score", "both", "unknown", "truncated"), 1
    )
}
