"""Benchmarks run with `make bench`: pytest-benchmark prints every group with its ratios."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import stepscore

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def same_threads() -> None:
    """The peers get as many threads as we do."""
    torch.set_num_threads(stepscore.num_threads())


@pytest.fixture
def measure(benchmark: Any) -> Callable[..., Any]:
    """Median of several rounds; `inputs` rotates, so that no round finds its data in a cache."""

    def run(function: Callable[..., Any], inputs: list[tuple[Any, ...]], rounds: int = 7) -> Any:
        supply: Iterator[tuple[Any, ...]] = itertools.cycle(inputs)
        return benchmark.pedantic(
            function, setup=lambda: (next(supply), {}), rounds=rounds, warmup_rounds=2
        )

    return run
