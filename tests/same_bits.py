"""What "the same bits" means, and where it must hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import stepscore
from stepscore import _core

LEVELS = ("baseline", "avx2", "avx512")
THREADS = (1, 2, 3, 7)


def bits(array: Any) -> bytes:
    """The bytes of an array of any kind."""
    return np.ascontiguousarray(array).tobytes()


def bits_everywhere(levels: list[str], call: Callable[[], Any]) -> bytes:
    """The bits of a call, after checking that neither level nor thread count changes them."""
    expected = None
    _core.set_least_work(0)  # however small the input is
    for level in levels:
        _core.set_cpu_level(level)
        for threads in THREADS:
            stepscore.set_num_threads(threads)
            got = bits(call())
            expected = got if expected is None else expected
            assert got == expected, f"bits differ at level {level} with {threads} threads"
    assert expected is not None
    return expected
