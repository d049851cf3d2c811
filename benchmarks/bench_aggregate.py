"""aggregate against NumPy's reduceat and torch's segment_reduce."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import stepscore

SCORES, SEGMENTS = 20_000_000, 1_000_000
EIGHT = ["min", "max", "mean", "sum", "prod", "last", "first", "geometric_mean"]


@pytest.fixture(scope="module")
def ragged() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    values = generator.random(SCORES, dtype=np.float32)
    cuts = np.sort(generator.choice(np.arange(1, SCORES), SEGMENTS - 1, replace=False))
    return values, np.concatenate([[0], cuts, [SCORES]])


@pytest.mark.benchmark(group="aggregate: 20M float32 scores in 1M segments")
class TestEight:
    def test_stepscore_eight_reductions(self, measure: Any, ragged: Any) -> None:
        values, offsets = ragged
        measure(lambda: stepscore.aggregate(values, offsets, EIGHT), [()], rounds=15)

    def test_stepscore_eight_reductions_into_out(self, measure: Any, ragged: Any) -> None:
        """Into memory that is there: fresh pages for 32 MB cost as much as the reductions."""
        values, offsets = ragged
        out = np.empty((SEGMENTS, len(EIGHT)), np.float32)
        measure(lambda: stepscore.aggregate(values, offsets, EIGHT, out=out), [()], rounds=15)

    def test_stepscore_min(self, measure: Any, ragged: Any) -> None:
        values, offsets = ragged
        measure(lambda: stepscore.aggregate(values, offsets, "min"), [()], rounds=15)

    def test_numpy_minimum_reduceat_once(self, measure: Any, ragged: Any) -> None:
        """One reduction; eight of them are the comparison for eight."""
        values, offsets = ragged
        starts = offsets[:-1]
        ours = stepscore.aggregate(values, offsets, "min")
        assert np.array_equal(ours, np.minimum.reduceat(values, starts))
        out = np.empty(SEGMENTS, np.float32)
        measure(lambda: np.minimum.reduceat(values, starts, out=out), [()], rounds=15)

    def test_torch_segment_reduce_min_once(self, measure: Any, ragged: Any) -> None:
        values, offsets = (torch.from_numpy(a) for a in ragged)
        measure(
            lambda: torch.segment_reduce(values, "min", offsets=offsets, unsafe=True),
            [()],
            rounds=3,
        )
