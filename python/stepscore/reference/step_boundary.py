"""Where the steps of packed token sequences end, by a plain scan."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np


def find_steps(
    token_ids: Any,
    offsets: Any,
    separator: int | Sequence[int],
    *,
    shift: int = 0,
    collapse: bool = False,
    window: Any = None,
) -> tuple[Any, Any]:
    """Positions where the separator ends, plus `shift`; searched from the left, no overlaps.

    Args:
        token_ids: packed ids ``[tokens]``.
        offsets: ``[sequences + 1]``.
        separator: one id, or several in a row.
        shift: added to every position.
        collapse: drop a separator that begins where the one before it ended.
        window: ``[sequences, 2]``: keep shifted positions in ``[begin, end)`` of their sequence.

    Returns:
        positions int64 ``[steps]`` into `token_ids`, step_offsets int64 ``[sequences + 1]``.
    """
    pattern = [separator] if isinstance(separator, int) else list(separator)
    packed = list(token_ids)
    positions: list[int] = []
    step_offsets = [0]
    for s, (begin, end) in enumerate(pairwise(offsets)):
        at, previous_end = begin, None
        while at + len(pattern) <= end:
            if packed[at : at + len(pattern)] != pattern:
                at += 1
                continue
            touches, previous_end = at == previous_end, at + len(pattern)
            at = previous_end
            position = previous_end - 1 + shift
            if collapse and touches:
                continue
            if window is not None and not window[s][0] <= position - begin < window[s][1]:
                continue
            if not begin <= position < end:
                raise ValueError(f"shift={shift} moves a boundary out of sequence {s}")
            positions.append(position)
        step_offsets.append(len(positions))
    return np.array(positions, dtype=np.int64), np.array(step_offsets, dtype=np.int64)
