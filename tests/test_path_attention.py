"""path_attention against the float64 reference and torch, and bit for bit against itself."""

from __future__ import annotations

import inspect
import itertools
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from same_bits import bits, bits_everywhere

import stepscore
from stepscore import _core, reference
from stepscore.ragged import offsets_of

TOLERANCE = 2e-6  # of results that are means of standard normal values
BLOCK = 64


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@dataclass
class Trace:
    """Queries, keys and values of the tokens of one path, and what attention is asked for."""

    tokens: int
    heads: int = 2
    key_heads: int = 1
    size: int = 16
    value_size: int = 0
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, g = self.tokens, self.key_heads
        self.q = normal(n, self.heads, self.size, seed=3 * self.seed)
        self.k = normal(n, g, self.size, seed=3 * self.seed + 1)
        self.v = normal(n, g, self.value_size or self.size, seed=3 * self.seed + 2)

    def alone(self, tokens: int | None = None) -> np.ndarray:
        n = self.tokens if tokens is None else tokens
        return stepscore.path_attention(self.q[:n], self.k[:n], self.v[:n], [0, n], **self.options)

    def expected(self) -> np.ndarray:
        return reference.path_attention(self.q, self.k, self.v, [0, self.tokens], **self.options)


def test_reference_takes_the_arguments_of_the_op():
    names = list(inspect.signature(stepscore.path_attention).parameters)
    assert list(inspect.signature(reference.path_attention).parameters) == names[:-1]
    assert names[-1] == "out"


# --- against the reference and against torch ------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129, 191, 192, 193, 200])
@pytest.mark.parametrize(
    ("heads", "key_heads", "size"), [(3, 1, 64), (4, 2, 96), (2, 2, 128), (1, 1, 256), (6, 2, 5)]
)
def test_lengths_and_head_sizes(tokens, heads, key_heads, size):
    trace = Trace(tokens, heads, key_heads, size)
    np.testing.assert_allclose(trace.alone(), trace.expected(), rtol=0, atol=TOLERANCE)


@st.composite
def traces(draw):
    key_heads = draw(st.sampled_from([1, 2, 3]))
    options: dict[str, Any] = {}
    if draw(st.booleans()):
        options["window"] = draw(st.integers(1, 160))
    if draw(st.booleans()):
        options["soft_cap"] = draw(st.sampled_from([0.5, 5.0, 50.0]))
    if draw(st.booleans()):
        options["scale"] = draw(st.sampled_from([0.0, 0.01, -0.3, 0.5]))
    return Trace(
        draw(st.integers(1, 200)),
        key_heads * draw(st.sampled_from([1, 2, 5])),
        key_heads,
        draw(st.sampled_from([1, 3, 8, 31, 32, 33, 64, 80])),
        draw(st.sampled_from([0, 0, 1, 31, 32, 40])),
        draw(st.integers(0, 1000)),
        options,
    )


@given(traces())
def test_any_attention_is_the_reference(trace):
    got = trace.alone()
    assert got.dtype == np.float32
    # A rounding of a logit, at most 50 here, moves a weight by as much of itself.
    np.testing.assert_allclose(got, trace.expected(), rtol=0, atol=4 * TOLERANCE)


@pytest.mark.parametrize("tokens", [5, 64, 150])
@pytest.mark.parametrize(("heads", "key_heads", "size"), [(9, 3, 64), (8, 2, 128)])
def test_torch_gives_the_same(tokens, heads, key_heads, size):
    torch = pytest.importorskip("torch")
    trace = Trace(tokens, heads, key_heads, size)
    q, k, v = (torch.from_numpy(x).transpose(0, 1)[None] for x in (trace.q, trace.k, trace.v))
    attention = torch.nn.functional.scaled_dot_product_attention
    expected = attention(q, k, v, is_causal=True, enable_gqa=True)[0].transpose(0, 1)
    got = stepscore.path_attention(
        *(x[0].transpose(0, 1) for x in (q, k, v)), torch.tensor([0, tokens])
    )
    assert type(got) is torch.Tensor
    assert bits(got) == bits(trace.alone())
    torch.testing.assert_close(got, expected, rtol=0, atol=2 * TOLERANCE)


