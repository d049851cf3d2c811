"""gated_activation against torch's activation and product, and against a copy of the same bytes."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

import stepscore
from stepscore.ops.gated_activation import GateActivation

# The tokens of a batch, and the width of a 1.5B model's feed-forward block.
TOKENS, WIDTH = 1024, 8960
TORCH = {
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda gate: torch.nn.functional.gelu(gate, approximate="tanh"),
}


@pytest.fixture(scope="module")
def states() -> list[tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(0)
    return [(torch.randn(TOKENS, WIDTH), torch.randn(TOKENS, WIDTH)) for _ in range(4)]


@pytest.mark.benchmark(group="gated_activation: [1024, 8960] float32")
class TestGate:
    def test_floor_product(self, measure: Any, states: Any) -> None:
        """The memory: the product alone."""
        measure(lambda gate, up: gate * up, states)

    @pytest.mark.parametrize("activation", get_args(GateActivation))
    def test_stepscore(self, measure: Any, states: Any, activation: GateActivation) -> None:
        measure(
            lambda gate, up: stepscore.gated_activation(gate, up, activation=activation), states
        )

    @pytest.mark.parametrize("activation", get_args(GateActivation))
    def test_torch(self, measure: Any, states: Any, activation: GateActivation) -> None:
        measure(lambda gate, up: TORCH[activation](gate) * up, states)
