"""token_logprob on the GPU: against the CPU op and the float64 reference, and its memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from on_gpu import host, no_synchronisation, same_bits

import stepscore
from stepscore import reference

torch = pytest.importorskip("torch")

EVERYTHING = {"entropy": True, "top": True, "log_sum_exp": True}


def tensors(rows: int, width: int, vocabulary: int, dtype: str, seed: int = 0) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, width, generator=generator).to(getattr(torch, dtype))
    matrix = torch.randn(vocabulary, width, generator=generator) / width**0.5
    bias = torch.randn(vocabulary, generator=generator)
    targets = torch.randint(0, vocabulary, (rows,), generator=generator)
    return hidden, matrix.to(getattr(torch, dtype)), targets, bias


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("vocabulary", [1, 511, 513, 8192, 20_000])
@pytest.mark.parametrize("soft_cap", [None, 3.0])
def test_it_is_the_reference(dtype: str, vocabulary: int, soft_cap: float | None, device: Any):
    hidden, matrix, targets, bias = tensors(19, 128, vocabulary, dtype)
    targets[3] = -100
    options = {"soft_cap": soft_cap, "temperature": 0.7, **EVERYTHING}
    there = [each.to(device) for each in (hidden, matrix, targets)]
    got = stepscore.token_logprob(*there, bias=bias.to(device), **options)
    expected = reference.token_logprob(
        hidden.double().numpy(), matrix.double().numpy(), targets.numpy(), bias=bias, **options
    )
    for name in ("logprob", "entropy", "top_logprob", "log_sum_exp"):
        ours = getattr(got, name)
        assert ours.device == device
        np.testing.assert_allclose(host(ours), getattr(expected, name), rtol=1e-5, atol=1e-4)
    assert got.top_token.dtype == torch.int64


def test_the_same_products_give_the_bits_of_the_cpu(device: Any) -> None:
    hidden, matrix, targets, bias = tensors(300, 16, 9000, "float32")
    hidden, matrix, bias = hidden.round(), (4 * matrix).round(), bias.round()  # exact products
    on_cpu = stepscore.token_logprob(hidden, matrix, targets, bias=bias, **EVERYTHING)
    there = [each.to(device) for each in (hidden, matrix, targets)]
    on_gpu = stepscore.token_logprob(*there, bias=bias.to(device), **EVERYTHING)
    for ours, theirs in zip(on_gpu, on_cpu, strict=True):
        assert same_bits(ours, theirs)


def test_nothing_waits(device: Any) -> None:
    there = [each.to(device) for each in tensors(40, 64, 9000, "bfloat16")[:3]]
    stepscore.token_logprob(*there)
    with no_synchronisation():
        stepscore.token_logprob(*there, **EVERYTHING)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_takes_less_than_256_megabytes(dtype: str, device: Any) -> None:
    hidden = torch.randn(2048, 1536, device=device).to(getattr(torch, dtype))
    matrix = torch.randn(151_936, 1536, device=device).to(getattr(torch, dtype))
    targets = torch.randint(0, 151_936, (2048,), device=device)
    stepscore.token_logprob(hidden[:8], matrix, targets[:8])  # what a library keeps for itself
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    stepscore.token_logprob(hidden, matrix, targets, **EVERYTHING)
    assert torch.cuda.max_memory_allocated(device) - before < 256e6


def test_a_target_that_is_no_token_gives_nan(device: Any, monkeypatch: Any) -> None:
    hidden, matrix, targets, _ = (each.to(device) for each in tensors(4, 16, 90, "float32"))
    targets[2] = 90
    monkeypatch.delenv("STEPSCORE_CUDA_CHECK", raising=False)
    assert stepscore.token_logprob(hidden, matrix, targets).isnan().tolist() == [
        False,
        False,
        True,
        False,
    ]
    monkeypatch.setenv("STEPSCORE_CUDA_CHECK", "1")
    with pytest.raises(ValueError, match="token_logprob: target 2 is not valid"):
        stepscore.token_logprob(hidden, matrix, targets)