def test_torch_gives_the_same_under_a_window():
    torch = pytest.importorskip("torch")
    trace = Trace(150, 4, 2, 64, options={"window": 30})
    q, k, v = (torch.from_numpy(x).transpose(0, 1)[None] for x in (trace.q, trace.k, trace.v))
    behind = torch.arange(150)[:, None] - torch.arange(150)
    expected = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=(behind >= 0) & (behind < 30), enable_gqa=True
    )[0].transpose(0, 1)
    np.testing.assert_allclose(trace.alone(), expected, rtol=0, atol=2 * TOLERANCE)


def test_large_heads_keep_their_digits():
    trace = Trace(300, 2, 1, 64)
    assert np.abs(trace.alone() - trace.expected()).max() < 1.5e-6


# --- extreme logits -------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e2, 1e4, 1e18])
def test_logits_far_apart_choose_the_highest(factor):
    trace = Trace(150)
    trace.q *= np.float32(factor)
    logits = np.einsum("ihd,jd->hij", trace.q.astype(np.float64), trace.k[:, 0])
    logits = np.where(np.tri(150, dtype=bool), logits, -np.inf)
    runner_up, highest = np.sort(logits, axis=2)[:, 1:, -2:].transpose(2, 0, 1)
    clear = highest - runner_up > 1e-3 * np.abs(highest) + 1e3  # beyond all rounding
    chosen = trace.v[logits.argmax(axis=2)[:, 1:], 0]
    got = trace.alone()[1:].transpose(1, 0, 2)
    assert np.isfinite(got).all()
    assert clear.any() or factor < 1e4
    assert (got[clear] == chosen[clear]).all()


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_equal_logits_give_the_mean(size):
    trace = Trace(200, size=4)
    trace.q[:] = 1.0
    trace.k[:] = size / 4
    expected = trace.v[:, 0].cumsum(axis=0) / np.arange(1, 201)[:, None]
    np.testing.assert_allclose(trace.alone()[:, 0], expected, rtol=0, atol=TOLERANCE)


