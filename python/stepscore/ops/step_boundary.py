"""Where the steps of packed token sequences end."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from stepscore import _arrays, _core


def find_steps(
    token_ids: Any,
    offsets: Any,
    separator: int | Sequence[int],
    *,
    shift: int = 0,
    collapse: bool = False,
    window: Any = None,
) -> tuple[Any, Any]:
    """Find the step boundaries: the positions ``t`` where the separator ends, plus `shift`.

    Matches are searched from the left and do not overlap; then `collapse`, then `shift`, then
    `window` apply.

    Args:
        token_ids: packed ids ``[tokens]``, int32 or int64.
        offsets: where each sequence begins and ends, int64 ``[sequences + 1]``.
        separator: one token id, or several in a row (the position is that of the last one).
        shift: added to every position; -1 reads the token before a one-token separator.
        collapse: of separators that touch each other, keep only the first.
        window: int64 ``[sequences, 2]``: keep shifted positions in ``[begin, end)``, counted from
            the start of their sequence.

    Returns:
        positions: int64 ``[steps]``, indices into `token_ids`.
        step_offsets: int64 ``[sequences + 1]``, where the steps of each sequence begin.

    Raises:
        ValueError: offsets that do not fit, an empty separator, a shift that leads out of its
            sequence.
        TypeError: ids that are not integers.

    Source: one primitive for the segmenters of published PRMs: tag-at (shift 0), tag-before
    (shift -1), first of a run (collapse), a span such as a reasoning block (window).
    """
    op = "find_steps"
    token_ids = _arrays.array(op, "token_ids", token_ids)
    if _arrays.dtype_name(token_ids) != "int32":
        token_ids = _arrays.integers(op, "token_ids", token_ids)
    else:
        token_ids = _arrays.contiguous(token_ids, "int32")
    offsets = _arrays.integers(op, "offsets", offsets)
    if window is not None:
        window = _arrays.integers(op, "window", window)
    step_offsets = _arrays.empty(token_ids, (max(_arrays.length(offsets), 1),), "int64")
    request = (
        _arrays.view(op, "token_ids", token_ids),
        _arrays.view(op, "offsets", offsets),
        _separator_ids(separator),
        _whole(shift),
        bool(collapse),
        _arrays.optional_view(op, "window", window),
        _arrays.view(op, "step_offsets", step_offsets),
    )
    steps = _core.count_steps(*request)
    positions = _arrays.empty(token_ids, (steps,), "int64")
    _core.find_steps(*request, _arrays.view(op, "positions", positions))
    return positions, step_offsets


def _separator_ids(separator: Any) -> list[int]:
    if isinstance(separator, str):
        raise TypeError(
            f"find_steps: separator must be a token id or a list of ids; got {separator!r}; encode "
            "a text with the tokenizer first"
        )
    try:
        ids = [operator.index(separator)]
    except TypeError:
        try:
            ids = [operator.index(i) for i in separator]
        except TypeError:
            raise TypeError(
                f"find_steps: separator must be a token id or a list of ids; got {separator!r}"
            ) from None
    for token_id in ids:
        _check_int64("separator", token_id)
    return ids


def _whole(shift: int) -> int:
    try:
        whole = operator.index(shift)
    except TypeError:
        raise TypeError(f"find_steps: shift must be a whole number; got {shift!r}") from None
    return _check_int64("shift", whole)


def _check_int64(argument: str, value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"find_steps: {argument} must fit int64; got {value}")
    return value
