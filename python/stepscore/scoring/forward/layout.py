"""How the tokens of one forward pass see each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.ragged import offsets_of
from stepscore.scoring.forward.key_values import Parts, Prefix, Segment
from stepscore.scoring.forward.page_table import PageTable, page_table

# Pieces of at most this many tokens are attended to in batches of similar length; longer ones are
# worth a call of their own.
SHORT = 32


@dataclass(frozen=True)
class CacheWrite:
    """Rows whose keys and values go to a segment, from its token ``at`` on."""

    begin: int
    end: int
    segment: Segment
    at: int


@dataclass(frozen=True)
class Layout:
    """How the tokens of one forward pass see each other.

    Attributes:
        offsets: where each piece begins and ends ``[pieces + 1]``.
        prefixes: what every piece continues; None at a root. Pieces of one prefix stand together.
        writes: the keys and values that later tokens, here or in another forward pass, will see.
    """

    offsets: NDArray[np.int64]
    prefixes: Sequence[Prefix | None]
    writes: Sequence[CacheWrite] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    _elsewhere: dict[torch.device, Layout] = field(default_factory=dict, repr=False)

    def on(self, device: torch.device) -> Layout:
        """Give it with its tensors on the device of a layer that was placed elsewhere."""
        if device == self.device:
            return self
        if device not in self._elsewhere:
            self._elsewhere[device] = Layout(self.offsets, self.prefixes, self.writes, device)
        return self._elsewhere[device]

    @cached_property
    def most_seen(self) -> int:
        """The most tokens that one token sees, itself included."""
        lengths = np.diff(self.offsets)
        before = [0 if prefix is None else prefix.tokens for prefix in self.prefixes]
        return int((lengths + np.array(before, dtype=np.int64)).max(initial=0))

    @cached_property
    def paths(self) -> tuple[NDArray[np.int64], NDArray[np.int64], list[Segment]]:
        """The path of every piece: its prefix's tokens and its own, from the trace's first one on.

        Returns:
            Where they are, ``[n, 3]``: a number of what holds them, 0 for the rows of this pass and
            from 1 on the segments; the first of its tokens; how many. The bounds of each piece's
            ``[pieces + 1]``. The segments.
        """
        numbers: dict[Segment, int] = {}
        places, counts = [], []
        bounds = zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)
        for prefix, (begin, end) in zip(self.prefixes, bounds, strict=True):
            parts = () if prefix is None else prefix.parts
            for segment, length in parts:
                places.append((numbers.setdefault(segment, len(numbers) + 1), 0, length))
            places.append((0, begin, end - begin))
            counts.append(len(parts) + 1)
        table = np.array(places, dtype=np.int64).reshape(-1, 3)
        return table, offsets_of(np.array(counts, dtype=np.int64)), list(numbers)

    @cached_property
    def levels(self) -> list[list[tuple[int, int, Parts]]]:
        """Rows ``begin``, ``end`` and what they see before their own pieces, in two levels.

        The first is the root of their prefixes, often a problem that many candidates share: it is
        read where it stands. The second is the rest, copied where it has several parts.
        """
        roots: list[tuple[int, int, Parts]] = []
        rests: list[tuple[int, int, Parts]] = []
        for piece, prefix in enumerate(self.prefixes):
            if prefix is not None:
                rows = int(self.offsets[piece]), int(self.offsets[piece + 1])
                _join(roots, *rows, prefix.parts[:1])
                _join(rests, *rows, prefix.parts[1:])
        return [level for level in (roots, rests) if level]

    @cached_property
    def long_pieces(self) -> list[tuple[int, int]]:
        """Rows ``begin``, ``end`` of the pieces that are attended to one by one."""
        bounds = zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)
        return [(begin, end) for begin, end in bounds if end - begin > SHORT]

    @cached_property
    def short_pieces(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of short pieces: rows ``[pieces, longest]``, and which of them are there.

        A missing row is the piece's last one again: it stands behind all others, where a causal
        query does not see it.
        """
        lengths = np.diff(self.offsets)
        batches = []
        limit = 1
        while limit <= SHORT:
            chosen = np.flatnonzero((lengths > limit // 2) & (lengths <= limit))
            if len(chosen):
                column = np.arange(lengths[chosen].max())
                there = column < lengths[chosen, None]
                within = np.minimum(column, lengths[chosen, None] - 1)
                rows = torch.from_numpy(self.offsets[chosen, None] + within)
                batches.append((rows.to(self.device), torch.from_numpy(there).to(self.device)))
            limit *= 2
        return batches

    @cached_property
    def piece_bounds(self) -> tuple[torch.Tensor, torch.Tensor, int, int]:
        """The pieces as the queries and keys of a packed attention."""
        bounds = self._on_device(self.offsets)
        longest = int(np.diff(self.offsets).max(initial=0))
        return bounds, bounds, longest, longest

    @cached_property
    def level_bounds(self) -> list[tuple[Any, ...]]:
        """Of each level: its rows, and the bounds and longest of its queries and of its keys."""
        bounds_of_levels = []
        for level in self.levels:
            queries = np.array([end - begin for begin, end, _ in level])
            keys = np.array([sum(length for _, length in parts) for _, _, parts in level])
            rows = np.concatenate([np.arange(begin, end) for begin, end, _ in level])
            bounds = (self._on_device(offsets_of(lengths)) for lengths in (queries, keys))
            longest = int(queries.max()), int(keys.max())
            bounds_of_levels.append((self._on_device(rows), *bounds, *longest))
        return bounds_of_levels

    @cached_property
    def _pages(self) -> dict[int, PageTable]:
        return {}

    def pages(self, size: int) -> PageTable:
        """The paths of the pieces in pages of so many tokens; laid out once."""
        if size not in self._pages:
            self._pages[size] = page_table(self.offsets, self.prefixes, size, self.device)
        return self._pages[size]

    def _on_device(self, bounds: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(bounds.astype(np.int32)).to(self.device, non_blocking=True)


def _join(level: list[tuple[int, int, Parts]], begin: int, end: int, parts: Parts) -> None:
    """Add rows to a level; neighbours that see the same see it together."""
    if not parts:
        return
    if level and level[-1][1] == begin and level[-1][2] == parts:
        begin = level.pop()[0]
    level.append((begin, end, parts))


_current: ContextVar[Layout | None] = ContextVar("stepscore_layout", default=None)


def current_layout() -> Layout | None:
    """Give the layout of the forward pass that runs; None in one of somebody else's."""
    return _current.get()


@contextmanager
def laid_out(layout: Layout) -> Iterator[None]:
    """Make the forward passes inside use a layout."""
    token = _current.set(layout)
    try:
        yield
    finally:
        _current.reset(token)
