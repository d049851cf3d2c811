"""PrefixTrie against nested dictionaries."""

from __future__ import annotations

import doctest
import inspect
import re
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from same_bits import THREADS, bits

import stepscore
from stepscore import PrefixTrie, reference

FIELDS = (
    "token",
    "parent",
    "depth",
    "count",
    "node_of_token",
    "last_node",
    "group_offsets",
    "token_weights",
    "run_offsets",
    "run_parent",
    "child_offsets",
    "children",
    "forks",
)


def ragged(sizes: Any) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def packed(traces: list[Any], dtype: Any = np.int64) -> tuple[np.ndarray, np.ndarray]:
    empty = np.empty(0, dtype)
    ids = np.concatenate([empty, *(np.asarray(trace, dtype) for trace in traces)])
    return ids, ragged([len(trace) for trace in traces])


def check(token_ids: Any, offsets: Any, groups: Any = None) -> PrefixTrie:
    got = PrefixTrie(token_ids, offsets, groups=groups)
    expected = reference.PrefixTrie(token_ids, offsets, groups=groups)
    for field in FIELDS:
        ours, theirs = getattr(got, field), getattr(expected, field)
        assert ours.tolist() == theirs.tolist(), field
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), field
    assert (len(got), got.num_tokens) == (len(expected), expected.num_tokens)
    return got


def test_reference_takes_the_arguments_of_the_op():
    assert inspect.signature(PrefixTrie).parameters.keys() == (
        inspect.signature(reference.PrefixTrie).parameters.keys()
    )


def test_the_examples_of_the_docstring_hold():
    examples = doctest.DocTestFinder().find(PrefixTrie, globs={"PrefixTrie": PrefixTrie, "np": np})
    assert sum(len(example.examples) for example in examples) >= 8
    for example in examples:
        assert doctest.DocTestRunner().run(example).failed == 0


# --- by hand --------------------------------------------------------------------------------

A, B, C, D, E = range(5)


def test_a_whole_trie():
    #                          0 1 2        3       4 5        (nodes that each trace adds)
    trie = check(*packed([[A, B, C], [A, B, D], [E, A], [A, B], [], [A, B, C]]))
    assert trie.token.tolist() == [A, B, C, D, E, A]
    assert trie.parent.tolist() == [-1, 0, 1, 1, -1, 4]
    assert trie.depth.tolist() == [0, 1, 2, 2, 0, 1]
    assert trie.count.tolist() == [4, 4, 2, 1, 1, 1]
    assert trie.node_of_token.tolist() == [0, 1, 2, 0, 1, 3, 4, 5, 0, 1, 0, 1, 2]
    assert trie.last_node.tolist() == [2, 3, 5, 1, -1, 2]
    assert trie.group_offsets.tolist() == [0, 6]
    assert trie.run_offsets.tolist() == [0, 2, 3, 4, 6]
    assert trie.run_parent.tolist() == [-1, 0, 0, -1]
    assert trie.child_offsets.tolist() == [0, 1, 3, 3, 3, 4, 4]
    assert trie.children.tolist() == [1, 2, 3, 5]
    assert trie.children_of(1).tolist() == [2, 3]
    assert trie.forks.tolist() == [1]
    assert repr(trie) == "PrefixTrie(tokens=13, traces=6, groups=1, nodes=6)"


@pytest.mark.parametrize(
    ("traces", "runs"),
    [
        ([[A, B, C], [A, B, C, D]], [0, 3, 4]),  # one ends inside the other
        ([[A, B, C, D], [A, B, C]], [0, 3, 4]),
        ([[A, B], [A, B]], [0, 2]),  # equal traces: one run
        ([[A], [B]], [0, 1, 2]),  # two roots in a row are two runs
        ([[A, B, C], [A, D], [A, B, E]], [0, 1, 2, 3, 4, 5]),  # B and its child C: counts 2, 1
        ([[A, B, C], [A, B, D], [A, B, D, E]], [0, 2, 3, 4, 5]),  # a run that hangs on the second
        ([[A, A, A]], [0, 3]),
        ([[]], [0]),
        ([], [0]),
    ],
)
def test_runs_by_hand(traces, runs):
    assert check(*packed(traces)).run_offsets.tolist() == runs


