"""The kinds of arrays that the public functions tell apart, for type checkers.

What an op gives is an array like its first one: of NumPy for a `HostArray`, a tensor for a tensor.
What it gives for a `ForeignArray` depends on where that is, so that it has no type here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, SupportsFloat, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays.foreign import DeviceArray

if TYPE_CHECKING:
    # Where torch is not installed a type checker takes it for Any, which NumPy's overloads precede.
    from torch import Tensor as Tensor
else:
    Tensor = Any

Real = TypeVar("Real", np.float32, np.float64)


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