def test_a_logit_of_minus_infinity_has_no_weight():
    trace = Trace(100, heads=1, size=8)
    trace.q[:] = np.abs(trace.q)
    unseen = np.arange(1, 100, 3)
    trace.k[unseen, 0, 2] = -np.inf
    got = trace.alone()
    seen = np.setdiff1d(np.arange(100), unseen)
    rows = seen[seen > 5]
    for row in rows:
        below = seen[seen <= row]
        expected = reference.path_attention(
            trace.q[row : row + 1],
            trace.k[below],
            trace.v[below],
            [0, 1],
            [[0, 0, len(below)]],
            [0, 1],
        )
        np.testing.assert_allclose(got[row], expected[0], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_without_a_softmax_give_nan(value):
    trace = Trace(100, heads=1, size=8)
    trace.q[:] = np.abs(trace.q)
    trace.k[70] = value
    got = trace.alone()
    assert np.isfinite(got[:70]).all()
    assert np.isnan(got[70:]).all()
    with np.errstate(invalid="ignore"):
        assert np.isnan(trace.expected()[70:]).all()


def test_a_soft_cap_is_exact_near_zero_and_far_away():
    for size in (1e-3, 0.1, 0.6, 0.65, 2.0, 1e3):
        trace = Trace(64, options={"soft_cap": 3.0, "scale": size})
        np.testing.assert_allclose(trace.alone(), trace.expected(), rtol=0, atol=4 * TOLERANCE)


# --- what is not seen leaves no trace -------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("options", [{}, {"window": 20}, {"soft_cap": 4.0}], ids=str)
def test_later_and_windowed_tokens_leave_no_trace(value, options):
    trace = Trace(150, options=options)
    clean = trace.alone()
    for place in (0, 40, 64, 100, 149):
        spoilt = replace(trace)
        spoilt.k[place] = value
        spoilt.v[place] = value
        got = spoilt.alone()
        assert bits(got[:place]) == bits(clean[:place])
        if "window" in options:
            assert bits(got[place + 20 :]) == bits(clean[place + 20 :])
        assert np.isfinite(value) or not np.isfinite(got[place]).any()


def test_slots_outside_of_the_path_leave_no_trace():
    trace = Trace(70)
    expected = bits(trace.alone())
    k, v = (np.full((200, 1, 16), np.nan, np.float32) for _ in range(2))
    k[13:83], v[13:83] = trace.k, trace.v
    got = stepscore.path_attention(trace.q, k, v, [0, 70], [[0, 13, 70]], [0, 1])
    assert bits(got) == expected


# --- the same bits --------------------------------------------------------------------------

OPTIONS = [{}, {"window": 50}, {"soft_cap": 2.0}, {"soft_cap": 2.0, "window": 3}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("size", [5, 64])
def test_levels_and_threads_change_no_bit(levels, options, size):
    trace = Trace(150, 6, 2, size, options=options)
    trace.k[90] = np.inf
    trace.v[100, 0, 3] = np.nan
    bits_everywhere(levels, trace.alone)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_query_depends_on_nothing_behind_it(options):
    trace = Trace(200, options=options)
    whole = trace.alone()
    for tokens in [*range(1, 200, 7), 63, 64, 65, 127, 128, 129]:
        assert bits(trace.alone(tokens)) == bits(whole[:tokens]), tokens


def cut(rng: np.random.Generator, tokens: int) -> list[int]:
    """Lengths of at least 1 that add up."""
    places = np.flatnonzero(rng.random(tokens - 1) < rng.choice([0.02, 0.1, 0.5])) + 1
    return np.diff([0, *places, tokens]).tolist()


@dataclass
class Scattered:
    """Traces with common beginnings, cut at random into segments that lie in random stores."""

    seed: int

    def __post_init__(self) -> None:
        self.rng = rng = np.random.default_rng(self.seed)
        self.size = int(rng.choice([8, 64]))
        options: dict[str, Any] = dict(OPTIONS[rng.integers(len(OPTIONS))])
        shared = int(rng.integers(1, 200))
        root = Trace(shared, 4, 2, self.size, seed=self.seed)
        self.traces = []
        for number in range(int(rng.integers(2, 7))):
            own = int(rng.integers(1, 90))
            trace = Trace(shared + own, 4, 2, self.size, seed=self.seed + 1 + number)
            trace.q[:shared], trace.k[:shared], trace.v[:shared] = root.q, root.k, root.v
            trace.options = options
            self.traces.append(trace)
        self.stores: list[list[np.ndarray]] = [[], []]
        self.shared_segments = self.store(root, 0, shared)
        self.shared = shared
        self.options = options

    def store(self, trace: Trace, begin: int, end: int) -> list[list[int]]:
        """Put tokens somewhere, in several parts, with garbage around them."""
        segments = []
        for length in cut(self.rng, end - begin):
            room, at = length + int(self.rng.integers(0, 3)), int(self.rng.integers(0, 3))
            for kind, states in enumerate((trace.k, trace.v)):
                place = np.full((at + room, 2, self.size), np.nan, np.float32)
                place[at : at + length] = states[begin : begin + length]
                self.stores[kind].append(place)
            segments.append([len(self.stores[0]) - 1, at, length])
            begin += length
        return segments

    def attend(self) -> list[np.ndarray]:
        """The results of each trace's own tokens, piece by piece."""
        pieces, queries, paths = [], [], []
        for number, trace in enumerate(self.traces):
            path = list(self.shared_segments)
            begin = self.shared
            for length in cut(self.rng, trace.tokens - self.shared):
                path = path + self.store(trace, begin, begin + length)
                pieces.append((number, begin, length))
                queries.append(trace.q[begin : begin + length])
                paths.append(path)
                begin += length
        order = np.arange(len(pieces))
        if self.rng.random() < 0.3:
            self.rng.shuffle(order)
        got = stepscore.path_attention(
            np.concatenate([queries[i] for i in order]),
            self.stores[0],
            self.stores[1],
            offsets_of([len(queries[i]) for i in order]),
            [segment for i in order for segment in paths[i]],
            offsets_of([len(paths[i]) for i in order]),
            **self.options,
        )
        results = [np.full((t.tokens - self.shared, 4, self.size), np.nan) for t in self.traces]
        results = [result.astype(np.float32) for result in results]
        row = 0
        for i in order:
            number, begin, length = pieces[i]
            results[number][begin - self.shared : begin - self.shared + length] = got[
                row : row + length
            ]
            row += length
        return results


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 5]))
def test_no_cut_no_store_and_no_neighbour_changes_a_bit(seed, threads):
    _core.set_least_work(0)
    stepscore.set_num_threads(threads)
    scattered = Scattered(seed)
    for trace, got in zip(scattered.traces, scattered.attend(), strict=True):
        assert bits(got) == bits(trace.alone()[scattered.shared :])


