"""The step at which a trace goes wrong, against a loop over its steps."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepscore import search
from stepscore.errors import InputError
from stepscore.ragged import offsets_of
from stepscore.recipes import trl_prm
from stepscore.scoring import StepScores
from stepscore.voting.first_error import first_error


def parts(values, offsets):
    return [values[begin:end] for begin, end in pairwise(offsets)]


def step_of(scores, threshold, how, before=1.0, rule="<"):
    """One trace, a step after the other; NaN steps are absent."""
    best, error, previous = None, -1, before
    for k, score in enumerate(scores):
        if math.isnan(score):
            continue
        level = {"first": 0.0, "lowest": score, "drop": score - previous}[how]
        wrong = score < threshold or (rule == "<=" and score == threshold)
        if wrong and (best is None or level < best):
            best, error = level, k
        previous = score
    return error


HOWS = ["first", "lowest", "drop"]


@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0, math.nan]), max_size=7),
        max_size=6,
    ),
    st.sampled_from(HOWS),
    st.sampled_from([0.0, 0.25, 0.5, 0.6, math.inf]),
    st.sampled_from(["<", "<="]),
)
def test_first_error_against_a_loop(traces, how, threshold, rule):
    scores = np.array([s for t in traces for s in t])
    offsets = offsets_of([len(t) for t in traces])
    got = first_error(scores, offsets, threshold=threshold, rule=rule, how=how, nan="skip")
    assert got.tolist() == [step_of(t, threshold, how, rule=rule) for t in traces]
    assert got.dtype == np.int64


def test_a_step_at_the_threshold_is_wrong_by_one_rule_alone():
    scores, offsets = [0.75, 0.5, 0.25], [0, 3]
    assert first_error(scores, offsets, threshold=0.5).tolist() == [2]
    assert first_error(scores, offsets, threshold=0.5, rule="<").tolist() == [2]
    assert first_error(scores, offsets, threshold=0.5, rule="<=").tolist() == [1]
    with pytest.raises(ValueError, match='rule must be "<" or "<=";'):
        first_error(scores, offsets, threshold=0.5, rule=">")


def test_step_scores_know_their_offsets():
    values = np.array([0.75, 0.25, 0.5, np.nan], np.float32)
    scores = StepScores(values, np.array([0, 2, 4]), trl_prm(), np.array([0, 1]))
    assert first_error(scores, threshold=0.5, nan="skip").tolist() == [1, -1]
    with pytest.raises(ValueError, match="is NaN"):
        first_error(scores, threshold=0.5)
    with pytest.raises(TypeError, match="must be StepScores where no offsets are given; got list"):
        first_error([0.5], threshold=0.5)


def test_a_trace_that_could_not_be_scored_is_not_taken_for_a_right_one():
    values, why = np.array([0.75, 0.25], np.float32), InputError("at least one step", got="''")
    scores = StepScores(
        values, np.array([0, 0, 2, 2]), trl_prm(), np.array([0, 0, 0]), {2: why, 0: why}
    )
    for how in HOWS:
        with pytest.raises(ValueError, match=r"trace 0 of step_scores was skipped, .*at least one"):
            first_error(scores, threshold=0.5, how=how)
        assert first_error(scores, threshold=0.5, how=how, nan="skip").tolist() == [-1, 1, -1]


@pytest.mark.parametrize(
    ("how", "expected"), [("first", [1, -1, -1, 0]), ("lowest", [3, -1, -1, 0])]
)
def test_first_error_by_hand(how, expected):
    scores, offsets = [0.9, 0.4, 0.6, 0.1, 0.8, 0.5, 0.2], [0, 5, 6, 6, 7]
    assert first_error(scores, offsets, threshold=0.5, how=how).tolist() == expected


def test_first_error_at_the_largest_drop():
    # Falls of 0.1, 0.5, -0.2, 0.5: the first of equal ones; the step from 0.6 to 0.1 is as deep.
    scores = [0.875, 0.375, 0.625, 0.125]
    assert first_error(scores, [0, 4], threshold=0.5, how="drop").tolist() == [1]
    assert first_error(scores, [0, 4], threshold=0.25, how="drop").tolist() == [3]
    # Against the score before the first step.
    assert first_error([0.4, 0.1], [0, 2], threshold=math.inf, how="drop").tolist() == [0]
    got = first_error([0.4, 0.1], [0, 2], threshold=math.inf, how="drop", before=0.5)
    assert got.tolist() == [1]


def test_skipped_steps_keep_their_numbers():
    scores = [math.nan, 0.9, math.nan, 0.2, math.nan]
    for how in HOWS:
        assert first_error(scores, [0, 5], threshold=0.5, how=how, nan="skip").tolist() == [3]
        assert first_error([math.nan], [0, 1], threshold=0.5, how=how, nan="skip").tolist() == [-1]


def test_first_error_of_a_batch_is_that_of_its_traces():
    generator = np.random.default_rng(3)
    offsets = offsets_of(generator.integers(0, 12, 500))
    scores = generator.random(offsets[-1], dtype=np.float32)
    for how in HOWS:
        got = first_error(scores, offsets, threshold=0.3, how=how)
        alone = [
            first_error(t, [0, len(t)], threshold=0.3, how=how)[0] for t in parts(scores, offsets)
        ]
        assert got.tolist() == alone
        assert ((got == -1) == (first_error(scores, offsets, threshold=0.3) == -1)).all()


FAULTS = {
    "unknown location": (
        lambda: first_error([0.5], [0, 1], threshold=0.5, how="worst"),
        'first_error: how must be "first" or "lowest" or "drop"; got \'worst\'',
    ),
    "NaN score": (
        lambda: first_error([0.5, math.nan], [0, 2], threshold=0.5),
        'first_error: step_scores[1] is NaN; nan="skip" passes over it',
    ),
    "unknown policy": (
        lambda: first_error([0.5], [0, 1], threshold=0.5, nan="drop"),
        'first_error: nan must be "error" or "skip"; got \'drop\'',
    ),
    "NaN threshold": (
        lambda: first_error([0.5], [0, 1], threshold=math.nan),
        "first_error: threshold must be a number; got NaN",
    ),
    "infinite drop": (
        lambda: first_error([-math.inf], [0, 1], threshold=0.5, how="drop"),
        'first_error: how="drop" needs finite scores; got an infinite one',
    ),
}


@pytest.mark.parametrize(("call", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_numbers_that_are_none():
    with pytest.raises(TypeError, match="first_error: step_scores must hold numbers"):
        first_error(["a"], [0, 1], threshold=0.5)


def test_tensors_on_the_cpu_are_read():
    torch = pytest.importorskip("torch")
    scores = torch.tensor([0.75, 0.25], dtype=torch.bfloat16)
    assert first_error(scores, torch.tensor([0, 2]), threshold=0.5).tolist() == [1]


def test_a_search_knows_it_by_the_same_name():
    assert search.first_error is first_error
