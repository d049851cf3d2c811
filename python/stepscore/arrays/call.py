"""One call of an op: where it runs, and its arrays as the compiled core sees them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore import _core
from stepscore.arrays.device import DeviceError, cuda_module

# By character code: `str(dtype)` costs more than some of the ops.
_NUMPY_NAMES = {char: np.dtype(char).name for char in "efdilq"}
_TORCH_NAMES: dict[Any, str] = {}
_CPU_QUEUE = _core.Queue()
_DLPACK_CUDA = 2
_LEGACY_STREAM = 1  # what DLPack calls the default stream
_NO_WAIT = -1
_DLPACK_VERSION = (1, 0)  # says what is read-only


def is_torch(value: Any) -> bool:
    """Whether the value is a torch tensor; never imports torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


class DeviceArray:
    """A result on a CUDA device, made without a framework: take it by DLPack.

    ``cupy.from_dlpack(result)``, ``jax.dlpack.from_dlpack(result)`` or
    ``torch.from_dlpack(result)`` share its memory, and their stream waits for it. The memory is
    freed on the stream that the op was given: a stream object is kept alive until then, a stream
    that was given as an integer must live as long. Memory that was lent to another stream waits
    for the device before it is freed.

    Attributes:
        shape: its dimensions; contiguous.
        dtype: ``float32``, ``float64`` or ``int64``.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: str, queue: _core.Queue, stream: Any = None
    ) -> None:
        self._owned = cuda_module().Owned(list(shape), dtype, queue, stream)
        self.shape = tuple(shape)
        self.dtype = dtype

    @property
    def view(self) -> _core.TensorView:
        """What the core is given."""
        view: _core.TensorView = self._owned.view
        return view

    def __dlpack__(
        self, *, stream: int | None = None, dl_device: Any = None, copy: Any = None, **_: Any
    ) -> Any:
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            raise BufferError("DeviceArray lends its memory where it is; copy what it lends")
        if stream is None:
            stream = _LEGACY_STREAM
        return self._owned.dlpack(None if stream == _NO_WAIT else int(stream))

    def __dlpack_device__(self) -> tuple[int, int]:
        return _DLPACK_CUDA, self._owned.device

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, cuda:{self._owned.device})"


class _Borrowed:
    """An array of another library on a CUDA device."""

    def __init__(self, value: Any, stream: int) -> None:
        stream = stream or _LEGACY_STREAM
        try:
            capsule = value.__dlpack__(stream=stream, max_version=_DLPACK_VERSION)
        except TypeError:  # a library older than versions
            capsule = value.__dlpack__(stream=stream)
        self._array = cuda_module().Borrowed(capsule)
        self.read_only: bool = self._array.read_only or not _can_be_written(value)
        self.view = self._array.view
        self.device = self._array.device
        self.shape = tuple(value.shape)
        self.dtype = self.view.dtype


class Call:
    """One call of an op. The first array decides where it runs; all others must be there too."""

    def __init__(self, op: str, stream: Any = None) -> None:
        self.op = op
        self.module: Any = _core
        self.queue = _CPU_QUEUE
        self._stream = stream
        self._handle = 0  # of the stream
        # Of the first array: what the results are like.
        self._like: Any = None
        self._first = ""
        self._device: int | None = None

    @property
    def on_cuda(self) -> bool:
        """Whether the call runs on a CUDA device."""
        return self.module is not _core

    def array(self, argument: str, value: Any) -> Any:
        """The value itself if it is an array of a known framework, else a NumPy array of it."""
        if is_torch(value):
            self._check_tensor(argument, value)
            self._place(argument, value, value.device.index if value.is_cuda else None)
            if not value.is_neg():
                return value
            with self.on_stream():
                return value.resolve_neg()
        if _is_device_array(value):
            self._place(argument, value, value.__dlpack_device__()[1])
            try:
                return _Borrowed(value, self._handle)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{self.op}: {argument}: {error}") from None
        made = self._numpy(argument, value)
        self._place(argument, made, None)
        return made

    def prefer_tensors(self, *values: Any) -> None:
        """Make the results of a CPU call tensors where any of these is one."""
        if not self.on_cuda:
            self._like = next((value for value in values if is_torch(value)), self._like)

    def on_stream(self) -> AbstractContextManager[Any]:
        """Torch's own share of the call belongs on the stream that the caller gave."""
        if self._stream is None or not (self.on_cuda and is_torch(self._like)):
            return nullcontext()
        cuda, device = sys.modules["torch"].cuda, self._device
        if self._handle in (0, _LEGACY_STREAM):
            chosen = cuda.default_stream(device)
        else:
            chosen = cuda.ExternalStream(self._handle, device=device)
        entered: AbstractContextManager[Any] = cuda.stream(chosen)
        return entered

    def _place(self, argument: str, value: Any, device: int | None) -> None:
        if self._like is None:
            self._like, self._first, self._device = value, argument, device
            self._settle(argument, value, device)
        elif device != self._device:
            raise DeviceError(
                f"{self.op}: {argument} is on {_spelled(device)}, but {self._first} is on "
                f"{_spelled(self._device)}; move one of them"
            )

    def _settle(self, argument: str, value: Any, device: int | None) -> None:
        if device is None:
            if self._stream is not None:
                raise ValueError(
                    f"{self.op}: stream belongs to CUDA arrays; {argument} is on the CPU; leave it "
                    "out"
                )
            return
        try:
            self.module = cuda_module()
        except DeviceError as error:
            raise DeviceError(
                f"{self.op}: {argument} is on cuda:{device}, and the CUDA ops are not usable: "
                f"{error}; pass it on the CPU to compute there"
            ) from None
        checked = os.environ.get("STEPSCORE_CUDA_CHECK", "0") not in ("", "0")
        self._handle = self._handle_of_stream(value)
        self.queue = _core.Queue(self._handle, device, checked)

    def _handle_of_stream(self, like: Any) -> int:
        """The stream: the caller's, else torch's current one, else the default stream."""
        stream = self._stream
        if stream is None:
            if not is_torch(like):
                return 0
            return int(sys.modules["torch"].cuda.current_stream(like.device).cuda_stream)
        if hasattr(stream, "__cuda_stream__"):
            return self._handle_by_protocol(stream)
        if hasattr(stream, "cuda_stream"):  # torch.cuda.Stream
            return int(stream.cuda_stream)
        if isinstance(stream, int) and not isinstance(stream, bool) and stream >= 0:
            return stream
        raise TypeError(
            f"{self.op}: stream must be an integer or an object with __cuda_stream__; got "
            f"{type(stream).__name__}"
        )

    def _handle_by_protocol(self, stream: Any) -> int:
        protocol = stream.__cuda_stream__
        said = protocol() if callable(protocol) else protocol
        try:
            version, handle = said
            # To cuda.core the default streams are 1 and 2, and 0 is what a closed stream leaves.
            closed = handle is None or (handle == 0 and _made_by(stream, "cuda"))
            found = int(0 if closed else handle)
        except (TypeError, ValueError):
            version, closed, found = -1, False, 0
        if closed:
            raise DeviceError(f"{self.op}: stream is closed; pass one that is open")
        if version != 0:
            raise TypeError(
                f"{self.op}: stream.__cuda_stream__ must give (0, handle), version 0 of the "
                f"protocol; got {said!r}"
            )
        return found

    def _numpy(self, argument: str, value: Any) -> Any:
        if type(value) is np.ndarray:
            made = value
        else:
            try:
                made = np.asarray(value)
            except ValueError as error:  # a list of lists of different lengths
                raise ValueError(
                    f"{self.op}: {argument} must be an array; got a {type(value).__name__} that "
                    f"NumPy cannot read ({error}); ragged data is passed flat, with offsets"
                ) from error
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"{self.op}: {argument} is a masked array; fill or compress it first")
        if made.dtype.kind not in "fiub" and made.dtype.name != "bfloat16":
            raise TypeError(f"{self.op}: {argument} must hold numbers; got {made.dtype.name}")
        if not made.dtype.isnative or not made.flags.aligned:
            made = made.astype(made.dtype.newbyteorder("="))
        return made

    def _check_tensor(self, argument: str, tensor: Any) -> None:
        torch = sys.modules["torch"]
        if not (tensor.is_cpu or tensor.is_cuda):
            raise DeviceError(
                f"{self.op}: {argument} is on {tensor.device}; pass its .cpu() to compute on the "
                "CPU"
            )
        if tensor.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                f"{self.op}: {argument} requires grad, but {self.op} has no backward pass; call it "
                f"under torch.no_grad(), or pass {argument}.detach()"
            )
        if tensor.is_complex() or tensor.layout is not torch.strided:
            raise TypeError(
                f"{self.op}: {argument} must be a dense tensor of numbers; got {tensor.dtype}, "
                f"{tensor.layout}"
            )

    def integers(self, argument: str, value: Any) -> Any:
        """A contiguous int64 array; refuses anything that is not of an integer type."""
        made = self.array(argument, value)
        name = dtype_name(made)
        if name in ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32"):
            return self.contiguous(argument, made, "int64")
        if isinstance(made, np.ndarray) and 0 in made.shape:  # np.asarray([]) is float64
            return np.zeros(made.shape, dtype=np.int64)
        raise TypeError(f"{self.op}: {argument} must hold integers that fit int64; got {name}")

    def contiguous(self, argument: str, value: Any, dtype: str) -> Any:
        """The array as a contiguous one of the dtype, copied only when it is not one already."""
        if is_torch(value):
            with self.on_stream():
                return value.to(getattr(sys.modules["torch"], dtype)).contiguous()
        if isinstance(value, _Borrowed):
            if dtype_name(value) != dtype:
                raise TypeError(
                    f"{self.op}: {argument} must be {dtype}; got {value.dtype}; convert it with "
                    "the library that made it"
                )
            return value
        return np.asarray(value, dtype=dtype, order="C")  # ascontiguousarray adds a dimension

    def output(self, value: Any) -> Any:
        """The caller's `out`, which must be written where it stands."""
        if is_torch(value):
            return self._in_place(value)
        if _is_device_array(value):
            borrowed = self.array("out", value)
            if borrowed.read_only:
                raise ValueError(f"{self.op}: out is read-only; pass an array that may be written")
            return borrowed
        if not isinstance(value, np.ndarray) or not value.dtype.isnative:
            raise TypeError(
                f"{self.op}: out must be a NumPy array or a torch tensor in native byte order; got "
                f"{type(value).__name__}"
            )
        if not value.flags.writeable:
            raise ValueError(f"{self.op}: out is read-only; pass an array that may be written")
        return self._in_place(value)

    def _in_place(self, value: Any) -> Any:
        made = self.array("out", value)
        if made is not value:  # a copy
            kind = "a lazily negated tensor" if is_torch(value) else "an unaligned array"
            raise ValueError(f"{self.op}: out is {kind}; pass one of its own memory")
        return made

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """A new array of the framework, and on the device, of the call's first array."""
        if is_torch(self._like):
            torch = sys.modules["torch"]
            with self.on_stream():
                return torch.empty(shape, dtype=getattr(torch, dtype), device=self._like.device)
        if self.on_cuda:
            try:
                return DeviceArray(shape, dtype, self.queue, self._stream)
            except DeviceError as error:
                raise DeviceError(f"{self.op}: {error}") from None
        return np.empty(shape, dtype=dtype)

    def view(self, argument: str, value: Any) -> _core.TensorView:
        """What the core is given. The caller keeps `value` alive."""
        try:
            if is_torch(value):
                name = dtype_name(value)
                return _core.TensorView(value.data_ptr(), name, value.shape, value.stride())
            if isinstance(value, (DeviceArray, _Borrowed)):
                return value.view
            return _core.TensorView.of_numpy(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.op}: {argument}: {error}") from None

    def optional_view(self, argument: str, value: Any) -> _core.TensorView | None:
        """`view`, or None for None."""
        return None if value is None else self.view(argument, value)

    def names(self, argument: str, value: str | Sequence[str]) -> list[str]:
        """One name or several, as a list."""
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, (list, tuple)) or not all(isinstance(n, str) for n in found):
            raise TypeError(
                f"{self.op}: {argument} must be a name or a list of names; got {value!r}"
            )
        return list(found)

    def choice(self, argument: str, value: Any, allowed: tuple[str, ...]) -> str:
        """One of the allowed names."""
        if value not in allowed:
            expected = " or ".join(f'"{name}"' for name in allowed)
            raise ValueError(f"{self.op}: {argument} must be {expected}; got {value!r}")
        return str(value)

    def number(self, argument: str, value: Any) -> float:
        """A real number."""
        try:
            return float(value)
        except (TypeError, ValueError):
            raise TypeError(f"{self.op}: {argument} must be a number; got {value!r}") from None


