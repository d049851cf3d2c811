"""value_head and mlp_head against torch, and against the read bandwidth of the same machine."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import stepscore

ROWS, WIDTH, READ = 65_536, 3_584, 1_280


@pytest.fixture(scope="module")
def hidden() -> torch.Tensor:
    torch.manual_seed(0)
    rows = [torch.randn(4096, WIDTH).bfloat16() for _ in range(ROWS // 4096)]
    return torch.cat(rows)


@pytest.fixture(scope="module")
def head() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return (torch.randn(1, WIDTH) / WIDTH**0.5).bfloat16(), torch.randn(1).bfloat16()


def positions() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(0, ROWS, (READ,), generator=generator) for _ in range(16)]


def test_all_rows_agree(hidden: torch.Tensor, head: tuple[torch.Tensor, torch.Tensor]) -> None:
    weight, bias = head
    ours = stepscore.value_head(hidden[:512], weight, bias, activation="sigmoid")
    exact = torch.sigmoid(hidden[:512].double() @ weight.double().T + bias.double())
    assert torch.allclose(ours.double(), exact, atol=1e-6)


@pytest.mark.benchmark(group="value_head: all rows of [65536, 3584] bfloat16")
class TestAllRows:
    def test_floor_threaded_sum(self, measure: Any, hidden: torch.Tensor) -> None:
        """The read bandwidth: as many bytes, summed."""
        measure(lambda: hidden.view(torch.float32).sum(), [()])

    def test_stepscore(self, measure: Any, hidden: torch.Tensor, head: Any) -> None:
        weight, bias = head
        measure(lambda: stepscore.value_head(hidden, weight, bias, activation="sigmoid"), [()])

    def test_torch_bfloat16(self, measure: Any, hidden: torch.Tensor, head: Any) -> None:
        """Eager in the dtype of the hidden states: scores with 8 bits."""
        weight, bias = head
        measure(lambda: torch.sigmoid(torch.nn.functional.linear(hidden, weight, bias)), [()])

    def test_torch_float32(self, measure: Any, hidden: torch.Tensor, head: Any) -> None:
        """Eager with the precision of ours: the head in float32, as Skywork's code has it."""
        weight, bias = head[0].float(), head[1].float()
        measure(
            lambda: torch.sigmoid(torch.nn.functional.linear(hidden.float(), weight, bias)),
            [()],
            rounds=3,
        )


@pytest.mark.benchmark(group="value_head: gather 1280 of the rows")
class TestGather:
    def test_stepscore(self, measure: Any, hidden: torch.Tensor, head: Any) -> None:
        weight, bias = head
        measure(
            lambda at: stepscore.value_head(
                hidden, weight, bias, positions=at, activation="sigmoid"
            ),
            [(at,) for at in positions()],
            rounds=48,
        )

    def test_torch_bfloat16(self, measure: Any, hidden: torch.Tensor, head: Any) -> None:
        weight, bias = head
        measure(
            lambda at: torch.sigmoid(torch.nn.functional.linear(hidden[at], weight, bias)),
            [(at,) for at in positions()],
            rounds=48,
        )

    def test_torch_float32(self, measure: Any, hidden: torch.Tensor, head: Any) -> None:
        weight, bias = head[0].float(), head[1].float()
        measure(
            lambda at: torch.sigmoid(torch.nn.functional.linear(hidden[at].float(), weight, bias)),
            [(at,) for at in positions()],
            rounds=48,
        )


@pytest.fixture(scope="module")
def layers() -> list[tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(3)
    return [
        (torch.randn(WIDTH, WIDTH) / WIDTH**0.5, torch.randn(WIDTH)),
        (torch.randn(2, WIDTH) / WIDTH**0.5, torch.randn(2)),
    ]


@pytest.mark.benchmark(group="mlp_head: 3584 -> 3584 -> 2 on 1280 float32 rows")
class TestMlp:
    def rows(self) -> list[tuple[torch.Tensor]]:
        generator = torch.Generator().manual_seed(4)
        return [(torch.randn(READ, WIDTH, generator=generator),) for _ in range(3)]

    def test_stepscore(self, measure: Any, layers: Any) -> None:
        measure(lambda x: stepscore.mlp_head(x, layers, activation="softmax"), self.rows())

    def test_torch_matrix_product_alone(self, measure: Any, layers: Any) -> None:
        weight = layers[0][0]
        measure(lambda x: torch.nn.functional.linear(x, weight), self.rows())

    def test_torch_whole_head(self, measure: Any, layers: Any) -> None:
        (first, b1), (second, b2) = layers

        def head(x: torch.Tensor) -> torch.Tensor:
            inner = torch.relu(torch.nn.functional.linear(x, first, b1))
            return torch.softmax(torch.nn.functional.linear(inner, second, b2), -1)

        x = self.rows()[0][0]
        ours = stepscore.mlp_head(x, layers, activation="softmax")
        assert torch.allclose(ours, head(x), atol=1e-5)
        measure(head, self.rows())
