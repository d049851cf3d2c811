"""Attention on a device: right, and which of the two ways over shared paths is faster.

lse      torch's packed attention with its log-sum-exp against a softmax in float64
ways     parts that are merged, and pages that are read in one call, over one layout: the error
         of each against float64, and its time
batches  with pages and one split: the bits of a row alone and in a batch
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from device_clock import milliseconds, wait
from device_table import Table

from stepscore.ragged import offsets_of
from stepscore.scoring.forward.key_values import Prefix, Segment
from stepscore.scoring.forward.layout import Layout
from stepscore.scoring.forward.merged_attention import merge_on_cpu, merger_for, packed_attention
from stepscore.scoring.forward.page_table import page_table
from stepscore.scoring.forward.paged_attention import (
    attend_over_pages,
    page_size,
    varlen_attention,
)

LAYER = 0
HEADS, KEY_HEADS, SIZE = 12, 2, 128  # of a Qwen2 with 1.5B parameters
# Largest error of a row over its norm; 8 and 11 bits of a number.
ROW_ERROR = {torch.bfloat16: 2e-2, torch.float16: 3e-3, torch.float32: 1e-5}
REPEATS = 20


class Paths:
    """Candidates over a problem: random states, and the layout in which they share it."""

    def __init__(
        self, device: str, dtype: torch.dtype, problem: int, lengths: list[int], seed: int = 0
    ) -> None:
        draw = torch.Generator().manual_seed(seed)

        def states(heads: int, tokens: int) -> torch.Tensor:
            return torch.randn(1, heads, tokens, SIZE, generator=draw).to(device, dtype)

        trunk = Segment(problem)
        trunk.reserve(problem)
        self.before = states(KEY_HEADS, problem), states(KEY_HEADS, problem)
        trunk.write(LAYER, 0, *self.before)
        self.offsets = offsets_of(lengths)
        rows = int(self.offsets[-1])
        self.query = states(HEADS, rows)
        self.key, self.value = states(KEY_HEADS, rows), states(KEY_HEADS, rows)
        prefix = Prefix(trunk, problem)
        self.layout = Layout(self.offsets, [prefix] * len(lengths), (), torch.device(device))

    def take(self, piece: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Layout]:
        """One piece alone."""
        rows = slice(int(self.offsets[piece]), int(self.offsets[piece + 1]))
        states = (state[:, :, rows] for state in (self.query, self.key, self.value))
        lengths = offsets_of([rows.stop - rows.start])
        layout = Layout(lengths, self.layout.prefixes[:1], (), self.layout.device)
        query, key, value = states
        return query, key, value, layout

    def exact(self, scale: float, window: int | None = None) -> torch.Tensor:
        """``[rows, heads, d]`` in float64."""
        repeats = HEADS // KEY_HEADS
        out = []
        for begin, end in zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            keys, values = (
                torch.cat([before, own[:, :, begin:end]], 2)[0]
                .double()
                .repeat_interleave(repeats, 0)
                for before, own in zip(self.before, (self.key, self.value), strict=True)
            )
            logits = self.query[0, :, begin:end].double() @ keys.transpose(1, 2) * scale
            used = keys.shape[1]
            at = torch.arange(used - (end - begin), used, device=keys.device)[:, None]
            other = torch.arange(used, device=keys.device)
            seen = other <= at
            if window is not None:
                seen &= other > at - window
            logits = logits.masked_fill(~seen, -torch.inf)
            out.append((logits.softmax(-1) @ values).transpose(0, 1))
        return torch.cat(out)


def row_error(rows: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest norm of a difference over the norm of the row."""
    difference = (rows.double() - exact).flatten(1).norm(dim=1)
    return float((difference / exact.flatten(1).norm(dim=1)).max())


def measure(table: Table, device: str, small: bool) -> None:
    """All of it."""
    for dtype in (torch.bfloat16, torch.float16):
        table.run("attention", lambda dtype=dtype: lse(table, device, dtype))
        table.run("attention", lambda dtype=dtype: ways(table, device, dtype, small))
    table.run("attention", lambda: batches(table, device))


