"""Tests that need a GPU: all of them take the fixture `device`."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def device(gpu: str, request: pytest.FixtureRequest) -> Any:
    """The first CUDA device, by torch; without one the test is skipped."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        reason = f"torch {torch.__version__} sees no CUDA device"
        if request.config.getoption("--require-gpu"):
            pytest.fail(f"--require-gpu: {reason}")
        pytest.skip(reason)
    return torch.device("cuda", 0)
