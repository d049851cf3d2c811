"""Batches of traces: within the budget, every distinct trace once, the same for any order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stepscore.scoring.plan import plan

traces_of_any_shape = st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=30)


def packed(traces):
    offsets = np.cumsum([0, *map(len, traces)]).astype(np.int64)
    return np.array([token for trace in traces for token in trace], dtype=np.int32), offsets


@given(traces_of_any_shape, st.integers(1, 40))
def test_every_distinct_trace_is_forwarded_once_within_the_budget(traces, budget):
    planned = plan(*packed(traces), budget)
    forwarded = [index for batch in planned.batches for index in batch]
    contents = [tuple(traces[index]) for index in forwarded]
    assert sorted(contents) == sorted({tuple(trace) for trace in traces if trace})
    for batch in planned.batches:
        lengths = [len(traces[index]) for index in batch]
        assert len(batch) == 1 or len(batch) * max(lengths) <= budget
    for trace, representative in zip(traces, planned.representative, strict=True):
        assert traces[representative] == trace


@given(traces_of_any_shape, st.integers(1, 40), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(traces, budget, random):
    shuffled = list(traces)
    random.shuffle(shuffled)
    plans = [
        [[own[index] for index in batch] for batch in plan(*packed(own), budget).batches]
        for own in (traces, shuffled)
    ]
    assert plans[0] == plans[1]


def test_longest_traces_go_first_and_share_batches():
    traces = [[1], [1, 2, 3, 4], [2], [1, 2, 3], [3]]
    batches = plan(*packed(traces), 8).batches
    assert [batch.tolist() for batch in batches] == [[1, 3], [0, 2, 4]]
