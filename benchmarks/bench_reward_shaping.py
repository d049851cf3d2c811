"""Whitening and weights of steps against what trainers write in torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import stepscore


@pytest.fixture(scope="module")
def batch() -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(256, 4096, generator=generator)
    return values, torch.rand(256, 4096, generator=generator) < 0.8


@pytest.fixture(scope="module")
def traces() -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, 20, 200_000)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return generator.random(offsets[-1], dtype=np.float32), offsets


@pytest.mark.benchmark(group="whiten: 256 x 4,096")
class TestWhiten:
    def test_stepscore(self, measure: Any, batch: Any) -> None:
        measure(lambda: stepscore.whiten(*batch), [()], rounds=15)

    def test_torch(self, measure: Any, batch: Any) -> None:
        values, mask = batch
        ones = mask.float()

        def whitened() -> Any:
            count = ones.sum()
            mean = (values * ones).sum() / count
            variance = (((values - mean) ** 2) * ones).sum() / (count - 1)
            return (values - mean) * torch.rsqrt(variance + 1e-8) * ones

        torch.testing.assert_close(stepscore.whiten(*batch), whitened(), rtol=1e-3, atol=1e-4)
        measure(whitened, [()], rounds=15)


@pytest.mark.benchmark(group="softmin_weights: 2M steps of 200,000 traces")
class TestSoftmin:
    def test_stepscore(self, measure: Any, traces: Any) -> None:
        measure(lambda: stepscore.softmin_weights(*traces), [()], rounds=7)

    def test_torch_padded(self, measure: Any, traces: Any) -> None:
        rewards, offsets = traces
        sizes = torch.from_numpy(np.diff(offsets))
        inside = torch.arange(20) < sizes[:, None]
        padded = torch.full((len(sizes), 20), torch.inf)
        padded[inside] = torch.from_numpy(rewards)
        measure(lambda: torch.softmax(-padded / 0.1, dim=1), [()], rounds=7)
