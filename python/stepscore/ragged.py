"""Ragged arrays in NumPy: flat values, and offsets that say where each segment begins and ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays import host_integers


def check_shape(
    op: str, argument: str, array: NDArray[Any], n: int | None = None, like: str = ""
) -> None:
    """Refuse what is not ``[n]``: as long as the array named `like`; without n, of any length."""
    if array.ndim != 1:
        raise ValueError(f"{op}: {argument} must have 1 dimension; got shape {list(array.shape)}")
    if n is not None and len(array) != n:
        raise ValueError(
            f"{op}: {argument} must have shape [{n}] to match {like}; got [{len(array)}]"
        )


def read_offsets(
    op: str, value: Any, n: int, what: str, argument: str = "offsets"
) -> NDArray[np.int64]:
    """Read the offsets of `n` values: they begin at 0, do not decrease and end at `n`."""
    offsets = host_integers(op, argument, value)
    check_shape(op, argument, offsets)
    if not len(offsets):
        raise ValueError(f"{op}: {argument} must hold at least the leading 0; got none")
    if offsets[0] != 0:
        raise ValueError(f"{op}: {argument} must begin at 0; got {offsets[0]}")
    if (falls := np.flatnonzero(offsets[1:] < offsets[:-1])).size:
        s = int(falls[0]) + 1
        raise ValueError(
            f"{op}: {argument} must not decrease; {argument}[{s}] is {offsets[s]} after "
            f"{offsets[s - 1]}"
        )
    if offsets[-1] != n:
        raise ValueError(
            f"{op}: {argument} must end at {n} (the number of {what}); got {offsets[-1]}"
        )
    return offsets


def ragged_parts(op: str, argument: str, value: Any) -> tuple[Any, Any]:
    """Give values and offsets of what holds both, as `StepScores` does.

    Raises:
        TypeError: something else, such as an array without its offsets.
    """
    parts = tuple(getattr(value, name, None) for name in ("values", "offsets"))
    if any(part is None or callable(part) for part in parts):
        raise TypeError(
            f"{op}: {argument} must be StepScores where no offsets are given; got "
            f"{type(value).__name__}; pass its offsets"
        )
    return parts[0], parts[1]


def offsets_of(lengths: Any) -> NDArray[np.int64]:
    """Give where segments of these lengths begin and end: int64 ``[segments + 1]``, from 0.

    Args:
        lengths: whole numbers of at least 0, ``[segments]``.
    """
    if not isinstance(lengths, np.ndarray):
        lengths = np.fromiter(lengths, np.int64)
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def segment_of(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the segment of every value, ``[n]``."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def first_true(mask: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the index of the first True of every segment into the flat array; -1 = none."""
    places = np.append(np.flatnonzero(mask), len(mask))
    first = places[np.searchsorted(places, offsets[:-1])]
    return np.where(first < offsets[1:], first, -1)