def test_groups_share_nothing():
    trie = check(*packed([[A, B], [A, C], [A, B], [A]]), groups=[0, 2, 2, 4])
    assert trie.parent.tolist() == [-1, 0, 0, -1, 3]
    assert trie.count.tolist() == [2, 1, 1, 2, 1]
    assert trie.group_offsets.tolist() == [0, 3, 3, 5]
    assert repr(trie) == "PrefixTrie(tokens=7, traces=4, groups=3, nodes=5)"


@pytest.mark.parametrize("groups", [None, [0], [0, 0]])
def test_no_traces(groups):
    assert len(check(*packed([]), groups=groups)) == 0
    assert len(PrefixTrie([], [0], groups=groups)) == 0  # float64, NumPy thinks


# --- against the dictionaries ---------------------------------------------------------------


@st.composite
def forests(draw):
    """Traces that follow an earlier one for a while: forks, duplicates, prefixes, empty ones."""
    alphabet = draw(st.sampled_from([1, 2, 1000]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    traces: list[list[int]] = []
    for longest in draw(st.lists(st.integers(0, 40), max_size=12)):
        shared = traces[rng.integers(len(traces))] if traces else []
        own = rng.integers(-1, alphabet, rng.integers(longest + 1)).tolist()
        traces.append(shared[: rng.integers(len(shared) + 1)] + own)
    cuts = draw(st.lists(st.integers(0, len(traces)), max_size=4))
    groups = draw(st.sampled_from([None, [0, *sorted(cuts), len(traces)]]))
    return *packed(traces, draw(st.sampled_from([np.int32, np.int64]))), groups


@given(forests())
def test_any_forest(forest):
    trie = check(*forest)
    ids, offsets, _ = forest
    # What the arrays promise, without the reference.
    assert np.array_equal(trie.token[trie.node_of_token], ids)
    position = np.arange(len(ids)) - np.repeat(offsets[:-1], np.diff(offsets))
    assert np.array_equal(trie.depth[trie.node_of_token], position)
    assert np.array_equal(np.bincount(trie.node_of_token, minlength=len(trie)), trie.count)
    assert (trie.parent < np.arange(len(trie))).all()


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 1), max_size=6)))
def test_any_ids(traces):
    check(*packed(traces))


@given(forests())
def test_groups_are_their_single_calls(forest):
    ids, offsets, groups = forest
    if groups is None:
        groups = range(len(offsets))  # every trace a problem of its own
    together = PrefixTrie(ids, offsets, groups=np.asarray(groups))
    nodes = together.group_offsets
    for g, (first, last) in enumerate(pairwise(groups)):
        begin, end = offsets[first], offsets[last]
        alone = PrefixTrie(ids[begin:end], offsets[first : last + 1] - begin)
        here = slice(nodes[g], nodes[g + 1])
        for field in ("token", "depth", "count"):
            assert bits(getattr(together, field)[here]) == bits(getattr(alone, field))
        parent = together.parent[here]
        assert bits(np.where(parent < 0, -1, parent - nodes[g])) == bits(alone.parent)
        assert bits(together.node_of_token[begin:end] - nodes[g]) == bits(alone.node_of_token)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_threads_change_nothing(dtype):
    rng = np.random.default_rng(0)
    offsets = ragged(rng.integers(0, 60, 40_000))
    ids = rng.integers(0, 3, offsets[-1]).astype(dtype)
    groups = np.concatenate([[0], np.sort(rng.integers(0, 40_001, 5_000)), [40_000]])
    seen = set()
    for threads in THREADS:
        stepscore.set_num_threads(threads)
        trie = PrefixTrie(ids, offsets, groups=groups)
        seen.add(b"".join(bits(getattr(trie, field)) for field in FIELDS))
    assert len(seen) == 1


