"""The ops on a level, 1,000 problems x 64 items on one core, against loops over NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import stepscore

PROBLEMS, ITEMS = 1_000, 64
OFFSETS = np.arange(0, PROBLEMS * ITEMS + 1, ITEMS)
SCORES = np.random.default_rng(0).random(PROBLEMS * ITEMS)


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    before = stepscore.num_threads()
    stepscore.set_num_threads(1)
    yield
    stepscore.set_num_threads(before)


@pytest.mark.benchmark(group="top_k, the 16 best of 64 x 1,000")
def test_top_k(benchmark: Any) -> None:
    benchmark(stepscore.top_k, SCORES, OFFSETS, 16)


@pytest.mark.benchmark(group="top_k, the 16 best of 64 x 1,000")
def test_numpy_argsort(benchmark: Any) -> None:
    benchmark(lambda: [np.argsort(-SCORES[a:b], kind="stable")[:16] for a, b in pairwise(OFFSETS)])


@pytest.mark.benchmark(group="rebase_allotment, 64 nodes x 1,000")
def test_rebase_allotment(benchmark: Any) -> None:
    benchmark(stepscore.rebase_allotment, SCORES, OFFSETS, 16)


def allot(scores: np.ndarray) -> list[int]:
    """As the authors write it, one problem."""
    order = np.argsort(scores, kind="stable")[::-1]
    e = np.exp(scores[order].astype(np.float32) / np.float32(0.2))
    total, width, counts = e.sum(), 16, []
    for weight in e:
        counts.append(int(np.ceil(width * weight / total)))
        width -= counts[-1]
        total -= weight
    return counts


@pytest.mark.benchmark(group="rebase_allotment, 64 nodes x 1,000")
def test_numpy_allotment(benchmark: Any) -> None:
    with np.errstate(all="ignore"):
        few = OFFSETS[:21]  # 20 problems; times 50 it is the same work
        benchmark.extra_info["problems"] = 20
        benchmark(lambda: [allot(SCORES[a:b]) for a, b in pairwise(few)])


@pytest.mark.benchmark(group="resample, 64 of 64 particles x 1,000")
@pytest.mark.parametrize("method", ["multinomial", "systematic", "residual"])
def test_resample(benchmark: Any, method: str) -> None:
    benchmark(stepscore.resample, SCORES, OFFSETS, ITEMS, method=method)


@pytest.mark.benchmark(group="resample, 64 of 64 particles x 1,000")
def test_numpy_multinomial(benchmark: Any) -> None:
    rng = np.random.default_rng(0)

    def draw() -> list[np.ndarray]:
        weights = [SCORES[a:b] for a, b in pairwise(OFFSETS)]
        return [rng.choice(ITEMS, ITEMS, p=w / w.sum()) for w in weights]

    benchmark(draw)
