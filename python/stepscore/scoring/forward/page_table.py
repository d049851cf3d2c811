"""Pages of keys and values: where the tokens of every piece's path stand in them.

A path is all that a piece sees: the tokens that it continues, then its own. It is cut into pages of
one size at multiples of that size, counted from the path's first token. Pieces whose paths agree
over a whole page have that page in common; where they part within a page, each has its own copy of
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from stepscore.scoring.forward.key_values import Prefix, Segment

# Rows of the stored tokens: where a run of them begins, and how many they are.
Run = tuple[int, int]


@dataclass(frozen=True)
class PageTable:
    """The pages of a forward pass, the same in every layer.

    Attributes:
        size: the tokens of a page.
        segments: what is read beside the rows of the pass itself, with the number of its tokens;
            stored rows are counted through the rows of the pass, then through these.
        source: the stored row of every place of every page, int64 ``[pages * size]``; places
            behind the end of a path repeat its last row.
        table: the pages of each piece, int32 ``[pieces, most pages]``; 0 behind the last.
        used: the tokens of each piece's path, int32 ``[pieces]``.
        bounds: where each piece's queries begin and end, int32 ``[pieces + 1]``.
        most_queries: those of the longest piece.
        most_keys: those of the longest path.
    """

    size: int
    segments: Sequence[tuple[Segment, int]]
    source: torch.Tensor
    table: torch.Tensor
    used: torch.Tensor
    bounds: torch.Tensor
    most_queries: int
    most_keys: int


def page_table(
    offsets: NDArray[np.int64],
    prefixes: Sequence[Prefix | None],
    size: int,
    device: torch.device,
) -> PageTable:
    """Lay out the pages of pieces and of what they continue."""
    lengths = _lengths_of_segments(prefixes)
    starts, stored = {}, int(offsets[-1])
    for segment, length in lengths.items():
        starts[segment] = stored
        stored += length
    numbers: dict[tuple[Run, ...], int] = {}
    paths, used = [], []
    for piece, prefix in enumerate(prefixes):
        begin, end = int(offsets[piece]), int(offsets[piece + 1])
        parts = () if prefix is None else prefix.parts
        runs = [*((starts[segment], length) for segment, length in parts), (begin, end - begin)]
        paths.append([numbers.setdefault(page, len(numbers)) for page in _cut(runs, size)])
        used.append(sum(length for _, length in runs))
    table = np.zeros((len(paths), max(map(len, paths), default=0)), dtype=np.int32)
    for row, pages in zip(table, paths, strict=True):
        row[: len(pages)] = pages
    source = np.concatenate([np.zeros(0, np.int64), *(_rows(page, size) for page in numbers)])

    def on_device(values: NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(values).to(device, non_blocking=True)

    return PageTable(
        size,
        tuple(lengths.items()),
        on_device(source),
        on_device(table),
        on_device(np.array(used, dtype=np.int32)),
        on_device(offsets.astype(np.int32)),
        int(np.diff(offsets).max(initial=0)),
        max(used, default=0),
    )


def _lengths_of_segments(prefixes: Sequence[Prefix | None]) -> dict[Segment, int]:
    """How much of each segment is read, in the order in which they are first seen."""
    lengths: dict[Segment, int] = {}
    for prefix in dict.fromkeys(prefixes):
        for segment, length in () if prefix is None else prefix.parts:
            lengths[segment] = max(length, lengths.get(segment, 0))
    return lengths


def _cut(runs: Sequence[Run], size: int) -> Iterator[tuple[Run, ...]]:
    """Cut a path into pages; the last may be shorter."""
    page: list[Run] = []
    room = size
    for begin, length in runs:
        while length:
            taken = min(length, room)
            page.append((begin, taken))
            begin, length, room = begin + taken, length - taken, room - taken
            if not room:
                yield tuple(page)
                page, room = [], size
    if page:
        yield tuple(page)


def _rows(page: tuple[Run, ...], size: int) -> NDArray[np.int64]:
    """The stored rows of a page, filled up with its last."""
    rows = np.concatenate([np.arange(begin, begin + length) for begin, length in page])
    # Not with any row: a kernel may multiply what it masks by 0, and a NaN stays one.
    return np.pad(rows, (0, size - len(rows)), mode="edge")
