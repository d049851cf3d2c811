"""The mean over problems and its intervals."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from stepscore.evaluation import mean_interval


def test_wilson_by_hand():
    # 8 of 10 at 95 %: the textbook's 0.4902 to 0.9433.
    got = mean_interval([1] * 8 + [0] * 2, "wilson")
    assert got.mean == 0.8
    assert (got.low, got.high) == (
        pytest.approx(0.49016, abs=1e-5),
        pytest.approx(0.94332, abs=1e-5),
    )
    certain = mean_interval([1.0] * 20, "wilson")
    z = 1.959963984540054
    assert certain.low == pytest.approx(20 / (20 + z * z), rel=1e-12)
    assert certain.high == pytest.approx(1.0, rel=1e-12)


def test_normal_by_hand():
    values = np.array([0.0, 0.5, 1.0, 0.5])
    got = mean_interval(values, "normal", confidence=0.9)
    half = 1.6448536269514722 * math.sqrt(1 / 6) / 2
    assert got == pytest.approx((0.5, 0.5 - half, 0.5 + half), rel=1e-12)


def test_bootstrap_agrees_with_the_exact_distribution_of_resamples():
    # The mean of a resample of 40 zeros and 60 ones is binomial: these are its quantiles.
    values = np.repeat([0.0, 1.0], [40, 60])
    got = mean_interval(values, resamples=20_000)
    assert got.mean == 0.6
    assert got.low in (0.5, 0.51)
    assert got.high in (0.69, 0.70)
    narrow = mean_interval(values, confidence=0.5, resamples=20_000)
    assert narrow.low in (0.56, 0.57)
    assert narrow.high in (0.63, 0.64)


@pytest.mark.parametrize("how", ["bootstrap", "normal"])
def test_intervals_cover_what_they_promise(how):
    generator = np.random.default_rng(0)
    samples = generator.random((100, 400)) ** 2  # mean 1/3
    got = mean_interval(samples, how, resamples=400)
    covered = (got.low <= 1 / 3) & (got.high >= 1 / 3)
    assert 0.90 <= covered.mean() <= 0.99


def test_columns_are_their_own_and_share_the_resamples():
    generator = np.random.default_rng(1)
    table = generator.random((50, 3))
    got = mean_interval(table, seed=5)
    for column in range(3):
        alone = mean_interval(table[:, column], seed=5)
        assert [field[column] for field in got] == list(alone)
    shifted = mean_interval(np.stack([table[:, 0], table[:, 0] + 1], axis=1))
    np.testing.assert_allclose(shifted.low[1] - shifted.low[0], 1, rtol=1e-12)
    assert mean_interval(table, seed=6).low[0] != got.low[0]
    assert mean_interval(table, seed=5).low.tolist() == got.low.tolist()


@pytest.mark.parametrize("how", ["bootstrap", "normal", "wilson"])
def test_problems_without_a_value_are_left_out(how):
    table = np.array([[1.0, 1.0, math.nan], [0.0, math.nan, math.nan], [1.0, 0.0, math.nan]])
    got = mean_interval(table, how)
    assert got.mean[:2].tolist() == [2 / 3, 0.5]
    assert [f[1] for f in got] == list(mean_interval([1.0, 0.0], how))
    assert all(math.isnan(field[2]) for field in got)
    assert all(math.isnan(field) for field in mean_interval([], how))
    assert mean_interval(np.empty((0, 2)), how).low.shape == (2,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: mean_interval([0.5], "exact"),
            'the interval must be "bootstrap" or "normal" or "wilson"; got \'exact\'',
        ),
        (lambda: mean_interval([0.5], "wilson"), "wilson is for values of 0 and 1; got 0.5"),
        (lambda: mean_interval([1], confidence=95), "confidence must be in (0, 1); got 95"),
        (lambda: mean_interval([1], resamples=0), "resamples must be at least 1; got 0"),
        (
            lambda: mean_interval(np.ones((1, 1, 1))),
            "values must have shape [problems] or [problems, columns]; got [1, 1, 1]",
        ),
    ],
)
def test_faults_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(f"mean_interval: {message}")):
        call()
