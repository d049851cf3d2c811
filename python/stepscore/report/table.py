"""Figures in aligned columns, at most 100 characters wide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH = 100
NOTE_WIDTH = 96
NOTHING = "-"

_NAME_WIDTH = 18
_CELL_WIDTH = 12


def table(
    corner: str,
    headings: Sequence[Sequence[str]],
    rows: Sequence[tuple[str, Sequence[str]]],
    *,
    name_width: int = _NAME_WIDTH,
) -> list[str]:
    """Write named rows of cells. What is wider than 100 characters goes on below.

    Args:
        corner: what the rows' names are.
        headings: the lines above each column.
        rows: a name, and one cell per column.
        name_width: the least width of the names.
    """
    names = max([name_width, *(len(name) for name, _ in rows)])
    widths = [
        max(
            [_CELL_WIDTH, *(2 + len(text) for text in (*heading, *(cells[c] for _, cells in rows)))]
        )
        for c, heading in enumerate(headings)
    ]
    lines: list[str] = []
    begin = 0
    while begin < len(headings):
        end = begin + 1
        while end < len(headings) and 2 + names + sum(widths[begin : end + 1]) <= WIDTH:
            end += 1
        here = slice(begin, end)
        height = max(map(len, headings[here]))
        lines += [""] if begin else []
        for level in range(height):
            texts = [
                lines_above[level] if level < len(lines_above) else ""
                for lines_above in headings[here]
            ]
            lines.append(row(corner if level == height - 1 else "", texts, names, widths[here]))
        lines += [row(name, cells[here], names, widths[here]) for name, cells in rows]
        begin = end
    return lines


def row(
    name: str,
    cells: Sequence[str],
    name_width: int = _NAME_WIDTH,
    widths: Sequence[int] | None = None,
) -> str:
    """Write one row."""
    cell_widths = widths or [_CELL_WIDTH] * len(cells)
    columns = (f"{cell:>{width}}" for cell, width in zip(cells, cell_widths, strict=True))
    return (f"  {name:<{name_width}}" + "".join(columns)).rstrip()


def percent(part: float, whole: float) -> str:
    """Write a share, or that there is none."""
    # Shares of ties are added in the order of the file; what that rounds must not show.
    return f"{round(100 * part / whole, 9):.1f}" if whole else NOTHING


def counted(number: int, noun: str) -> str:
    """Write how many there are of something."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def span(counts: NDArray[np.int64]) -> str:
    """Write the least and the most of some counts."""
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
