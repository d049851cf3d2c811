"""A GPU without torch: hidden states in a cuda.core buffer -> step scores -> votes.

The ops take any array that shows itself by DLPack, here memory that cuda.core allocated, and run on
the stream that they are given. Without a GPU this says why, and does the same on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import stepscore

# What a model has left: a hidden state for every token of 2 problems x 3 candidates x 20 tokens.
draw = np.random.default_rng(0)
on_cpu = {
    "hidden": draw.standard_normal((120, 64), dtype=np.float32),
    "weight": draw.standard_normal((1, 64), dtype=np.float32) / 8,
    "step_ends": np.arange(4, 120, 5),  # a step ends every 5 tokens
    "step_offsets": np.arange(0, 25, 4),  # 4 steps a candidate
    "candidates": np.array([0, 3, 6]),  # where each problem's candidates begin and end
    "answers": np.array([7, 7, 3, 2, 5, 5]),  # the id of each candidate's answer
}


def step_scores(arrays: dict[str, Any], **options: Any) -> Any:
    """A score in (0, 1) for every step: ``[steps, 1]``."""
    return stepscore.value_head(
        arrays["hidden"],
        arrays["weight"],
        positions=arrays["step_ends"],
        activation="sigmoid",
        **options,
    )


def winners(arrays: dict[str, Any], traces: Any, **options: Any) -> Any:
    """The candidate that wins each problem."""
    result = stepscore.vote(arrays["answers"], traces, arrays["candidates"], "weighted", **options)
    return result.winner


def on_gpu() -> tuple[np.ndarray, np.ndarray]:
    """The same calls over memory of cuda.core, on a stream of its own."""
    from cuda.core import Buffer, Device
    from cuda.core.utils import StridedMemoryView

    device = Device(0)
    device.set_current()
    stream = device.create_stream()

    def view_of(buffer: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        dtype = np.dtype(dtype)
        return StridedMemoryView.from_buffer(buffer, shape, itemsize=dtype.itemsize, dtype=dtype)

    def buffer_of(array: Any) -> Any:
        """Memory that somebody else owns: of NumPy, or lent by a result of ours."""
        if isinstance(array, np.ndarray):
            return Buffer.from_handle(array.ctypes.data, array.nbytes, owner=array)
        lent = StridedMemoryView.from_dlpack(array, stream_ptr=int(stream.handle))
        size = int(np.prod(array.shape)) * np.dtype(array.dtype).itemsize
        return Buffer.from_handle(lent.ptr, size, owner=lent)

    def to_gpu(array: np.ndarray) -> Any:
        buffer = device.allocate(array.nbytes, stream=stream)
        buffer.copy_from(buffer_of(array), stream=stream)
        return view_of(buffer, array.shape, array.dtype)

    def to_cpu(result: Any) -> np.ndarray:
        array = np.empty(result.shape, result.dtype)
        buffer_of(result).copy_to(buffer_of(array), stream=stream)
        stream.sync()
        return array

    arrays = {name: to_gpu(array) for name, array in on_cpu.items()}
    steps = step_scores(arrays, stream=stream)  # [steps, 1], and a column of it: the same memory
    column = view_of(buffer_of(steps), (steps.shape[0],), steps.dtype)
    traces = stepscore.aggregate(column, arrays["step_offsets"], "min", stream=stream)
    # Votes are summed in float64, and without a framework nobody converts on the GPU.
    in_double = to_gpu(to_cpu(traces).astype(np.float64))
    return to_cpu(steps), to_cpu(winners(arrays, in_double, stream=stream))


steps = step_scores(on_cpu)
traces = stepscore.aggregate(steps[:, 0], on_cpu["step_offsets"], "min")
print("on the CPU: candidates", winners(on_cpu, traces), "win, of scores", traces.round(2))

try:
    names = ", ".join(device.name for device in stepscore.cuda_devices())
    usable, reason = stepscore.cuda_available()
    if not usable:
        raise stepscore.DeviceError(reason)
except stepscore.DeviceError as error:
    print("not on a GPU:", error)
else:
    steps_there, winners_there = on_gpu()
    np.testing.assert_allclose(steps_there, steps, rtol=1e-5, atol=1e-6)
    print(f"on {names}: candidates", winners_there, "win")