def _spelled(device: int | None) -> str:
    return "the CPU" if device is None else f"cuda:{device}"


def _made_by(value: Any, library: str) -> bool:
    return type(value).__module__.partition(".")[0] == library


def _can_be_written(value: Any) -> bool:
    """JAX lends its arrays without a word that they must not be written."""
    return not (_made_by(value, "jax") or _made_by(value, "jaxlib"))


def _is_device_array(value: Any) -> bool:
    if type(value) is np.ndarray or not hasattr(value, "__dlpack_device__"):
        return False
    return bool(value.__dlpack_device__()[0] == _DLPACK_CUDA)


def dtype_name(value: Any) -> str:
    """``float32`` and so on, whatever the framework."""
    dtype = value.dtype
    if isinstance(dtype, str):
        return dtype
    if isinstance(dtype, np.dtype):
        return _NUMPY_NAMES.get(dtype.char) or str(dtype.name)
    name = _TORCH_NAMES.get(dtype)
    if name is None:
        name = _TORCH_NAMES[dtype] = str(dtype).removeprefix("torch.")
    return name


def length(value: Any) -> int:
    """Items along the first dimension; 0 for a number, which the core then refuses."""
    return int(value.shape[0]) if len(value.shape) else 0


# Ops that run on the host alone take their arrays by these: what fits is passed on as it is.


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
    # Before it becomes NumPy's, which knows no bfloat16.
    made = call.contiguous(argument, _on_host(call, argument, value), "float64")
    return np.asarray(made)


def host_bools(op: str, argument: str, value: Any) -> NDArray[np.bool_]:
    """A contiguous array of bools of NumPy."""
    made = np.asarray(_on_host(Call(op), argument, value))
    if made.dtype != np.bool_ and made.size:
        raise TypeError(f"{op}: {argument} must hold bools; got {made.dtype.name}")
    return np.asarray(made, np.bool_, order="C")


def host_counts(op: str, argument: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """One number for all, or one for each."""
    if type(value) is int:
        return np.full(shape, value)
    made = host_integers(op, argument, value)
    return np.full(shape, made) if made.ndim == 0 else made


def _on_host(call: Call, argument: str, value: Any) -> Any:
    made = call.array(argument, value)
    if call.on_cuda:
        raise DeviceError(f"{call.op}: {argument} is on a GPU; pass it on the CPU")
    return made
