"""Traces as packed tokens, and where their steps are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepscore.ragged import offsets_of, segment_of


@dataclass(frozen=True)
class PackedTraces:
    """Traces as packed tokens, and where their steps are read.

    Attributes:
        token_ids: packed ids ``[tokens]``.
        offsets: where each trace begins and ends ``[traces + 1]``.
        positions: one per step, counted from its trace's first token ``[steps]``.
        step_offsets: the steps of each trace ``[traces + 1]``.
        first_tokens: where a recipe that reads every token begins, counted likewise ``[traces]``.
    """

    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    positions: NDArray[np.int64]
    step_offsets: NDArray[np.int64]
    first_tokens: NDArray[np.int64] | None = None

    def trace_of_step(self) -> NDArray[np.int64]:
        """The trace of every step."""
        return segment_of(self.step_offsets)

    def steps_of(self, traces: NDArray[np.int64]) -> NDArray[np.int64]:
        """The steps of some traces, as `take` has them one behind the other."""
        return _values_of(self.step_offsets, traces)

    def take(self, traces: NDArray[np.int64]) -> PackedTraces:
        """Some of the traces."""
        return PackedTraces(
            self.token_ids[_values_of(self.offsets, traces)],
            offsets_of(np.diff(self.offsets)[traces]),
            self.positions[_values_of(self.step_offsets, traces)],
            offsets_of(np.diff(self.step_offsets)[traces]),
            None if self.first_tokens is None else self.first_tokens[traces],
        )

    def between(self, begin: int, end: int) -> PackedTraces:
        """The traces from one on, up to another, as views."""
        tokens, steps = self.offsets[begin : end + 1], self.step_offsets[begin : end + 1]
        return PackedTraces(
            self.token_ids[tokens[0] : tokens[-1]],
            tokens - tokens[0],
            self.positions[steps[0] : steps[-1]],
            steps - steps[0],
            None if self.first_tokens is None else self.first_tokens[begin:end],
        )

    @classmethod
    def joined(cls, parts: Sequence[PackedTraces]) -> PackedTraces:
        """The traces of several, at least one, one behind the other."""
        if len(parts) == 1:
            return parts[0]
        first = [part.first_tokens for part in parts if part.first_tokens is not None]
        return cls(
            np.concatenate([part.token_ids for part in parts]),
            offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
            np.concatenate([part.positions for part in parts]),
            offsets_of(np.concatenate([np.diff(part.step_offsets) for part in parts])),
            np.concatenate(first) if first else None,
        )

    def tokens_after(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """The token behind the position of each of some steps, none of them a trace's last."""
        at = self.offsets[self.trace_of_step()[steps]] + self.positions[steps]
        tokens: NDArray[np.int64] = self.token_ids[at + 1].astype(np.int64)
        return tokens


def concatenated_ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give `lengths[i]` numbers from `starts[i]` on, one range behind the other."""
    offsets = offsets_of(lengths)
    ranges: NDArray[np.int64] = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return ranges


def _values_of(offsets: NDArray[np.int64], segments: NDArray[np.int64]) -> NDArray[np.int64]:
    return concatenated_ranges(offsets[:-1][segments], np.diff(offsets)[segments])
