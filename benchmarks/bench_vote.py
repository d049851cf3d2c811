"""vote against a careful loop over Python dictionaries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stepscore

PROBLEMS, CANDIDATES = 1_000, 64
RULES = ["majority", "weighted", "best_of_n"]


@pytest.fixture(scope="module")
def ballot() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    n = PROBLEMS * CANDIDATES
    answers = np.minimum(generator.geometric(0.2, n), 30).astype(np.int64) - 1
    return answers, generator.random(n), np.arange(0, n + 1, CANDIDATES)


def python_votes(answers: list[int], scores: list[float]) -> list[tuple[int, int, int]]:
    """What one would write by hand: first answer to reach the maximum wins."""
    winners = []
    for begin in range(0, len(answers), CANDIDATES):
        ids = answers[begin : begin + CANDIDATES]
        values = scores[begin : begin + CANDIDATES]
        count: dict[int, int] = {}
        total: dict[int, float] = {}
        for answer, score in zip(ids, values, strict=True):
            count[answer] = count.get(answer, 0) + 1
            total[answer] = total.get(answer, 0.0) + score
        best = max(range(len(values)), key=values.__getitem__)
        winners.append(
            (max(count, key=count.__getitem__), max(total, key=total.__getitem__), ids[best])
        )
    return winners


@pytest.mark.benchmark(group="vote: 3 rules, 1000 problems x 64 candidates")
class TestThreeRules:
    def test_stepscore(self, measure: Any, ballot: Any) -> None:
        measure(lambda: stepscore.vote(*ballot, RULES), [()], rounds=201)

    def test_python_dictionaries(self, measure: Any, ballot: Any) -> None:
        answers, scores, _ = ballot
        lists = answers.tolist(), scores.tolist()
        ours = stepscore.vote(*ballot, RULES).answer_id
        assert [tuple(row) for row in ours.tolist()] == python_votes(*lists)
        measure(lambda: python_votes(*lists), [()], rounds=15)
