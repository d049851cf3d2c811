"""Arrays of ops that run on the CPU alone, read into NumPy: what fits is passed on as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays.call import Call
from stepscore.arrays.device import DeviceError


def host_integers(op: str, argument: str, value: Any) -> NDArray[np.int64]:
    """A contiguous int64 array of NumPy."""
    if type(value) is np.ndarray and value.dtype == np.int64 and value.flags.c_contiguous:
        return value
    call = Call(op)
    return np.asarray(call.integers(argument, _on_host(call, argument, value)))


def host_reals(op: str, argument: str, value: Any) -> NDArray[np.float64]:
    """A contiguous float64 array of NumPy."""
    if type(value) is np.ndarray and value.dtype == np.float64 and value.flags.c_contiguous:
        return value
    call = Call(op)
    # Widened before it becomes NumPy's, which knows no bfloat16.
    return np.asarray(call.contiguous(argument, _on_host(call, argument, value), "float64"))


def host_bools(op: str, argument: str, value: Any) -> NDArray[np.bool_]:
    """A contiguous array of bools of NumPy."""
    array = np.asarray(_on_host(Call(op), argument, value))
    if array.dtype != np.bool_ and array.size:
        raise TypeError(f"{op}: {argument} must hold bools; got {array.dtype.name}")
    return np.asarray(array, np.bool_, order="C")


def host_counts(op: str, argument: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """One number for all, or one for each."""
    if type(value) is int:
        return np.full(shape, value)
    counts = host_integers(op, argument, value)
    return np.full(shape, counts) if counts.ndim == 0 else counts


def _on_host(call: Call, argument: str, value: Any) -> Any:
    array = call.array(argument, value)
    if call.on_cuda:
        raise DeviceError(f"{call.op}: {argument} is on a GPU; pass it on the CPU")
    return array
