"""value_head and mlp_head against the float64 reference, and bit for bit against themselves."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise

import numpy as np
import pytest
from array_kinds import KINDS, exact
from hypothesis import given
from hypothesis import strategies as st
from same_bits import bits, bits_everywhere

import stepscore
from stepscore import _core, reference

WIDTHS = [1, 31, 32, 33, 63, 64, 100, 3584]
ACTIVATIONS = ["identity", "sigmoid", "softmax", "tanh", "difference"]
ROUNDING = 2.0**-24  # half a unit in the last place of float32, relative


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def dot_bound(hidden: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """What rounding can cost: a lane adds H/32 products, then five folds and the bias."""
    size = np.abs(hidden) @ np.abs(weight).T + (0.0 if bias is None else np.abs(bias))
    return (hidden.shape[1] / 32 + 10) * ROUNDING * size


def head_of_logits(*logits: float, activation: str) -> np.ndarray:
    """The activation of given logits: they arrive as the bias, so even infinities pass exactly."""
    k = len(logits)
    return stepscore.value_head(
        np.zeros((1, 1), np.float32),
        np.zeros((k, 1), np.float32),
        np.array(logits, np.float32),
        activation=activation,
    )[0]


def reference_of_logits(*logits: float, activation: str) -> np.ndarray:
    z = np.array(logits, np.float32)
    return reference.value_head(np.zeros((1, 1)), np.zeros((len(z), 1)), z, activation=activation)[
        0
    ]


@pytest.mark.parametrize("op", ["value_head", "mlp_head"])
def test_reference_takes_the_arguments_of_the_op(op):
    names = list(inspect.signature(getattr(stepscore, op)).parameters)
    assert list(inspect.signature(getattr(reference, op)).parameters) == names[:-2]
    assert names[-2:] == ["out", "stream"]


# --- against the reference ------------------------------------------------------------------


@pytest.mark.parametrize("outputs", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("width", WIDTHS)
def test_identity_is_within_rounding_of_the_reference(kind, width, outputs):
    hidden, weight = kind.make(normal(9, width)), kind.make(normal(outputs, width, seed=1))
    bias = normal(outputs, seed=2)
    got = stepscore.value_head(hidden, weight, bias)
    expected = reference.value_head(exact(hidden), exact(weight), bias)
    assert tuple(got.shape) == (9, outputs)
    assert type(got) is type(hidden)
    assert (np.abs(exact(got) - expected) <= dot_bound(exact(hidden), exact(weight), bias)).all()


@pytest.mark.parametrize("weight_kind", KINDS, ids=str)
def test_every_dtype_of_hidden_meets_every_dtype_of_weight(kind, weight_kind):
    hidden, weight = kind.make(normal(5, 70)), weight_kind.make(normal(2, 70, seed=1))
    got = stepscore.value_head(hidden, weight)
    expected = reference.value_head(exact(hidden), exact(weight))
    assert (np.abs(exact(got) - expected) <= dot_bound(exact(hidden), exact(weight), None)).all()


@st.composite
def heads(draw):
    width = draw(st.sampled_from(WIDTHS[:-1]))
    tokens = draw(st.integers(1, 40))
    outputs = draw(st.sampled_from([1, 2, 3, 5]))
    seed = draw(st.integers(0, 10**6))
    positions = draw(st.none() | st.lists(st.integers(0, tokens - 1), max_size=60))
    bias = draw(st.booleans())
    activation = draw(st.sampled_from(ACTIVATIONS if outputs == 2 else ACTIVATIONS[:4]))
    return (
        normal(tokens, width, seed=seed),
        normal(outputs, width, seed=seed + 1),
        normal(outputs, seed=seed + 2) if bias else None,
        positions,
        activation,
    )


@given(heads(), st.sampled_from(["float32", "float16"]))
def test_any_head_is_the_reference(head, dtype):
    hidden, weight, bias, positions, activation = head
    hidden = hidden.astype(dtype)
    got = stepscore.value_head(hidden, weight, bias, positions=positions, activation=activation)
    expected = reference.value_head(
        hidden, weight, bias, positions=positions, activation=activation
    )
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    # No activation has a slope above 1, so what rounding costs the logits bounds the rest.
    bound = dot_bound(exact(hidden), exact(weight), bias).max(initial=0.0)
    np.testing.assert_allclose(got, expected, rtol=4 * ROUNDING, atol=bound)


def test_the_bits_are_those_of_the_documented_order(levels):
    # 32 lanes, one float32 multiplication and one addition each, then folded in halves.
    hidden, weight = normal(11, 777), normal(3, 777, seed=1)
    padded = np.zeros((2, 11 * 3, 800), np.float32)
    padded[0, :, :777] = np.repeat(hidden, 3, axis=0)
    padded[1, :, :777] = np.tile(weight, (11, 1))
    lanes = np.zeros((33, 32), np.float32)
    for block in range(0, 800, 32):
        lanes += padded[0, :, block : block + 32] * padded[1, :, block : block + 32]
    while lanes.shape[1] > 1:
        half = lanes.shape[1] // 2
        lanes = lanes[:, :half] + lanes[:, half:]
    expected = bits(lanes.reshape(11, 3))
    assert bits_everywhere(levels, lambda: stepscore.value_head(hidden, weight)) == expected


# --- rows and positions ---------------------------------------------------------------------

VIEWS = {
    "slice of a wider matrix": lambda base: base[:, 3:73],
    "every second row": lambda base: base[::2, :70],
    "one row again and again": lambda base: (
        base[4:5, :70].repeat(6, 0)
        if isinstance(base, np.ndarray)
        else base[4:5, :70].expand(6, 70)
    ),
    "no rows": lambda base: base[:0, :70],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_any_row_stride(kind, view):
    hidden, weight = view(kind.make(normal(12, 90))), normal(2, 70, seed=1)
    contiguous = hidden.copy() if isinstance(hidden, np.ndarray) else hidden.clone()
    contiguous = contiguous.reshape(hidden.shape)
    for positions in (None, list(range(hidden.shape[0]))[::-1]):
        got = stepscore.value_head(hidden, weight, positions=positions)
        assert bits(got) == bits(stepscore.value_head(contiguous, weight, positions=positions))
        expected = reference.value_head(exact(hidden), weight, positions=positions)
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_rows_may_run_backwards_or_stand_still_in_numpy():
    base, weight = normal(12, 40), normal(2, 40, seed=1)
    for hidden in (base[::-1], base[::-3], np.broadcast_to(base[5], (4, 40))):
        got = stepscore.value_head(hidden, weight)
        assert bits(got) == bits(stepscore.value_head(hidden.copy(), weight))


@pytest.mark.parametrize("positions", [[], [3], [3, 3, 3], [7, 0, 5, 0], list(range(8))[::-1]])
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_positions_with_repeats_in_any_order(positions, dtype):
    hidden, weight = normal(8, 33), normal(2, 33, seed=1)
    every = stepscore.value_head(hidden, weight)
    got = stepscore.value_head(hidden, weight, positions=np.array(positions, dtype))
    assert bits(got) == bits(every[positions])


def test_positions_may_be_strided():
    hidden, weight = normal(8, 33), normal(2, 33, seed=1)
    positions = np.arange(8)[::-2]
    every = stepscore.value_head(hidden, weight)
    assert bits(stepscore.value_head(hidden, weight, positions=positions)) == bits(every[::-2])


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_zero_rows(outputs):
    weight = normal(outputs, 33)
    for hidden, positions in ((normal(0, 33), None), (normal(0, 33), []), (normal(4, 33), [])):
        got = stepscore.value_head(hidden, weight, positions=positions)
        assert got.shape == (0, outputs)
        assert got.dtype == np.float32


def test_a_head_on_nothing_is_its_bias():
    got = stepscore.value_head(normal(2, 0), normal(3, 0), [1.0, 2.0, 3.0])
    assert got.tolist() == [[1.0, 2.0, 3.0]] * 2


# --- activations ----------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("gap", [0.0, 1e-6, 0.3, 6.24, 17.33, 40.0, 100.0, 1000.0, np.inf])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_saturation_keeps_every_digit(activation, gap, sign):
    logits = (0.0, sign * gap)
    got = head_of_logits(*logits, activation=activation)
    expected = reference_of_logits(*logits, activation=activation)
    # A rounding to float32, of which subnormals have fewer digits.
    np.testing.assert_allclose(got, expected, rtol=2 * ROUNDING, atol=2.0**-149)


def test_the_smaller_probability_does_not_come_from_one_minus_the_larger():
    low, high = head_of_logits(17.33, 0.0, activation="softmax")[::-1]
    assert low == pytest.approx(np.exp(-17.33) / (1 + np.exp(-17.33)), rel=1e-6)
    assert high == pytest.approx(1.0)
    assert head_of_logits(0.0, 100.0, activation="softmax")[0] > 0.0


@given(st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=6))
def test_softmax_of_any_width_is_the_reference(logits):
    got = head_of_logits(*logits, activation="softmax")
    expected = reference_of_logits(*logits, activation="softmax")
    np.testing.assert_allclose(got, expected, rtol=4 * ROUNDING, atol=2.0**-149)
    assert abs(float(got.astype(np.float64).sum()) - 1.0) < 1e-6


@given(st.floats(-200, 200, width=32), st.floats(-200, 200, width=32))
def test_difference_is_p1_minus_p0_and_odd(first, second):
    (got,) = head_of_logits(first, second, activation="difference")
    p0, p1 = reference_of_logits(first, second, activation="softmax")
    assert float(got) == pytest.approx(p1 - p0, rel=1e-6, abs=1e-12)
    assert head_of_logits(second, first, activation="difference")[0] == -got


@given(st.floats(-120, 120, width=32))
def test_sigmoid_is_softmax_against_zero(logit):
    (got,) = head_of_logits(logit, activation="sigmoid")
    np.testing.assert_array_equal(got, head_of_logits(0.0, logit, activation="softmax")[1])
    np.testing.assert_allclose(
        got, reference_of_logits(logit, activation="sigmoid")[0], rtol=2 * ROUNDING, atol=2.0**-149
    )


def test_infinite_logits():
    inf = np.inf
    assert head_of_logits(inf, -inf, activation="sigmoid").tolist() == [1.0, 0.0]
    assert head_of_logits(inf, 0.0, activation="softmax").tolist() == [1.0, 0.0]
    assert head_of_logits(-inf, 0.0, 1.0, activation="softmax")[0] == 0.0
    assert head_of_logits(-inf, inf, activation="difference").tolist() == [1.0]
    assert head_of_logits(inf, -inf, activation="difference").tolist() == [-1.0]
    for activation in ("softmax", "difference"):
        assert np.isnan(head_of_logits(inf, inf, activation=activation)).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("logits", [(np.nan, 0.0), (0.0, np.nan)])
def test_nan_is_passed_on(activation, logits):
    got = head_of_logits(*logits, activation=activation)
    if activation in ("identity", "sigmoid", "tanh"):
        assert np.isnan(got).tolist() == np.isnan(logits).tolist()
    else:
        assert np.isnan(got).all()


def test_a_nan_in_one_row_does_not_reach_another():
    hidden = normal(5, 100)
    hidden[2, 99] = np.nan
    got = stepscore.value_head(hidden, normal(2, 100, seed=1), activation="softmax")
    assert np.isnan(got).any(axis=1).tolist() == [False, False, True, False, False]


# --- conversions ----------------------------------------------------------------------------


def every_pattern(name: str) -> tuple[object, np.ndarray]:
    """All 65,536 numbers of a 16-bit type, and their values in float32."""
    patterns = np.arange(65536, dtype=np.uint16)
    if name == "float16":
        return patterns.view(np.float16), patterns.view(np.float16).astype(np.float32)
    torch = pytest.importorskip("torch")
    values = (patterns.astype(np.uint32) << 16).view(np.float32)
    return torch.from_numpy(patterns.view(np.int16)).view(torch.bfloat16), values


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_all_patterns_convert_exactly_as_hidden(levels, name):
    patterns, values = every_pattern(name)
    # In column 5 of a full block of lanes, and alone in the tail behind it.
    for width, column in ((32, 5), (33, 32), (1, 0)):
        if isinstance(patterns, np.ndarray):
            hidden = np.zeros((65536, width), np.float16)
        else:
            hidden = patterns.new_zeros((65536, width))
        hidden[:, column] = patterns
        weight = np.zeros((1, width), np.float32)
        weight[0, column] = 1.0
        for level in levels:
            _core.set_cpu_level(level)
            got = np.asarray(stepscore.value_head(hidden, weight))[:, 0]
            np.testing.assert_array_equal(got, values)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_all_patterns_convert_exactly_as_weight(levels, name):
    patterns, values = every_pattern(name)
    for level in levels:
        _core.set_cpu_level(level)
        weight = patterns.reshape(-1, 1)
        got = np.asarray(stepscore.value_head(np.ones((1, 1), np.float32), weight))[0]
        np.testing.assert_array_equal(got, values)
        # Rows of 32 go through the vector loads; a finite row picks its columns one by one.
        finite = np.isfinite(values).reshape(-1, 32).all(axis=1)
        rows = patterns.reshape(-1, 32)[np.flatnonzero(finite)]
        got = np.asarray(stepscore.value_head(np.eye(32, dtype=np.float32), rows))
        np.testing.assert_array_equal(got.T, values.reshape(-1, 32)[finite])


def test_float16_subnormals_survive_flush_to_zero(levels):
    torch = pytest.importorskip("torch")
    subnormals = torch.arange(1, 1024, dtype=torch.int16).view(torch.float16)
    expected = np.arange(1, 1024) * 2.0**-24
    stepscore.set_num_threads(1)
    for level in levels:
        _core.set_cpu_level(level)
        if not torch.set_flush_denormal(True):
            pytest.skip("this processor has no flush-to-zero mode")
        try:
            got = stepscore.value_head(subnormals.reshape(-1, 1), torch.ones(1, 1))
        finally:
            torch.set_flush_denormal(False)
        np.testing.assert_array_equal(got.numpy()[:, 0], expected)


def test_float64_weights_are_taken_for_convenience():
    hidden, weight = normal(3, 40), normal(2, 40, seed=1)
    expected = stepscore.value_head(hidden, weight)
    assert bits(stepscore.value_head(hidden, weight.astype(np.float64))) == bits(expected)
    big_endian = stepscore.value_head(hidden.astype(">f4"), weight.astype(">f4"))
    assert bits(big_endian) == bits(expected)


# --- the same bits --------------------------------------------------------------------------


@pytest.mark.parametrize("width", [33, 3584])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bits_over_levels_and_threads(levels, kind, width, activation):
    rows = 700 if width > 1000 else 9000  # enough bytes for seven threads
    hidden, weight = kind.make(normal(rows, width)), kind.make(normal(2, width, seed=1))
    bits_everywhere(levels, lambda: stepscore.value_head(hidden, weight, activation=activation))


@pytest.mark.parametrize("outputs", [1, 2, 3, 5, 33])
def test_a_batch_is_its_parts(outputs):
    hidden, weight = normal(101, 300), normal(outputs, 300, seed=1)
    whole = stepscore.value_head(hidden, weight, activation="sigmoid")
    parts = [
        stepscore.value_head(part, weight, activation="sigmoid")
        for part in np.split(hidden, [1, 2, 40, 40, 73])
    ]
    assert bits(np.concatenate(parts)) == bits(whole)


def test_shuffled_rows_give_shuffled_results():
    hidden, weight = normal(500, 3584).astype(np.float16), normal(2, 3584, seed=1)
    order = np.random.default_rng(5).permutation(500)
    whole = stepscore.value_head(hidden, weight, activation="softmax")
    shuffled = stepscore.value_head(hidden[order], weight, activation="softmax")
    gathered = stepscore.value_head(hidden, weight, positions=order, activation="softmax")
    assert bits(shuffled) == bits(gathered) == bits(whole[order])


def test_an_output_does_not_depend_on_the_other_outputs():
    hidden, weight = normal(20, 333), normal(5, 333, seed=1)
    whole = stepscore.value_head(hidden, weight)
    for c in range(5):
        assert bits(stepscore.value_head(hidden, weight[c : c + 1])) == bits(whole[:, c : c + 1])


# --- mlp_head -------------------------------------------------------------------------------


def mlp(*widths: int, bias: bool = True, seed: int = 0) -> list[tuple[np.ndarray, object]]:
    return [
        (
            normal(after, before, seed=seed + i) / np.float32(np.sqrt(before)),
            normal(after, seed=seed + 50 + i) if bias else None,
        )
        for i, (before, after) in enumerate(pairwise(widths))
    ]


# Widths and rows on both sides of every block of the product: 12 rows and 32 columns a tile, 240
# rows and 256 inputs cached, 256 outputs a group, 3,840 rows at once.
MLPS = [
    # rows, widths, tolerance
    (1, (1, 1, 1), 1e-6),
    (5, (7, 31, 2), 2e-6),
    (13, (33, 32, 3), 2e-6),
    (77, (100, 150, 2), 4e-6),
    (241, (257, 290, 1), 6e-6),
    (3845, (20, 9, 2), 2e-6),
    (30, (40, 33, 65, 5), 4e-6),
    (12, (512, 512, 2), 8e-6),
]


@pytest.mark.parametrize("inner", ["relu", "tanh", "silu"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("rows", "widths", "tolerance"), MLPS)
def test_mlp_is_the_reference(rows, widths, tolerance, bias, inner):
    hidden, layers = normal(rows, widths[0]), mlp(*widths, bias=bias)
    got = stepscore.mlp_head(hidden, layers, inner=inner)
    expected = reference.mlp_head(hidden, layers, inner=inner)
    assert got.shape == (rows, widths[-1])
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_mlp_of_every_kind_and_activation(kind, activation):
    hidden = kind.make(normal(50, 64))
    layers = [(kind.make(weight), bias) for weight, bias in mlp(64, 48, 2)]
    positions = [49, 0, 7, 7]
    got = stepscore.mlp_head(hidden, layers, positions=positions, activation=activation)
    plain = [(exact(weight), bias) for weight, bias in layers]
    expected = reference.mlp_head(exact(hidden), plain, positions=positions, activation=activation)
    assert type(got) is type(hidden)
    np.testing.assert_allclose(got, expected, rtol=4e-6, atol=4e-6)


def test_mlp_of_one_layer_is_value_head():
    hidden, (layer,) = normal(20, 70), mlp(70, 2)
    got = stepscore.mlp_head(hidden, [layer], activation="softmax")
    assert bits(got) == bits(stepscore.value_head(hidden, *layer, activation="softmax"))


@pytest.mark.parametrize(("rows", "widths"), [(77, (100, 150, 2)), (500, (257, 290, 3, 2))])
def test_mlp_bits_over_levels_and_threads(levels, kind, rows, widths):
    hidden = kind.make(normal(rows, widths[0]))
    layers = [(kind.make(weight), bias) for weight, bias in mlp(*widths)]
    bits_everywhere(levels, lambda: stepscore.mlp_head(hidden, layers, activation="softmax"))


def test_mlp_batch_is_its_parts_and_shuffles():
    hidden, layers = normal(4000, 40), mlp(40, 50, 2)
    whole = stepscore.mlp_head(hidden, layers)
    parts = np.split(hidden, [1, 13, 250, 250, 3841])
    assert bits(np.concatenate([stepscore.mlp_head(p, layers) for p in parts])) == bits(whole)
    order = np.random.default_rng(5).permutation(4000)
    assert bits(stepscore.mlp_head(hidden[order], layers)) == bits(whole[order])
    assert bits(stepscore.mlp_head(hidden, layers, positions=order)) == bits(whole[order])


def test_mlp_rows_of_a_wider_matrix_and_no_rows():
    base, layers = normal(50, 90), mlp(70, 40, 2)
    got = stepscore.mlp_head(base[::3, 5:75], layers)
    assert bits(got) == bits(stepscore.mlp_head(base[::3, 5:75].copy(), layers))
    assert stepscore.mlp_head(base[:0, :70], layers).shape == (0, 2)
    assert stepscore.mlp_head(base[:, :70], layers, positions=[]).shape == (0, 2)


@pytest.mark.parametrize("inner", ["relu", "tanh", "silu"])
def test_mlp_nan_and_infinities(inner):
    # One inner unit, so that what it gives is what comes out.
    layers = [(np.ones((1, 1), np.float32), None)] * 2
    hidden = np.array([[np.nan], [np.inf], [-np.inf], [-1e-30], [3e38]], np.float32)
    got = stepscore.mlp_head(hidden, layers, inner=inner)
    np.testing.assert_allclose(
        got, reference.mlp_head(hidden, layers, inner=inner), rtol=2 * ROUNDING
    )


def test_mlp_nan_stays_in_its_row():
    hidden = normal(30, 64)
    hidden[17, 3] = np.nan
    got = stepscore.mlp_head(hidden, mlp(64, 40, 2))
    assert np.flatnonzero(np.isnan(got).any(axis=1)).tolist() == [17]


# --- out ------------------------------------------------------------------------------------


def test_out_is_filled_and_returned(kind):
    hidden, weight = kind.make(normal(6, 40)), kind.make(normal(2, 40, seed=1))
    layers = [(weight, None)]
    expected = stepscore.value_head(hidden, weight)
    for call in (
        lambda out: stepscore.value_head(hidden, weight, out=out),
        lambda out: stepscore.mlp_head(hidden, layers, out=out),
    ):
        out = expected * 0
        assert call(out) is out
        assert bits(out) == bits(expected)


def test_out_may_be_part_of_a_larger_array():
    hidden, weight = normal(6, 40), normal(2, 40, seed=1)
    larger = np.full((8, 2), 7.0, np.float32)
    stepscore.value_head(hidden, weight, out=larger[1:7])
    assert bits(larger[1:7]) == bits(stepscore.value_head(hidden, weight))
    assert (larger[[0, 7]] == 7.0).all()


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.zeros((6, 3), np.float32), ValueError, "out must have shape [6, 2]; got [6, 3]"),
        (np.zeros((5, 2), np.float32), ValueError, "out must have shape [6, 2]; got [5, 2]"),
        (np.zeros(12, np.float32), ValueError, "out must have 2 dimensions; got shape [12]"),
        (np.zeros((6, 2), np.float64), TypeError, "out must be float32; got float64"),
        (np.zeros((6, 4), np.float32)[:, :2], ValueError, "out must be contiguous"),
        (np.zeros((2, 6), np.float32).T, ValueError, "out must be contiguous"),
    ],
)
def test_out_that_does_not_fit(out, error, message):
    hidden, weight = normal(6, 40), normal(2, 40, seed=1)
    before = out.copy()
    with pytest.raises(error, match=re.escape(f"value_head: {message}")):
        stepscore.value_head(hidden, weight, out=out)
    with pytest.raises(error, match=re.escape(f"mlp_head: {message}")):
        stepscore.mlp_head(hidden, [(weight, None)], out=out)
    np.testing.assert_array_equal(out, before)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([[0.0, 0.0]] * 6, TypeError, "out must be a NumPy array or a torch tensor"),
        (np.zeros((6, 2), ">f4"), TypeError, "in native byte order"),
        # What lies behind a read-only array may be an immutable object, or a protected page.
        (np.frombuffer(bytes(48), np.float32).reshape(6, 2), ValueError, "out is read-only"),
    ],
    ids=["list", "big-endian", "read-only"],
)
def test_out_is_written_in_place_or_refused(out, error, message):
    with pytest.raises(error, match=message):
        stepscore.value_head(normal(6, 40), normal(2, 40, seed=1), out=out)
    assert not np.asarray(out).any()


# --- errors ---------------------------------------------------------------------------------

X, W = normal(4, 40), normal(2, 40, seed=1)

FAULTS = {
    "weight width": (
        lambda: stepscore.value_head(normal(1, 3584), normal(2, 4096)),
        ValueError,
        "value_head: weight must have shape [k, 3584] to match hidden; got [2, 4096]",
    ),
    "weight without rows": (
        lambda: stepscore.value_head(X, normal(0, 40)),
        ValueError,
        "value_head: weight must have shape [k, 40] to match hidden; got [0, 40]",
    ),
    "weight rank": (
        lambda: stepscore.value_head(X, W[0]),
        ValueError,
        "value_head: weight must have 2 dimensions; got shape [40]",
    ),
    "weight scalar": (
        lambda: stepscore.value_head(X, np.float32(1)),
        ValueError,
        "value_head: weight must have 2 dimensions; got shape []",
    ),
    "hidden rank": (
        lambda: stepscore.value_head(X[0], W),
        ValueError,
        "value_head: hidden must have 2 dimensions; got shape [40]",
    ),
    "hidden rank 5": (
        lambda: stepscore.value_head(X.reshape(1, 1, 1, 4, 40), W),
        ValueError,
        "value_head: hidden: TensorView: at most 4 dimensions; got 5",
    ),
    "hidden float64": (
        lambda: stepscore.value_head(X.astype(np.float64), W),
        TypeError,
        "value_head: hidden must be float32 or float16 or bfloat16; got float64",
    ),
    "hidden of integers": (
        lambda: stepscore.value_head(np.zeros((4, 40), np.int64), W),
        TypeError,
        "value_head: hidden must be float32 or float16 or bfloat16; got int64",
    ),
    "hidden of objects": (
        lambda: stepscore.value_head(None, W),
        TypeError,
        "value_head: hidden must hold numbers; got object",
    ),
    "hidden ragged": (
        lambda: stepscore.value_head([[1.0], [1.0, 2.0]], W),
        ValueError,
        "value_head: hidden must be an array; got a list that NumPy cannot read",
    ),
    "weight of integers": (
        lambda: stepscore.value_head(X, W.astype(np.int32)),
        TypeError,
        "value_head: weight must be float32 or float16 or bfloat16; got int32",
    ),
    "columns apart": (
        lambda: stepscore.value_head(normal(4, 80)[:, ::2], W),
        ValueError,
        "value_head: hidden must be contiguous in its last dimension (stride 1, got 2)",
    ),
    "transposed": (
        lambda: stepscore.value_head(normal(40, 4).T, W),
        ValueError,
        "value_head: hidden must be contiguous in its last dimension (stride 1, got 4)",
    ),
    "bias length": (
        lambda: stepscore.value_head(X, W, [1.0, 2.0, 3.0]),
        ValueError,
        "value_head: bias must have shape [2] to match weight; got [3]",
    ),
    "bias rank": (
        lambda: stepscore.value_head(X, W, [[1.0], [2.0]]),
        ValueError,
        "value_head: bias must have 1 dimension; got shape [2, 1]",
    ),
    "bias of text": (
        lambda: stepscore.value_head(X, W, ["a", "b"]),
        TypeError,
        "value_head: bias must hold numbers; got str",
    ),
    "position too large": (
        lambda: stepscore.value_head(X, W, positions=[0, 4]),
        ValueError,
        "value_head: positions[1] is 4; hidden has rows 0 to 3",
    ),
    "position negative": (
        lambda: stepscore.value_head(X, W, positions=[-1]),
        ValueError,
        "value_head: positions[0] is -1; hidden has rows 0 to 3",
    ),
    "position far": (
        lambda: stepscore.value_head(X, W, positions=[2**62]),
        ValueError,
        f"value_head: positions[0] is {2**62}; hidden has rows 0 to 3",
    ),
    "position without rows": (
        lambda: stepscore.value_head(X[:0], W, positions=[0]),
        ValueError,
        "value_head: positions[0] is 0; hidden has",
    ),
    "positions rank": (
        lambda: stepscore.value_head(X, W, positions=[[0]]),
        ValueError,
        "value_head: positions must have 1 dimension; got shape [1, 1]",
    ),
    "positions scalar": (
        lambda: stepscore.value_head(X, W, positions=0),
        ValueError,
        "value_head: positions must have 1 dimension; got shape []",
    ),
    "positions of floats": (
        lambda: stepscore.value_head(X, W, positions=[0.0]),
        TypeError,
        "value_head: positions must hold integers that fit int64; got float64",
    ),
    "positions as a mask": (
        lambda: stepscore.value_head(X, W, positions=[True, False, True, False]),
        TypeError,
        "value_head: positions must hold integers that fit int64; got bool",
    ),
    "activation": (
        lambda: stepscore.value_head(X, W, activation="relu"),
        ValueError,
        "value_head: unknown activation 'relu'; choose from identity, sigmoid, softmax, "
        "difference, tanh",
    ),
    "activation None": (
        lambda: stepscore.value_head(X, W, activation=None),
        ValueError,
        "value_head: unknown activation 'None'; choose from identity",
    ),
    "difference of three": (
        lambda: stepscore.value_head(X, normal(3, 40), activation="difference"),
        ValueError,
        "value_head: activation 'difference' is p[1] - p[0] and needs 2 outputs; weight gives 3",
    ),
    "no layers": (
        lambda: stepscore.mlp_head(X, []),
        ValueError,
        "mlp_head: layers must hold at least one (weight, bias) pair",
    ),
    "layers without biases": (
        lambda: stepscore.mlp_head(X, [normal(3, 40)]),
        TypeError,
        "mlp_head: layers must be a list of (weight, bias) pairs",
    ),
    "first layer": (
        lambda: stepscore.mlp_head(X, mlp(41, 3, 2)),
        ValueError,
        "mlp_head: weight must have shape [k, 40] to match hidden; got [3, 41]",
    ),
    "second layer": (
        lambda: stepscore.mlp_head(X, mlp(40, 3, 2)[:1] + mlp(4, 2)),
        ValueError,
        "mlp_head: weight must have shape [k, 3] to match the layer before it; got [2, 4]",
    ),
    "inner": (
        lambda: stepscore.mlp_head(X, mlp(40, 3, 2), inner="gelu"),
        ValueError,
        "mlp_head: unknown inner 'gelu'; choose from relu, tanh, silu",
    ),
    "mlp activation": (
        lambda: stepscore.mlp_head(X, mlp(40, 3, 2), activation="silu"),
        ValueError,
        "mlp_head: unknown activation 'silu'; choose from identity, sigmoid, softmax, "
        "difference, tanh",
    ),
    "mlp position": (
        lambda: stepscore.mlp_head(X, mlp(40, 3, 2), positions=[4]),
        ValueError,
        "mlp_head: positions[0] is 4; hidden has rows 0 to 3",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_named(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_an_unaligned_array_is_read_as_its_copy() -> None:
    fields = np.zeros(4, np.dtype([("a", "f4"), ("b", "u1")]))
    fields["a"] = [1.0, 2.0, 3.0, 4.0]
    hidden = fields["a"].reshape(4, 1)
    assert not hidden.flags.aligned
    weight = np.ones((1, 1), np.float32)
    assert np.array_equal(
        stepscore.value_head(hidden, weight), stepscore.value_head(hidden.copy(), weight)
    )


def test_a_masked_array_is_refused() -> None:
    hidden = np.ma.masked_array(np.ones((2, 3), np.float32), mask=False)
    with pytest.raises(TypeError, match="value_head: hidden is a masked array"):
        stepscore.value_head(hidden, np.ones((1, 3), np.float32))


def test_a_negated_out_is_refused() -> None:
    torch = pytest.importorskip("torch")
    out = torch._neg_view(torch.empty(2, 1))
    with pytest.raises(ValueError, match="value_head: out is a lazily negated tensor"):
        stepscore.value_head(torch.ones(2, 3), torch.ones(1, 3), out=out)
