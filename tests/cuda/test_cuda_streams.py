"""Where an op runs and what it waits for: streams, devices, CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from on_gpu import A_WHILE, captured, no_synchronisation, on, same_bits
from op_calls import call, inputs, normal

import stepscore

torch = pytest.importorskip("torch")

OPS = sorted(inputs())


def options_of(op: str) -> dict[str, Any]:
    return {"max_steps": 6} if op == "find_steps" else {}


def arrays_of(op: str, seed: int) -> dict[str, np.ndarray]:
    """Inputs of the op with other numbers for every seed."""
    arrays = dict(inputs()[op])
    for name, array in arrays.items():
        if name in ("values", "scores"):
            arrays[name] = np.random.default_rng(seed).random(len(array)).astype(array.dtype)
        elif array.dtype.kind == "f":
            arrays[name] = normal(*array.shape, seed=seed + 10)
        elif name in ("token_ids", "answer_ids"):
            arrays[name] = np.roll(array, seed)
    return arrays


def check(op: str, got: tuple[Any, ...], arrays: dict[str, np.ndarray]) -> None:
    for ours, theirs in zip(got, call(op, arrays, **options_of(op)), strict=True):
        if op.endswith("_head"):
            np.testing.assert_allclose(ours.cpu().numpy(), theirs, rtol=1e-5, atol=1e-5)
        else:
            assert same_bits(ours, theirs)


class WithMethod:
    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.stream.cuda_stream


class WithAttribute:
    def __init__(self, stream: Any) -> None:
        self.__cuda_stream__ = (0, stream.cuda_stream)


SPELLINGS: dict[str, Callable[[Any], Any]] = {
    "integer": lambda stream: stream.cuda_stream,
    "torch.cuda.Stream": lambda stream: stream,
    "method": WithMethod,
    "attribute": WithAttribute,
}


def fill_late(there: dict[str, Any], late: dict[str, Any]) -> None:
    """On the current stream: a long wait, and then the inputs."""
    torch.cuda._sleep(A_WHILE)
    for name, tensor in there.items():
        tensor.copy_(late[name])


def blank_and_late(op: str, device: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs that are wrong so far, and what they will be."""
    late = on(device, arrays_of(op, 1))
    there = {name: torch.zeros_like(tensor) for name, tensor in late.items()}
    if "offsets" in there:
        there["offsets"].copy_(late["offsets"])
    call(op, there, **options_of(op))  # kernels are loaded now
    torch.cuda.synchronize()
    return there, late


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("op", OPS)
def test_an_explicit_stream_is_the_one_that_is_used(op: str, spelling: str, device: Any) -> None:
    there, late = blank_and_late(op, device)
    stream = torch.cuda.Stream()
    call(op, there, stream=stream, **options_of(op))  # memory of the stream is there now
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        fill_late(there, late)
    got = call(op, there, stream=SPELLINGS[spelling](stream), **options_of(op))
    assert not stream.query(), "the call waited"
    stream.synchronize()
    check(op, got, arrays_of(op, 1))


@pytest.mark.parametrize("op", OPS)
def test_conversions_are_made_on_the_explicit_stream_too(op: str, device: Any) -> None:
    there, late = blank_and_late(op, device)
    narrow = {
        name: tensor.int() if tensor.dtype == torch.int64 and name != "offsets" else tensor
        for name, tensor in there.items()
    }
    call(op, narrow, **options_of(op))
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        fill_late(narrow, late)
    got = call(op, narrow, stream=stream, **options_of(op))
    stream.synchronize()
    check(op, got, arrays_of(op, 1))


@pytest.mark.parametrize("op", OPS)
def test_torchs_current_stream_is_the_default(op: str, device: Any) -> None:
    there, late = blank_and_late(op, device)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        call(op, there, **options_of(op))
        torch.cuda.synchronize()
        fill_late(there, late)
        got = call(op, there, **options_of(op))
        assert not stream.query(), "the call waited"
    stream.synchronize()
    check(op, got, arrays_of(op, 1))


