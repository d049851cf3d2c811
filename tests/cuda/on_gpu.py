"""What the GPU tests share: moving arrays, comparing bits, waiting and not waiting."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

A_WHILE = 400_000_000  # clock cycles, a few tenths of a second


def on(device: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays as tensors of the device."""
    return {name: torch.as_tensor(array).to(device) for name, array in arrays.items()}


def host(tensor: Any) -> np.ndarray:
    return tensor.cpu().numpy()


def same_bits(got: Any, expected: Any) -> bool:
    """Whether the numbers have the same bits; a NaN equals any other NaN."""
    ours, theirs = host(torch.as_tensor(got)), host(torch.as_tensor(expected))
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if ours.dtype.kind == "f":
        ours, theirs = (np.where(np.isnan(a), np.float64("nan"), a) for a in (ours, theirs))
    return np.ascontiguousarray(ours).tobytes() == np.ascontiguousarray(theirs).tobytes()


@contextmanager
def no_synchronisation() -> Iterator[None]:
    """Any wait of torch for the device is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls the mode a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def synchronisations(call: Callable[[], Any]) -> int:
    """How often torch waits for the device during a call."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            call()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(warning.message) for warning in seen)


def captured(call: Callable[[], Any]) -> tuple[Any, Any]:
    """A CUDA graph of the call, and the results that every replay fills."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # kernels are loaded on first use, which a capture forbids
        call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = call()
    return graph, results
