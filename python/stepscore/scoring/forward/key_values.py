"""Keys and values of forwarded tokens, and prefixes: how far into them a trace has come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch


class Segment:
    """Keys and values of consecutive tokens, one buffer per layer, and the prefix before them.

    Attributes:
        capacity: the tokens that it has room for; more are made room for when they come.
        prefix: what its first token continues; None at a root.
        used: the tokens that have a place in it.
        nbytes: the memory that it holds.
        dropped: whether its keys and values were given up.
        last_use: when a session used it last, by the session's own count.
    """

    def __init__(self, capacity: int, prefix: Prefix | None = None) -> None:
        self.capacity = capacity
        self.prefix = prefix
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
        """Store keys and values ``[1, heads, tokens, d]`` of the tokens from ``at`` on."""
        stored = self._layers.get(layer)
        if stored is None or stored[0].shape[2] < self.capacity:
            grown = (_room(key, self.capacity), _room(value, self.capacity))
            for new, old in zip(grown, stored or (), strict=False):
                new[:, :, :at] = old[:, :, :at]
            self.nbytes += _nbytes(grown) - _nbytes(stored or ())
            self._layers[layer] = stored = grown
        end = at + key.shape[2]
        stored[0][:, :, at:end] = key
        stored[1][:, :, at:end] = value

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
class Prefix:
    """A trace's tokens up to some point: the first ``length`` of a segment and all before them."""

    segment: Segment
    length: int

    @cached_property
    def parts(self) -> Parts:
        """The segments from the root on, each with the number of its tokens."""
        before = () if self.segment.prefix is None else self.segment.prefix.parts
        return (*before, (self.segment, self.length))

    @cached_property
    def tokens(self) -> int:
        """Its length from the root on."""
        return sum(length for _, length in self.parts)

    @property
    def cached(self) -> int:
        """How many of its tokens, from the root on, still have their keys and values."""
        cached = 0
        for segment, length in self.parts:
            if segment.dropped:
                break
            cached += length
        return cached

    def first(self, tokens: int) -> Prefix | None:
        """Give the prefix of its first tokens; None for none."""
        for segment, length in self.parts:
            if tokens <= length:
                return Prefix(segment, tokens) if tokens else segment.prefix
            tokens -= length
        raise ValueError("a prefix has no more tokens than it has")


def read_parts(parts: Parts, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Give keys and values ``[1, heads, tokens, d]``; copied only where there are several parts."""
    states = [segment.read(layer, length) for segment, length in parts]
    if len(states) == 1:
        return states[0]
    keys, values = zip(*states, strict=True)
    return torch.cat(keys, dim=2), torch.cat(values, dim=2)
