"""find_steps against NumPy and torch formulations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import stepscore

SEQUENCES, LENGTH, SEPARATOR = 20_000, 512, 198


@pytest.fixture(scope="module")
def packed() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    ids = generator.integers(0, 5_000, SEQUENCES * LENGTH, dtype=np.int64)
    ids[generator.random(ids.size) < 0.02] = SEPARATOR
    return ids, np.arange(0, ids.size + 1, LENGTH)


def numpy_steps(ids: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    positions = np.flatnonzero(ids == SEPARATOR)
    return positions, np.searchsorted(positions, offsets)


@pytest.mark.benchmark(group="find_steps: 20000 sequences x 512 tokens, one-token separator")
class TestOneToken:
    def test_stepscore(self, measure: Any, packed: Any) -> None:
        measure(lambda: stepscore.find_steps(*packed, SEPARATOR), [()], rounds=15)

    def test_numpy(self, measure: Any, packed: Any) -> None:
        for ours, theirs in zip(
            stepscore.find_steps(*packed, SEPARATOR), numpy_steps(*packed), strict=True
        ):
            assert np.array_equal(ours, theirs)
        measure(lambda: numpy_steps(*packed), [()], rounds=15)

    def test_torch(self, measure: Any, packed: Any) -> None:
        ids, offsets = (torch.from_numpy(a) for a in packed)

        def steps() -> tuple[torch.Tensor, torch.Tensor]:
            positions = torch.nonzero(ids == SEPARATOR).squeeze(1)
            return positions, torch.searchsorted(positions, offsets)

        measure(steps, [()], rounds=15)

    def test_python_loop(self, measure: Any, packed: Any) -> None:
        """The loop of the published scripts, on a twentieth of the sequences."""
        rows = packed[0].reshape(SEQUENCES, LENGTH)[: SEQUENCES // 20].tolist()
        measure(
            lambda: [[i for i, t in enumerate(row) if t == SEPARATOR] for row in rows],
            [()],
            rounds=3,
        )
