"""aggregate against the float64 reference, and bit for bit against itself."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise

import numpy as np
import pytest
from array_kinds import exact
from hypothesis import given
from hypothesis import strategies as st
from same_bits import bits, bits_everywhere

import stepscore
from stepscore import _core, reference

UNIT = ["prod", "geometric_mean", "logit_mean", "odds_mean"]
OPEN = ["logit_mean", "odds_mean"]
EXACT = ["min", "max", "last", "first"]
ALL = [*EXACT, "mean", "sum", *UNIT, "softmin"]

TOLERANCE = {np.float32: 2.0**-23, np.float64: 1e-12}  # relative, of the result


def ragged(sizes: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def scores(n: int, seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    """Inside (0, 1), so that every aggregation takes them."""
    return np.random.default_rng(seed).uniform(0.01, 0.99, n).astype(dtype)


def check(values, offsets, how, **parameters):
    got = stepscore.aggregate(values, offsets, how, **parameters)
    expected = reference.aggregate(exact(values), offsets, how, **parameters)
    assert got.shape == expected.shape
    tolerance = TOLERANCE[np.float64 if got.dtype == np.float64 else np.float32]
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=2.0**-149)
    return got


def test_reference_takes_the_arguments_of_the_op():
    names = list(inspect.signature(stepscore.aggregate).parameters)
    assert list(inspect.signature(reference.aggregate).parameters) == names[:-2]
    assert names[-2:] == ["out", "stream"]


# --- against the reference ------------------------------------------------------------------

segment_sizes = st.lists(st.integers(0, 40) | st.just(0), max_size=12)
dtypes = st.sampled_from([np.float32, np.float64])


@given(segment_sizes, st.integers(0, 10**6), dtypes, st.floats(0.01, 10))
def test_all_aggregations_are_the_reference(sizes, seed, dtype, temperature):
    offsets = ragged(sizes)
    got = check(scores(offsets[-1], seed, dtype), offsets, ALL, temperature=temperature)
    assert got.dtype == dtype


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50), dtypes)
def test_scores_of_any_size_and_sign(values, dtype):
    values = np.array(values, dtype)
    offsets = [0, len(values) // 2, len(values)]
    check(values, offsets, EXACT)
    got = stepscore.aggregate(values, offsets, ["sum", "mean"])
    expected = reference.aggregate(values, offsets, ["sum", "mean"])
    # Scores of both signs cancel: the rounding is relative to what was added.
    size = np.abs(values).sum(dtype=np.float64)
    np.testing.assert_allclose(got, expected, rtol=2.0**-23, atol=1e-14 * size)


unit_scores = st.one_of(
    st.floats(0, 1, width=32),
    st.sampled_from([0.0, 1.0, 1e-38, 2.0**-149, 1 - 2.0**-24, 0.5]),
)


@given(st.lists(unit_scores, min_size=1, max_size=60), dtypes)
def test_scores_at_the_ends_of_the_unit_interval(values, dtype):
    values = np.array(values, dtype)
    check(values, [0, len(values)], ["prod", "geometric_mean", "min", "softmin"])
    check(values, [0, len(values)], OPEN, clip=1e-7)
    check(values, [0, len(values)], OPEN, clip=0.25)


@given(st.lists(st.floats(2.0**-149, 1 - 2.0**-24, width=32), min_size=1, max_size=60))
def test_odds_without_clip(values):
    check(np.array(values, np.float32), [0, len(values)], OPEN)


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 15, 16, 17, 64, 799, 800, 801, 1000])
def test_sizes_on_both_sides_of_every_block(how, size):
    # 8 lanes; the products are normalised after 100 chunks of 8.
    offsets = ragged([3, size, 0, 5])
    for dtype in (np.float32, np.float64):
        check(scores(offsets[-1], dtype=dtype), offsets, how)


@pytest.mark.parametrize("how", ALL)
def test_one_score_is_its_own_aggregation(how):
    values = scores(50, dtype=np.float64)
    got = stepscore.aggregate(values, np.arange(51), how)
    expected = values / (1 - values) if how == "odds_mean" else values
    if how in ("geometric_mean", "logit_mean"):
        np.testing.assert_allclose(got, expected, rtol=1e-14)
    elif how == "softmin":  # w r / w
        np.testing.assert_allclose(got, expected, rtol=2.0**-52)
    else:
        assert bits(got) == bits(expected)


def test_the_bits_of_a_sum_are_those_of_the_documented_order(levels):
    # 8 lanes of float64, then folded in halves.
    sizes = [0, 1, 7, 8, 9, 100, 1001]
    offsets = ragged(sizes)
    values = scores(offsets[-1])
    expected = []
    for begin, end in pairwise(offsets):
        padded = np.zeros(-(-(end - begin) // 8) * 8)
        padded[: end - begin] = values[begin:end]
        lanes = np.zeros(8)
        for chunk in padded.reshape(-1, 8):
            lanes = lanes + chunk
        while len(lanes) > 1:
            lanes = lanes[: len(lanes) // 2] + lanes[len(lanes) // 2 :]
        expected.append(np.float32(lanes[0]))
    call = lambda: stepscore.aggregate(values, offsets, "sum", empty=0)  # noqa: E731
    assert bits_everywhere(levels, call) == bits(np.array(expected))


# --- products that would underflow ----------------------------------------------------------


@pytest.mark.parametrize("score", [0.01, 0.5, 0.999999, 1e-30, 1e-300])
@pytest.mark.parametrize("steps", [1, 10, 10_000, 1_000_000])
def test_geometric_mean_of_equal_scores_is_that_score(score, steps):
    got = stepscore.aggregate(np.full(steps, score), [0, steps], "geometric_mean")
    assert got[0] == pytest.approx(score, rel=1e-12)


def test_long_products_underflow_to_zero_and_no_sooner():
    steps = np.arange(1, 400)
    values = np.concatenate([np.full(n, 0.01) for n in steps])
    got = stepscore.aggregate(values, ragged(list(steps)), "prod")
    expected = np.array([float(f"1e-{2 * n}") for n in steps])  # through subnormals to 0
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=2.0**-1074)
    assert (got[steps <= 161] > 0).all()
    assert (got[steps > 162] == 0).all()


@pytest.mark.parametrize("how", ["logit_mean", "odds_mean"])
def test_long_odds_do_not_overflow(how):
    values = np.tile([1e-7, 1 - 1e-7], 50_000)
    check(values, [0, 99_999, 100_000], how)


def test_exact_zeros_and_ones():
    values = np.array([0, 1, 1, 0.5, 0, 1, 0], np.float32)
    offsets = [0, 1, 3, 6, 7]
    for how in ("prod", "geometric_mean"):
        assert stepscore.aggregate(values, offsets, how).tolist() == [0.0, 1.0, 0.0, 0.0]
    got = stepscore.aggregate(values, offsets, "logit_mean", clip=0.1)
    np.testing.assert_allclose(got, [0.1, 0.9, 0.5, 0.1], rtol=1e-6)
    got = stepscore.aggregate(values, offsets, "odds_mean", clip=0.1)
    np.testing.assert_allclose(got, [1 / 9, 9, (1 + 1 / 9 + 9) / 3, 1 / 9], rtol=1e-6)


# --- parameters -----------------------------------------------------------------------------


def test_softmin_lies_between_min_and_mean():
    values = scores(200, dtype=np.float64)
    offsets = ragged([50] * 4)
    low, mean = stepscore.aggregate(values, offsets, ["min", "mean"]).T
    cold = stepscore.aggregate(values, offsets, "softmin", temperature=1e-4)
    hot = stepscore.aggregate(values, offsets, "softmin", temperature=1e6)
    np.testing.assert_allclose(cold, low, atol=1e-3)
    np.testing.assert_allclose(hot, mean, atol=1e-6)
    default = stepscore.aggregate(values, offsets, "softmin")
    assert bits(default) == bits(stepscore.aggregate(values, offsets, "softmin", temperature=0.1))
    assert ((low <= default) & (default <= mean)).all()


def test_softmin_of_far_apart_scores_does_not_overflow():
    values = np.array([-1e4, 0.0, 1e4, 1e30])
    assert stepscore.aggregate(values, [0, 4], "softmin").tolist() == [-1e4]


@pytest.mark.parametrize("clip", [2.0**-53, 1e-15, 1e-7, 0.1, 0.4999])
def test_clip(clip):
    check(np.array([0, 1, 0.3, 0.5, 0.45]), [0, 2, 5], OPEN, clip=clip)
    # It is for the odds alone.
    assert stepscore.aggregate([0.0, 1.0], [0, 2], "min", clip=clip).tolist() == [0.0]


def test_a_list_is_the_single_calls_bit_for_bit():
    offsets = ragged([5, 0, 100, 3])
    for dtype in (np.float32, np.float64):
        values = scores(offsets[-1], dtype=dtype)
        together = stepscore.aggregate(values, offsets, ALL, clip=1e-6, temperature=0.3)
        for column, how in enumerate(ALL):
            alone = stepscore.aggregate(values, offsets, how, clip=1e-6, temperature=0.3)
            assert bits(together[:, column]) == bits(alone)
            (pair,) = stepscore.aggregate(
                values, offsets, (how, how), clip=1e-6, temperature=0.3
            ).T[1:]
            assert bits(pair) == bits(alone)


# --- empty, NaN, infinities -----------------------------------------------------------------


@pytest.mark.parametrize("how", [*ALL, ALL], ids=str)
def test_empty_segments(how):
    values, offsets = scores(3), [0, 0, 2, 2, 2, 3, 3]
    hollow = [0, 2, 3, 5]
    got = stepscore.aggregate(values, offsets, how)
    assert np.isnan(got[hollow]).all()
    assert not np.isnan(got[[1, 4]]).any()
    assert (stepscore.aggregate(values, offsets, how, empty=-2)[hollow] == -2.0).all()
    assert (stepscore.aggregate(values, offsets, how, empty=np.inf)[hollow] == np.inf).all()
    with pytest.raises(ValueError, match="aggregate: segment 0 is empty"):
        stepscore.aggregate(values, offsets, how, empty="error")
    with pytest.raises(ValueError, match="aggregate: segment 2 is empty"):
        stepscore.aggregate(values, [0, 1, 2, 2, 3], how, empty="error")


@pytest.mark.parametrize("how", ["min", ["min"], ["min", "max"], []], ids=str)
def test_no_segments(how):
    for nothing in ([], np.zeros(0, np.float32), np.zeros(0, np.float64)):
        if how == []:
            with pytest.raises(ValueError, match="aggregate: how must name at least one"):
                stepscore.aggregate(nothing, [0], how)
            continue
        got = stepscore.aggregate(nothing, [0], how)
        assert got.shape == ((0,) if isinstance(how, str) else (0, len(how)))
    if how:
        assert np.isnan(stepscore.aggregate([], [0, 0, 0], how)).all()


@pytest.mark.parametrize("at", [0, 3, 8, 20])
def test_nan_raises_or_propagates(at):
    values = scores(21)
    values[at] = np.nan
    offsets = [0, 5, 5, 21]
    segment = 0 if at < 5 else 2
    for how in ALL:
        with pytest.raises(ValueError, match=rf"values\[{at}\] \(segment {segment}\) is NaN"):
            stepscore.aggregate(values, offsets, how)
        got = stepscore.aggregate(values, offsets, how, nan="propagate", empty=0)
        expected = reference.aggregate(values, offsets, how, nan="propagate", empty=0)
        np.testing.assert_allclose(got, expected, rtol=2.0**-23)
        if how not in ("last", "first"):
            assert np.isnan(got).tolist() == [segment == 0, False, segment == 2]


def test_a_nan_next_door_is_not_read():
    values = np.array([np.nan, 0.5, np.nan], np.float32)
    got = stepscore.aggregate(values, [0, 1, 2, 3], ALL, nan="propagate")
    assert not np.isnan(got[1]).any()


def test_infinities():
    values = np.array([np.inf, 1, -np.inf, 2], np.float32)
    got = stepscore.aggregate(values, [0, 2, 4], ["min", "max", "sum", "mean", "first"])
    inf = np.inf
    assert got.tolist() == [[1, inf, inf, inf, inf], [-inf, 2, -inf, -inf, -inf]]
    for bad in (values[:2], values[2:]):
        with pytest.raises(ValueError, match=r"values\[0\] .* is -?inf; softmin needs finite"):
            stepscore.aggregate(bad, [0, 2], "softmin")
        with pytest.raises(ValueError, match=r"need scores in \[0, 1\]"):
            stepscore.aggregate(bad, [0, 2], "prod")


# --- the same bits --------------------------------------------------------------------------

MANY = ragged(list(np.random.default_rng(1).integers(0, 30, 30_000)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_over_levels_and_threads(levels, dtype):
    values = scores(MANY[-1], dtype=dtype)
    bits_everywhere(levels, lambda: stepscore.aggregate(values, MANY, ALL))
    for how in ("mean", "geometric_mean", "logit_mean", "softmin"):
        bits_everywhere(levels, lambda how=how: stepscore.aggregate(values, MANY, how))


def test_bits_of_special_scores_over_levels(levels):
    special = [0.0, -0.0, 1.0, 2.0**-149, 2.0**-1074, 2.0**-1022, 1e-300, 0.5, 1 - 2.0**-53]
    values = np.random.default_rng(0).choice(special, 20_000)
    offsets = ragged([4] * 5000)
    bits_everywhere(levels, lambda: stepscore.aggregate(values, offsets, ALL, clip=1e-9))
    values[::7] = np.nan
    bits_everywhere(
        levels, lambda: stepscore.aggregate(values, offsets, ALL, clip=1e-9, nan="propagate")
    )


def test_a_batch_is_its_segments():
    offsets = ragged(list(np.random.default_rng(2).integers(0, 40, 300)))
    values = scores(offsets[-1])
    whole = stepscore.aggregate(values, offsets, ALL)
    for s, (begin, end) in enumerate(pairwise(offsets)):
        alone = stepscore.aggregate(values[begin:end], [0, end - begin], ALL)
        assert bits(alone) == bits(whole[s : s + 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_segments_whose_weights_are_held_together(levels, dtype):
    """Softmin takes the weights of up to 1024 scores at once; a longer segment stands alone."""
    rng = np.random.default_rng(6)
    sizes = [1023, 1, 1024, 1, 0, 1025, 7, 1016, 1, 3000, *[8] * 200, 500, 524, 1, 1024]
    offsets = ragged(sizes)
    values = (1 - rng.random(offsets[-1]) * 0.98).astype(dtype)

    def whole():
        return stepscore.aggregate(values, offsets, ALL)

    bits_everywhere(levels, whole)
    together = whole()
    for s, (begin, end) in enumerate(pairwise(offsets.tolist())):
        alone = stepscore.aggregate(values[begin:end].copy(), [0, end - begin], ALL)
        assert bits(alone) == bits(together[s : s + 1])
    expected = reference.aggregate(values, offsets, ["softmin"])
    assert np.allclose(together[:, -1:], expected, rtol=1e-6, equal_nan=True)


def test_shuffled_segments_give_shuffled_results():
    rng = np.random.default_rng(3)
    parts = [scores(n, seed) for seed, n in enumerate(rng.integers(0, 60, 500))]
    order = rng.permutation(500)
    shuffled = [parts[i] for i in order]
    results = [
        stepscore.aggregate(np.concatenate(group), ragged([len(p) for p in group]), ALL)
        for group in (parts, shuffled)
    ]
    assert bits(results[0][order]) == bits(results[1])


# --- array kinds ----------------------------------------------------------------------------


def test_every_kind_of_values(kind):
    values, offsets = kind.make(scores(30)), [0, 10, 10, 30]
    got = stepscore.aggregate(values, offsets, ALL)
    assert type(got) is type(values)
    assert "float32" in str(got.dtype)
    expected = reference.aggregate(exact(values), offsets, ALL)
    np.testing.assert_allclose(got, expected, rtol=2.0**-23)


def test_float64_tensors_stay_float64():
    torch = pytest.importorskip("torch")
    values = torch.from_numpy(scores(30, dtype=np.float64))
    got = stepscore.aggregate(values, torch.tensor([0, 10, 30]), "mean")
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got, [values[:10].mean(), values[10:].mean()], rtol=1e-14)


def test_values_may_be_strided():
    values = scores(60)
    for view in (values[::2], values[::-1], values.reshape(30, 2)[:, 1]):
        offsets = [0, len(view)]
        got = stepscore.aggregate(view, offsets, ALL)
        assert bits(got) == bits(stepscore.aggregate(view.copy(), offsets, ALL))


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int64"])
def test_offsets_of_any_integer_type(dtype):
    offsets = np.array([0, 3, 9], dtype)
    assert stepscore.aggregate(scores(9), offsets, "min").shape == (2,)


# --- errors ---------------------------------------------------------------------------------

V = scores(4)

FAULTS = {
    "offsets short": (
        lambda: stepscore.aggregate(V, [0, 3], "min"),
        ValueError,
        "aggregate: offsets must end at 4 (the number of values); got 3",
    ),
    "offsets long": (
        lambda: stepscore.aggregate(V, [0, 2**62], "min"),
        ValueError,
        f"aggregate: offsets must end at 4 (the number of values); got {2**62}",
    ),
    "offsets fall": (
        lambda: stepscore.aggregate(V, [0, 3, 2, 4], "min"),
        ValueError,
        "aggregate: offsets must not decrease; offsets[2] is 2 after 3",
    ),
    "offsets rise and fall far": (
        lambda: stepscore.aggregate(V, [0, 2**62, 4], "min"),
        ValueError,
        f"aggregate: offsets must not decrease; offsets[2] is 4 after {2**62}",
    ),
    "offsets below zero": (
        lambda: stepscore.aggregate(V, [0, -1, 4], "min"),
        ValueError,
        "aggregate: offsets must not decrease; offsets[1] is -1 after 0",
    ),
    "offsets begin": (
        lambda: stepscore.aggregate(V, [1, 4], "min"),
        ValueError,
        "aggregate: offsets must begin at 0; got 1",
    ),
    "offsets none": (
        lambda: stepscore.aggregate(V, [], "min"),
        ValueError,
        "aggregate: offsets must hold at least the leading 0; got none",
    ),
    "offsets scalar": (
        lambda: stepscore.aggregate(V, 4, "min"),
        ValueError,
        "aggregate: offsets must have 1 dimension; got shape []",
    ),
    "offsets rank": (
        lambda: stepscore.aggregate(V, [[0, 4]], "min"),
        ValueError,
        "aggregate: offsets must have 1 dimension; got shape [1, 2]",
    ),
    "offsets of floats": (
        lambda: stepscore.aggregate(V, [0.0, 4.0], "min"),
        TypeError,
        "aggregate: offsets must hold integers that fit int64; got float64",
    ),
    "values rank": (
        lambda: stepscore.aggregate(V.reshape(2, 2), [0, 2], "min"),
        ValueError,
        "aggregate: values must have 1 dimension; got shape [2, 2]",
    ),
    "values scalar": (
        lambda: stepscore.aggregate(0.5, [0, 1], "min"),
        ValueError,
        "aggregate: values must have 1 dimension; got shape []",
    ),
    "values of integers": (
        lambda: stepscore.aggregate([0, 1], [0, 2], "min"),
        TypeError,
        "aggregate: values must be float32 or float64; got int64",
    ),
    "values of text": (
        lambda: stepscore.aggregate(["a"], [0, 1], "min"),
        TypeError,
        "aggregate: values must hold numbers; got str",
    ),
    "values ragged": (
        lambda: stepscore.aggregate([[0.1], [0.1, 0.2]], [0, 2], "min"),
        ValueError,
        "aggregate: values must be an array; got a list that NumPy cannot read",
    ),
    "unknown": (
        lambda: stepscore.aggregate(V, [0, 4], "median"),
        ValueError,
        "aggregate: unknown aggregation 'median'; choose from min, max, mean, sum, prod, last, "
        "first, geometric_mean, logit_mean, odds_mean, softmin",
    ),
    "unknown in a list": (
        lambda: stepscore.aggregate(V, [0, 4], ["min", "Max"]),
        ValueError,
        "aggregate: unknown aggregation 'Max'",
    ),
    "how None": (
        lambda: stepscore.aggregate(V, [0, 4], None),
        TypeError,
        "aggregate: how must be a name or a list of names; got None",
    ),
    "how of numbers": (
        lambda: stepscore.aggregate(V, [0, 4], [1]),
        TypeError,
        "aggregate: how must be a name or a list of names; got [1]",
    ),
    "empty": (
        lambda: stepscore.aggregate(V, [0, 4], "min", empty="zero"),
        ValueError,
        'aggregate: empty must be "nan", "error" or a number; got \'zero\'',
    ),
    "empty None": (
        lambda: stepscore.aggregate(V, [0, 4], "min", empty=None),
        ValueError,
        'aggregate: empty must be "nan", "error" or a number; got None',
    ),
    "nan": (
        lambda: stepscore.aggregate(V, [0, 4], "min", nan="drop"),
        ValueError,
        'aggregate: nan must be "error" or "propagate"; got \'drop\'',
    ),
    "temperature zero": (
        lambda: stepscore.aggregate(V, [0, 4], "softmin", temperature=0.0),
        ValueError,
        "aggregate: temperature must be positive",
    ),
    "temperature NaN": (
        lambda: stepscore.aggregate(V, [0, 4], "softmin", temperature=np.nan),
        ValueError,
        "aggregate: temperature must be positive",
    ),
    "temperature tiny": (
        lambda: stepscore.aggregate(V, [0, 4], "softmin", temperature=1e-310),
        ValueError,
        "aggregate: temperature must be positive, and its inverse finite; got 1e-310",
    ),
    "temperature of text": (
        lambda: stepscore.aggregate(V, [0, 4], "softmin", temperature="cold"),
        TypeError,
        "aggregate: temperature must be a number; got 'cold'",
    ),
    "clip": (
        lambda: stepscore.aggregate(V, [0, 4], "odds_mean", clip=0.5),
        ValueError,
        "aggregate: clip must be 0 or lie in [1.2e-16, 0.5); got 0.5",
    ),
    "clip that rounds away": (
        lambda: stepscore.aggregate(V, [0, 4], "odds_mean", clip=1e-17),
        ValueError,
        "aggregate: clip must be 0 or lie in [1.2e-16, 0.5); got 1e-17",
    ),
    "clip negative": (
        lambda: stepscore.aggregate(V, [0, 4], "odds_mean", clip=-0.1),
        ValueError,
        "aggregate: clip must be 0 or lie in [1.2e-16, 0.5); got -0.1",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_named(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.parametrize("how", UNIT)
@pytest.mark.parametrize("score", [-0.001, 1.0001, 2.0, -np.inf])
def test_scores_outside_the_unit_interval_are_refused(how, score):
    values = scores(20)
    values[13] = score
    with pytest.raises(
        ValueError, match=r"values\[13\] \(segment 1\) is .* need scores in \[0, 1\]"
    ):
        stepscore.aggregate(values, [0, 10, 20], ["min", how])
    stepscore.aggregate(values, [0, 10, 20], ["min", "max", "mean", "sum", "last", "first"])


@pytest.mark.parametrize("how", OPEN)
@pytest.mark.parametrize("score", [0.0, 1.0, -0.0])
def test_scores_without_finite_odds_are_refused(how, score):
    values = scores(20)
    values[13] = score
    with pytest.raises(ValueError, match=r"values\[13\] .*not finite: pass clip=1e-7"):
        stepscore.aggregate(values, [0, 10, 20], how)


@pytest.mark.parametrize("threads", [1, 7])
def test_the_first_fault_is_named_whatever_the_threads(levels, threads):
    values = scores(MANY[-1])
    bad = [MANY[-1] // 3, MANY[-1] // 2, MANY[-1] - 1]
    values[bad] = np.nan
    stepscore.set_num_threads(threads)
    _core.set_least_work(0)
    for level in levels:
        _core.set_cpu_level(level)
        for _ in range(5):
            with pytest.raises(ValueError, match=rf"values\[{bad[0]}\]"):
                stepscore.aggregate(values, MANY, "min")


@pytest.mark.parametrize("how", ["min", ["min", "mean"]])
def test_out_is_written_in_place(how: str | list[str]) -> None:
    values, offsets = np.array([0.5, 0.2, 0.9], np.float32), np.array([0, 2, 3])
    expected = stepscore.aggregate(values, offsets, how)
    out = np.full_like(expected, np.nan)
    assert stepscore.aggregate(values, offsets, how, out=out) is out
    assert np.array_equal(out, expected)


def test_an_out_that_does_not_fit_is_refused() -> None:
    values, offsets = np.array([0.5, 0.2], np.float32), np.array([0, 2])
    with pytest.raises(ValueError, match=r"aggregate: out must have shape \[1\]; got \[2\]"):
        stepscore.aggregate(values, offsets, "min", out=np.empty(2, np.float32))
    with pytest.raises(TypeError, match="aggregate: out must be float32; got float64"):
        stepscore.aggregate(values, offsets, "min", out=np.empty(1))
    with pytest.raises(ValueError, match="aggregate: out is read-only"):
        stepscore.aggregate(values, offsets, "min", out=np.frombuffer(bytes(4), np.float32))
    with pytest.raises(ValueError, match="aggregate: out must be contiguous"):
        stepscore.aggregate(values, [0, 1, 2], "min", out=np.empty(4, np.float32)[::2])
    unaligned = np.frombuffer(bytearray(5), np.uint8)[1:].view(np.float32)
    with pytest.raises(ValueError, match="aggregate: out is an unaligned array"):
        stepscore.aggregate(values, offsets, "min", out=unaligned)
