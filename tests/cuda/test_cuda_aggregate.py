"""aggregate on the GPU has the bits of the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from on_gpu import same_bits

import stepscore

torch = pytest.importorskip("torch")

HOW = ["min", "max", "mean", "sum", "prod", "last", "first", "geometric_mean", "logit_mean"]
HOW += ["odds_mean", "softmin"]
OPTIONS: dict[str, Any] = {"clip": 1e-6, "temperature": 0.07}


def ragged(sizes: np.ndarray, dtype: str, seed: int = 0) -> tuple[Any, Any]:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    values = np.random.default_rng(seed).random(int(offsets[-1])).astype(dtype)
    return torch.from_numpy(values), torch.from_numpy(offsets)


def check(device: Any, values: Any, offsets: Any, how: Any = HOW, **options: Any) -> Any:
    options = OPTIONS | options
    got = stepscore.aggregate(values.to(device), offsets.to(device), how, **options)
    assert got.device == device
    assert same_bits(got, stepscore.aggregate(values, offsets, how, **options))
    return got


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("longest", [1, 7, 8, 9, 40, 3000])
def test_all_reductions(dtype: str, longest: int, device: Any) -> None:
    sizes = np.random.default_rng(longest).integers(0, longest + 1, 500)
    check(device, *ragged(sizes, dtype))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_reduction_alone(dtype: str, how: str, device: Any) -> None:
    sizes = np.array([0, 1, 2, 100, 799, 800, 801, 8 * 100 + 3, 20_000, 0])
    check(device, *ragged(sizes, dtype), how)


def test_many_segments(device: Any) -> None:
    sizes = np.random.default_rng(5).integers(0, 12, 300_000)
    check(device, *ragged(sizes, "float32"))


def test_no_segments_and_no_scores(device: Any) -> None:
    for sizes in (np.zeros(0, np.int64), np.zeros(5, np.int64)):
        check(device, *ragged(sizes, "float32"), empty=0.25)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_signed_zeros_subnormal_and_tiny_scores(dtype: str, device: Any) -> None:
    sizes = np.random.default_rng(6).integers(1, 20, 400)
    values, offsets = ragged(sizes, dtype)
    odd = torch.tensor([0.0, -0.0, 1.0, torch.finfo(values.dtype).tiny / 4, 1e-30, 5e-324])
    chosen = torch.randint(0, 6, values.shape, generator=torch.Generator().manual_seed(8))
    values = torch.where(chosen % 2 == 0, odd.to(values.dtype)[chosen], values)
    check(device, values, offsets)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_outside_the_unit_interval_and_nan_propagated(dtype: str, device: Any) -> None:
    sizes = np.random.default_rng(9).integers(0, 30, 300)
    values, offsets = ragged(sizes, dtype)
    values = values * 8 - 4
    values[::37] = float("nan")
    values[5::41] = float("inf")
    plain = ["min", "max", "mean", "sum", "last", "first"]
    check(device, values, offsets, plain, nan="propagate")


@pytest.mark.parametrize("how", ["min", ["min"], HOW])
def test_out_is_written_in_place(how: Any, device: Any) -> None:
    values, offsets = (a.to(device) for a in ragged(np.full(50, 6), "float32"))
    expected = stepscore.aggregate(values, offsets, how, **OPTIONS)
    out = torch.full_like(expected, -1)
    assert stepscore.aggregate(values, offsets, how, out=out, **OPTIONS) is out
    assert same_bits(out, expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_scores_are_widened(dtype: str, device: Any) -> None:
    values, offsets = ragged(np.full(50, 6), "float32")
    check(device, values.to(getattr(torch, dtype)), offsets)


def test_a_batch_equals_its_parts_and_a_run_the_next(device: Any) -> None:
    sizes = np.random.default_rng(10).integers(0, 60, 999)
    values, offsets = ragged(sizes, "float32")
    together = check(device, values, offsets)
    assert same_bits(together, check(device, values, offsets))
    for segment in (0, 1, 500, 998):
        begin, end = offsets[segment : segment + 2].tolist()
        alone = check(device, values[begin:end].clone(), torch.tensor([0, end - begin]))
        assert same_bits(alone[0], together[segment])


@pytest.mark.parametrize(
    ("score", "how", "options"),
    [
        (float("nan"), "min", {}),
        (1.5, "prod", {}),
        (-0.1, "geometric_mean", {}),
        (0.0, "logit_mean", {"clip": 0.0}),
        (float("inf"), "softmin", {}),
    ],
)
def test_what_the_cpu_refuses_gives_nan(
    score: float, how: str, options: dict[str, Any], device: Any
) -> None:
    values = torch.tensor([0.5, 0.25, score, 0.5, 0.75], device=device)
    offsets = torch.tensor([0, 2, 4, 5], device=device)
    got = stepscore.aggregate(values, offsets, how, **options)
    assert torch.isnan(got).tolist() == [False, True, False]


def test_an_empty_segment_under_error_gives_nan(device: Any) -> None:
    values, offsets = torch.ones(2, device=device), torch.tensor([0, 1, 1, 2], device=device)
    got = stepscore.aggregate(values, offsets, "min", empty="error")
    assert torch.isnan(got).tolist() == [False, True, False]
