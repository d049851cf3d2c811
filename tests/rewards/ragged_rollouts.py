"""Random rollouts with empty rows, gaps and singletons, and a comparison with a loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SEEDS = range(8)


@dataclass(frozen=True)
class Rollouts:
    """Rollouts of several groups, padded; the packed ones are the same tokens without padding."""

    steps: list[list[float]]
    ends: list[list[int]]
    mask: np.ndarray  # [B, T]
    lengths: list[int]
    groups: np.ndarray
    outcomes: np.ndarray

    @property
    def values(self) -> np.ndarray:
        return np.array([v for row in self.steps for v in row])

    @property
    def offsets(self) -> np.ndarray:
        return np.cumsum([0] + [len(row) for row in self.steps])

    @property
    def flat_ends(self) -> np.ndarray:
        return np.array([e for row in self.ends for e in row], np.int64)

    @property
    def padded(self) -> dict[str, Any]:
        return {"mask": self.mask}

    @property
    def packed(self) -> dict[str, Any]:
        return {"mask": self.pack(self.mask), "token_offsets": np.cumsum([0, *self.lengths])}

    def pack(self, array: np.ndarray) -> np.ndarray:
        rows = [row[:length] for row, length in zip(array, self.lengths, strict=True)]
        return np.concatenate(rows)


def rollouts(seed: int, *, steps_from: int = 0, tail: bool = True, width: int = 0) -> Rollouts:
    """Groups of 1, 2, 4 and 3 rollouts, in mixed order."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat([4, 0, 7, 2], [1, 2, 4, 3]))
    steps, ends, lengths, masks = [], [], [], []
    for _ in groups:
        length = int(rng.integers(6, 20))
        mask = (rng.random(length) < 0.8).astype(np.float64)
        mask[-1 if rng.random() < 0.5 else 0] = 1  # some end with what a tool wrote
        written = np.flatnonzero(mask)
        count = int(rng.integers(steps_from, min(5, len(written)) + 1))
        chosen = sorted(rng.choice(written, count, replace=False).tolist())
        if not tail and count:
            chosen[-1] = int(written[-1])
        steps.append(rng.normal(size=len(chosen)).round(3).tolist())
        ends.append(chosen)
        lengths.append(length)
        masks.append(mask)
    padded = np.zeros((len(groups), max(lengths) + width))
    for row, mask in enumerate(masks):
        padded[row, : len(mask)] = mask
    return Rollouts(steps, ends, padded, lengths, groups, rng.normal(size=len(groups)).round(3))


def close(got: Any, expected: Any, rtol: float = 1e-6) -> None:
    np.testing.assert_allclose(np.asarray(got), expected, rtol=rtol, atol=1e-9)


def six(got: Any, expected: Any) -> None:
    """The values of a table with six decimals."""
    np.testing.assert_allclose(np.asarray(got), expected, rtol=0, atol=6e-7)
