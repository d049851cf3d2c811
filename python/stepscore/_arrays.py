"""Arrays of NumPy and torch as the compiled core sees them: pointer, dtype, shape, strides."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from stepscore import _core
from stepscore._device import DeviceError, cuda_available

if TYPE_CHECKING:
    import torch


def is_torch(value: Any) -> bool:
    """Whether the value is a torch tensor; never imports torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _on_cpu(op: str, argument: str, tensor: torch.Tensor) -> None:
    if tensor.is_cpu:
        return
    if tensor.device.type == "cuda":
        usable, reason = cuda_available()
        if usable:
            reason = f"this version has no CUDA kernel for {op}"
        raise DeviceError(
            f"{op}: {argument} is on {tensor.device}, and the CUDA ops are not usable: {reason}; "
            f"pass {argument}.cpu() to compute on the CPU"
        )
    raise DeviceError(f"{op}: {argument} is on {tensor.device}; pass {argument}.cpu()")


def _no_grad(op: str, argument: str, tensor: torch.Tensor) -> None:
    if tensor.requires_grad and sys.modules["torch"].is_grad_enabled():
        raise ValueError(
            f"{op}: {argument} requires grad, but {op} has no backward pass; call it under "
            f"torch.no_grad(), or pass {argument}.detach()"
        )


def array(op: str, argument: str, value: Any) -> Any:
    """The value itself if it is an array of a known framework, else a NumPy array of it."""
    if is_torch(value):
        _on_cpu(op, argument, value)
        _no_grad(op, argument, value)
        return value
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
    if not made.dtype.isnative:
        made = made.astype(made.dtype.newbyteorder("="))
    return made


# By character code: `str(dtype)` costs more than some of the ops.
_NAMES = {char: np.dtype(char).name for char in "efdilq"}
_TORCH_NAMES: dict[Any, str] = {}


def dtype_name(value: Any) -> str:
    """``float32`` and so on, whatever the framework."""
    dtype = value.dtype
    if isinstance(dtype, np.dtype):
        return _NAMES.get(dtype.char) or dtype.name
    name = _TORCH_NAMES.get(dtype)
    if name is None:
        name = _TORCH_NAMES[dtype] = str(dtype).removeprefix("torch.")
    return name


def integers(op: str, argument: str, value: Any) -> Any:
    """A contiguous int64 array; refuses anything that is not of an integer type."""
    made = array(op, argument, value)
    name = dtype_name(made)
    if name == "int64":
        return made.contiguous() if is_torch(made) else np.ascontiguousarray(made)
    if name in ("int32", "int16", "int8", "uint8", "uint16", "uint32"):
        return made.long() if is_torch(made) else made.astype(np.int64)
    if made.shape and made.shape[0] == 0 and not is_torch(made):  # np.asarray([]) is float64
        return np.zeros(made.shape, dtype=np.int64)
    raise TypeError(f"{op}: {argument} must hold integers; got {name}")


def contiguous(value: Any, dtype: str) -> Any:
    """The value as a contiguous array of the dtype, copied only when it is not one already."""
    if is_torch(value):
        import torch

        return value.to(getattr(torch, dtype)).contiguous()
    return np.ascontiguousarray(value, dtype=dtype)


def empty(like: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """A new array of the framework of `like`."""
    if is_torch(like):
        import torch

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
