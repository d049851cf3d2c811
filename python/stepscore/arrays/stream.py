"""The CUDA stream of a call, whatever object the caller names it by."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any

from stepscore.arrays.device import DeviceError
from stepscore.arrays.foreign import LEGACY_STREAM, is_from, is_torch


def stream_handle(op: str, stream: Any, like: Any) -> int:
    """The handle of the stream: the caller's, else torch's current one, else the default one.

    Args:
        op: for messages.
        stream: an integer, an object with ``__cuda_stream__``, or None.
        like: the array that the call began with.
    """
    if stream is None:
        if not is_torch(like):
            return 0
        return int(sys.modules["torch"].cuda.current_stream(like.device).cuda_stream)
    if hasattr(stream, "__cuda_stream__"):
        return _handle_by_protocol(op, stream)
    if hasattr(stream, "cuda_stream"):  # torch.cuda.Stream
        return int(stream.cuda_stream)
    if isinstance(stream, int) and not isinstance(stream, bool) and stream >= 0:
        return stream
    raise TypeError(
        f"{op}: stream must be an integer or an object with __cuda_stream__; got "
        f"{type(stream).__name__}"
    )


def _handle_by_protocol(op: str, stream: Any) -> int:
    protocol = stream.__cuda_stream__
    answer = protocol() if callable(protocol) else protocol
    try:
        version, handle = answer
        # To cuda.core the default streams are 1 and 2, and 0 is what a closed stream leaves.
        closed = handle is None or (handle == 0 and is_from(stream, "cuda"))
        number = int(0 if closed else handle)
    except (TypeError, ValueError):
        version, closed, number = -1, False, 0
    if closed:
        raise DeviceError(f"{op}: stream is closed; pass one that is open")
    if version != 0:
        raise TypeError(
            f"{op}: stream.__cuda_stream__ must give (0, handle), version 0 of the protocol; got "
            f"{answer!r}"
        )
    return number


def torch_stream(handle: int, device: int | None) -> AbstractContextManager[Any]:
    """The context in which torch enqueues on the stream of this handle."""
    cuda = sys.modules["torch"].cuda
    if handle in (0, LEGACY_STREAM):
        stream = cuda.default_stream(device)
    else:
        stream = cuda.ExternalStream(handle, device=device)
    context: AbstractContextManager[Any] = cuda.stream(stream)
    return context
