"""find_steps against the plain scan."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from same_bits import bits, bits_everywhere

import stepscore
from stepscore import reference


def ragged(sizes: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def check(token_ids, offsets, separator, **parameters):
    got = stepscore.find_steps(token_ids, offsets, separator, **parameters)
    plain = np.asarray(token_ids).tolist(), np.asarray(offsets).tolist()
    expected = reference.find_steps(*plain, separator, **parameters)
    for ours, theirs in zip(got, expected, strict=True):
        assert np.asarray(ours).tolist() == theirs.tolist()
        assert np.asarray(ours).dtype == np.int64
    return got


def test_reference_takes_the_arguments_of_the_op():
    names = list(inspect.signature(stepscore.find_steps).parameters)
    assert list(inspect.signature(reference.find_steps).parameters) == names[:-2]
    assert names[-2:] == ["max_steps", "stream"]


# --- by hand --------------------------------------------------------------------------------


def test_a_worked_example():
    #          0  1  2  3 | 4  5 | 6  7  8  9  (and an empty sequence between)
    tokens = [5, 9, 5, 9, 7, 7, 9, 9, 5, 9]
    positions, step_offsets = stepscore.find_steps(tokens, [0, 4, 6, 6, 10], 9)
    assert positions.tolist() == [1, 3, 6, 7, 9]
    assert step_offsets.tolist() == [0, 2, 2, 2, 5]


@pytest.mark.parametrize(
    ("tokens", "separator", "collapse", "expected"),
    [
        ([1, 1, 1], [1, 1], False, [1]),  # no overlaps, searched from the left
        ([1, 1, 1, 1], [1, 1], False, [1, 3]),
        ([1, 1, 1, 1], [1, 1], True, [1]),
        ([1, 1, 1, 1, 0, 1, 1], [1, 1], True, [1, 6]),
        ([1, 2, 1, 2, 1], [1, 2, 1], False, [2]),
        ([1, 1, 2], [1, 2], False, [2]),  # a false start
        ([1, 1, 1, 2], [1, 1, 2], False, [3]),
        ([1, 2, 1, 2, 3], [1, 2, 3], False, [4]),
        ([9, 9, 9, 0, 9], 9, True, [0, 4]),
        ([9, 9, 9], 9, False, [0, 1, 2]),
        ([1], [1, 2], False, []),
        ([1, 2], [1, 2, 3], False, []),
        ([], 9, False, []),
    ],
)
def test_separators_by_hand(tokens, separator, collapse, expected):
    positions, _ = check(tokens, [0, len(tokens)], separator, collapse=collapse)
    assert positions.tolist() == expected


def test_a_separator_does_not_reach_into_the_next_sequence():
    positions, step_offsets = check([0, 1, 2, 0], [0, 2, 4], [1, 2])
    assert len(positions) == 0
    assert step_offsets.tolist() == [0, 0, 0]


def test_runs_collapse_within_a_sequence_only():
    positions, _ = check([9, 9, 9, 9], [0, 2, 4], 9, collapse=True)
    assert positions.tolist() == [0, 2]


@pytest.mark.parametrize("shift", [-2, -1, 0, 1, 2])
def test_shift(shift):
    tokens = [0, 0, 0, 9, 0, 0, 0, 0, 9, 0, 0]
    positions, _ = check(tokens, [0, 6, 11], 9, shift=shift)
    assert positions.tolist() == [3 + shift, 8 + shift]


def test_window_counts_from_the_start_of_the_sequence():
    tokens = [9, 0, 9, 0, 9, 9, 0, 9, 0, 9]
    positions, step_offsets = check(tokens, [0, 5, 10], 9, window=[[1, 4], [2, 3]])
    assert positions.tolist() == [2, 7]
    assert step_offsets.tolist() == [0, 1, 2]


def test_window_keeps_shifted_positions_and_drops_those_that_leave():
    # The tag of the first step stands first; the token before it belongs to nobody.
    tokens = [9, 0, 9, 9, 0]
    with pytest.raises(ValueError, match="shift=-1 moves a boundary out of sequence 0"):
        stepscore.find_steps(tokens, [0, 3, 5], 9, shift=-1)
    positions, _ = check(tokens, [0, 3, 5], 9, shift=-1, window=[[0, 3], [0, 2]])
    assert positions.tolist() == [1]


def test_the_run_is_collapsed_before_the_window_looks():
    # Of the run 2, 3, 4 only 2 is left, and the window drops it.
    positions, _ = check([0, 0, 9, 9, 9, 0, 9], [0, 7], 9, collapse=True, window=[[3, 7]])
    assert positions.tolist() == [6]


@pytest.mark.parametrize("window", [[[0, 0]], [[5, 2]], [[-10, -1]], [[100, 200]]])
def test_windows_that_hold_nothing(window):
    positions, step_offsets = check([9, 9, 9], [0, 3], 9, window=window)
    assert len(positions) == 0
    assert step_offsets.tolist() == [0, 0]


def test_huge_windows():
    big = 2**63 - 1
    positions, _ = check([9, 0, 9], [0, 3], 9, window=[[-big - 1, big]])
    assert positions.tolist() == [0, 2]


# --- against the plain scan -----------------------------------------------------------------


@st.composite
def packed(draw):
    offsets = ragged(draw(st.lists(st.integers(0, 70), max_size=8)))
    alphabet = draw(st.sampled_from([2, 3, 6]))
    seed = draw(st.integers(0, 10**6))
    tokens = np.random.default_rng(seed).integers(0, alphabet, offsets[-1])
    return tokens.astype(draw(st.sampled_from([np.int32, np.int64]))), offsets


ids = st.integers(0, 2)
separators = ids | st.lists(ids, min_size=1, max_size=4)


@given(packed(), separators, st.booleans())
def test_any_separator_in_any_sequences(sequences, separator, collapse):
    check(*sequences, separator, collapse=collapse)


@given(packed(), separators, st.booleans(), st.integers(-3, 3), st.data())
def test_windows_and_shifts(sequences, separator, collapse, shift, drawn):
    tokens, offsets = sequences
    bounds = st.tuples(st.integers(-2, 60), st.integers(-2, 75))
    window = drawn.draw(st.lists(bounds, min_size=len(offsets) - 1, max_size=len(offsets) - 1))
    window = np.array(window, np.int64).reshape(-1, 2)
    parameters = {"collapse": collapse, "shift": shift, "window": window}
    try:
        expected = reference.find_steps(tokens, offsets, separator, **parameters)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            stepscore.find_steps(tokens, offsets, separator, **parameters)
    else:
        got = stepscore.find_steps(tokens, offsets, separator, **parameters)
        assert [field.tolist() for field in got] == [field.tolist() for field in expected]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 31, 32, 33, 100])
def test_every_place_around_the_search_blocks(levels, dtype, size):
    # 16 ids are compared at a time.
    from stepscore import _core

    for level in levels:
        _core.set_cpu_level(level)
        for at in range(size):
            tokens = np.zeros(size, dtype)
            tokens[at] = 7
            positions, _ = stepscore.find_steps(tokens, [0, size], 7)
            assert positions.tolist() == [at]
            if at:
                positions, _ = stepscore.find_steps(tokens, [0, size], [0, 7])
                assert positions.tolist() == [at]


def test_ids_at_the_ends_of_their_type():
    for dtype in (np.int32, np.int64):
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        tokens = np.array([low, -1, 0, high, -100], dtype)
        for at, separator in enumerate([int(low), -1, 0, int(high), -100]):
            assert check(tokens, [0, 5], separator)[0].tolist() == [at]


@pytest.mark.parametrize("separator", [2**31, 2**32, 2**32 + 7, -(2**31) - 1, [7, 2**32]])
def test_an_id_beyond_int32_is_not_found_among_int32(separator):
    tokens = np.array([7, 0, 7, 0], np.int32)
    assert len(stepscore.find_steps(tokens, [0, 4], separator)[0]) == 0


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "uint32"])
def test_ids_of_any_integer_type(dtype):
    tokens = np.array([1, 9, 9, 1], dtype)
    assert check(tokens, [0, 4], 9)[0].tolist() == [1, 2]


def test_separator_of_numpy_integers_and_arrays():
    tokens = [1, 9, 8, 9]
    for separator in (np.int64(9), np.int32(9), np.array(9)):
        assert stepscore.find_steps(tokens, [0, 4], separator)[0].tolist() == [1, 3]
    for separator in ((9, 8), np.array([9, 8]), [np.int64(9), 8]):
        assert stepscore.find_steps(tokens, [0, 4], separator)[0].tolist() == [2]


def test_tensors_in_tensors_out():
    torch = pytest.importorskip("torch")
    for dtype in (torch.int32, torch.int64):
        tokens = torch.tensor([1, 9, 8, 9, 1, 9], dtype=dtype)
        for view in (tokens, torch.stack([tokens, tokens * 0], 1)[:, 0]):
            got = stepscore.find_steps(view, torch.tensor([0, 3, 6]), 9)
            assert all(field.dtype == torch.int64 for field in got)
            assert [field.tolist() for field in got] == [[1, 3, 5], [0, 1, 3]]


def test_ids_may_be_strided():
    tokens = np.array([9, 0, 0, 0, 9, 0])
    assert stepscore.find_steps(tokens[::2], [0, 3], 9)[0].tolist() == [0, 2]
    assert stepscore.find_steps(tokens[::-1], [0, 6], 9)[0].tolist() == [1, 5]


# --- the same answer everywhere -------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("separator", [1, [1, 1], [0, 1, 0]], ids=str)
def test_bits_over_levels_and_threads(levels, dtype, separator):
    rng = np.random.default_rng(0)
    offsets = ragged(list(rng.integers(0, 120, 500)))
    tokens = rng.integers(0, 3, offsets[-1]).astype(dtype)

    def call():
        return np.concatenate(stepscore.find_steps(tokens, offsets, separator, collapse=True))

    expected = np.concatenate(
        reference.find_steps(tokens.tolist(), offsets.tolist(), separator, collapse=True)
    )
    assert bits_everywhere(levels, call) == bits(expected)


def test_a_batch_is_its_sequences():
    rng = np.random.default_rng(1)
    parts = [rng.integers(0, 3, n) for n in rng.integers(0, 50, 100)]
    offsets = ragged([len(part) for part in parts])
    positions, step_offsets = stepscore.find_steps(np.concatenate(parts), offsets, [1, 0])
    for s, part in enumerate(parts):
        alone, _ = stepscore.find_steps(part, [0, len(part)], [1, 0])
        here = positions[step_offsets[s] : step_offsets[s + 1]] - offsets[s]
        assert here.tolist() == alone.tolist()


# --- nothing to find ------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [-1, 0, 1])
@pytest.mark.parametrize("window", [None, np.zeros((0, 2), np.int64)], ids=["all", "window"])
def test_no_sequences(shift, window):
    positions, step_offsets = stepscore.find_steps([], [0], 9, shift=shift, window=window)
    assert (positions.tolist(), step_offsets.tolist()) == ([], [0])


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_only_empty_sequences(shift):
    positions, step_offsets = stepscore.find_steps([], [0, 0, 0], 9, shift=shift)
    assert (positions.tolist(), step_offsets.tolist()) == ([], [0, 0, 0])


# --- errors ---------------------------------------------------------------------------------

T = [1, 9, 1, 9]

FAULTS = {
    "offsets": (
        lambda: stepscore.find_steps(T, [0, 3], 9),
        ValueError,
        "find_steps: offsets must end at 4 (the number of token_ids); got 3",
    ),
    "offsets fall": (
        lambda: stepscore.find_steps(T, [0, 3, 1, 4], 9),
        ValueError,
        "find_steps: offsets must not decrease; offsets[2] is 1 after 3",
    ),
    "offsets scalar": (
        lambda: stepscore.find_steps(T, 4, 9),
        ValueError,
        "find_steps: offsets must have 1 dimension; got shape []",
    ),
    "no separator": (
        lambda: stepscore.find_steps(T, [0, 4], []),
        ValueError,
        "find_steps: separator must hold at least one token id; got none",
    ),
    "separator of text": (
        lambda: stepscore.find_steps(T, [0, 4], "99"),
        TypeError,
        "find_steps: separator must be a token id or a list of ids; got '99'",
    ),
    "separator of floats": (
        lambda: stepscore.find_steps(T, [0, 4], [9.7]),
        TypeError,
        "find_steps: separator must be a token id or a list of ids; got [9.7]",
    ),
    "separator None": (
        lambda: stepscore.find_steps(T, [0, 4], None),
        TypeError,
        "find_steps: separator must be a token id or a list of ids; got None",
    ),
    "separator beyond int64": (
        lambda: stepscore.find_steps(T, [0, 4], 2**63),
        (TypeError, ValueError),
        "find_steps: separator",
    ),
    "ids of floats": (
        lambda: stepscore.find_steps([1.0], [0, 1], 9),
        TypeError,
        "find_steps: token_ids must hold integers that fit int64; got float64",
    ),
    "ids rank": (
        lambda: stepscore.find_steps([T], [0, 4], 9),
        ValueError,
        "find_steps: token_ids must have 1 dimension; got shape [1, 4]",
    ),
    "shift": (
        lambda: stepscore.find_steps(T, [0, 2, 4], 9, shift=1),
        ValueError,
        "find_steps: shift=1 moves a boundary out of sequence 0; use a smaller shift, or a window",
    ),
    "shift huge": (
        lambda: stepscore.find_steps(T, [0, 4], 9, shift=2**63 - 1),
        ValueError,
        "find_steps: shift",
    ),
    "shift beyond int64": (
        lambda: stepscore.find_steps(T, [0, 4], 9, shift=2**63),
        (TypeError, ValueError),
        "find_steps: shift",
    ),
    "shift of half a token": (
        lambda: stepscore.find_steps(T, [0, 4], 9, shift=0.5),
        TypeError,
        "find_steps: shift must be a whole number; got 0.5",
    ),
    "window rows": (
        lambda: stepscore.find_steps(T, [0, 2, 4], 9, window=[[0, 2]]),
        ValueError,
        "find_steps: window must have shape [2, 2], a begin and an end per sequence; got [1, 2]",
    ),
    "window rank": (
        lambda: stepscore.find_steps(T, [0, 4], 9, window=[0, 4]),
        ValueError,
        "find_steps: window must have 2 dimensions; got shape [2]",
    ),
    "window of floats": (
        lambda: stepscore.find_steps(T, [0, 4], 9, window=[[0.0, 4.0]]),
        TypeError,
        "find_steps: window must hold integers that fit int64; got float64",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_named(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.parametrize("threads", [1, 7])
def test_the_first_fault_is_named_whatever_the_threads(threads):
    tokens = np.zeros(3000, np.int64)
    tokens[[1700, 2200, 2999]] = 9
    stepscore.set_num_threads(threads)
    stepscore._core.set_least_work(0)
    for _ in range(5):
        with pytest.raises(ValueError, match="out of sequence 340"):
            stepscore.find_steps(tokens, np.arange(0, 3001, 5), 9, shift=-1)
