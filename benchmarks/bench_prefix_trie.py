"""PrefixTrie on one core against a dictionary per node, and a NumPy formulation level by level.

The name of each group tells the tokens: tokens / median is the speed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import stepscore

PROBLEMS, CANDIDATES, PROMPT, VOCABULARY = 1_000, 16, 200, 150_000
LENGTH = 440  # of a trace, prompt included, where all are equally long

Traces = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # token_ids, offsets, groups
GROUPS = np.arange(0, PROBLEMS * CANDIDATES + 1, CANDIDATES)
EQUALLY_LONG = np.arange(0, PROBLEMS * CANDIDATES * LENGTH + 1, LENGTH)


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    before = stepscore.num_threads()
    stepscore.set_num_threads(1)
    yield
    stepscore.set_num_threads(before)


def sampled(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Candidates of 120 to 360 tokens after their prompt; half of them follow an earlier one of
    their problem up to a random place, as in a tree search."""
    rng = np.random.default_rng(seed)
    pieces, sizes = [], []
    for _ in range(PROBLEMS):
        prompt = rng.integers(0, VOCABULARY, PROMPT, dtype=np.int32)
        earlier: list[np.ndarray] = []
        for _ in range(CANDIDATES):
            answer = rng.integers(0, VOCABULARY, rng.integers(120, 361), dtype=np.int32)
            if earlier and rng.random() < 0.5:
                other = earlier[rng.integers(len(earlier))]
                shared = min(rng.integers(len(other)), len(answer))
                answer[:shared] = other[:shared]
            earlier.append(answer)
            pieces += [prompt, answer]
            sizes.append(PROMPT + len(answer))
    return np.concatenate(pieces), np.concatenate([[0], np.cumsum(sizes)])


def traces(case: str) -> Traces:
    rng = np.random.default_rng(0)
    if case == "no sharing":
        ids = rng.integers(0, VOCABULARY, EQUALLY_LONG[-1], dtype=np.int32)
        return ids, EQUALLY_LONG, GROUPS
    if case == "all equal":
        ids = rng.integers(0, VOCABULARY, LENGTH, dtype=np.int32)
        return np.tile(ids, len(EQUALLY_LONG) - 1), EQUALLY_LONG, None
    return *sampled(), GROUPS if case == "1000 problems x 16" else None


def dictionary_trie(ids: Any, offsets: Any, groups: Any) -> tuple[list[int], list[int]]:
    """What a user would write; ids and offsets as lists. Returns count and node_of_token."""
    count: list[int] = []
    node_of_token: list[int] = []
    for first, last in pairwise(groups):
        root: dict[int, Any] = {}
        for t in range(first, last):
            below = root
            for token in ids[offsets[t] : offsets[t + 1]]:
                if token not in below:
                    below[token] = len(count), {}
                    count.append(0)
                node, below = below[token]
                count[node] += 1
                node_of_token.append(node)
    return count, node_of_token


def numpy_trie(ids: Any, offsets: Any, groups: Any) -> tuple[np.ndarray, np.ndarray]:
    """One `np.unique` per depth over (node before, token) of all traces that are long enough."""
    groups = [0, len(offsets) - 1] if groups is None else groups
    starts, lengths = offsets[:-1], np.diff(offsets)
    before = np.repeat(np.arange(len(groups) - 1), np.diff(groups))
    node_of_token = np.empty(len(ids), np.int64)
    counts, nodes = [], 0
    for depth in range(lengths.max()):
        alive = np.flatnonzero(lengths > depth)
        tokens = ids[starts[alive] + depth]
        keys = before[alive] * VOCABULARY + tokens
        _, node, count = np.unique(keys, return_inverse=True, return_counts=True)
        before[alive] = node_of_token[starts[alive] + depth] = nodes + node
        counts.append(count)
        nodes += len(count)
    return np.concatenate(counts), node_of_token


def test_all_ways_agree() -> None:
    ids, offsets = sampled()
    offsets = offsets[: 20 * CANDIDATES + 1]
    ids, groups = ids[: offsets[-1]], GROUPS[:21]
    trie = stepscore.PrefixTrie(ids, offsets, groups=groups)
    count, node = dictionary_trie(ids.tolist(), offsets.tolist(), groups.tolist())
    assert trie.count.tolist() == count
    assert trie.node_of_token.tolist() == node
    counts, nodes = numpy_trie(ids, offsets, groups)  # which numbers its nodes by depth
    assert len(counts) == len(trie)
    assert np.array_equal(counts[nodes], trie.count[trie.node_of_token])


@pytest.mark.benchmark(group="PrefixTrie: 1000 problems x 16 candidates, 7.06M tokens")
class TestProblems:
    def test_stepscore(self, measure: Any) -> None:
        ids, offsets, groups = traces("1000 problems x 16")
        measure(lambda: stepscore.PrefixTrie(ids, offsets, groups=groups), [()], rounds=15)

    def test_stepscore_with_runs_and_children(self, measure: Any) -> None:
        ids, offsets, groups = traces("1000 problems x 16")

        def build() -> None:
            trie = stepscore.PrefixTrie(ids, offsets, groups=groups)
            _ = trie.run_parent, trie.children, trie.forks

        measure(build, [()], rounds=15)

    def test_numpy(self, measure: Any) -> None:
        ids, offsets, groups = traces("1000 problems x 16")
        measure(lambda: numpy_trie(ids, offsets, groups), [()], rounds=3)

    def test_dictionaries(self, measure: Any) -> None:
        """On a twentieth of the problems."""
        ids, offsets = sampled()
        plain = ids.tolist(), offsets.tolist(), GROUPS[: PROBLEMS // 20 + 1].tolist()
        measure(lambda: dictionary_trie(*plain), [()], rounds=3)


@pytest.mark.benchmark(group="PrefixTrie: 16000 traces, 7.04M tokens (one group: 7.06M)")
@pytest.mark.parametrize("case", ["no sharing", "all equal", "one group"])
def test_stepscore(case: str, measure: Any) -> None:
    ids, offsets, groups = traces(case)
    measure(lambda: stepscore.PrefixTrie(ids, offsets, groups=groups), [()], rounds=15)
