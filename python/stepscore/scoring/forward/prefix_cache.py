"""Which keys and values a forward pass stores, where, and for how long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from stepscore.scoring.forward.key_values import Prefix, Segment
from stepscore.scoring.forward.layout import CacheWrite, Layout
from stepscore.scoring.forward.plan import Plan


class PrefixCache:
    """The prefix that ends with each piece of a plan, from its batch to the last that continues it.

    A run of pieces is one segment. Where everything is kept, a run that alone continues the last
    token of another segment goes on in that one, so that a trace that grows without forks stays in
    one place; but not in a root, which is often the problem of many traces.

    Args:
        plan: what is forwarded.
        prefixes: what the traces of each group continue.
        keep: gets the prefix of every piece; None keeps each for as long as a piece continues it.
    """

    def __init__(
        self, plan: Plan, prefixes: Sequence[Prefix | None], keep: dict[int, Prefix] | None
    ) -> None:
        self._plan = plan
        self._prefix_of_group = prefixes
        self._keep_all = keep is not None
        self._ending_with: dict[int, Prefix] = {} if keep is None else keep
        batch_of = np.repeat(np.arange(len(plan)), np.diff(plan.batches))
        children = np.flatnonzero(plan.parent >= 0)
        self._last_batch = np.full(len(plan.parent), -1)
        np.maximum.at(self._last_batch, plan.parent[children], batch_of[children])
        self._run_length = np.zeros(int(plan.run.max(initial=-1)) + 1, dtype=np.int64)
        np.maximum.at(self._run_length, plan.run, plan.within + plan.lengths)
        # What each piece continues, as one number, and how many runs continue it.
        continued = np.where(plan.parent >= 0, plan.parent, -1 - plan.group)
        first = plan.within == 0
        _, inverse, counts = np.unique(continued[first], return_inverse=True, return_counts=True)
        self._alone = np.zeros(len(plan.parent), dtype=np.bool_)
        self._alone[first] = counts[inverse] == 1

    def layout(self, batch: int, device: torch.device) -> Layout:
        """Say how the tokens of a batch see each other, and which of them are stored."""
        plan = self._plan
        pieces = plan.pieces(batch)
        offsets = plan.offsets[pieces.start : pieces.stop + 1] - plan.offsets[pieces.start]
        prefixes, writes = [], []
        for piece, begin, end in zip(pieces, offsets[:-1], offsets[1:], strict=True):
            prefix = self._continued_by(piece)
            prefixes.append(prefix)
            if self._keep_all or self._last_batch[piece] >= 0:
                segment, at = self._reserve(piece, prefix)
                writes.append(CacheWrite(int(begin), int(end), segment, at))
                self._ending_with[piece] = Prefix(segment, at + int(end - begin))
        return Layout(offsets, prefixes, writes, device)

    def release(self, batch: int) -> None:
        """Let go of what no batch after this one continues."""
        if not self._keep_all:
            for piece in [p for p in self._ending_with if self._last_batch[p] <= batch]:
                del self._ending_with[piece]

    def _continued_by(self, piece: int) -> Prefix | None:
        parent = int(self._plan.parent[piece])
        if parent < 0:
            return self._prefix_of_group[int(self._plan.group[piece])]
        return self._ending_with[parent]

    def _reserve(self, piece: int, prefix: Prefix | None) -> tuple[Segment, int]:
        """Give the segment that holds a piece, and where in it the piece begins."""
        length = int(self._plan.lengths[piece])
        if self._plan.within[piece]:
            assert prefix is not None
            return prefix.segment, prefix.segment.reserve(length)
        if self._keep_all and self._alone[piece] and prefix is not None:
            end = prefix.segment
            if end.prefix is not None and end.used == prefix.length and not end.dropped:
                return end, end.reserve(length)
        segment = Segment(int(self._run_length[self._plan.run[piece]]), prefix)
        return segment, segment.reserve(length)