# --- sizes ----------------------------------------------------------------------------------


def test_many_first_tokens_take_bounded_time():
    # Ids whose low bits are all zero, and neighbours: neither may crowd the table.
    for ids in (np.arange(100_000) << 32, np.arange(100_000), -np.arange(100_000) * 2**20):
        begin = time.process_time()
        trie = PrefixTrie(np.repeat(ids, 2), np.arange(0, 200_001, 2))
        assert time.process_time() - begin < 2  # about 0.02
        assert len(trie) == 200_000
        assert np.count_nonzero(trie.parent < 0) == 100_000
        assert len(trie.forks) == 0


def test_a_wide_fork_below_a_node():
    ids = np.stack([np.full(100_000, 7), np.arange(100_000)], 1).ravel()
    trie = PrefixTrie(np.tile(ids, 2), np.arange(0, 400_001, 2))
    assert len(trie) == 100_001
    assert trie.forks.tolist() == [0]
    assert trie.children_of(0).tolist() == list(range(1, 100_001))
    assert trie.count[0] == 200_000
    assert (trie.count[1:] == 2).all()


def test_a_deep_trace():
    deep = np.random.default_rng(0).integers(0, 150_000, 1_000_000, dtype=np.int32)
    trie = PrefixTrie(np.concatenate([deep, deep[:999_999], [-1]]), [0, 1_000_000, 2_000_000])
    assert len(trie) == 1_000_001
    assert trie.parent[-1] == 999_998
    assert trie.run_offsets.tolist() == [0, 999_999, 1_000_000, 1_000_001]


def test_equal_traces_are_one_run():
    trie = PrefixTrie(np.tile(np.arange(50), 1000), np.arange(0, 50_001, 50))
    assert trie.run_offsets.tolist() == [0, 50]
    assert (trie.count == 1000).all()


# --- arrays ---------------------------------------------------------------------------------


def test_arrays_are_read_only():
    trie = PrefixTrie([1, 2, 1, 3], [0, 2, 4])
    for field in FIELDS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(trie, field)[...] = 0


def test_ids_of_any_integer_type_and_stride():
    expected = check([1, 2, 1, 3], [0, 2, 4])
    for dtype in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", ">i4", ">i8"):
        trie = PrefixTrie(np.array([1, 0, 2, 0, 1, 0, 3, 0], dtype)[::2], [0, 2, 4])
        assert trie.parent.tolist() == expected.parent.tolist()
        assert trie.token.dtype == (np.int32 if dtype in ("int32", ">i4") else np.int64)


def test_later_changes_of_the_inputs_are_not_seen():
    ids, offsets, groups = np.array([1, 2, 1, 3]), np.array([0, 2, 4]), np.array([0, 2])
    trie = PrefixTrie(ids, offsets, groups=groups)
    for array in (ids, offsets, groups):
        array[...] = 0
    expected = reference.PrefixTrie([1, 2, 1, 3], [0, 2, 4])
    for field in FIELDS:
        assert getattr(trie, field).tolist() == getattr(expected, field).tolist()


def test_tensors_are_taken():
    torch = pytest.importorskip("torch")
    for dtype in (torch.int32, torch.int64):
        ids = torch.tensor([1, 2, 1, 3], dtype=dtype)
        trie = PrefixTrie(ids, torch.tensor([0, 2, 4]), groups=torch.tensor([0, 1, 2]))
        assert isinstance(trie.token, np.ndarray)
        assert trie.group_offsets.tolist() == [0, 2, 4]


# --- errors ---------------------------------------------------------------------------------

T = [1, 9, 1, 9]

