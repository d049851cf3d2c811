"""Which compiled backends are usable here."""

from __future__ import annotations

import functools
import os
from typing import Any

from stepscore import _core
from stepscore.errors import InputError

DeviceError = _core.DeviceError


@functools.cache
def cuda_available() -> tuple[bool, str]:
    """Whether the compiled CUDA ops can run here, and why not.

    Returns:
        ``(True, names of the devices)`` or ``(False, reason)``: not built, no driver, a driver
        that is too old, or no device.
    """
    try:
        from stepscore import _cuda
    except ImportError as error:
        return False, f"this build of stepscore has no CUDA module ({error})"
    available, reason = _cuda.probe_device()
    return available, reason


def cuda_module() -> Any:
    """The compiled CUDA ops.

    Raises:
        DeviceError: they cannot run here; the message is the reason.
    """
    usable, reason = cuda_available()
    if not usable:
        raise DeviceError(reason)
    from stepscore import _cuda

    return _cuda


def num_threads() -> int:
    """Threads that the CPU ops use: ``STEPSCORE_NUM_THREADS``, or the processors allowed."""
    return _core.num_threads()


def set_num_threads(threads: int) -> None:
    """Set the number of threads of the CPU ops. No result depends on it.

    Raises:
        ValueError: fewer than 1 or more than 1024.
    """
    _core.set_num_threads(threads)


def cpu_level() -> str:
    """The instruction level in force: ``avx512``, ``avx2`` or ``baseline``.

    It is the best of this machine, or the one that the environment variable ``STEPSCORE_CPU``
    names. Every level gives the same bits.
    """
    return _core.cpu_level()


def check_environment() -> None:
    """Refuse what the environment sets wrongly, before it looks like a fault of the input.

    Raises:
        InputError: ``STEPSCORE_NUM_THREADS`` or ``STEPSCORE_CPU``, with what it may be.
    """
    for name, read, expected in (
        ("STEPSCORE_NUM_THREADS", num_threads, "a number from 1 to 1024"),
        ("STEPSCORE_CPU", cpu_level, "baseline, avx2 or avx512, and one that this processor has"),
    ):
        try:
            read()
        except _core.InvalidArgument as error:
            raise InputError(
                expected,
                got=repr(os.environ.get(name, "")),
                advice=f"type: unset {name}",
                where=f"the environment variable {name}",
            ) from error
