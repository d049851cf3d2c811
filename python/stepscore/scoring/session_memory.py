"""The keys and values of a session, within a limit: the least recently used are dropped first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakSet

from stepscore.errors import InputError

if TYPE_CHECKING:
    from stepscore.scoring.forward.key_values import Prefix, Segment


class MemoryLimitError(InputError):
    """A branch that alone needs more than a session may keep."""


@dataclass
class SessionStats:
    """What a session did so far.

    Attributes:
        given: tokens that scoring every branch from its first token would have forwarded.
        forwarded: tokens that were forwarded.
        dropped: tokens whose keys and values were given up for the memory limit.
        kept_bytes: keys and values that are kept now.
        peak_bytes: the most of them at any time.
    """

    given: int = 0
    forwarded: int = 0
    dropped: int = 0
    kept_bytes: int = 0
    peak_bytes: int = 0


class KeyValueMemory:
    """What holds a session's keys and values to its limit.

    Args:
        limit: the most bytes.
        token_bytes: of one token.
        stats: is kept up to date.
    """

    def __init__(self, limit: int, token_bytes: int, stats: SessionStats) -> None:
        self.limit = limit
        self.token_bytes = token_bytes
        self._stats = stats
        # Those that some node leads to: the others are gone with their last reference.
        self._segments: WeakSet[Segment] = WeakSet()
        self._clock = 0

    def tick(self) -> None:
        """Begin another forward pass: what is used from now on is in use."""
        self._clock += 1

    def use(self, prefixes: Iterable[Prefix | None]) -> None:
        """Note what is used now."""
        for prefix in prefixes:
            for segment, _ in () if prefix is None else prefix.parts:
                segment.last_use = self._clock
                self._segments.add(segment)

    def make_room(self, new_tokens: int, prefixes: Sequence[Prefix | None]) -> bool:
        """Drop what was not used for longest; False where even that leaves too little.

        Args:
            new_tokens: how many are about to be forwarded.
            prefixes: what they continue.
        """
        # A segment that a branch goes on in may make room for half as much again.
        continued = {prefix.segment for prefix in prefixes if prefix is not None}
        growing = sum(segment.capacity // 2 for segment in continued if segment.prefix is not None)
        return self.evict(self.limit - (new_tokens + growing) * self.token_bytes)

    def evict(self, limit: int) -> bool:
        """Drop the least recently used keys and values until the limit holds, but none in use."""
        self.count()
        # What continues a segment was used no later than it: from the leaves to the roots.
        for segment in sorted(self._segments, key=_least_recently_used_first):
            if self._stats.kept_bytes <= limit:
                break
            if segment.last_use < self._clock and not segment.dropped:
                self._stats.kept_bytes -= segment.nbytes
                self._stats.dropped += segment.used
                segment.drop()
        return self._stats.kept_bytes <= limit

    def count(self) -> None:
        """Count what is kept."""
        self._stats.kept_bytes = sum(segment.nbytes for segment in self._segments)
        self._stats.peak_bytes = max(self._stats.peak_bytes, self._stats.kept_bytes)


def _least_recently_used_first(segment: Segment) -> tuple[int, int]:
    return segment.last_use, 0 if segment.prefix is None else -len(segment.prefix.parts)
