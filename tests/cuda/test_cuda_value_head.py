"""value_head and mlp_head on the GPU: against the CPU op and the float64 reference."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from on_gpu import host, same_bits

import stepscore
from stepscore import reference

torch = pytest.importorskip("torch")

DTYPES = ["float32", "float16", "bfloat16"]
ACTIVATIONS = ["identity", "sigmoid", "softmax", "tanh", "difference"]
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def tensors(rows: int, width: int, outputs: int, dtype: str, seed: int = 0) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, width, generator=generator).to(getattr(torch, dtype))
    weight = torch.randn(outputs, width, generator=generator) / width**0.5
    bias = torch.randn(outputs, generator=generator)
    return hidden, weight.to(getattr(torch, dtype)), bias


def exact(tensor: Any) -> np.ndarray:
    return tensor.double().numpy()


def check(device: Any, arrays: tuple[Any, ...], **options: Any) -> Any:
    """On the device, near the CPU op and near the specification."""
    hidden, weight, bias = arrays
    got = stepscore.value_head(
        hidden.to(device),
        weight.to(device),
        bias.to(device),
        **{k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in options.items()},
    )
    assert got.device == device
    assert got.dtype == torch.float32
    on_cpu = stepscore.value_head(hidden, weight, bias, **options)
    np.testing.assert_allclose(host(got), on_cpu.numpy(), **CLOSE)
    plain = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    specified = reference.value_head(exact(hidden), exact(weight), exact(bias), **plain)
    np.testing.assert_allclose(host(got), specified, **CLOSE)
    return got


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [*range(1, 101, 3), 127, 128, 129, 1024, 3584, 4096])
def test_every_width(dtype: str, width: int, device: Any) -> None:
    check(device, tensors(19, width, 2, dtype), activation="softmax")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(dtype: str, activation: str, device: Any) -> None:
    check(device, tensors(1000, 64, 2, dtype), activation=activation)


@pytest.mark.parametrize("outputs", range(1, 10))
@pytest.mark.parametrize("activation", ["identity", "sigmoid", "softmax", "tanh"])
def test_any_number_of_outputs(outputs: int, activation: str, device: Any) -> None:
    check(device, tensors(77, 200, outputs, "bfloat16"), activation=activation)


@pytest.mark.parametrize("outputs", [1, 2, 3, 5])
@pytest.mark.parametrize("width", [30_000, 60_001, 100_000])
def test_weights_beyond_shared_memory(outputs: int, width: int, device: Any) -> None:
    check(device, tensors(5, width, outputs, "float32"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [30_000, 70_000])
def test_a_difference_beyond_shared_memory_stays_in_its_column(
    dtype: str, width: int, device: Any
) -> None:
    hidden, weight, bias = (t.to(device) for t in tensors(9, width, 2, dtype))
    buffer = torch.full((3, 9, 1), 7.0, device=device)
    stepscore.value_head(hidden, weight, bias, activation="difference", out=buffer[1])
    assert torch.all(buffer[[0, 2]] == 7.0)
    check(device, tensors(9, width, 2, dtype), activation="difference")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("first", "gap"), [(0, 0), (1, 0), (3, 5), (0, 8), (8, 8), (2, 1)])
def test_rows_of_any_stride_and_alignment(dtype: str, first: int, gap: int, device: Any) -> None:
    width = 600
    wide, weight, bias = tensors(23, first + width + gap, 3, dtype)
    weight = weight[:, :width].contiguous()
    there = wide.to(device)[:, first : first + width]
    got = stepscore.value_head(there, weight.to(device), bias.to(device))
    expected = stepscore.value_head(wide[:, first : first + width], weight, bias)
    np.testing.assert_allclose(host(got), expected.numpy(), **CLOSE)
    # The bits are those of the row, wherever it lies.
    alone = stepscore.value_head(there.contiguous(), weight.to(device), bias.to(device))
    assert same_bits(got, alone)


def test_weights_of_another_dtype_and_stride(device: Any) -> None:
    hidden, _, bias = tensors(10, 96, 2, "bfloat16")
    wide = torch.randn(2, 200)
    for weight in (wide[:, 7:103], wide[:, 7:103].half(), wide[:, 7:103].double()):
        got = stepscore.value_head(hidden.to(device), weight.to(device), bias.to(device))
        expected = stepscore.value_head(hidden, weight, bias)
        np.testing.assert_allclose(host(got), expected.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [torch.int64, torch.int32])
def test_positions(kind: Any, device: Any) -> None:
    positions = torch.randint(0, 50, (333,), generator=torch.Generator().manual_seed(1)).to(kind)
    check(device, tensors(50, 256, 2, "float16"), positions=positions, activation="sigmoid")


def test_no_rows_no_positions_and_no_width(device: Any) -> None:
    check(device, tensors(0, 40, 2, "float32"))
    check(device, tensors(5, 40, 2, "float32"), positions=torch.zeros(0, dtype=torch.int64))
    hidden, weight = torch.zeros(3, 0, device=device), torch.zeros(2, 0, device=device)
    assert torch.all(stepscore.value_head(hidden, weight) == 0.0)


def test_out_is_written_and_returned(device: Any) -> None:
    hidden, weight, bias = (t.to(device) for t in tensors(31, 128, 2, "bfloat16"))
    out = torch.empty(31, 2, device=device)
    got = stepscore.value_head(hidden, weight, bias, out=out)
    assert got is out
    assert same_bits(out, stepscore.value_head(hidden, weight, bias))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_batch_equals_its_parts_and_a_run_the_next(dtype: str, device: Any) -> None:
    hidden, weight, bias = (t.to(device) for t in tensors(4099, 520, 5, dtype))
    together = stepscore.value_head(hidden, weight, bias, activation="softmax")
    for _ in range(3):
        assert same_bits(together, stepscore.value_head(hidden, weight, bias, activation="softmax"))
    for first, count in ((0, 1), (1, 7), (4000, 99), (4098, 1)):
        part = hidden[first : first + count]
        got = stepscore.value_head(part, weight, bias, activation="softmax")
        assert same_bits(got, together[first : first + count])
    at = torch.tensor([4098, 0, 17, 17], device=device)
    got = stepscore.value_head(hidden, weight, bias, positions=at, activation="softmax")
    assert same_bits(got, together[at])
    plain = stepscore.value_head(hidden, weight, bias)
    for c in range(5):  # an output does not depend on the others
        one = stepscore.value_head(hidden, weight[c : c + 1], bias[c : c + 1])
        assert same_bits(one[:, 0], plain[:, c])


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinities_and_nan_stay_in_their_rows(dtype: str, device: Any) -> None:
    hidden, weight, bias = tensors(6, 64, 1, dtype)
    hidden[1, 3] = float("nan")
    hidden[2, 5] = float("inf")
    got = stepscore.value_head(hidden.to(device), weight.to(device), bias.to(device))
    expected = stepscore.value_head(hidden, weight, bias)
    np.testing.assert_allclose(host(got), expected.numpy(), **CLOSE)


# --- mlp_head -------------------------------------------------------------------------------


def mlp(widths: list[int], dtype: str = "float32") -> list[tuple[Any, Any]]:
    generator = torch.Generator().manual_seed(7)
    kind = getattr(torch, dtype)
    return [
        (
            (torch.randn(after, before, generator=generator) / before**0.5).to(kind),
            torch.randn(after, generator=generator),
        )
        for before, after in pairwise(widths)
    ]


def moved(layers: list[tuple[Any, Any]], device: Any) -> list[tuple[Any, Any]]:
    return [(w.to(device), None if b is None else b.to(device)) for w, b in layers]


@pytest.mark.parametrize("inner", ["relu", "tanh", "silu"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", [[96, 2], [96, 64, 2], [100, 33, 65, 2]])
def test_mlp_head_is_the_reference(
    inner: str, activation: str, widths: list[int], device: Any
) -> None:
    layers = mlp(widths)
    hidden = torch.randn(40, widths[0], generator=torch.Generator().manual_seed(3)).bfloat16()
    positions = torch.tensor([39, 0, 5, 5, 17])
    got = stepscore.mlp_head(
        hidden.to(device),
        moved(layers, device),
        positions=positions.to(device),
        inner=inner,
        activation=activation,
    )
    expected = reference.mlp_head(
        exact(hidden),
        [(exact(w), exact(b)) for w, b in layers],
        positions=positions.numpy(),
        inner=inner,
        activation=activation,
    )
    np.testing.assert_allclose(host(got), expected, rtol=1e-4, atol=1e-4)


def test_mlp_head_in_half_precision_is_near_the_reference(device: Any) -> None:
    layers = mlp([128, 128, 2], "bfloat16")
    hidden = torch.randn(300, 128, generator=torch.Generator().manual_seed(4)).bfloat16()
    got = stepscore.mlp_head(hidden.to(device), moved(layers, device), activation="softmax")
    expected = reference.mlp_head(
        exact(hidden), [(exact(w), exact(b)) for w, b in layers], activation="softmax"
    )
    np.testing.assert_allclose(host(got), expected, rtol=0, atol=0.03)


def test_mlp_head_writes_out_and_repeats_itself(device: Any) -> None:
    layers = moved(mlp([64, 64, 1]), device)
    hidden = torch.randn(100, 64, device=device)
    out = torch.empty(100, 1, device=device)
    assert stepscore.mlp_head(hidden, layers, out=out) is out
    assert same_bits(out, stepscore.mlp_head(hidden, layers))
