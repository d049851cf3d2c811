"""Arrays of every framework and dtype that a caller may pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Kind:
    """An array type as a caller may pass it."""

    name: str
    make: Callable[[np.ndarray], Any]  # of a float32 array

    def __str__(self) -> str:
        return self.name


def _torch(dtype: str) -> Callable[[np.ndarray], Any]:
    def make(values: np.ndarray) -> Any:
        torch = pytest.importorskip("torch")
        return torch.from_numpy(values).to(getattr(torch, dtype))

    return make


KINDS = [
    Kind("numpy-float32", lambda values: values.astype(np.float32)),
    Kind("numpy-float16", lambda values: values.astype(np.float16)),
    Kind("torch-float32", _torch("float32")),
    Kind("torch-float16", _torch("float16")),
    Kind("torch-bfloat16", _torch("bfloat16")),
]
if find_spec("ml_dtypes") is not None:
    KINDS.append(
        Kind("numpy-bfloat16", lambda values: values.astype(import_module("ml_dtypes").bfloat16))
    )


def exact(array: Any) -> np.ndarray:
    """The float64 values of an array of any kind."""
    if isinstance(array, np.ndarray):
        return array.astype(np.float64)
    return array.detach().double().numpy()