def test_siblings_in_one_call_are_those_of_calls_of_their_own():
    # Many short pieces behind one problem: they read its full blocks together.
    problem, steps = 150, [1, 7, 3, 60, 2, 2, 30, 64, 65, 1, 200, 4]
    root = Trace(problem, 3, 1, 64)
    own = Trace(sum(steps), 3, 1, 64, seed=1)
    offsets = offsets_of(steps)
    segments = [
        segment
        for begin, length in zip(offsets[:-1].tolist(), steps, strict=True)
        for segment in ([0, 0, problem], [1, begin, length])
    ]
    k, v = [root.k, own.k], [root.v, own.v]
    got = stepscore.path_attention(own.q, k, v, offsets, segments, 2 * np.arange(len(steps) + 1))
    for piece, (begin, end) in enumerate(itertools.pairwise(offsets)):
        pair = segments[2 * piece : 2 * piece + 2]
        single = stepscore.path_attention(own.q[begin:end], k, v, [0, end - begin], pair, [0, 2])
        assert bits(got[begin:end]) == bits(single)
    expected = reference.path_attention(
        own.q, k, v, offsets, segments, 2 * np.arange(len(steps) + 1)
    )
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE)


def test_equal_paths_and_identical_pieces():
    trace = Trace(130)
    offsets, segments = [0, 130, 260, 261], [[0, 0, 130]] * 3
    q = np.concatenate([trace.q, trace.q, trace.q[-1:]])
    got = stepscore.path_attention(q, trace.k, trace.v, offsets, segments, [0, 1, 2, 3])
    expected = trace.alone()
    assert bits(got) == bits(np.concatenate([expected, expected, expected[-1:]]))


def test_a_zero_has_no_sign_and_nan_is_of_one_kind():
    trace = Trace(3, heads=1, size=4)
    trace.v[:] = -0.0
    assert not np.signbit(trace.alone()).any()
    trace.v[1] = -np.array([np.nan], np.float32)
    assert set(trace.alone()[1:].view(np.int32).ravel()) == {0x7FC00000}


# --- views, empty inputs, out ---------------------------------------------------------------


