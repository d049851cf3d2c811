"""Offsets of lengths, and seeds of seeds: the one helper for each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepscore.ragged import first_true, offsets_of, segment_of
from stepscore.seeds import GOLDEN, finalize, mix


@given(st.lists(st.integers(0, 9), max_size=20))
def test_offsets_are_the_running_sum_of_lengths_from_0(lengths: list[int]) -> None:
    expected = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    for given_as in (lengths, tuple(lengths), np.array(lengths, np.int32), iter(lengths)):
        offsets = offsets_of(given_as)
        assert offsets.dtype == np.int64
        assert offsets.tolist() == expected
    assert segment_of(offsets_of(lengths)).tolist() == [
        segment for segment, length in enumerate(lengths) for _ in range(length)
    ]


def test_truths_are_segments_of_0_and_1() -> None:
    assert offsets_of(np.array([True, False, True])).tolist() == [0, 1, 1, 2]


@given(st.lists(st.lists(st.booleans(), max_size=4), max_size=6))
def test_first_true(segments: list[list[bool]]) -> None:
    offsets = offsets_of(map(len, segments))
    mask = np.array([value for segment in segments for value in segment], np.bool_)
    expected = [
        begin + segment.index(True) if True in segment else -1
        for begin, segment in zip(offsets.tolist(), segments, strict=False)
    ]
    assert first_true(mask, offsets).tolist() == expected


def split_mix(state: int) -> int:
    """The paper, in whole numbers."""
    z = (state + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=8))
def test_mix_is_the_next_output_of_split_mix_64(states: list[int]) -> None:
    array = np.array(states, np.uint64)
    expected = [split_mix(state) for state in states]
    assert mix(array).tolist() == expected
    with np.errstate(over="ignore"):
        assert finalize(array + GOLDEN).tolist() == expected


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_mix_takes_any_shape(shape: tuple[int, ...]) -> None:
    states = np.arange(np.prod(shape, dtype=int), dtype=np.uint64).reshape(shape)
    assert mix(states).shape == shape
    assert mix(states).dtype == np.uint64


def test_the_outputs_that_everybody_has() -> None:
    # SplitMix64 seeded with 1234567, as in the reference implementation's test vectors.
    state, outputs = 1234567, []
    for _ in range(3):
        outputs.append(int(mix(state)))
        state = (state + int(GOLDEN)) % 2**64
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]