FAULTS = {
    "offsets": (
        lambda: PrefixTrie(T, [0, 3]),
        ValueError,
        "PrefixTrie: offsets must end at 4 (the number of token_ids); got 3",
    ),
    "offsets beyond": (
        lambda: PrefixTrie(T, [0, 2**62]),
        ValueError,
        "PrefixTrie: offsets must end at 4 (the number of token_ids); got 4611686018427387904",
    ),
    "offsets fall": (
        lambda: PrefixTrie(T, [0, 3, 1, 4]),
        ValueError,
        "PrefixTrie: offsets must not decrease; offsets[2] is 1 after 3",
    ),
    "offsets begin": (
        lambda: PrefixTrie(T, [1, 4]),
        ValueError,
        "PrefixTrie: offsets must begin at 0; got 1",
    ),
    "offsets none": (
        lambda: PrefixTrie([], []),
        ValueError,
        "PrefixTrie: offsets must hold at least the leading 0; got none",
    ),
    "offsets scalar": (
        lambda: PrefixTrie(T, 4),
        ValueError,
        "PrefixTrie: offsets must have 1 dimension; got shape []",
    ),
    "offsets of floats": (
        lambda: PrefixTrie(T, [0.0, 4.0]),
        TypeError,
        "PrefixTrie: offsets must hold integers that fit int64; got float64",
    ),
    "groups": (
        lambda: PrefixTrie(T, [0, 2, 4], groups=[0, 1]),
        ValueError,
        "PrefixTrie: groups must end at 2 (the number of traces); got 1",
    ),
    "groups fall": (
        lambda: PrefixTrie(T, [0, 2, 4], groups=[0, 2, 1, 2]),
        ValueError,
        "PrefixTrie: groups must not decrease; groups[2] is 1 after 2",
    ),
    "groups none": (
        lambda: PrefixTrie(T, [0, 2, 4], groups=[]),
        ValueError,
        "PrefixTrie: groups must hold at least the leading 0; got none",
    ),
    "groups rank": (
        lambda: PrefixTrie(T, [0, 2, 4], groups=[[0, 2]]),
        ValueError,
        "PrefixTrie: groups must have 1 dimension; got shape [1, 2]",
    ),
    "groups of floats": (
        lambda: PrefixTrie(T, [0, 2, 4], groups=[0.0, 2.0]),
        TypeError,
        "PrefixTrie: groups must hold integers that fit int64; got float64",
    ),
    "ids of floats": (
        lambda: PrefixTrie([1.0], [0, 1]),
        TypeError,
        "PrefixTrie: token_ids must hold integers that fit int64; got float64",
    ),
    "ids rank": (
        lambda: PrefixTrie([T], [0, 4]),
        ValueError,
        "PrefixTrie: token_ids must have 1 dimension; got shape [1, 4]",
    ),
    "ids of lists": (
        lambda: PrefixTrie([[1, 2], [1]], [0, 3]),
        ValueError,
        "PrefixTrie: token_ids must be an array; got a list",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_named(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_token_weights_are_those_of_lambda_grpo():
    trie = stepscore.PrefixTrie([1, 2, 3, 1, 2, 4, 1, 5, 1, 2, 3], [0, 3, 6, 8, 11])
    expected = [1 / 4, 1 / 3, 1 / 2, 1 / 4, 1 / 3, 1, 1 / 4, 1, 1 / 4, 1 / 3, 1 / 2]
    assert trie.token_weights.tolist() == expected
    # Those of the first tokens sum to the number of different first tokens, group by group.
    rng = np.random.default_rng(0)
    ids, offsets = rng.integers(0, 4, 90), np.arange(31) * 3
    groups = [0, 12, 30]
    trie = stepscore.PrefixTrie(ids, offsets, groups=groups)
    for begin, end in pairwise(groups):
        firsts = offsets[begin:end]
        total = trie.token_weights[firsts].sum()
        assert total == pytest.approx(len(np.unique(ids[firsts])))