def lse(table: Table, device: str, dtype: torch.dtype) -> None:
    """Rows and log-sum-exp of packed sequences of odd lengths, causal and not."""
    attention = _packed(device)
    if attention is None:
        table.skip(
            f"varlen_attn, {dtype}", f"torch {torch.__version__} has none with all arguments"
        )
        return
    lengths = [1, 7, 64, 129, 300]
    bounds = offsets_of(lengths)
    draw = torch.Generator().manual_seed(1)
    query, key, value = (
        torch.randn(int(bounds[-1]), heads, SIZE, generator=draw).to(device, dtype)
        for heads in (HEADS, KEY_HEADS, KEY_HEADS)
    )
    cuts = torch.from_numpy(bounds.astype(np.int32)).to(device)
    for causal in (True, False):
        options: dict[str, Any] = {"window_size": (-1, 0)} if causal else {}
        rows, sums = attention(
            query, key, value, cuts, cuts, max(lengths), max(lengths), scale=0.09, **options
        )
        sums = sums if sums.shape[0] == HEADS else sums.T
        worst_row = worst_sum = 0.0
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            keys, values = (
                state[begin:end].double().repeat_interleave(HEADS // KEY_HEADS, 1)
                for state in (key, value)
            )
            logits = torch.einsum("qhd,khd->hqk", query[begin:end].double(), keys) * 0.09
            if causal:
                mask = torch.ones(end - begin, end - begin, device=device).tril().bool()
                logits = logits.masked_fill(~mask, -torch.inf)
            exact = torch.einsum("hqk,khd->qhd", logits.softmax(-1), values)
            worst_row = max(worst_row, row_error(rows[begin:end], exact))
            error = (sums[:, begin:end].double() - logits.logsumexp(-1)).abs().max()
            worst_sum = max(worst_sum, float(error))
        what = f"varlen_attn, {_name(dtype)}, {'causal' if causal else 'full'}"
        table.add(f"{what}: row error", worst_row, at_most=ROW_ERROR[dtype])
        table.add(f"{what}: log-sum-exp", worst_sum, at_most=1e-3)


def _packed(device: str) -> Callable[..., Any] | None:
    if device != "cpu":
        return packed_attention()

    # The rehearsal: torch's own attention of a CPU, sequence by sequence.
    def attention(
        query: Any, key: Any, value: Any, cuts: Any, *_: Any, scale: float, window_size: Any = None
    ) -> Any:
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        rows, sums = [], []
        for begin, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            states = (state[begin:end].transpose(0, 1)[None] for state in (query, key, value))
            out, logits = kernel(*states, 0.0, window_size is not None, scale=scale)
            rows.append(out[0].transpose(0, 1))
            sums.append(logits[0] if logits.shape[1] == HEADS else logits[0].T)
        return torch.cat(rows), torch.cat(sums, 1)

    return attention


def ways(table: Table, device: str, dtype: torch.dtype, small: bool) -> None:
    """Parts and pages over the same paths."""
    shapes = {
        "64 x 512 over 512": (512, [512] * 64),
        "256 x 32 over 1,000": (1000, [32] * 256),
        "1,024 x 1 over 300": (300, [1] * 1024),
        "16 x 300 over 4,000": (4000, [300] * 16),
    }
    if small:
        shapes = {"5 over 40": (40, [33, 1, 7, 40, 12]), "one token each over 20": (20, [1] * 6)}
    for name, (problem, lengths) in shapes.items():
        paths = Paths(device, dtype, problem, lengths)
        scale = SIZE**-0.5
        given = paths.query, paths.key, paths.value, paths.layout, LAYER
        calls: dict[str, Callable[[], torch.Tensor]] = {}
        merge = merge_on_cpu if device == "cpu" else merger_for(paths.query)
        if merge is None:
            table.skip(f"parts, {name}", "no attention with log-sum-exp here")
        else:
            calls["parts"] = partial(merge, *given, scale)
        if device != "cpu" and varlen_attention() is None:
            table.skip(f"pages, {name}", f"torch {torch.__version__} reads none; 2.13 does")
        else:
            calls["pages"] = partial(attend_over_pages, *given, scale, None)
            calls["pages, window of 24"] = partial(attend_over_pages, *given, scale, 24)
        exact = {None: paths.exact(scale), 24: paths.exact(scale, 24)}
        for way, call in calls.items():
            table.run("attention", partial(_one_way, table, way, call, name, dtype, exact, device))


def _one_way(
    table: Table,
    way: str,
    call: Callable[[], torch.Tensor],
    name: str,
    dtype: torch.dtype,
    exact: dict[int | None, torch.Tensor],
    device: str,
) -> None:
    rows = call()[0]
    error = row_error(rows, exact[24 if "window" in way else None])
    what = f"{way}, {_name(dtype)}, {name}"
    table.add(f"{what}: row error", error, at_most=ROW_ERROR[dtype])
    for _ in range(3):
        call()
    wait(device)
    repeats = 2 if device == "cpu" else REPEATS
    times = [milliseconds(call, device) for _ in range(repeats)]
    table.add(f"{what}: a layer", statistics.median(times), "ms")


def batches(table: Table, device: str) -> None:
    """The bits of a piece alone and among others; the promise of `num_splits=1`."""
    if device != "cpu" and varlen_attention() is None:
        table.skip("pages: rows that move with the batch", f"torch {torch.__version__}")
        return
    paths = Paths(device, torch.bfloat16, 300, [1, 40, 7, 129, 3])
    together = attend_over_pages(
        paths.query, paths.key, paths.value, paths.layout, LAYER, 0.1, None
    )
    moved = 0
    for piece in range(len(paths.offsets) - 1):
        alone = attend_over_pages(*paths.take(piece), LAYER, 0.1, None)
        rows = together[:, int(paths.offsets[piece]) : int(paths.offsets[piece + 1])]
        moved += int((alone != rows).flatten(2).any(-1).sum())
    table.add("pages: rows that move with the batch", moved, "rows", at_most=0)
    whole = _whole(paths)
    moved = int((whole != together).flatten(2).any(-1).sum())
    table.add("pages: rows that move where nothing is shared", moved, "rows", note="no promise")
    size = page_size(torch.device(device))
    pages = page_table(paths.offsets, paths.layout.prefixes, size, torch.device(device))
    copied, unique = pages.source.numel(), 300 + int(paths.offsets[-1])
    table.add(
        "pages: places filled for each unique token", copied / unique, note=f"pages of {size}"
    )


def _whole(paths: Paths) -> torch.Tensor:
    """The same rows as the ends of traces that are forwarded from their first token."""
    problem = paths.before[0].shape[2]
    out = []
    for piece in range(len(paths.offsets) - 1):
        query, key, value, _ = paths.take(piece)
        key, value = (
            torch.cat([before, own], 2)
            for before, own in zip(paths.before, (key, value), strict=True)
        )
        filled = torch.cat(
            [torch.zeros_like(query[:, :, :1]).expand(-1, -1, problem, -1), query], 2
        )
        layout = Layout(offsets_of([filled.shape[2]]), [None], (), paths.layout.device)
        rows = attend_over_pages(filled, key, value, layout, LAYER, 0.1, None)
        out.append(rows[:, problem:])
    return torch.cat(out, 1)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
