"""Stop rules, samples per problem and the first wrong step, against loops over single problems."""

from __future__ import annotations

import math
import re
from collections import Counter
from fractions import Fraction
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from same_bits import bits

import stepscore
from stepscore.search import (
    adaptive_k,
    adaptive_m,
    leader_probability,
    next_samples,
    samples_needed,
    should_stop,
)


def ragged(sizes) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def parts(values, offsets):
    return [values[begin:end] for begin, end in pairwise(offsets)]


# --- the Beta rule --------------------------------------------------------------------------


def exact_probability(first: int, second: int) -> Fraction:
    trials = first + second + 1
    term, total = 1, 0
    for k in range(second + 1):
        total += term
        term = term * (trials - k) // (k + 1)
    return 1 - Fraction(total, 2**trials)


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [
        (0, 0, 0.5),
        (3, 0, 0.9375),
        (4, 0, 0.96875),
        (3, 1, 0.8125),
        (5, 1, 0.9375),
        (6, 1, 0.96484375),
        (7, 2, 0.9453125),
    ],
)
def test_published_probabilities(first, second, value):
    assert leader_probability(first, second) == value
    assert leader_probability(second, first) == 1 - value


def test_probabilities_of_few_votes_are_exact_to_the_last_bit():
    first, second = np.indices((51, 51))
    got = leader_probability(first, second)
    for (v1, v2), value in np.ndenumerate(got):
        expected = exact_probability(v1, v2)
        if v1 + v2 <= 50:
            assert Fraction(value) == expected
        else:
            assert value == pytest.approx(float(expected), rel=1e-14, abs=0)


@pytest.mark.parametrize(
    ("first", "second"),
    [(520, 480), (480, 520), (5_000, 4_900), (50_000, 49_800), (49_800, 50_000), (40_000, 60_000)],
)
def test_probabilities_of_many_votes(first, second):
    expected = float(exact_probability(first, second))
    assert leader_probability(first, second) == pytest.approx(expected, rel=1e-12, abs=0)


def test_probabilities_far_out_do_not_overflow():
    got = leader_probability([100_000, 0, 10**12, 100_000], [0, 100_000, 0, 100_000])
    assert got.tolist() == [1.0, 0.0, 1.0, 0.5]


def test_probability_rises_with_the_leader_and_falls_with_the_runner_up():
    first, second = np.indices((200, 200))
    got = leader_probability(first, second)
    assert (np.diff(got, axis=0) >= 0).all()
    assert (np.diff(got, axis=1) <= 0).all()


def test_probabilities_do_not_depend_on_their_company():
    counts = np.random.default_rng(0).integers(0, 300, (2, 500))
    together = leader_probability(*counts)
    alone = [leader_probability(v1, v2) for v1, v2 in counts.T]
    assert bits(together) == bits(np.array(alone))
    assert leader_probability(*counts.reshape(2, 20, 25)).shape == (20, 25)
    assert leader_probability([], []).shape == (0,)


# --- when to stop ---------------------------------------------------------------------------


def stops(answers: list[int], rule: str, threshold: float) -> bool:
    """The rules of its_hub, one problem at a time."""
    counts = [count for _, count in Counter(a for a in answers if a >= 0).most_common(2)]
    if sum(a >= 0 for a in answers) < 2:
        return False
    if rule == "share":
        return counts[0] / sum(a >= 0 for a in answers) >= threshold
    second = counts[1] if len(counts) > 1 else 0
    return exact_probability(counts[0], second) >= threshold


@given(
    st.lists(st.lists(st.integers(-1, 4), max_size=12), max_size=6),
    st.sampled_from(["share", "beta"]),
    st.sampled_from([0.51, 0.75, 0.9375, 1.0]),
)
def test_stop_rules_against_a_loop(problems, rule, threshold):
    answers = np.array([a for p in problems for a in p], dtype=np.int64)
    got = should_stop(answers, ragged([len(p) for p in problems]), rule, threshold=threshold)
    assert got.tolist() == [stops(p, rule, threshold) for p in problems]
    assert got.dtype == np.bool_


def test_stop_by_hand():
    #         3 of 4 agree | 1 of 2 | all 4 | 1 answer | none | a tie beside an answer of 2**60
    answers = [0, 0, 1, 0, 5, 6, 7, 7, 7, 7, 3, -1, 2**60, 9, 9, 2**60]
    offsets = [0, 4, 6, 10, 12, 12, 16]
    assert should_stop(answers, offsets, "share").tolist() == [True, False, True] + [False] * 3
    assert should_stop(answers, offsets, "beta").tolist() == [False, False, True] + [False] * 3
    assert should_stop(answers, offsets).tolist() == should_stop(answers, offsets, "beta").tolist()
    # 0.9375 is reached by 3 : 0 exactly.
    assert should_stop([1, 1, 1], [0, 3], "beta", threshold=0.9375).tolist() == [True]
    assert should_stop([1, 1, 1], [0, 3], "beta").tolist() == [False]


