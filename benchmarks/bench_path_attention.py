"""path_attention against torch's scaled_dot_product_attention, and against calls piece by piece."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import stepscore

# Heads, key heads and d of SmolLM2-135M and of Qwen2.5-7B's neighbourhood.
SHAPES = {"135M": (9, 3, 64), "7B": (32, 8, 128)}
TOKENS = [32, 128, 512]
PROBLEM, STEPS, STEP = 300, 32, 7


def states(shape: str, tokens: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Queries, keys and values as a model has them, ``[1, heads, tokens, d]``."""
    heads, key_heads, size = SHAPES[shape]
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(1, tokens, n, size, generator=generator).transpose(1, 2)
        for n in (heads, key_heads, key_heads)
    )


def rows_first(state: torch.Tensor) -> torch.Tensor:
    return state[0].transpose(0, 1)


def stock(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: Any) -> Any:
    """As transformers calls it: key heads repeated."""
    repeats = query.shape[1] // key.shape[1]
    key, value = (state.repeat_interleave(repeats, 1) for state in (key, value))
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, **options)


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("shape", SHAPES)
class TestOneTrace:
    @pytest.fixture(autouse=True)
    def _group(self, benchmark: Any, shape: str, tokens: int) -> None:
        benchmark.group = f"path_attention: one trace of {tokens} tokens, heads of a {shape}"

    def test_stepscore(self, measure: Any, shape: str, tokens: int) -> None:
        offsets = np.array([0, tokens])
        query, key, value = map(rows_first, states(shape, tokens))
        expected = stock(*states(shape, tokens), is_causal=True)
        ours = stepscore.path_attention(query, key, value, offsets)
        assert torch.allclose(ours, rows_first(expected), atol=5e-6)
        measure(
            lambda q, k, v: stepscore.path_attention(q, k, v, offsets), self.inputs(shape, tokens)
        )

    def test_torch(self, measure: Any, shape: str, tokens: int) -> None:
        inputs = [tuple(states(shape, tokens, seed)) for seed in range(4)]
        measure(lambda q, k, v: stock(q, k, v, is_causal=True), inputs)

    def inputs(self, shape: str, tokens: int) -> list[tuple[Any, ...]]:
        return [tuple(map(rows_first, states(shape, tokens, seed))) for seed in range(4)]


@pytest.mark.parametrize("shape", SHAPES)
class TestSiblings:
    """Steps of candidates behind one problem, whose keys are there already."""

    @pytest.fixture(autouse=True)
    def _group(self, benchmark: Any, shape: str) -> None:
        benchmark.group = (
            f"path_attention: {STEPS} steps of {STEP} tokens behind {PROBLEM}, heads of a {shape}"
        )

    def test_stepscore(self, measure: Any, shape: str) -> None:
        _, *problem = map(rows_first, states(shape, PROBLEM))
        offsets = STEP * np.arange(STEPS + 1)
        segments = [row for at in offsets[:-1] for row in ([0, 0, PROBLEM], [1, at, STEP])]
        parts = 2 * np.arange(STEPS + 1)
        table = np.array(segments)

        def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            stores = [problem[0], key], [problem[1], value]
            return stepscore.path_attention(query, *stores, offsets, table, parts)

        inputs = [tuple(map(rows_first, states(shape, STEP * STEPS, seed))) for seed in range(1, 5)]
        measure(attend, inputs)

    def test_torch_padded(self, measure: Any, shape: str) -> None:
        """What padding does: the keys of the problem once for each step."""
        _, *problem = states(shape, PROBLEM)
        seen = torch.ones(STEP, PROBLEM + STEP, dtype=torch.bool).tril(PROBLEM)

        def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> Any:
            states = [
                torch.cat([before.expand(STEPS, -1, -1, -1), own], 2)
                for before, own in zip(problem, (key, value), strict=True)
            ]
            return stock(query, *states, attn_mask=seen)

        def steps(state: torch.Tensor) -> torch.Tensor:
            heads, size = state.shape[1], state.shape[3]
            return state[0].reshape(heads, STEPS, STEP, size).transpose(0, 1).contiguous()

        inputs = [tuple(map(steps, states(shape, STEP * STEPS, seed))) for seed in range(1, 5)]
        measure(attend, inputs)
