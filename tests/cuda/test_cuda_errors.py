"""Bad input on the GPU: a named error, or NaN and -1, and never a write beside the result."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest
from on_gpu import captured, on
from op_calls import call, inputs, normal

import stepscore

torch = pytest.importorskip("torch")

ARGUMENTS = [(op, argument) for op in sorted(inputs()) for argument in inputs()[op]]


@pytest.mark.parametrize(("op", "argument"), ARGUMENTS)
def test_arrays_on_different_devices(op: str, argument: str, device: Any) -> None:
    arrays = on(device, inputs()[op])
    arrays[argument] = arrays[argument].cpu()
    first = next(iter(arrays))
    other = next(name for name in arrays if name != argument)
    here, there = ("cuda:0", "the CPU") if argument == first else ("the CPU", "cuda:0")
    named = other if argument == first else argument
    message = f"{op}: {named} is on {here}, but {first} is on {there}; move one of them"
    with pytest.raises(stepscore.DeviceError, match=re.escape(message)):
        call(op, arrays)


@pytest.mark.parametrize("op", ["value_head", "mlp_head"])
def test_a_last_dimension_that_is_not_contiguous(op: str, device: Any) -> None:
    arrays = on(device, inputs()[op])
    arrays["hidden"] = torch.randn(8, 80, device=device)[:, ::2]
    with pytest.raises(ValueError, match="_head: hidden must be contiguous in its last"):
        call(op, arrays)


def test_shapes_and_dtypes_that_do_not_fit(device: Any) -> None:
    hidden, weight = torch.randn(4, 40, device=device), torch.randn(2, 41, device=device)
    with pytest.raises(ValueError, match=re.escape("weight must have shape [k, 40] to match hid")):
        stepscore.value_head(hidden, weight)
    last = (torch.randn(1, 2, device=device), None)
    with pytest.raises(ValueError, match=re.escape("weight must have shape [k, 40] to match hid")):
        stepscore.mlp_head(hidden, [(weight, None), last])
    with pytest.raises(ValueError, match="layers must hold at least one"):
        stepscore.mlp_head(hidden, [])
    with pytest.raises(TypeError, match="mlp_head: weight must be float32 or float16 or bfloat16"):
        stepscore.mlp_head(hidden, [(weight[:, :40].int(), None), last])
    with pytest.raises(TypeError, match="value_head: hidden"):
        stepscore.value_head(hidden.double(), weight[:, :40].contiguous())
    with pytest.raises(ValueError, match="requires grad"):
        stepscore.value_head(hidden.requires_grad_(), weight[:, :40].contiguous())


@pytest.mark.parametrize("stream", ["0", 1.5, object(), True, -1])
def test_a_stream_that_is_none(stream: Any, device: Any) -> None:
    with pytest.raises(TypeError, match="aggregate: stream must be an integer or an object with"):
        stepscore.aggregate(
            torch.ones(2, device=device), torch.tensor([0, 2], device=device), "min", stream=stream
        )


class Says:
    """A stream object that gives this by the protocol."""

    def __init__(self, said: Any) -> None:
        self.said = said

    def __cuda_stream__(self) -> Any:
        return self.said


@pytest.mark.parametrize("said", [(1, 0), 5, (0,), (0, "handle"), None])
def test_a_stream_object_of_another_protocol(said: Any, device: Any) -> None:
    with pytest.raises(TypeError, match=r"aggregate: stream.__cuda_stream__ must give \(0, handl"):
        stepscore.aggregate(
            torch.ones(2, device=device),
            torch.tensor([0, 2], device=device),
            "min",
            stream=Says(said),
        )


def test_a_closed_stream_object(device: Any) -> None:
    with pytest.raises(stepscore.DeviceError, match="aggregate: stream is closed"):
        stepscore.aggregate(
            torch.ones(2, device=device),
            torch.tensor([0, 2], device=device),
            "min",
            stream=Says((0, None)),
        )


FREED = """
import ctypes, sys
import torch
import stepscore
values, offsets = torch.ones(2, device="cuda"), torch.tensor([0, 2], device="cuda")
out = torch.full((3, 1), 7.0, device="cuda")
runtime, handle = torch.cuda.cudart(), ctypes.c_void_p()
assert int(runtime.cudaStreamCreate(ctypes.addressof(handle))) == 0
assert int(runtime.cudaStreamDestroy(handle.value)) == 0
try:
    stepscore.aggregate(values, offsets, ["min"], out=out[1:2], stream=handle.value)
except stepscore.DeviceError as error:
    print(error)