def test_stop_does_not_depend_on_order_or_company():
    generator = np.random.default_rng(1)
    sizes = generator.integers(0, 40, 300)
    offsets = ragged(sizes)
    answers = np.minimum(generator.geometric(0.5, offsets[-1]), 6) - 2
    for rule in ("share", "beta"):
        got = should_stop(answers, offsets, rule)
        assert 0 < got.sum() < len(got)
        single = [should_stop(p, [0, len(p)], rule)[0] for p in parts(answers, offsets)]
        assert got.tolist() == single
        shuffled = np.concatenate([generator.permutation(p) for p in parts(answers, offsets)])
        assert should_stop(shuffled, offsets, rule).tolist() == got.tolist()


def test_next_samples_doubles_up_to_the_budget():
    assert next_samples([0, 2, 4, 8, 16], [False] * 5, budget=20).tolist() == [2, 2, 4, 8, 4]
    assert next_samples([0, 2, 4], [False, True, False], budget=4).tolist() == [2, 0, 0]
    assert next_samples([0, 4], [False, False], budget=[1, 100]).tolist() == [1, 4]
    assert next_samples([0, 9], [False, False], budget=8, first=8).tolist() == [8, 0]
    assert next_samples([], [], budget=8).tolist() == []


def test_the_loop_of_the_docstring():
    # Problem i is answered right with probability certain[i]; wrong answers are scattered.
    generator = np.random.default_rng(2)
    certain = np.repeat([1.0, 0.7, 0.1], 100)
    problems = range(len(certain))

    def sample(problem, count):
        right = generator.random(count) < certain[problem]
        wrong = generator.integers(1, 1000, count)
        return [f"The answer is {0 if r else w}." for r, w in zip(right, wrong, strict=True)]

    candidates: list[list[str]] = [[] for _ in problems]
    drawn, stop = np.zeros(len(problems), np.int64), np.zeros(len(problems), bool)
    totals = []
    while (more := next_samples(drawn, stop, budget=64)).any():
        for i in np.flatnonzero(more):
            candidates[i] += sample(problems[i], more[i])
        drawn += more
        offsets = np.concatenate([[0], np.cumsum(drawn)])
        answer_ids = stepscore.group_answers(list(chain(*candidates)), offsets, verify=None)
        stop = should_stop(answer_ids, offsets, "beta")
        totals.append(int(drawn.max()))
    assert totals == [2, 4, 8, 16, 32, 64]
    assert set(drawn[:100]) == {4}  # 4 : 0 gives 0.96875
    assert drawn[100:200].mean() < 24 < drawn[200:].mean()
    assert (drawn[~stop] == 64).all()


# --- samples per problem --------------------------------------------------------------------


def test_published_samples_needed():
    assert samples_needed([0, 0.01, 0.1, 0.5, 0.9, 1]).tolist() == [46050, 459, 44, 7, 2, 1]
    assert samples_needed(0.1, denominator=8) == 6
    assert samples_needed(0.5, confidence=0.75) == 2
    assert samples_needed(np.full((2, 3), 0.5)).shape == (2, 3)
    assert samples_needed(0.5).dtype == np.int64


@given(st.floats(0.001, 0.999), st.floats(0.01, 0.999), st.integers(1, 16).filter(lambda d: d != 7))
def test_samples_needed_reach_the_confidence_and_no_fewer_do(p, confidence, denominator):
    needed = int(samples_needed(p, confidence=confidence, denominator=denominator))
    assert needed >= 1
    assert 1 - (1 - p) ** (needed * denominator) >= confidence - 1e-12
    if needed > 1:
        assert 1 - (1 - p) ** ((needed - 1) * denominator) < confidence + 1e-12


def test_samples_needed_never_rise_with_p():
    assert (np.diff(samples_needed(np.linspace(0, 1, 2001))) <= 0).all()


def k_of(scores, k_max, m_max):
    """Best first, until the kept beams can be continued often enough."""
    for k, score in enumerate(sorted(scores, reverse=True), start=1):
        if k * m_max >= int(samples_needed(score)) or k == k_max:
            return k
    return len(scores)


def m_of(scores, k_max, m_max):
    return min(int(samples_needed(min(scores), denominator=k_max)), m_max) if len(scores) else 0


@given(
    st.lists(st.lists(st.sampled_from([0, 0.01, 0.2, 0.5, 0.9, 1]), max_size=8), max_size=5),
    st.integers(1, 8),
    st.integers(1, 8),
)
def test_adaptive_beams_against_a_loop(problems, k_max, m_max):
    scores = np.array([s for p in problems for s in p])
    offsets = ragged([len(p) for p in problems])
    got = adaptive_k(scores, offsets, k_max=k_max, m_max=m_max)
    assert got.tolist() == [k_of(p, k_max, m_max) for p in problems]
    got = adaptive_m(scores, offsets, k_max=k_max, m_max=m_max)
    assert got.tolist() == [m_of(p, k_max, m_max) for p in problems]


