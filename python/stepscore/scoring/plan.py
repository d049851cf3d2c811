"""Traces -> batches: which token sequences are forwarded, and which of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Plan:
    """What is forwarded.

    Attributes:
        batches: traces that are forwarded together; each is the representative of its equals.
        representative: for every trace, the trace with the same tokens that is forwarded, [traces].
    """

    batches: tuple[NDArray[np.int64], ...]
    representative: NDArray[np.int64]


def plan(token_ids: NDArray[np.int32], offsets: NDArray[np.int64], token_budget: int) -> Plan:
    """Plan the forward passes of packed traces; a trace without tokens is not forwarded.

    Equal traces are forwarded once, so that they also get equal scores. The order of the traces
    does not change which sequences share a batch, nor their rows in it: they are sorted by length,
    and sequences of one length by their tokens.

    Args:
        token_ids: packed ids ``[tokens]``.
        offsets: where each trace begins and ends ``[traces + 1]``.
        token_budget: the most tokens of a batch, padding included; a longer trace is a batch alone.
    """
    first: dict[bytes, int] = {}
    representative = np.empty(len(offsets) - 1, dtype=np.int64)
    for index in range(len(representative)):
        tokens = token_ids[offsets[index] : offsets[index + 1]].tobytes()
        representative[index] = first.setdefault(tokens, index)
    # Longest first, so that a batch that does not fit into memory is met at once.
    order = [first[tokens] for tokens in sorted(first, key=lambda key: (-len(key), key)) if tokens]
    lengths = np.diff(offsets)
    return Plan(tuple(pack_batches(order, lengths, token_budget)), representative)


def pack_batches(
    order: Sequence[int], lengths: NDArray[np.int64], token_budget: int
) -> list[NDArray[np.int64]]:
    """Cut traces, given longest first, into batches of at most ``token_budget`` padded tokens."""
    batches = []
    begin = 0
    while begin < len(order):
        count = max(1, token_budget // int(lengths[order[begin]]))
        batches.append(np.array(order[begin : begin + count], dtype=np.int64))
        begin += count
    return batches
