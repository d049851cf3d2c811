"""vote against careful loops over Python dictionaries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import stepscore
from stepscore import Rule

PROBLEMS, CANDIDATES = 1_000, 64
RULES = ["majority", "weighted", "best_of_n"]
TEMPERATURE = 0.1
SOFTMAX = Rule("softmax_weighted", temperature=TEMPERATURE)
SEVEN = [*RULES, "minmax_weighted", SOFTMAX, "logodds_weighted", "borda"]
PREFIXES = [1, 2, 4, 8, 16, 32, 64]


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


def weighted_winner(ids: list[int], weights: list[float]) -> int:
    total: dict[int, float] = {}
    for answer, weight in zip(ids, weights, strict=True):
        total[answer] = total.get(answer, 0.0) + weight
    return max(total, key=total.__getitem__)


def seven_python_votes(answers: list[int], scores: list[float], size: int) -> list[Any]:
    """All seven rules over the first `size` candidates of every problem."""
    winners = []
    for begin in range(0, len(answers), CANDIDATES):
        ids, values = answers[begin : begin + size], scores[begin : begin + size]
        low, high = min(values), max(values)
        spread = (high - low) or 1.0
        count: dict[int, int] = {}
        for answer in ids:
            count[answer] = count.get(answer, 0) + 1
        powers = [math.exp((v - high) / TEMPERATURE) for v in values]
        clipped = [min(max(v, 1e-7), 1 - 1e-7) for v in values]
        points = [0.0] * len(values)
        # The scores are all different here: a rank is a place in the order.
        for rank, i in enumerate(sorted(range(len(values)), key=values.__getitem__)):
            points[i] = float(rank)
        winners.append(
            (
                max(count, key=count.__getitem__),
                weighted_winner(ids, values),
                ids[max(range(len(values)), key=values.__getitem__)],
                weighted_winner(ids, [(v - low) / spread for v in values]),
                weighted_winner(ids, powers),
                weighted_winner(ids, [math.log(p / (1 - p)) for p in clipped]),
                weighted_winner(ids, points),
            )
        )
    return winners


def dense(answers: np.ndarray) -> np.ndarray:
    """The same classes as group_answers numbers them: where an answer is new the next number."""
    numbered = np.empty_like(answers)
    for begin in range(0, len(answers), CANDIDATES):
        seen: dict[int, int] = {}
        for i in range(begin, begin + CANDIDATES):
            numbered[i] = seen.setdefault(int(answers[i]), len(seen))
    return numbered


@pytest.mark.benchmark(group="vote: 3 rules, 1000 problems x 64 candidates")
class TestThreeRules:
    def test_stepscore(self, measure: Any, ballot: Any) -> None:
        measure(lambda: stepscore.vote(*ballot, RULES), [()], rounds=201)

    def test_dense_ids(self, measure: Any, ballot: Any) -> None:
        answers, *others = ballot
        numbered = dense(answers)
        measure(lambda: stepscore.vote(numbered, *others, RULES), [()], rounds=201)

    def test_sparse_ids(self, measure: Any, ballot: Any) -> None:
        answers, *others = ballot
        spread = answers * 2**40 + 5
        measure(lambda: stepscore.vote(spread, *others, RULES), [()], rounds=201)

    def test_python_dictionaries(self, measure: Any, ballot: Any) -> None:
        answers, scores, _ = ballot
        lists = answers.tolist(), scores.tolist()
        ours = stepscore.vote(*ballot, RULES).answer_id
        assert [tuple(row) for row in ours.tolist()] == python_votes(*lists)
        measure(lambda: python_votes(*lists), [()], rounds=15)


@pytest.mark.benchmark(group="vote: 7 rules, 1000 problems x 64 candidates")
class TestSevenRules:
    def test_stepscore(self, measure: Any, ballot: Any) -> None:
        measure(lambda: stepscore.vote(*ballot, SEVEN), [()], rounds=201)

    def test_python_dictionaries(self, measure: Any, ballot: Any) -> None:
        answers, scores, _ = ballot
        lists = answers.tolist(), scores.tolist()
        ours = stepscore.vote(*ballot, SEVEN, prefixes=[5, CANDIDATES])
        for at, size in enumerate((5, CANDIDATES)):
            expected = seven_python_votes(*lists, size)
            assert [tuple(row) for row in ours.answer_id[..., at].tolist()] == expected
        measure(lambda: seven_python_votes(*lists, CANDIDATES), [()], rounds=9)


@pytest.mark.benchmark(group="vote: rules x prefixes 1 2 4 ... 64, 1000 problems x 64 candidates")
class TestPrefixes:
    @pytest.mark.parametrize("prefixes", [None, PREFIXES], ids=["all", "7 prefixes"])
    @pytest.mark.parametrize(
        "rules",
        [["majority"], ["weighted"], [SOFTMAX], ["borda"], RULES, SEVEN],
        ids=lambda rules: str(rules[0]) if len(rules) == 1 else f"{len(rules)} rules",
    )
    def test_stepscore(self, measure: Any, ballot: Any, rules: Any, prefixes: Any) -> None:
        measure(lambda: stepscore.vote(*ballot, rules, prefixes=prefixes), [()], rounds=101)

    def test_seven_rules_seven_calls(self, measure: Any, ballot: Any) -> None:
        answers, scores, offsets = ballot
        rows = (answers.reshape(PROBLEMS, -1), scores.reshape(PROBLEMS, -1))
        parts = [
            (*(np.ascontiguousarray(a[:, :n]).ravel() for a in rows), offsets // CANDIDATES * n)
            for n in PREFIXES
        ]
        measure(
            lambda: [stepscore.vote(*part, SEVEN) for part in parts],
            [()],
            rounds=101,
        )
