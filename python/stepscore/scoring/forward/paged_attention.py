"""Attention in one call: the queries of a piece read its path and its own tokens from pages.

torch's ``varlen_attn`` takes a table of pages for every sequence (``block_table``) and how many of
their tokens are there (``seqused_k``). So nothing is merged, sliding windows are no matter, and
with ``num_splits=1`` torch promises a row the same bits in any batch. What it costs: every layer
gathers the keys and values of a batch into pages, each shared page once.

``STEPSCORE_ATTENTION=pages`` chooses it; the default is `merged_attention`. Which of the two is
faster on a GPU nobody has measured: ``benchmarks/device.sh`` does.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from stepscore.errors import InputError
from stepscore.scoring.forward.layout import Layout
from stepscore.scoring.forward.page_table import PageTable

VARIABLE = "STEPSCORE_ATTENTION"
_WAYS = ("parts", "pages")

# FlashAttention 2 reads pages of multiples of 256 tokens alone ("Paged KV cache block size must be
# divisible by 256"), 4 loads them fastest by 128, 3 takes any size.
_PAGE_SIZES = {"FA3": 16, "FA4": 128}
_PAGE_SIZE = 256
_ON_CPU = 16

# What varlen_attn must take beyond packed sequences: torch 2.13 has it all, 2.11 not.
_NEEDED = {"window_size", "enable_gqa", "return_aux", "seqused_k", "block_table", "num_splits"}

# Relative to rows of about 1: what half a number format of 8 bits explains.
_PROBE_TOLERANCE = 0.02

Attention = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def reads_pages() -> bool:
    """Whether the environment chooses this way.

    Raises:
        InputError: it names a way that there is not.
    """
    way = os.environ.get(VARIABLE) or _WAYS[0]
    if way not in _WAYS:
        raise _refusal("parts or pages", got=repr(way))
    return way == "pages"


def check_pages(state: torch.Tensor) -> None:
    """Refuse the choice of this way where it cannot be taken for states like this one.

    Raises:
        InputError: with the reason.
    """
    # On no device, "meta", are weights that are fetched when they are used.
    if reads_pages() and state.device.type != "meta":
        _attention_on(state.device, state.dtype)


def attend_over_pages(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    layer: int,
    scale: float | None,
    window: int | None,
) -> torch.Tensor:
    """Attend over the path of every piece; query ``[batch, heads, rows, d]`` -> rows first."""
    attention = _attention_on(query.device, query.dtype)
    pages = layout.pages(page_size(query.device))
    states = [segment.read(layer, length) for segment, length in pages.segments]
    keys, values = (
        in_pages([_rows_first(state) for state in stored], pages)
        for stored in zip((key, value), *states, strict=True)
    )
    out, _ = attention(
        _rows_first(query),
        keys,
        values,
        pages,
        scale=query.shape[-1] ** -0.5 if scale is None else scale,
        window=window,
    )
    batch: torch.Tensor = out.view(query.shape[0], query.shape[2], *out.shape[1:])
    return batch


def in_pages(stored: list[torch.Tensor], pages: PageTable) -> torch.Tensor:
    """Stored rows ``[rows, heads, d]`` -> ``[pages, size, heads, d]``."""
    rows = torch.cat(stored) if len(stored) > 1 else stored[0]
    return rows.index_select(0, pages.source).view(-1, pages.size, *rows.shape[1:])


def page_size(device: torch.device) -> int:
    """The tokens of a page that the attention of a device reads."""
    if device.type == "cpu":
        return _ON_CPU
    current = getattr(torch.nn.attention, "current_flash_attention_impl", lambda: None)
    return _PAGE_SIZES.get(str(current()), _PAGE_SIZE)


def plain_attention(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    pages: PageTable,
    *,
    scale: float,
    window: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What ``varlen_attn`` says that it does with a table of pages, one piece at a time.

    The L queries of a piece are the last L tokens of its path, and see themselves and what is left
    of them, the last `window` tokens of it where there is one. Sums are float32.

    Returns:
        Rows ``[rows, heads, d]``, and the log-sum-exp of their logits ``[heads, rows]``, float32.
    """
    out = torch.empty_like(query)
    logsumexp = query.new_empty(query.shape[1], len(query), dtype=torch.float32)
    repeats = query.shape[1] // keys.shape[2]
    bounds = pages.bounds.tolist()
    for piece, used in enumerate(pages.used.tolist()):
        begin, end = bounds[piece : piece + 2]
        chosen = pages.table[piece, : -(-used // pages.size)].long()
        path_keys, path_values = (
            state[chosen].flatten(0, 1)[:used].float().repeat_interleave(repeats, 1)
            for state in (keys, values)
        )
        logits = torch.einsum("qhd,khd->hqk", query[begin:end].float(), path_keys) * scale
        at = torch.arange(used - (end - begin), used, device=query.device)[:, None]
        other = torch.arange(used, device=query.device)
        seen = other <= at
        if window is not None:
            seen &= other > at - window
        logits = logits.masked_fill(~seen, -torch.inf)
        rows = torch.einsum("hqk,khd->qhd", logits.softmax(-1), path_values)
        out[begin:end] = rows.to(out.dtype)
        logsumexp[:, begin:end] = logits.logsumexp(-1)
    return out, logsumexp


@cache
def _attention_on(device: torch.device, dtype: torch.dtype) -> Attention:
    """Give the attention over pages of a device, tried on a small case.

    Raises:
        InputError: it has none; with the reason.
    """
    if device.type == "cpu":
        return plain_attention
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        raise _refusal("float16 or bfloat16 on a CUDA device", got=f"{dtype} on {device}")
    varlen = varlen_attention()
    if varlen is None:
        raise _refusal(
            "torch.nn.attention.varlen.varlen_attn with block_table, seqused_k and num_splits "
            "(torch 2.13)",
            got=f"torch {torch.__version__}",
        )
    reasons = []
    for with_key_bounds in (False, True):
        attention = _paged(varlen, with_key_bounds)
        try:
            error = _error_of(attention, device, dtype)
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as refused:
            reasons.append(str(refused).splitlines()[0])
            continue
        if error < _PROBE_TOLERANCE:
            return attention
        reasons.append(f"rows differ from a plain reading by {error:.1e}")
    raise _refusal(f"varlen_attn to read pages of {page_size(device)} tokens", "; ".join(reasons))


@cache
def varlen_attention() -> Callable[..., Any] | None:
    """Give torch's attention over packed sequences, where it reads pages."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    attention: Callable[..., Any] = varlen_attn
    return attention if set(inspect.signature(varlen_attn).parameters) >= _NEEDED else None


def _paged(varlen: Callable[..., Any], with_key_bounds: bool) -> Attention:
    """Make an attention over pages of torch's; FlashAttention 2 and 3 differ in a bound."""
    from torch.nn.attention.varlen import AuxRequest

    def attention(
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        pages: PageTable,
        *,
        scale: float,
        window: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        key_bounds = torch.nn.functional.pad(pages.used.cumsum(0, dtype=torch.int32), (1, 0))
        out, logsumexp = varlen(
            query,
            keys,
            values,
            pages.bounds,
            key_bounds if with_key_bounds else None,
            pages.most_queries,
            pages.most_keys,
            return_aux=AuxRequest(lse=True),
            scale=scale,
            # torch counts the tokens to the left of a query, we the query among them.
            window_size=(-1 if window is None else window - 1, 0),
            enable_gqa=True,
            seqused_k=pages.used,
            block_table=pages.table,
            num_splits=1,
        )
        return out, logsumexp

    return attention


def _error_of(attention: Attention, device: torch.device, dtype: torch.dtype) -> float:
    """The largest difference from the plain reading: two pieces over a common page, a window."""
    size = page_size(device)
    draw = torch.Generator().manual_seed(0)

    def states(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw).to(device, dtype)

    pages = PageTable(
        size,
        (),
        torch.arange(3 * size, device=device),
        torch.tensor([[2, 0], [2, 1]], dtype=torch.int32, device=device),
        torch.tensor([size + 5, size + 1], dtype=torch.int32, device=device),
        torch.tensor([0, 9, 10], dtype=torch.int32, device=device),
        9,
        size + 5,
    )
    given = states(10, 4, 64), states(3, size, 2, 64), states(3, size, 2, 64), pages
    worst = 0.0
    for window in (None, 7):
        rows, logsumexp = (
            attention(*given, scale=0.125, window=window)[part].float() for part in (0, 1)
        )
        plain = plain_attention(*given, scale=0.125, window=window)
        if logsumexp.shape != plain[1].shape:  # rows first, as torch says, or heads first
            logsumexp = logsumexp.T
        for got, expected in zip((rows, logsumexp), plain, strict=True):
            error = float((got - expected.float()).abs().max())
            worst = max(worst, error if error == error else torch.inf)
    return worst


def _rows_first(states: torch.Tensor) -> torch.Tensor:
    """``[batch, heads, rows, d]`` -> ``[batch * rows, heads, d]``; a view, but for odd strides."""
    return states.transpose(1, 2).flatten(0, 1)


def _refusal(expected: str, got: str) -> InputError:
    return InputError(
        expected,
        got=got,
        advice=f"type: unset {VARIABLE}",
        where=f"the environment variable {VARIABLE}",
    )
