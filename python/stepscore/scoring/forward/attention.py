"""Attention over a forest of token pieces: what several traces share is computed and read once.

The tokens of a forward pass are pieces, packed one behind the other without padding. A piece sees
its own tokens causally, and all tokens of its path: the pieces that it continues. Both parts are
computed alone, with the log-sum-exp of their logits, and merged; pieces that continue the same path
(siblings) read it together.

It is registered with transformers as the attention implementation ``stepscore``, so that the
model's own code runs everything else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

IMPLEMENTATION = "stepscore"

# Pieces of at most this many tokens are attended to in batches of similar length; longer ones are
# worth a call of their own.
SHORT = 32

# What a query asks for beyond the arguments that are read below; none of it is supported.
_UNSUPPORTED = ("s_aux", "position_bias", "cache")


class Segment:
    """Keys and values of consecutive tokens, one buffer per layer, and the path before them.

    Attributes:
        capacity: the tokens that it has room for; more are made room for when they come.
        before: the path that its first token continues; None at a root.
        used: the tokens that have a place in it.
        nbytes: the memory that it holds.
        dropped: whether its keys and values were given up.
        last_use: when a session used it last, by the session's own count.
    """

    def __init__(self, capacity: int, before: Path | None = None) -> None:
        self.capacity = capacity
        self.before = before
        self.used = 0
        self.nbytes = 0
        self.dropped = False
        self.last_use = 0
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def reserve(self, tokens: int) -> int:
        """Give further tokens a place; returns where it begins."""
        begin = self.used
        self.used += tokens
        if self.used > self.capacity:
            self.capacity = max(self.used, self.capacity * 3 // 2)
        return begin

    def write(self, layer: int, at: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Keep keys and values ``[1, heads, tokens, d]`` of the tokens from ``at`` on."""
        kept = self._layers.get(layer)
        if kept is None or kept[0].shape[2] < self.capacity:
            made = (_room(key, self.capacity), _room(value, self.capacity))
            for new, old in zip(made, kept or (), strict=False):
                new[:, :, :at] = old[:, :, :at]
            self.nbytes += _nbytes(made) - _nbytes(kept or ())
            self._layers[layer] = kept = made
        end = at + key.shape[2]
        kept[0][:, :, at:end] = key
        kept[1][:, :, at:end] = value

    def read(self, layer: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Give keys and values of the first ``length`` tokens."""
        key, value = self._layers[layer]
        return key[:, :, :length], value[:, :, :length]

    def drop(self) -> None:
        """Give the keys and values up."""
        self._layers.clear()
        self.nbytes = 0
        self.dropped = True


def _nbytes(states: Iterable[torch.Tensor]) -> int:
    return sum(state.element_size() * state.numel() for state in states)


def _room(like: torch.Tensor, tokens: int) -> torch.Tensor:
    return like.new_empty(1, like.shape[1], tokens, like.shape[3])


Parts = tuple[tuple[Segment, int], ...]


@dataclass(frozen=True, eq=False)
class Path:
    """The tokens before a piece: the first ``length`` tokens of a segment and all before them."""

    segment: Segment
    length: int

    @cached_property
    def parts(self) -> Parts:
        """The segments from the root on, each with the number of its tokens."""
        before = () if self.segment.before is None else self.segment.before.parts
        return (*before, (self.segment, self.length))

    @cached_property
    def tokens(self) -> int:
        """Its length from the root on."""
        return sum(length for _, length in self.parts)

    @property
    def kept(self) -> int:
        """How many of its tokens, from the root on, still have their keys and values."""
        there = 0
        for segment, length in self.parts:
            if segment.dropped:
                break
            there += length
        return there

    def first(self, tokens: int) -> Path | None:
        """Its first tokens; None for none."""
        for segment, length in self.parts:
            if tokens <= length:
                return Path(segment, tokens) if tokens else segment.before
            tokens -= length
        raise ValueError("a path has no more tokens than it has")


def _read(parts: Parts, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Give keys and values ``[1, heads, tokens, d]``; copied only where there are several parts."""
    read = [segment.read(layer, length) for segment, length in parts]
    if len(read) == 1:
        return read[0]
    keys, values = zip(*read, strict=True)
    return torch.cat(keys, dim=2), torch.cat(values, dim=2)


@dataclass(frozen=True)
class Kept:
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
        paths: the path of every piece; None at a root. Pieces of one path stand together.
        kept: what later tokens, here or in another forward pass, will look at.
    """

    offsets: NDArray[np.int64]
    paths: Sequence[Path | None]
    kept: Sequence[Kept] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @cached_property
    def longest(self) -> int:
        """The most tokens that one of them sees, itself included."""
        lengths = np.diff(self.offsets)
        before = [0 if path is None else path.tokens for path in self.paths]
        return int((lengths + np.array(before, dtype=np.int64)).max(initial=0))

    @cached_property
    def levels(self) -> list[list[tuple[int, int, Parts]]]:
        """Rows ``begin``, ``end`` and what they see before their own pieces, in two levels.

        The first is the root of their paths, often a problem that many candidates share: it is read
        where it stands. The second is the rest of the path, copied where it has several parts.
        """
        roots: list[tuple[int, int, Parts]] = []
        rests: list[tuple[int, int, Parts]] = []
        for piece, path in enumerate(self.paths):
            if path is not None:
                rows = int(self.offsets[piece]), int(self.offsets[piece + 1])
                _join(roots, *rows, path.parts[:1])
                _join(rests, *rows, path.parts[1:])
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
        found = []
        for level in self.levels:
            queries = np.array([end - begin for begin, end, _ in level])
            keys = np.array([sum(length for _, length in parts) for _, _, parts in level])
            rows = np.concatenate([np.arange(begin, end) for begin, end, _ in level])
            bounds = (self._on_device(np.cumsum([0, *sizes])) for sizes in (queries, keys))
            found.append((self._on_device(rows), *bounds, int(queries.max()), int(keys.max())))
        return found

    def _on_device(self, bounds: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(bounds.astype(np.int32)).to(self.device, non_blocking=True)


def _join(level: list[tuple[int, int, Parts]], begin: int, end: int, parts: Parts) -> None:
    """Add rows to a level; neighbours that see the same see it together."""
    if not parts:
        return
    if level and level[-1][1] == begin and level[-1][2] == parts:
        begin = level.pop()[0]
    level.append((begin, end, parts))


_layout: ContextVar[Layout | None] = ContextVar("stepscore_layout", default=None)


@contextmanager
def seen_by(layout: Layout) -> Iterator[None]:
    """Make the forward passes inside use a layout."""
    token = _layout.set(layout)
    try:
        yield
    finally:
        _layout.reset(token)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as the current layout says; query ``[1, heads, rows, d]`` -> ``[1, rows, heads, d]``.

    Raises:
        NotImplementedError: the model asks for something that is not done here.
    """
    layout = _layout.get()
    if layout is None:
        return _plain(module, query, key, value, attention_mask, scaling=scaling, **others)
    for name in _UNSUPPORTED:
        if others.get(name) is not None:
            raise NotImplementedError(f"attention with {name}")
    if not getattr(module, "is_causal", True):
        raise NotImplementedError("attention that is not causal")
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    for kept in layout.kept:
        rows = slice(kept.begin, kept.end)
        kept.segment.write(layer, kept.at, key[:, :, rows], value[:, :, rows])
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    whole = softcap is None and (sliding_window is None or layout.longest <= sliding_window)
    merge = _merger(query) if whole else None
    if merge is not None:
        return merge(query, key, value, layout, layer, scale), None
    window = None if sliding_window is None else int(sliding_window)
    return _piece_by_piece(query, key, value, layout, layer, scale, window, softcap), None


def _plain(module: torch.nn.Module, *states: Any, **options: Any) -> tuple[torch.Tensor, None]:
    """A forward pass of somebody else's."""
    found: tuple[torch.Tensor, None] = AttentionInterface()["sdpa"](module, *states, **options)
    return found


def _mask(*arguments: Any, **options: Any) -> Any:
    """No mask where a layout says what is seen."""
    return None if _layout.get() is not None else sdpa_mask(*arguments, **options)


AttentionInterface.register(IMPLEMENTATION, attend)
AttentionMaskInterface.register(IMPLEMENTATION, _mask)


def _merger(query: torch.Tensor) -> Callable[..., torch.Tensor] | None:
    """Give the way to two parts with their log-sum-exp that this device and torch have."""
    if query.device.type == "cpu" and hasattr(
        torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu"
    ):
        return _merge_on_cpu
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and _varlen() is not None:
        return _merge_on_cuda
    return None


def _merge_on_cpu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    layer: int,
    scale: float,
) -> torch.Tensor:
    """A call per piece and per group of siblings: on a CPU a call costs little."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    heads, rows, size = query.shape[1:]
    # Rows outermost: what the next layer wants, and every piece is one block.
    out = query.new_empty(1, rows, heads, size)
    own = out.transpose(1, 2)
    logits = query.new_empty(1, rows, heads, dtype=torch.float32).transpose(1, 2)
    for begin, end in layout.long_pieces:
        at = (slice(None), slice(None), slice(begin, end))
        own[at], logits[at] = attention(query[at], key[at], value[at], 0.0, True, scale=scale)
    for index, there in layout.short_pieces:
        # [1, heads, pieces, longest, d] -> [pieces, heads, longest, d]
        states = (state[0][:, index].transpose(0, 1) for state in (query, key, value))
        read, read_logits = attention(*states, 0.0, True, scale=scale)
        to = index[there]
        own[0][:, to] = read.transpose(0, 1)[:, there]
        logits[0][:, to] = read_logits.transpose(0, 1)[:, there]
    for level in layout.levels:
        for begin, end, parts in level:
            at = (slice(None), slice(None), slice(begin, end))
            before, before_logits = attention(
                query[at], *_read(parts, layer), 0.0, False, scale=scale
            )
            _merge(own[at], logits[at], before, before_logits)
    return out


def _merge(
    own: torch.Tensor, logits: torch.Tensor, before: torch.Tensor, before_logits: torch.Tensor
) -> None:
    """Softmax over two parts: weigh each by its share of the summed exponentials, in place."""
    share = torch.sigmoid(before_logits - logits).unsqueeze(-1).to(own.dtype)
    torch.lerp(own, before, share, out=own)
    torch.logaddexp(logits, before_logits, out=logits)


@cache
def _varlen() -> Callable[..., Any] | None:
    """Torch's attention over packed sequences, where it has the arguments that are used here."""
    try:
        from torch.nn.attention.varlen import AuxRequest, varlen_attn
    except ImportError:
        return None
    if not {"window_size", "enable_gqa", "return_aux"} <= set(
        inspect.signature(varlen_attn).parameters
    ):
        return None

    def attention(*arguments: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
        out, logits = varlen_attn(
            *arguments, return_aux=AuxRequest(lse=True), enable_gqa=True, **options
        )
        return out, logits

    return attention


def _merge_on_cuda(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    layer: int,
    scale: float,
) -> torch.Tensor:
    """A launch for every piece on its own, and one for each level of paths."""
    attention = _varlen()
    assert attention is not None
    # [1, heads, rows, d] -> [rows, heads, d]
    queries, keys, values = (state[0].transpose(0, 1) for state in (query, key, value))
    own, logits = attention(
        queries,
        keys,
        values,
        *layout.piece_bounds,
        scale=scale,
        window_size=(-1, 0),
    )
    logits = _rows_first(logits, own)
    for level, (rows, *bounds) in zip(layout.levels, layout.level_bounds, strict=True):
        read = [_read(parts, layer) for _, _, parts in level]
        path_keys, path_values = (
            torch.cat([state[0].transpose(0, 1) for state in states])
            for states in zip(*read, strict=True)
        )
        before, before_logits = attention(
            queries[rows], path_keys, path_values, *bounds, scale=scale
        )
        merged, merged_logits = own[rows], logits[rows]
        _merge(merged, merged_logits, before, _rows_first(before_logits, before))
        own[rows], logits[rows] = merged, merged_logits
    out: torch.Tensor = own.unsqueeze(0)
    return out


def _rows_first(logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Logits ``[heads, rows]``, as torch 2.13 gives them, or ``[rows, heads]``, as it says."""
    return logits if logits.shape == rows.shape[:2] != rows.shape[1::-1] else logits.T


def _piece_by_piece(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    layer: int,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    """The way without a log-sum-exp: a mask per piece, over its path and itself."""
    heads, rows, size = query.shape[1:]
    out = query.new_empty(1, rows, heads, size)
    for piece, path in enumerate(layout.paths):
        at = slice(int(layout.offsets[piece]), int(layout.offsets[piece + 1]))
        own_key, own_value = key[:, :, at], value[:, :, at]
        if path is not None:
            path_key, path_value = _read(path.parts, layer)
            own_key = torch.cat([path_key, own_key], dim=2)
            own_value = torch.cat([path_value, own_value], dim=2)
        mask = _seen(at.stop - at.start, own_key.shape[2], window, query.device)
        repeats = heads // key.shape[1]
        seen_key = own_key.repeat_interleave(repeats, dim=1)
        seen_value = own_value.repeat_interleave(repeats, dim=1)
        if softcap is None:
            read = scaled_dot_product_attention(
                query[:, :, at], seen_key, seen_value, attn_mask=mask, scale=scale
            )
        else:
            read = _capped(query[:, :, at], seen_key, seen_value, mask, scale, softcap)
        out[:, at] = read.transpose(1, 2)
    return out


def _seen(queries: int, keys: int, window: int | None, device: torch.device) -> torch.Tensor:
    """Which of the last ``queries`` of ``keys`` tokens sees which token: [queries, keys]."""
    behind = torch.arange(keys - queries, keys, device=device)[:, None] - torch.arange(
        keys, device=device
    )
    return behind >= 0 if window is None else (behind >= 0) & (behind < window)


def _capped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scale: float,
    softcap: float,
) -> torch.Tensor:
    """Logits squeezed into (-softcap, softcap), as Gemma 2 does."""
    logits = softcap * torch.tanh(query @ key.transpose(2, 3) * scale / softcap)
    weights = logits.masked_fill(~mask, -torch.inf).softmax(-1, dtype=torch.float32)
    out: torch.Tensor = weights.to(query.dtype) @ value
    return out