def test_adaptive_beams_by_hand():
    # N is 2, 7, 44, 459 for 0.9, 0.5, 0.1, 0.01: one beam of 8 serves 0.9 and 0.5.
    scores, offsets = [0.5, 0.9, 0.1, 0.1, 0.1, 0.01, 0.01], [0, 2, 5, 5, 7]
    assert adaptive_k(scores, offsets, k_max=8, m_max=8).tolist() == [1, 3, 0, 2]
    assert adaptive_k(scores, offsets, k_max=2, m_max=8).tolist() == [1, 2, 0, 2]
    assert adaptive_k([0.1] * 9, [0, 9], k_max=8, m_max=8).tolist() == [6]  # 6 * 8 >= 44
    assert adaptive_m(scores, offsets, k_max=8, m_max=8).tolist() == [1, 6, 0, 8]


# --- bad input ------------------------------------------------------------------------------

FAULTS = {
    "unknown rule": (
        lambda: should_stop([0], [0, 1], "sometimes"),
        'should_stop: rule must be "share" or "beta"; got \'sometimes\'',
    ),
    "threshold that one of two equal answers reaches": (
        lambda: should_stop([0], [0, 1], "share", threshold=0.5),
        "should_stop: threshold must be in (0.5, 1]; got 0.5",
    ),
    "offsets that stop short": (
        lambda: should_stop([0, 1], [0, 1]),
        "should_stop: offsets must end at 2 (the number of candidates); got 1",
    ),
    "offsets that fall": (
        lambda: should_stop([0, 1], [0, 2, 1]),
        "should_stop: offsets must not decrease; offsets[2] is 1 after 2",
    ),
    "no offsets": (
        lambda: should_stop([], []),
        "should_stop: offsets must hold at least the leading 0; got none",
    ),
    "offsets that begin late": (
        lambda: should_stop([0, 1], [1, 2]),
        "should_stop: offsets must begin at 0; got 1",
    ),
    "a matrix": (
        lambda: should_stop([[0, 1]], [0, 2]),
        "should_stop: answer_ids must have 1 dimension; got shape [1, 2]",
    ),
    "an id below -1": (
        lambda: should_stop([0, -2], [0, 2]),
        "should_stop: answer_ids must be -1 (no answer) or more; answer_ids[1] is -2",
    ),
    "negative count": (
        lambda: leader_probability(-1, 0),
        "leader_probability: first and second must be counts; got a negative one",
    ),
    "counts of different shapes": (
        lambda: leader_probability([1, 2], [1]),
        "leader_probability: first and second differ in shape; got [2] and [1]",
    ),
    "stop of another length": (
        lambda: next_samples([1, 2], [True], budget=4),
        "next_samples: stop must have shape [2] to match drawn; got [1]",
    ),
    "negative budget": (
        lambda: next_samples([1], [True], budget=-1),
        "next_samples: drawn and budget must be counts; got a negative one",
    ),
    "nothing to begin with": (
        lambda: next_samples([1], [True], budget=4, first=0),
        "next_samples: first must be at least 1; got 0",
    ),
    "no probability": (
        lambda: samples_needed([0.5, 1.5]),
        "samples_needed: p must be probabilities in [0, 1]; p[1] is 1.5",
    ),
    "NaN": (
        lambda: samples_needed([math.nan]),
        "samples_needed: p must be probabilities in [0, 1]; p[0] is nan",
    ),
    "certain confidence": (
        lambda: samples_needed(0.5, confidence=1),
        "samples_needed: confidence must be in (0, 1); got 1",
    ),
    "clip of 0": (
        lambda: samples_needed(0.5, clip=0),
        "samples_needed: clip must be in (0, 0.5]; got 0",
    ),
    "denominator of 0": (
        lambda: samples_needed(0.5, denominator=0),
        "samples_needed: denominator must be at least 1; got 0",
    ),
    "no beams": (
        lambda: adaptive_k([0.5], [0, 1], k_max=0, m_max=2),
        "adaptive_k: k_max must be at least 1; got 0",
    ),
    "a logit": (
        lambda: adaptive_m([3.5], [0, 1], k_max=2, m_max=2),
        "adaptive_m: scores must be probabilities in [0, 1]; scores[0] is 3.5",
    ),
}


@pytest.mark.parametrize(("call", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_numbers_that_are_none():
    with pytest.raises(TypeError, match="should_stop: answer_ids must hold integers"):
        should_stop([0.5], [0, 1])


def test_tensors_on_the_cpu_are_read():
    torch = pytest.importorskip("torch")
    answers, offsets = torch.tensor([1, 1, 1, 1]), torch.tensor([0, 4])
    assert should_stop(answers, offsets).tolist() == [True]
