"""Returns and advantages against the loops that trainers run over time, and a plain copy."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import stepscore

SHAPES = [(64, 2048), (256, 4096), (64, 16384)]
GAMMA, LAM = 0.99, 0.95


def batch(rows: int, tokens: int) -> list[torch.Tensor]:
    """Rewards, values and a mask with gaps; every row ends in padding of its own length."""
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, rows, tokens, generator=generator)
    lengths = torch.randint(tokens // 2, tokens + 1, (rows, 1), generator=generator)
    mask = (torch.rand(rows, tokens, generator=generator) < 0.9) & (torch.arange(tokens) < lengths)
    return [rewards, values, mask]


def gae_over_time(rewards: Any, values: Any, mask: Any) -> tuple[Any, Any]:
    """One step of the whole batch per token, as verl has it: a masked token carries both over."""
    ones = mask.to(rewards.dtype)
    next_value = torch.zeros(len(rewards))
    advantage = torch.zeros(len(rewards))
    columns = []
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + GAMMA * next_value - values[:, t]
        here = delta + GAMMA * LAM * advantage
        one = ones[:, t]
        next_value = values[:, t] * one + (1 - one) * next_value
        advantage = here * one + (1 - one) * advantage
        columns.append(advantage)
    advantages = torch.stack(columns[::-1], dim=1)
    return advantages, advantages + values


def least_over_time(rewards: Any) -> Any:
    """The minimum of the future, a column at a time."""
    least = rewards[:, -1]
    columns = [least]
    for t in range(rewards.shape[1] - 2, -1, -1):
        least = torch.minimum(rewards[:, t], least)
        columns.append(least)
    return torch.stack(columns[::-1], dim=1)


@pytest.mark.parametrize(("rows", "tokens"), SHAPES, ids=[f"{b}x{t}" for b, t in SHAPES])
class TestGae:
    @pytest.fixture(autouse=True)
    def group(self, benchmark: Any, rows: int, tokens: int) -> None:
        benchmark.group = f"gae: {rows} x {tokens}, masked"

    def test_stepscore(self, measure: Any, rows: int, tokens: int) -> None:
        rewards, values, mask = batch(rows, tokens)
        run = lambda: stepscore.gae(rewards, values, gamma=GAMMA, lam=LAM, mask=mask)  # noqa: E731
        for ours, theirs in zip(run(), gae_over_time(rewards, values, mask), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        measure(run, [()], rounds=30)

    def test_stepscore_without_mask(self, measure: Any, rows: int, tokens: int) -> None:
        rewards, values, _ = batch(rows, tokens)
        measure(lambda: stepscore.gae(rewards, values, gamma=GAMMA, lam=LAM), [()], rounds=30)

    def test_copy_of_the_same_bytes(self, measure: Any, rows: int, tokens: int) -> None:
        """Two arrays in, two out; the mask is a quarter of one more."""
        rewards, values, mask = batch(rows, tokens)
        measure(lambda: (rewards.clone(), values.clone(), mask.clone()), [()], rounds=30)

    def test_loop_over_time(self, measure: Any, rows: int, tokens: int) -> None:
        arrays = batch(rows, tokens)
        measure(lambda: gae_over_time(*arrays), [()], rounds=3)


@pytest.mark.parametrize(("rows", "tokens"), SHAPES, ids=[f"{b}x{t}" for b, t in SHAPES])
class TestLeast:
    @pytest.fixture(autouse=True)
    def group(self, benchmark: Any, rows: int, tokens: int) -> None:
        benchmark.group = f"min_return: {rows} x {tokens}"

    def test_stepscore(self, measure: Any, rows: int, tokens: int) -> None:
        rewards = batch(rows, tokens)[0]
        assert torch.equal(stepscore.min_return(rewards), least_over_time(rewards))
        measure(lambda: stepscore.min_return(rewards), [()], rounds=30)

    def test_torch_cummin(self, measure: Any, rows: int, tokens: int) -> None:
        rewards = batch(rows, tokens)[0]
        measure(lambda: rewards.flip(1).cummin(dim=1).values.flip(1), [()], rounds=7)

    def test_loop_over_time(self, measure: Any, rows: int, tokens: int) -> None:
        rewards = batch(rows, tokens)[0]
        measure(lambda: least_over_time(rewards), [()], rounds=3)
