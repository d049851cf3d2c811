"""Arrays of CuPy, JAX and cuda.core, in and out by DLPack."""

from __future__ import annotations

import gc
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
from on_gpu import A_WHILE, same_bits
from op_calls import normal

import stepscore

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours

torch = pytest.importorskip("torch")

HIDDEN, WEIGHT = normal(50, 128), normal(2, 128, seed=1)
POSITIONS = np.array([49, 0, 7, 7])
VALUES = np.random.default_rng(0).random(200).astype(np.float32)
OFFSETS = np.array([0, 3, 3, 150, 200])


def imported(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


def check_head(result: Any) -> None:
    assert isinstance(result, stepscore.DeviceArray)
    assert result.shape == (4, 2)
    assert result.dtype == "float32"
    assert result.__dlpack_device__() == (2, 0)
    expected = stepscore.value_head(HIDDEN, WEIGHT, positions=POSITIONS)
    np.testing.assert_allclose(torch.from_dlpack(result).cpu(), expected, rtol=1e-5, atol=1e-5)


def test_cupy(device: Any) -> None:
    cupy = imported("cupy")
    hidden, weight, positions = (cupy.asarray(a) for a in (HIDDEN, WEIGHT, POSITIONS))
    check_head(stepscore.value_head(hidden, weight, positions=positions))
    out = cupy.empty((4, 2), dtype=cupy.float32)
    assert stepscore.value_head(hidden, weight, positions=positions, out=out) is out
    again = cupy.from_dlpack(stepscore.value_head(hidden, weight, positions=positions))
    assert bool((again == out).all())

    values, offsets = cupy.asarray(VALUES), cupy.asarray(OFFSETS)
    got = cupy.from_dlpack(stepscore.aggregate(values, offsets, ["min", "prod"]))
    assert same_bits(cupy.asnumpy(got), stepscore.aggregate(VALUES, OFFSETS, ["min", "prod"]))

    ids = cupy.asarray(np.arange(200) % 5)
    rules = ["majority", "weighted"]
    result = stepscore.vote(ids, values.astype(cupy.float64), offsets, rules, class_scores=True)
    expected = stepscore.vote(np.arange(200) % 5, VALUES, OFFSETS, rules, class_scores=True)
    for ours, theirs in zip(result, expected, strict=True):
        assert same_bits(cupy.asnumpy(cupy.from_dlpack(ours)), theirs)

    positions, step_offsets = stepscore.find_steps(ids, offsets, 4, max_steps=50)
    found, ends = stepscore.find_steps(np.arange(200) % 5, OFFSETS, 4, max_steps=50)
    assert same_bits(cupy.asnumpy(cupy.from_dlpack(positions)), found)
    assert same_bits(cupy.asnumpy(cupy.from_dlpack(step_offsets)), ends)
    with pytest.raises(ValueError, match="without torch, CUDA arrays need max_steps"):
        stepscore.find_steps(ids, offsets, 4)


def test_cupy_on_a_stream_of_its_own(device: Any) -> None:
    cupy = imported("cupy")
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        hidden, weight, positions = (cupy.asarray(a) for a in (HIDDEN, WEIGHT, POSITIONS))
        result = stepscore.value_head(hidden, weight, positions=positions, stream=stream.ptr)
    check_head(result)
    del result
    stream.synchronize()


def test_results_are_inputs_and_outlive_their_source(device: Any) -> None:
    cupy = imported("cupy")
    offsets = cupy.asarray(OFFSETS)
    once = stepscore.aggregate(cupy.asarray(VALUES), offsets, ["mean"])
    column = torch.from_dlpack(once)
    expected = stepscore.aggregate(VALUES, OFFSETS, ["mean"])
    del once
    torch.empty(1_000_000, device=device).fill_(3.0)
    assert same_bits(column, expected)
    head = stepscore.value_head(cupy.asarray(HIDDEN), cupy.asarray(WEIGHT))
    again = stepscore.value_head(head, cupy.eye(2, dtype=cupy.float32))
    assert torch.equal(torch.from_dlpack(head), torch.from_dlpack(again))


def test_a_result_is_lent_where_it_is(device: Any) -> None:
    cupy = imported("cupy")
    result = stepscore.aggregate(cupy.asarray(VALUES), cupy.asarray(OFFSETS), ["min"])
    with pytest.raises(BufferError, match="DeviceArray lends its memory where it is"):
        result.__dlpack__(dl_device=(1, 0))
    with pytest.raises(BufferError, match="DeviceArray lends its memory where it is"):
        result.__dlpack__(copy=True)
    assert repr(result) == "DeviceArray(shape=(4, 1), dtype=float32, cuda:0)"
    for stream in (None, -1, 1, 2, torch.cuda.Stream().cuda_stream):
        result.__dlpack__(stream=stream)  # nobody takes it: it is given back with the capsule


def test_memory_lent_to_another_stream_is_not_reused_under_it(device: Any) -> None:
    cupy = imported("cupy")
    values, offsets = cupy.full(1_000_000, 0.5, cupy.float32), cupy.arange(1_000_001)
    stepscore.aggregate(values, offsets, ["min"])  # kernels are loaded now
    reader = torch.cuda.Stream()
    result = stepscore.aggregate(values, offsets, ["min"])
    with torch.cuda.stream(reader):
        lent = torch.from_dlpack(result)
        torch.cuda._sleep(A_WHILE)
        seen = lent.clone()
    del lent, result  # while the copy still waits
    kept = [stepscore.aggregate(values + 0.25, offsets, ["max"]) for _ in range(3)]
    reader.synchronize()
    assert torch.all(seen == 0.5)
    assert len(kept) == 3


def test_a_stream_object_outlives_what_is_freed_on_it(device: Any) -> None:
    cupy = imported("cupy")
    stream = cupy.cuda.Stream(non_blocking=True)
    owner = weakref.ref(stream)
    values, offsets = cupy.asarray(VALUES), cupy.asarray(OFFSETS)
    cupy.cuda.runtime.deviceSynchronize()

    class Owner:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __cuda_stream__(self) -> tuple[int, int]:
            return 0, self.stream.ptr

    result = stepscore.aggregate(values, offsets, ["min"], stream=Owner(stream))
    del stream
    gc.collect()
    assert owner() is not None
    assert same_bits(torch.from_dlpack(result), stepscore.aggregate(VALUES, OFFSETS, ["min"]))
    del result
    gc.collect()
    assert owner() is None


def test_results_of_a_captured_stream_need_memory_of_the_caller(device: Any) -> None:
    cupy = imported("cupy")
    values, offsets = cupy.asarray(VALUES), cupy.asarray(OFFSETS)
    out = cupy.zeros((4, 1), cupy.float32)
    stepscore.aggregate(values, offsets, ["min"], out=out)
    stream = cupy.cuda.Stream(non_blocking=True)
    out[:] = 7.0
    cupy.cuda.runtime.deviceSynchronize()
    with stream:
        stream.begin_capture()
        with pytest.raises(stepscore.DeviceError, match=r"aggregate: .* is being captured"):
            stepscore.aggregate(values, offsets, ["min"], stream=stream.ptr)
        stepscore.aggregate(values, offsets, ["min"], out=out, stream=stream.ptr)
        graph = stream.end_capture()
        graph.launch(stream)
    stream.synchronize()
    assert same_bits(cupy.asnumpy(out), stepscore.aggregate(VALUES, OFFSETS, ["min"]))


def test_dtypes_are_not_converted_for_other_frameworks(device: Any) -> None:
    cupy = imported("cupy")
    with pytest.raises(TypeError, match="aggregate: offsets must be int64; got int32"):
        stepscore.aggregate(cupy.asarray(VALUES), cupy.asarray(OFFSETS, dtype=cupy.int32), "min")
    with pytest.raises(TypeError, match="aggregate: values: unsupported DLPack type"):
        stepscore.aggregate(cupy.zeros(3, dtype=cupy.complex64), cupy.asarray([0, 3]), "min")
    strided = cupy.asarray(VALUES)[::2]
    with pytest.raises(ValueError, match="aggregate: values must be contiguous in its last dim"):
        stepscore.aggregate(strided, cupy.asarray([0, 100]), "min")


def test_jax(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    jax = imported("jax")
    try:
        chip = jax.devices("cuda")[0]
    except RuntimeError as error:
        pytest.skip(f"this JAX has no CUDA: {error}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jax.config.update("jax_enable_x64", True)  # offsets are int64
    hidden, weight, positions, values, offsets = (
        jax.device_put(a, chip) for a in (HIDDEN, WEIGHT, POSITIONS, VALUES, OFFSETS)
    )
    check_head(stepscore.value_head(hidden, weight, positions=positions))
    half = hidden.astype(jax.numpy.bfloat16)
    got = jax.dlpack.from_dlpack(stepscore.value_head(half, weight, positions=positions))
    assert got.shape == (4, 2)
    np.testing.assert_allclose(
        np.asarray(got), stepscore.value_head(HIDDEN, WEIGHT, positions=POSITIONS), atol=0.2
    )
    with pytest.raises(ValueError, match="aggregate: out is read-only"):
        stepscore.aggregate(values, offsets, ["min"], out=jax.numpy.zeros((4, 1), "float32"))
    result = stepscore.aggregate(values, offsets, ["min", "mean"])
    expected = stepscore.aggregate(VALUES, OFFSETS, ["min", "mean"])
    assert same_bits(np.array(jax.dlpack.from_dlpack(result)), expected)


def test_cuda_core(device: Any) -> None:
    core = imported("cuda.core")
    utils = imported("cuda.core.utils")
    view_of = getattr(utils, "StridedMemoryView", None)
    if not hasattr(core, "Device") or not hasattr(view_of, "__dlpack__"):
        pytest.skip("this cuda.core has no arrays that show themselves by DLPack")
    chip = core.Device(0)
    chip.set_current()
    stream = chip.create_stream()
    views = []
    for array in (VALUES, OFFSETS):
        buffer = chip.allocate(array.nbytes, stream=stream)
        view = view_of.from_buffer(
            buffer, array.shape, itemsize=array.dtype.itemsize, dtype=array.dtype
        )
        torch.from_dlpack(view).copy_(torch.from_numpy(array))
        views.append(view)
    torch.cuda.synchronize()
    result = stepscore.aggregate(*views, ["min", "max"], stream=stream)
    expected = stepscore.aggregate(VALUES, OFFSETS, ["min", "max"])
    assert same_bits(torch.from_dlpack(result), expected)
    del result
    stream.sync()
