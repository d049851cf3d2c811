"""pass@k, best-of-k and majority@k of many problems, against the loops over problems in use.

One thread; without the bootstrap, which no loop has, unless the name says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import stepscore
from stepscore.evaluation import pass_at_k, prm_at_k, vote_at_k

PROBLEMS, CANDIDATES = 100_000, 64
KS = [1, 2, 4, 8, 16, 32, 64]
VOTED, SUBSETS = 200, 200  # problems and random subsets where the peer is slow


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    before = stepscore.num_threads()
    stepscore.set_num_threads(1)
    yield
    stepscore.set_num_threads(before)


@pytest.fixture(scope="module")
def samples() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Whether right, answers, scores and offsets; answer 0 is the right one."""
    generator = np.random.default_rng(0)
    right = generator.random((PROBLEMS, CANDIDATES)) < generator.random((PROBLEMS, 1))
    wrong = np.minimum(generator.geometric(0.3, right.shape), 20)
    scores = generator.random(right.shape) + 0.2 * right
    offsets = np.arange(0, right.size + 1, CANDIDATES)
    return right.ravel(), np.where(right, 0, wrong).ravel(), scores.ravel(), offsets


def pass_loop(right: np.ndarray) -> np.ndarray:
    """The estimator of "Evaluating Large Language Models Trained on Code", problem by problem."""

    def estimate(n: int, c: int, k: int) -> float:
        if n - c < k:
            return 1.0
        return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))

    counts = right.reshape(-1, CANDIDATES).sum(axis=1)
    return np.array([[estimate(CANDIDATES, c, k) for k in KS] for c in counts.tolist()])


def vote_loop(
    answers: np.ndarray, scores: np.ndarray | None, ks: list[int], subsets: int
) -> np.ndarray:
    """Random subsets with NumPy, and a dictionary for each vote."""
    generator = np.random.default_rng(0)
    scores = np.ones(len(answers)) if scores is None else scores
    values = []
    for begin in range(0, len(answers), CANDIDATES):
        own = answers[begin : begin + CANDIDATES], scores[begin : begin + CANDIDATES]
        row = []
        for k in ks:
            right = 0
            for _ in range(subsets):
                chosen = generator.permutation(CANDIDATES)[:k]
                totals: dict[int, float] = {}
                for a, score in zip(own[0][chosen].tolist(), own[1][chosen].tolist(), strict=True):
                    totals[a] = totals.get(a, 0.0) + score
                right += max(totals, key=totals.__getitem__) == 0
            row.append(right / subsets)
        values.append(row)
    return np.array(values)


@pytest.mark.benchmark(group="pass@k: 100,000 problems x 64, 7 k")
class TestPass:
    def test_stepscore(self, measure: Any, samples: Any) -> None:
        right, _, _, offsets = samples
        measure(lambda: pass_at_k(right, offsets, KS, interval="normal"), [()], rounds=7)

    def test_stepscore_with_bootstrap(self, measure: Any, samples: Any) -> None:
        right, _, _, offsets = samples
        measure(lambda: pass_at_k(right, offsets, KS), [()], rounds=3)

    def test_loop(self, measure: Any, samples: Any) -> None:
        right, _, _, offsets = samples
        few = right[: 1_000 * CANDIDATES]
        ours = pass_at_k(few, offsets[:1_001], KS, resamples=1).values
        np.testing.assert_allclose(pass_loop(few), ours, rtol=1e-11, atol=1e-14)
        measure(lambda: pass_loop(right), [()], rounds=1)


@pytest.mark.benchmark(group="prm@k: 100,000 problems x 64, 7 k")
class TestPrm:
    def test_stepscore(self, measure: Any, samples: Any) -> None:
        right, _, scores, offsets = samples
        measure(lambda: prm_at_k(right, scores, offsets, KS, interval="normal"), [()], rounds=7)

    def test_stepscore_with_bootstrap(self, measure: Any, samples: Any) -> None:
        right, _, scores, offsets = samples
        measure(lambda: prm_at_k(right, scores, offsets, KS), [()], rounds=3)

    def test_first_k_samples_only(self, measure: Any, samples: Any) -> None:
        """The usual script: the best of the first k, one draw instead of the mean over all."""
        right, _, scores, _ = samples
        table, verdicts = scores.reshape(-1, CANDIDATES), right.reshape(-1, CANDIDATES)

        def script() -> list[list[bool]]:
            return [
                [bool(y[int(np.argmax(s[:k]))]) for k in KS]
                for s, y in zip(table, verdicts, strict=True)
            ]

        measure(script, [()], rounds=1)


@pytest.mark.benchmark(group=f"majority@8: {VOTED} problems x 64")
class TestMajority:
    def test_stepscore_exact(self, measure: Any, samples: Any) -> None:
        right, answers, _, offsets = samples
        few = slice(0, VOTED * CANDIDATES)
        ballot = right[few], answers[few], None, offsets[: VOTED + 1], 8, "majority"
        assert vote_at_k(*ballot).exact.all()
        measure(lambda: vote_at_k(*ballot, interval="normal"), [()], rounds=5)

    def test_dictionaries_on_random_subsets(self, measure: Any, samples: Any) -> None:
        right, answers, _, offsets = samples
        few = slice(0, VOTED * CANDIDATES)
        exact = vote_at_k(right[few], answers[few], None, offsets[: VOTED + 1], 8, "majority")
        theirs = vote_loop(answers[few], None, [8], SUBSETS)
        assert abs(theirs.mean() - exact.mean[0]) < 0.01
        measure(lambda: vote_loop(answers[few], None, [8], SUBSETS), [()], rounds=1)


@pytest.mark.benchmark(group=f"weighted@32: {VOTED} problems x 64, {SUBSETS} random subsets each")
class TestWeighted:
    def test_stepscore(self, measure: Any, samples: Any) -> None:
        right, answers, scores, offsets = samples
        few = slice(0, VOTED * CANDIDATES)
        ballot = right[few], answers[few], scores[few], offsets[: VOTED + 1], 32, "weighted"
        options = {"method": "subsets", "subsets": SUBSETS, "interval": "normal"}
        measure(lambda: vote_at_k(*ballot, **options), [()], rounds=7)

    def test_dictionaries(self, measure: Any, samples: Any) -> None:
        _, answers, scores, _ = samples
        few = slice(0, VOTED * CANDIDATES)
        measure(lambda: vote_loop(answers[few], scores[few], [32], SUBSETS), [()], rounds=1)
