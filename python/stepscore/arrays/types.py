"""The kinds of arrays that the public functions tell apart, for type checkers.

What an op gives is an array like its first one: of NumPy for a `HostArray`, a tensor for a
`TensorLike`. What it gives for a `ForeignArray` depends on where that is, so that it has no type
here. All of them are told by their shape, so that nothing needs torch, not even a type checker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, SupportsFloat, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays.foreign import DeviceArray

Real = TypeVar("Real", np.float32, np.float64)
Tensor = TypeVar("Tensor")
TensorOut = TypeVar("TensorOut", covariant=True)


class TensorLike(Protocol[TensorOut]):
    """A tensor of torch, or a subclass; what comes back is what its own methods give."""

    @property
    def requires_grad(self) -> bool:
        """Whether it is part of a graph."""

    def cpu(self) -> TensorOut:
        """The tensor on the CPU."""


class SupportsNumpy(Protocol):
    """A column of pandas, polars or Arrow."""

    def to_numpy(self) -> Any:
        """The column as an array of NumPy."""


class SupportsCuda(Protocol):
    """An array on a CUDA device, as CuPy and Numba show theirs."""

    @property
    def __cuda_array_interface__(self) -> Any:
        """Pointer, shape and type."""


class SupportsSharding(Protocol):
    """An array of JAX."""

    @property
    def sharding(self) -> Any:
        """The devices that hold it."""


HostArray: TypeAlias = (
    "NDArray[Any] | Sequence[SupportsFloat] | Sequence[Sequence[SupportsFloat]] | SupportsNumpy"
)
ForeignArray: TypeAlias = DeviceArray | SupportsCuda | SupportsSharding
