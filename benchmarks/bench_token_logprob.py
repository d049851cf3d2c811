"""token_logprob against the bare matrix product, and against log_softmax + gather.

512 rows of 1,536 numbers and a vocabulary of 151,936: the ratios are those of 2,048 rows, which
``STEPSCORE_ROWS=2048`` takes; ``peers/trl_logprobs.py`` compares with TRL in one run.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

import stepscore

ROWS = int(os.environ.get("STEPSCORE_ROWS") or 512)
WIDTH, VOCABULARY, BLOCK = 1_536, 151_936, 4_096

Arrays = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def arrays(request: Any) -> Arrays:
    torch.manual_seed(0)
    dtype = getattr(torch, request.param)
    hidden = torch.randn(ROWS, WIDTH).to(dtype)
    lm_head = (torch.randn(VOCABULARY, WIDTH) / WIDTH**0.5).to(dtype)
    return hidden, lm_head, torch.randint(0, VOCABULARY, (ROWS,))


def gathered(hidden: torch.Tensor, lm_head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (hidden @ lm_head.T).log_softmax(1).gather(1, targets[:, None])[:, 0]


def test_all_agree(arrays: Arrays) -> None:
    hidden, lm_head, targets = (each[:32] if each is not arrays[1] else each for each in arrays)
    exact = gathered(hidden.double(), lm_head.double(), targets)
    ours = stepscore.token_logprob(hidden, lm_head, targets)
    assert torch.allclose(ours.double(), exact, atol=1e-4)
    rounded = stepscore.token_logprob(hidden, lm_head, targets, product="input")
    atol = 1e-4 if hidden.dtype == torch.float32 else 0.05
    assert torch.allclose(rounded.double(), exact, atol=atol)


@pytest.mark.benchmark(group=f"token_logprob: {ROWS} x {WIDTH} x {VOCABULARY}")
class TestTokens:
    def test_floor_product(self, measure: Any, arrays: Arrays) -> None:
        """The bare product in blocks, into one buffer: what is faster than a whole one."""
        hidden, lm_head, _ = arrays
        buffer = torch.empty(ROWS * BLOCK, dtype=hidden.dtype)

        def product() -> None:
            for first in range(0, VOCABULARY, BLOCK):
                block = lm_head[first : first + BLOCK]
                out = buffer[: ROWS * len(block)].view(ROWS, len(block))
                torch.mm(hidden, block.T, out=out)

        measure(product, [()], rounds=3)

    def test_stepscore(self, measure: Any, arrays: Arrays) -> None:
        measure(lambda: stepscore.token_logprob(*arrays, product="input"), [()], rounds=3)

    def test_stepscore_everything(self, measure: Any, arrays: Arrays) -> None:
        measure(
            lambda: stepscore.token_logprob(*arrays, product="input", entropy=True, top=True),
            [()],
            rounds=3,
        )

    def test_stepscore_products_in_float32(self, measure: Any, arrays: Arrays) -> None:
        measure(lambda: stepscore.token_logprob(*arrays), [()], rounds=3)

    def test_torch_log_softmax_and_gather(self, measure: Any, arrays: Arrays) -> None:
        measure(lambda: gathered(*arrays), [()], rounds=3)