def test_any_strides_but_the_last():
    trace = Trace(70, 4, 2, 16)
    expected = bits(trace.alone())
    heads_first = [np.ascontiguousarray(x.transpose(1, 0, 2)) for x in (trace.q, trace.k, trace.v)]
    assert bits(
        stepscore.path_attention(*(x.transpose(1, 0, 2) for x in heads_first), [0, 70])
    ) == (expected)
    wide = [np.repeat(x, 3, axis=2) for x in (trace.q, trace.k, trace.v)]
    wide = [
        np.concatenate([x, y], axis=2)[::1, :, : x.shape[2]]
        for x, y in zip((trace.q, trace.k, trace.v), wide, strict=True)
    ]
    assert bits(stepscore.path_attention(*wide, [0, 70])) == expected
    backwards = [x[::-1][::-1] for x in (trace.q, trace.k, trace.v)]
    assert bits(stepscore.path_attention(*backwards, [0, 70])) == expected
    with pytest.raises(ValueError, match="queries must be contiguous in its last dimension"):
        stepscore.path_attention(wide[0][:, :, ::2], trace.k, trace.v, [0, 70])


def test_pieces_without_queries_and_empty_segments():
    trace = Trace(20)
    segments = [[0, 0, 0], [0, 0, 20], [0, 20, 0], [0, 3, 2]]
    got = stepscore.path_attention(
        trace.q, trace.k, trace.v, [0, 0, 20, 20], segments, [0, 0, 3, 4]
    )
    assert bits(got) == bits(trace.alone())
    none = stepscore.path_attention(trace.q[:0], trace.k, trace.v, [0])
    assert none.shape == (0, 2, 16)
    empty = stepscore.path_attention(
        trace.q,
        [trace.k, trace.k[:0]],
        [trace.v, trace.v[:0]],
        [0, 20],
        [[1, 0, 0], [0, 0, 20]],
        [0, 2],
    )
    assert bits(empty) == bits(trace.alone())


def test_values_without_width():
    trace = Trace(20)
    assert stepscore.path_attention(trace.q, trace.k, trace.v[:, :, :0], [0, 20]).shape == (
        20,
        2,
        0,
    )


def test_a_window_as_long_as_the_path_is_none():
    trace = Trace(100)
    for window in (100, 10**6, 2**70):
        got = stepscore.path_attention(trace.q, trace.k, trace.v, [0, 100], window=window)
        assert bits(got) == bits(trace.alone())
    only = stepscore.path_attention(trace.q, trace.k, trace.v, [0, 100], window=1)
    assert bits(only) == bits(np.repeat(trace.v, 2, axis=1) + np.float32(0))


def test_out_is_written_and_given_back():
    trace = Trace(20)
    out = np.empty((20, 2, 16), np.float32)
    assert stepscore.path_attention(trace.q, trace.k, trace.v, [0, 20], out=out) is out
    assert bits(out) == bits(trace.alone())


# --- bad input ------------------------------------------------------------------------------

