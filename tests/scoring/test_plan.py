"""Plans: every prefix somewhere, each trace whole, within the budget, the same for any order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stepscore import PrefixTrie
from stepscore.scoring.forward.plan import ForwardCosts, Plan, plan, plan_padded

# Few tokens: prefixes, duplicates and forks at every depth. Lengths 0 to 12. Every other example is
# of many traces: forks beside forks.
one_trace = st.lists(st.integers(0, 2), max_size=12)
any_traces = st.lists(one_trace, max_size=24) | st.lists(one_trace, min_size=8, max_size=24)
any_costs = st.builds(
    ForwardCosts, token=st.just(1.0), fork=st.sampled_from([0.0, 0.0, 1.0, 3.0, 10.0, 1000.0])
) | st.just(ForwardCosts(token=0.0, fork=1.0))
budgets = st.integers(1, 12) | st.integers(13, 100) | st.just(1000)
everything = ForwardCosts(token=1, fork=0)
nothing = ForwardCosts(token=0, fork=1)


def packed(traces):
    offsets = np.cumsum([0, *map(len, traces)]).astype(np.int64)
    return np.array([token for trace in traces for token in trace], dtype=np.int32), offsets


def prefixes(traces):
    return {tuple(trace[:end]) for trace in traces for end in range(1, len(trace) + 1)}


def spelled(made: Plan) -> list[tuple[int, ...]]:
    """What each row of a packed plan sees, itself included, from the fields of the plan alone."""
    rows: list[tuple[int, ...]] = []
    ends: list[tuple[int, ...]] = []
    for piece in range(len(made.parent)):
        parent = made.parent[piece]
        assert parent < piece, "what is continued stands before what continues it"
        seen = () if parent < 0 else ends[parent]
        for token in made.token_ids[made.offsets[piece] : made.offsets[piece + 1]].tolist():
            seen = (*seen, token)
            rows.append(seen)
        ends.append(seen)
    return rows


def pieces_of(made: Plan) -> list[list[int]]:
    return [piece.tolist() for piece in np.split(made.token_ids, made.offsets[1:-1])][
        : len(made.parent)
    ]


def blocks(values):
    return [value for value, _ in itertools.groupby(values)]


def as_fields(made: Plan) -> list[list[int]]:
    names = ("token_ids", "offsets", "parent", "group", "start", "run", "within", "batches")
    return [getattr(made, name).tolist() for name in names]


@given(any_traces, budgets, any_costs, st.none() | st.integers(0, 12))
@example([[], []], 1, everything, None)
@example([], 1, nothing, None)
def test_every_token_of_every_trace_is_where_the_plan_says(traces, budget, costs, cache_limit):
    made = plan(*packed(traces), token_budget=budget, costs=costs, cache_limit=cache_limit)
    rows = spelled(made)
    assert made.forwarded == len(rows) == len(made.token_ids)
    assert set(rows) == prefixes(traces), "nothing is missing, nothing is made up"
    for index, trace in enumerate(traces):
        rows_of_trace = made.rows(np.full(len(trace), index), np.arange(len(trace)))
        for position, row in enumerate(rows_of_trace):
            assert rows[row] == tuple(trace[: position + 1])
    assert made.given == sum(map(len, traces))
    assert made.unique == len(prefixes(traces)) <= made.forwarded <= made.given
    assert (made.last_piece[[i for i, trace in enumerate(traces) if not trace]] == -1).all()


@given(any_traces, budgets, any_costs, st.none() | st.integers(0, 12))
def test_the_fields_of_pieces_agree(traces, budget, costs, cache_limit):
    made = plan(*packed(traces), token_budget=budget, costs=costs, cache_limit=cache_limit)
    ends = made.start + made.lengths
    assert (made.lengths > 0).all()
    for piece, parent in enumerate(made.parent):
        assert made.start[piece] == (0 if parent < 0 else ends[parent])
        if made.within[piece]:  # a cut run: this piece stands behind the rest of the run
            assert made.run[piece] == made.run[parent]
            assert made.within[piece] == made.within[parent] + made.lengths[parent]
        else:
            assert parent < 0 or made.run[piece] != made.run[parent]
    firsts = made.run[made.within == 0]
    assert len(set(firsts)) == len(firsts), "a run begins once"


@given(any_traces, budgets)
def test_if_a_fork_is_free_each_prefix_is_forwarded_once(traces, budget):
    ids, offsets = packed(traces)
    made = plan(ids, offsets, token_budget=budget, costs=everything)
    assert made.forwarded == len(PrefixTrie(ids, offsets)) == len(prefixes(traces))


@given(any_traces)
def test_if_a_fork_is_dear_each_distinct_trace_is_a_piece(traces):
    made = plan(*packed(traces), token_budget=100, costs=nothing)
    distinct = {tuple(trace) for trace in traces if trace}
    whole = {
        trace
        for trace in distinct
        if not any(trace == other[: len(trace)] for other in distinct - {trace})
    }
    assert sorted(map(tuple, pieces_of(made))) == sorted(whole)
    assert (made.parent == -1).all()


@given(any_traces, budgets, any_costs)
def test_batches_hold_the_budget_and_what_they_continue_is_there(traces, budget, costs):
    made = plan(*packed(traces), token_budget=budget, costs=costs)
    assert made.batches[0] == 0
    assert made.batches[-1] == len(made.parent)
    assert (np.diff(made.batches) > 0).all()
    assert (np.diff(made.batch_rows()) <= budget).all()
    # Depth first, so that little is kept at a time: batches are as full as the next piece allows.
    for batch in range(len(made) - 1):
        rest = made.batch_rows()[batch + 2] - made.batch_rows()[batch]
        assert rest > budget
    for batch in range(len(made)):
        order = [(int(made.parent[p]), int(made.group[p])) for p in made.pieces(batch)]
        assert len(blocks(order)) == len(set(order)), "siblings stand together"
        roots = [parent < 0 for parent, _ in order]
        assert roots == sorted(roots, reverse=True), "roots come first"


@given(any_traces, budgets, any_costs, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(traces, budget, costs, random):
    order = list(range(len(traces)))
    random.shuffle(order)
    straight = plan(*packed(traces), token_budget=budget, costs=costs)
    shuffled = plan(*packed([traces[i] for i in order]), token_budget=budget, costs=costs)
    assert as_fields(shuffled) == as_fields(straight)
    assert shuffled.last_piece.tolist() == straight.last_piece[order].tolist()


@given(any_traces, budgets)
def test_dearer_forks_never_forward_fewer_tokens(traces, budget):
    forks = [0, 0.5, 1, 2, 3, 4, 5, 7, 9, 12, 20, 50, 1000]
    forwarded = [
        plan(*packed(traces), token_budget=budget, costs=ForwardCosts(1, fork)).forwarded
        for fork in forks
    ]
    assert forwarded == sorted(forwarded)


PROMPT = list(range(10, 50))
CANDIDATES = [[*PROMPT, 1, 2, 3], [*PROMPT, 1, 2, 4, 5], [*PROMPT, 6, 7], [8, 9]]


@pytest.mark.parametrize(
    ("fork", "expected"),
    [
        # A full trie: the run [1, 2] saves 2 tokens.
        (1.9, [PROMPT, [8, 9], [1, 2], [6, 7], [3], [4, 5]]),
        # A shared prefix: the prompt saves 2 x 40 tokens, and [1, 2] is copied.
        (2.0, [PROMPT, [8, 9], [1, 2, 3], [1, 2, 4, 5], [6, 7]]),
        (79.9, [PROMPT, [8, 9], [1, 2, 3], [1, 2, 4, 5], [6, 7]]),
        # Plain packing.
        (80.0, sorted(CANDIDATES)),
    ],
)
def test_what_is_shared_depends_on_what_a_fork_costs(fork, expected):
    made = plan(*packed(CANDIDATES), token_budget=1000, costs=ForwardCosts(1, fork))
    assert sorted(pieces_of(made)) == sorted(expected)
    assert len(made) == 1


@pytest.mark.parametrize(
    ("traces", "fork", "expected"),
    [
        # [2, 3] saves 4; [1] then has 2 branches, saves 1, and is copied into both.
        (["1234", "1235", "1236", "17"], 2.5, ["123", "4", "5", "6", "17"]),
        # [2] saves 2 and is copied into 3 leaves; so that [1, 1] has 4 branches and saves 6.
        (["1124", "1125", "1126", "117"], 2.5, ["11", "24", "25", "26", "7"]),
        (["1234", "1235", "1236", "17"], 4, ["1234", "1235", "1236", "17"]),
    ],
)
def test_a_run_saves_what_its_branches_would_copy(traces, fork, expected):
    made = plan(
        *packed([list(map(int, trace)) for trace in traces]),
        token_budget=100,
        costs=ForwardCosts(1, fork),
    )
    assert sorted("".join(map(str, trace)) for trace in pieces_of(made)) == sorted(expected)


def test_a_long_run_is_cut_at_the_budget():
    made = plan(*packed([list(range(10))]), token_budget=4, costs=everything)
    assert pieces_of(made) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert made.parent.tolist() == [-1, 0, 1]
    assert made.run.tolist() == [0, 0, 0]
    assert made.within.tolist() == made.start.tolist() == [0, 4, 8]
    assert made.batches.tolist() == [0, 1, 2, 3]


@given(any_traces, budgets, any_costs, st.integers(0, 12))
def test_nothing_beyond_the_cache_limit_is_kept(traces, budget, costs, limit):
    made = plan(*packed(traces), token_budget=budget, costs=costs, cache_limit=limit)
    continued = np.unique(made.parent[made.parent >= 0])
    assert ((made.start + made.lengths)[continued] <= limit).all()
    rows = np.diff(made.batch_rows())
    assert ((rows <= budget) | (np.diff(made.batches) == 1)).all()


groups_of_traces = st.lists(any_traces, min_size=1, max_size=5)


@given(groups_of_traces, budgets, any_costs, st.randoms(use_true_random=False))
def test_groups_share_nothing_and_start_where_they_are_told(grouped, budget, costs, random):
    starts = [random.choice([0, 0, 5, 100]) for _ in grouped]
    groups = np.cumsum([0, *map(len, grouped)])
    traces = [trace for group in grouped for trace in group]
    ids, offsets = packed(traces)
    made = plan(ids, offsets, token_budget=budget, costs=costs, groups=groups, starts=starts)
    rows = spelled(made)
    group_of_row = np.repeat(made.group, made.lengths)
    trace = 0
    for group, traces_of_group in enumerate(grouped):
        of_group = {rows[row] for row in np.flatnonzero(group_of_row == group)}
        assert of_group == prefixes(traces_of_group)
        for tokens in traces_of_group:
            positions = np.arange(len(tokens)) + starts[group]
            rows_of_trace = made.rows(np.full(len(tokens), trace), positions)
            assert (group_of_row[rows_of_trace] == group).all()
            for length, row in enumerate(rows_of_trace, 1):
                assert rows[row] == tuple(tokens[:length])
            trace += 1
    roots = made.parent == -1
    assert (made.start[roots] == np.array(starts)[made.group[roots]]).all()
    assert (made.group[~roots] == made.group[made.parent[~roots]]).all()
    alone = [len(prefixes(traces_of_group)) for traces_of_group in grouped]
    assert made.unique == sum(alone)
    # What continues a path is read together: the roots of a group stand together in a batch.
    for batch in range(len(made)):
        order = [
            (int(made.parent[p]), int(made.group[p]))
            for p in made.pieces(batch)
            if made.start[p] > 0
        ]
        assert len(blocks(order)) == len(set(order))


@given(groups_of_traces, budgets, any_costs, st.randoms(use_true_random=False))
def test_the_order_within_a_group_does_not_matter(grouped, budget, costs, random):
    groups = np.cumsum([0, *map(len, grouped)])
    starts = [7 * group for group in range(len(grouped))]
    shuffled = [random.sample(group, len(group)) for group in grouped]
    plans = [
        plan(
            *packed([trace for group in order for trace in group]),
            token_budget=budget,
            costs=costs,
            groups=groups,
            starts=starts,
        )
        for order in (grouped, shuffled)
    ]
    assert as_fields(plans[0]) == as_fields(plans[1])


@given(any_traces, budgets)
def test_padded_every_distinct_trace_is_forwarded_once_within_the_budget(traces, budget):
    made = plan_padded(*packed(traces), token_budget=budget)
    assert sorted(map(tuple, pieces_of(made))) == sorted(
        {tuple(trace) for trace in traces if trace}
    )
    assert made.padded
    assert made.given == sum(map(len, traces))
    assert made.unique == len(prefixes(traces))
    total = 0
    for batch in range(len(made)):
        lengths = made.lengths[made.pieces(batch).start : made.pieces(batch).stop]
        size = len(lengths) * lengths.max()
        assert len(lengths) == 1 or size <= budget
        assert made.batch_rows()[batch] == total
        total += size
    assert made.forwarded == total == made.batch_rows()[-1]
    for index, trace in enumerate(traces):
        piece = made.last_piece[index]
        assert (piece == -1) == (not trace)
        assert not trace or pieces_of(made)[piece] == trace


@given(any_traces, budgets)
def test_padded_rows_are_those_of_the_batch_as_it_is_forwarded(traces, budget):
    made = plan_padded(*packed(traces), token_budget=budget)
    rows = []
    for batch in range(len(made)):
        batch_pieces = [pieces_of(made)[piece] for piece in made.pieces(batch)]
        for piece in batch_pieces:
            rows += [tuple(piece[: end + 1]) for end in range(len(piece))]
            rows += [None] * (max(map(len, batch_pieces)) - len(piece))
    for index, trace in enumerate(traces):
        rows_of_trace = made.rows(np.full(len(trace), index), np.arange(len(trace)))
        assert [rows[row] for row in rows_of_trace] == [
            tuple(trace[: t + 1]) for t in range(len(trace))
        ]


@given(any_traces, budgets, st.none() | st.integers(0, 12), st.randoms(use_true_random=False))
def test_padded_the_order_of_the_input_does_not_matter(traces, budget, switch, random):
    order = list(range(len(traces)))
    random.shuffle(order)
    straight = plan_padded(*packed(traces), token_budget=budget, rope_switch_length=switch)
    shuffled = plan_padded(
        *packed([traces[i] for i in order]), token_budget=budget, rope_switch_length=switch
    )
    assert as_fields(shuffled) == as_fields(straight)
    assert shuffled.last_piece.tolist() == straight.last_piece[order].tolist()


def test_padded_longest_traces_go_first_and_share_batches():
    traces = [[1], [1, 2, 3, 4], [2], [1, 2, 3], [3]]
    made = plan_padded(*packed(traces), token_budget=8)
    assert pieces_of(made) == [[1, 2, 3, 4], [1, 2, 3], [1], [2], [3]]
    assert made.batches.tolist() == [0, 2, 5]


@given(any_traces, budgets, st.integers(0, 12))
def test_no_batch_holds_traces_on_both_sides_of_the_rope_switch(traces, budget, switch):
    made = plan_padded(*packed(traces), token_budget=budget, rope_switch_length=switch)
    for batch in range(len(made)):
        pieces = made.pieces(batch)
        assert len(set(made.lengths[pieces.start : pieces.stop] > switch)) == 1


def test_a_turn_cuts_a_batch_that_would_hold_both():
    traces = [[1] * 5, [2] * 4, [3] * 3]
    for switch, batches in ((None, [0, 3]), (4, [0, 1, 3]), (3, [0, 2, 3]), (9, [0, 3])):
        made = plan_padded(*packed(traces), token_budget=100, rope_switch_length=switch)
        assert made.batches.tolist() == batches