assert out[0] == 7.0 and out[2] == 7.0
"""


def test_a_freed_stream(device: Any) -> None:
    """The handle of a stream that is gone; in a process of its own, for CUDA promises nothing."""
    done = subprocess.run(
        [sys.executable, "-c", FREED], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("aggregate: CUDA: "), done.stdout


def test_more_reductions_than_one_pass_makes(device: Any) -> None:
    values, offsets = torch.ones(2, device=device), torch.tensor([0, 2], device=device)
    with pytest.raises(ValueError, match="aggregate: at most 16 aggregations in one call on CUDA"):
        stepscore.aggregate(values, offsets, ["min"] * 17)


# --- contents, which are known on the device only -------------------------------------------

FAR = [-1, 8, 2**62, -(2**63)]


@pytest.fixture(params=[False, True], ids=["unchecked", "checked"])
def checked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setenv("STEPSCORE_CUDA_CHECK", "1" if request.param else "0")
    return bool(request.param)


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_position_out_of_range(far: int, layers: int, checked: bool, device: Any) -> None:
    hidden = torch.from_numpy(normal(8, 40)).to(device)
    weights = [torch.randn(40, 40, device=device)] * (layers - 1)
    pairs = [(weight, None) for weight in [*weights, torch.randn(2, 40, device=device)]]
    positions = torch.tensor([0, 7, far, 3], device=device)
    guarded = torch.full((3, 4, 2), 7.0, device=device)
    if checked:
        with pytest.raises(ValueError, match=r"_head: positions 2 is not valid; the same call on"):
            stepscore.mlp_head(hidden, pairs, positions=positions, out=guarded[1])
    else:
        got = stepscore.mlp_head(hidden, pairs, positions=positions, out=guarded[1])
        expected = stepscore.mlp_head(hidden, pairs, positions=positions[[0, 1, 3]])
        torch.testing.assert_close(got[[0, 1, 3]], expected, rtol=1e-4, atol=1e-3)
        assert torch.isnan(got[2]).all()
    assert torch.all(guarded[[0, 2]] == 7.0)


def test_positions_where_there_are_no_rows(device: Any) -> None:
    hidden = torch.zeros(0, 40, device=device)
    positions = torch.tensor([0, 1], device=device)
    last = (torch.randn(1, 40, device=device), None)
    for layers in ([last], [(torch.randn(40, 40, device=device), None), last]):
        assert torch.isnan(stepscore.mlp_head(hidden, layers, positions=positions)).all()


OUTSIDE = [[0, 3, 9], [0, -1, 8], [0, 2**62, 8], [5, 3, 8], [-(2**62), 3, 8]]


@pytest.mark.parametrize("offsets", OUTSIDE, ids=str)
@pytest.mark.parametrize("op", ["aggregate", "find_steps", "vote"])
def test_offsets_that_lead_outside(op: str, offsets: list[int], checked: bool, device: Any) -> None:
    arrays = on(device, inputs()[op])
    arrays["offsets"] = torch.tensor(offsets, device=device)
    arrays.pop("window", None)
    options = {"max_steps": 20} if op == "find_steps" else {}
    if checked:
        with pytest.raises(ValueError, match=f"{op}: \\w+ \\d+ is not valid; the same call on the"):
            call(op, arrays, **options)
        return
    got = call(op, arrays, **options)
    inside = [0 <= begin <= end <= 8 for begin, end in pairwise(offsets)]
    if op == "find_steps":
        positions, step_offsets = got
        counts = step_offsets.diff().tolist()
        assert all(count == 0 for count, good in zip(counts, inside, strict=True) if not good)
        assert torch.all(positions[int(step_offsets[-1]) :] == -1)
    elif op == "vote":
        assert [bool((row >= 0).all()) for row in got[0]] == inside
    else:
        assert [not bool(torch.isnan(row).any()) for row in got[0]] == inside
    torch.cuda.synchronize()


@pytest.mark.parametrize("op", sorted(inputs()))
def test_checked_calls_of_good_input_are_quiet(
    op: str, device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPSCORE_CUDA_CHECK", "1")
    call(op, on(device, inputs()[op]))


def test_a_checked_call_names_the_first_fault(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPSCORE_CUDA_CHECK", "1")
    values = torch.full((10_000,), 0.5, device=device)
    values[[77, 78, 9_000]] = float("nan")
    offsets = torch.arange(10_001, device=device)
    for _ in range(3):
        with pytest.raises(ValueError, match="aggregate: segment 77 is not valid"):
            stepscore.aggregate(values, offsets, "min")


@pytest.mark.filterwarnings("ignore:The CUDA Graph is empty")
def test_a_checked_call_cannot_be_captured(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    values, offsets = torch.ones(2, device=device), torch.tensor([0, 2], device=device)
    stepscore.aggregate(values, offsets, "min")
    torch.cuda.synchronize()
    monkeypatch.setenv("STEPSCORE_CUDA_CHECK", "1")
    graph = torch.cuda.CUDAGraph()
    with (
        pytest.raises(stepscore.DeviceError, match="STEPSCORE_CUDA_CHECK=1 waits for the stream"),
        torch.cuda.graph(graph),
    ):
        stepscore.aggregate(values, offsets, "min")
    monkeypatch.setenv("STEPSCORE_CUDA_CHECK", "0")
    graph, got = captured(lambda: stepscore.aggregate(values, offsets, "min"))
    graph.replay()
    assert got.tolist() == [1.0]