Q, K = normal(4, 2, 8), normal(6, 1, 8)
PATH = {"offsets": [0, 4], "segments": [[0, 0, 6]], "segment_offsets": [0, 1]}
FAULTS = [
    ({"queries": Q[0]}, "queries must have 3 dimensions; got shape [2, 8]"),
    ({"queries": Q[:, :0]}, "queries must have heads and numbers; got shape [4, 0, 8]"),
    ({"queries": Q[:, :, :0]}, "queries must have heads and numbers; got shape [4, 2, 0]"),
    ({"keys": K[:, :, :7]}, "keys must have shape [slots, 1, 8] in every store, to match queries"),
    ({"keys": [K, K[:, :, :7]], "values": [K, K]}, "store 1 has [6, 1, 7]"),
    ({"keys": np.repeat(K, 3, axis=1)}, "keys must have heads of which the 2 heads of queries"),
    ({"keys": K[:, :0]}, "keys must have heads of which the 2 heads of queries are a multiple"),
    ({"keys": [K, K]}, "values must hold as many stores as keys"),
    ({"keys": [], "values": []}, "keys must hold at least one store; got none"),
    (
        {"values": K[:5]},
        "values must have shape [6, 1, 8] in store 0, to match keys; got [5, 1, 8]",
    ),
    ({"values": K[:, 0]}, "values must have 3 dimensions; got shape [6, 8]"),
    ({"offsets": [0, 3]}, "offsets must end at 4 (the number of queries); got 3"),
    ({"offsets": [0, 3, 2, 4]}, "offsets must not decrease"),
    ({"segments": [[0, 0]]}, "segments must have shape [n, 3], a store, a begin and a length each"),
    ({"segments": [[1, 0, 6]]}, "segments[0] names store 1; there are 1"),
    ({"segments": [[-1, 0, 6]]}, "segments[0] names store -1; there are 1"),
    ({"segments": [[0, 1, 6]]}, "segments[0] is 6 tokens from slot 1 on; store 0 has 6 slots"),
    ({"segments": [[0, -1, 6]]}, "segments[0] is 6 tokens from slot -1 on"),
    ({"segments": [[0, 2, -1]]}, "segments[0] is -1 tokens from slot 2 on"),
    ({"segments": [[0, 2**62, 2**62]]}, "store 0 has 6 slots"),
    ({"segments": [[0, 0, 3]]}, "the path of piece 0 must end with its 4 queries; its segments"),
    (
        {"segment_offsets": [0, 1, 1]},
        "segment_offsets must have shape [2], as offsets has; got [3]",
    ),
    ({"segment_offsets": [0, 2]}, "segment_offsets must end at 1 (the number of segments); got 2"),
    ({"segment_offsets": None}, "segment_offsets must say where the segments of each piece begin"),
    ({"segments": None}, "segment_offsets belongs to segments"),
    ({"window": 0}, "window must be at least 1, as a query sees itself; got 0"),
    ({"window": -5}, "window must be at least 1"),
    ({"soft_cap": 0.0}, "soft_cap must be above 0 and finite; got 0"),
    ({"soft_cap": -1.0}, "soft_cap must be above 0 and finite; got -1"),
    ({"soft_cap": np.inf}, "soft_cap must be above 0 and finite; got inf"),
    ({"soft_cap": np.nan}, "soft_cap must be above 0 and finite"),
    ({"scale": np.nan}, "scale must be finite"),
    ({"out": np.empty((4, 2, 7), np.float32)}, "out must have shape [4, 2, 8]; got [4, 2, 7]"),
    ({"out": np.empty((4, 4, 8), np.float32)[:, ::2]}, "out must be contiguous"),
    ({"out": Q}, "out must share no memory with the inputs"),
]
TYPES = [
    ({"queries": Q.astype(np.float64)}, "queries must be float32; got float64"),
    ({"keys": K.astype(np.float16)}, "keys must be float32; got float16"),
    ({"values": K.astype(np.float64)}, "values must be float32; got float64"),
    ({"offsets": [0.0, 4.0]}, "offsets must hold integers"),
    ({"segments": [[0.0, 0, 6]]}, "segments must hold integers"),
    ({"window": 2.5}, "window must be a whole number; got 2.5"),
    ({"soft_cap": "x"}, "soft_cap must be a number; got 'x'"),
    ({"scale": "x"}, "scale must be a number; got 'x'"),
]


@pytest.mark.parametrize(
    ("changed", "message", "kind"),
    [(*fault, ValueError) for fault in FAULTS] + [(*fault, TypeError) for fault in TYPES],
    ids=[message[:60] for _, message in FAULTS + TYPES],
)
def test_bad_input_is_named(changed, message, kind):
    arguments = {"queries": Q, "keys": K, "values": K, **PATH, **changed}
    with pytest.raises(kind, match=re.escape(message)) as raised:
        stepscore.path_attention(**arguments)
    assert str(raised.value).startswith("path_attention: ")


def test_gradients_are_refused():
    torch = pytest.importorskip("torch")
    q, k = torch.from_numpy(Q).requires_grad_(), torch.from_numpy(K)
    with pytest.raises(ValueError, match="queries requires grad"):
        stepscore.path_attention(q, k, k, **PATH)
    with torch.no_grad():
        stepscore.path_attention(q, k, k, **PATH)
