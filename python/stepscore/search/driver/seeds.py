"""Random numbers that belong to problems: the same in every batch, group and retry."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from stepscore.search.tree import Ids
from stepscore.seeds import mix


def problem_keys(problems: Sequence[str]) -> Ids:
    """A number for each problem: a function of its text and of how often it stood there before."""
    seen: Counter[str] = Counter()
    keys = []
    for problem in problems:
        text = f"{seen[problem]}/{problem}".encode("utf-8", "surrogatepass")
        seen[problem] += 1
        keys.append(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1)
    return np.array(keys, np.int64)


def sample_seeds(seed: int, keys: Any, numbers: Any) -> list[int]:
    """The seed of each sample, in [0, 2^63), by its problem's key and its node's number there.

    Each of the three is mixed in by a round of SplitMix64. `keys` and `numbers` are arrays, or one
    key for all.
    """
    of_problem = mix(mix(seed % 2**64) ^ np.asarray(keys, np.uint64))
    seeds: list[int] = (mix(of_problem ^ np.asarray(numbers, np.uint64)) >> np.uint64(1)).tolist()
    return seeds