@pytest.mark.parametrize("handle", [0, 1])
@pytest.mark.parametrize("op", OPS)
def test_the_default_stream_by_its_handle(op: str, handle: int, device: Any) -> None:
    got = call(op, on(device, arrays_of(op, 2)), stream=handle, **options_of(op))
    check(op, got, arrays_of(op, 2))


def test_a_deep_mlp_head_runs_on_the_explicit_stream(device: Any) -> None:
    late = torch.randn(20, 64, device=device)
    layers = [(torch.randn(64, 64, device=device), None), (torch.randn(1, 64, device=device), None)]
    expected = stepscore.mlp_head(late, layers)
    hidden, stream = torch.zeros_like(late), torch.cuda.Stream()
    positions = torch.arange(20, device=device)
    stepscore.mlp_head(hidden, layers, positions=positions, stream=stream)
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(A_WHILE)
        hidden.copy_(late)
    got = stepscore.mlp_head(hidden, layers, positions=positions, stream=stream)
    stream.synchronize()
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-3)


def test_find_steps_without_max_steps_waits_for_the_explicit_stream(device: Any) -> None:
    there, late = blank_and_late("find_steps", device)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        fill_late(there, late)
    got = call("find_steps", there, stream=stream)
    stream.synchronize()
    for ours, theirs in zip(got, call("find_steps", arrays_of("find_steps", 1)), strict=True):
        assert same_bits(ours, theirs)


@pytest.mark.parametrize("op", OPS)
def test_a_call_does_not_wait(op: str, device: Any) -> None:
    there = on(device, arrays_of(op, 0))
    call(op, there, **options_of(op))
    torch.cuda.synchronize()
    torch.cuda._sleep(A_WHILE)
    with no_synchronisation():
        call(op, there, **options_of(op))
    assert not torch.cuda.current_stream().query(), "the call waited"
    torch.cuda.synchronize()


@pytest.mark.parametrize("op", OPS)
def test_a_captured_call_is_replayed_on_new_inputs(op: str, device: Any) -> None:
    there = on(device, arrays_of(op, 0))
    graph, got = captured(lambda: call(op, there, **options_of(op)))
    for seed in (0, 1, 2):
        for name, array in arrays_of(op, seed).items():
            there[name].copy_(torch.from_numpy(array))
        graph.replay()
        torch.cuda.synchronize()
        check(op, got, arrays_of(op, seed))


def test_a_captured_deep_mlp_head(device: Any) -> None:
    hidden = torch.randn(20, 64, device=device)
    layers = [(torch.randn(64, 64, device=device), None), (torch.randn(1, 64, device=device), None)]
    at = torch.arange(0, 20, 2, device=device)
    graph, got = captured(lambda: stepscore.mlp_head(hidden, layers, positions=at))
    hidden.normal_()
    graph.replay()
    expected = stepscore.mlp_head(hidden, layers, positions=at)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("op", OPS)
def test_another_device_than_the_current_one(op: str, device: Any) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    second = torch.device("cuda", 1)
    assert torch.cuda.current_device() == 0
    got = call(op, on(second, arrays_of(op, 3)), **options_of(op))
    assert all(field.device == second for field in got)
    assert torch.cuda.current_device() == 0
    check(op, got, arrays_of(op, 3))
    stream = torch.cuda.Stream(second)
    got = call(op, on(second, arrays_of(op, 4)), stream=stream, **options_of(op))
    stream.synchronize()
    check(op, got, arrays_of(op, 4))


def test_threads_of_one_process(device: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    widths = [40, 9_000, 20_000, 50_000] * 4  # from a little shared memory to none
    weights = [torch.randn(2, width, device=device) for width in widths]
    rows = [torch.randn(64, width, device=device) for width in widths]
    expected = [stepscore.value_head(h, w) for h, w in zip(rows, weights, strict=True)]
    torch.cuda.synchronize()
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(stepscore.value_head, rows * 5, weights * 5))
    torch.cuda.synchronize()
    for ours, theirs in zip(got, expected * 5, strict=True):
        assert same_bits(ours, theirs)
