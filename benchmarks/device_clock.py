"""Time on a device: events of cuda.core where it is installed, else torch's; a CPU's own clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

# Dense bfloat16 products of a card without sparsity, FLOP/s, as its data sheet gives them; the
# first name that is part of the device's own.
PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "A10G": 70e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "T4": 65e12,
}


def peak_of(name: str) -> float | None:
    """The arithmetic of a card, by its name; None for one that is not in the list."""
    return next((peak for card, peak in PEAKS.items() if card in name), None)


def milliseconds(run: Callable[[], Any], device: str) -> float:
    """One run."""
    if device == "cpu":
        begin = time.perf_counter()
        run()
        return (time.perf_counter() - begin) * 1e3
    stream = core_stream()
    if stream is not None:
        options = core_event_options()
        begin_event = stream.record(options=options)
        run()
        end_event = stream.record(options=options)
        end_event.sync()
        return float(end_event - begin_event)
    begin_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin_event.record()
    run()
    end_event.record()
    end_event.synchronize()
    return float(begin_event.elapsed_time(end_event))


def clock_name(device: str) -> str:
    """Whose clock it is, for the table."""
    if device == "cpu":
        return "time.perf_counter"
    return "torch.cuda.Event" if core_stream() is None else "cuda.core.Event"


@cache
def core_event_options() -> Any:
    """Events that keep the time."""
    from cuda.core import EventOptions

    return EventOptions(timing_enabled=True)


@cache
def core_stream() -> Any:
    """torch's current stream as one of cuda.core; None where that cannot be."""
    try:
        from cuda.core import Device, Stream

        core_event_options()
        Device(torch.cuda.current_device()).set_current()
        handle = torch.cuda.current_stream().cuda_stream
        return Stream.from_handle(handle) if handle else Device().default_stream
    except Exception as error:  # an older cuda.core, or none: torch's events do as well
        print(f"cuda.core keeps no time here ({type(error).__name__}: {error}); torch does")
        return None


def wait(device: str) -> None:
    """Wait for all that the device was given."""
    if device != "cpu":
        torch.cuda.synchronize()


def free(device: str) -> None:
    """Give memory back that nobody uses."""
    if device != "cpu":
        torch.cuda.empty_cache()
