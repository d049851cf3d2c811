"""Arrays of NumPy and torch as the compiled core sees them: pointer, dtype, shape, strides."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stepscore import _core
from stepscore._device import DeviceError, cuda_available

if TYPE_CHECKING:
    import torch

# By character code: `str(dtype)` costs more than some of the ops.
_NUMPY_NAMES = {char: np.dtype(char).name for char in "efdilq"}
_TORCH_NAMES: dict[Any, str] = {}


def is_torch(value: Any) -> bool:
    """Whether the value is a torch tensor; never imports torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def array(op: str, argument: str, value: Any) -> Any:
    """The value itself if it is an array of a known framework, else a NumPy array of it."""
    if is_torch(value):
        return _tensor(op, argument, value)
    if type(value) is np.ndarray:
        made = value
    elif hasattr(value, "__cuda_array_interface__"):
        raise DeviceError(
            f"{op}: {argument} is a {type(value).__name__} on a CUDA device, which this version "
            f"does not take; pass it as a NumPy array or a torch tensor"
        )
    else:
        try:
            made = np.asarray(value)
        except ValueError as error:  # a list of lists of different lengths
            raise ValueError(
                f"{op}: {argument} must be an array; got a {type(value).__name__} that NumPy "
                f"cannot read ({error}); ragged data is passed flat, with offsets"
            ) from error
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{op}: {argument} is a masked array; fill or compress it first")
    if made.dtype.kind not in "fiub" and made.dtype.name != "bfloat16":
        raise TypeError(f"{op}: {argument} must hold numbers; got {made.dtype.name}")
    if not made.dtype.isnative or not made.flags.aligned:
        made = made.astype(made.dtype.newbyteorder("="))
    return made


def _tensor(op: str, argument: str, tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_cpu:
        raise DeviceError(f"{op}: {argument} is on {tensor.device}; {_why_not(tensor)}")
    if tensor.requires_grad and sys.modules["torch"].is_grad_enabled():
        raise ValueError(
            f"{op}: {argument} requires grad, but {op} has no backward pass; call it under "
            f"torch.no_grad(), or pass {argument}.detach()"
        )
    if tensor.is_complex() or tensor.layout is not sys.modules["torch"].strided:
        raise TypeError(
            f"{op}: {argument} must be a dense tensor of numbers; got {tensor.dtype}, "
            f"{tensor.layout}"
        )
    return tensor.resolve_neg()


def _why_not(tensor: torch.Tensor) -> str:
    mend = "pass its .cpu() to compute on the CPU"
    if tensor.device.type != "cuda":
        return mend
    usable, reason = cuda_available()
    if usable:
        reason = "this version has no CUDA kernel for the op"
    return f"the CUDA ops are not usable: {reason}; {mend}"


def dtype_name(value: Any) -> str:
    """``float32`` and so on, whatever the framework."""
    dtype = value.dtype
    if isinstance(dtype, np.dtype):
        return _NUMPY_NAMES.get(dtype.char) or str(dtype.name)
    name = _TORCH_NAMES.get(dtype)
    if name is None:
        name = _TORCH_NAMES[dtype] = str(dtype).removeprefix("torch.")
    return name


def length(value: Any) -> int:
    """Items along the first dimension; 0 for a number, which the core then refuses."""
    return int(value.shape[0]) if len(value.shape) else 0


def integers(op: str, argument: str, value: Any) -> Any:
    """A contiguous int64 array; refuses anything that is not of an integer type."""
    made = array(op, argument, value)
    name = dtype_name(made)
    if name in ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32"):
        return contiguous(made, "int64")
    if 0 in made.shape and not is_torch(made):  # np.asarray([]) is float64
        return np.zeros(made.shape, dtype=np.int64)
    raise TypeError(f"{op}: {argument} must hold integers that fit int64; got {name}")


def contiguous(value: Any, dtype: str) -> Any:
    """The value as a contiguous array of the dtype, copied only when it is not one already."""
    if is_torch(value):
        return value.to(getattr(sys.modules["torch"], dtype)).contiguous()
    return np.asarray(value, dtype=dtype, order="C")  # ascontiguousarray would add a dimension


def output(op: str, value: Any) -> Any:
    """The caller's `out`, which must be written where it stands."""
    if is_torch(value):
        made = _tensor(op, "out", value)
        if made is not value:
            raise ValueError(f"{op}: out is a lazily negated tensor; pass one of its own memory")
        return made
    if not isinstance(value, np.ndarray) or not value.dtype.isnative:
        raise TypeError(
            f"{op}: out must be a NumPy array or a torch tensor in native byte order; got "
            f"{type(value).__name__}"
        )
    if not value.flags.writeable:
        raise ValueError(f"{op}: out is read-only; pass an array that may be written")
    return value


def empty(like: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """A new array of the framework of `like`."""
    if is_torch(like):
        torch = sys.modules["torch"]
        return torch.empty(shape, dtype=getattr(torch, dtype))
    return np.empty(shape, dtype=dtype)


def view(op: str, argument: str, value: Any) -> _core.TensorView:
    """What the core is given. The caller keeps `value` alive."""
    try:
        if is_torch(value):
            name = dtype_name(value)
            return _core.TensorView(value.data_ptr(), name, value.shape, value.stride())
        return _core.TensorView.of_numpy(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{op}: {argument}: {error}") from None


def optional_view(op: str, argument: str, value: Any) -> _core.TensorView | None:
    """`view`, or None for None."""
    return None if value is None else view(op, argument, value)


def names(op: str, argument: str, value: str | Sequence[str]) -> list[str]:
    """One name or several, as a list."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(name, str) for name in found):
        raise TypeError(f"{op}: {argument} must be a name or a list of names; got {value!r}")
    return list(found)


def choice(op: str, argument: str, value: Any, allowed: tuple[str, ...]) -> str:
    """One of the allowed names."""
    if value not in allowed:
        expected = " or ".join(f'"{name}"' for name in allowed)
        raise ValueError(f"{op}: {argument} must be {expected}; got {value!r}")
    return str(value)


def number(op: str, argument: str, value: Any) -> float:
    """A real number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{op}: {argument} must be a number; got {value!r}") from None
