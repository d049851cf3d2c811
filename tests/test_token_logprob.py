"""token_logprob against a dense log-softmax in float64, in blocks of every size."""

from __future__ import annotations

import inspect
import sys
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from array_kinds import exact
from hypothesis import given
from hypothesis import strategies as st
from same_bits import bits, bits_everywhere

import stepscore
from stepscore import TokenLogprob, reference
from stepscore.ops.token_logprob_states import CHUNK

EVERYTHING = {"entropy": True, "top": True, "log_sum_exp": True}
module = sys.modules["stepscore.ops.token_logprob"]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def drawn(rows: int, vocabulary: int, width: int = 24, seed: int = 0) -> tuple[np.ndarray, ...]:
    targets = np.random.default_rng(seed + 3).integers(0, vocabulary, rows)
    matrix = normal(vocabulary, width, seed=seed + 1) * np.float32(0.6)
    return normal(rows, width, seed=seed), matrix, normal(vocabulary, seed=seed + 2), targets


def check(found: TokenLogprob, arrays: Any, atol: float = 1e-5, **options: Any) -> None:
    """Compare with the reference; of logits that float32 rounds to one, any may be on top."""
    hidden, matrix, targets = map(exact, arrays)
    expected = reference.token_logprob(hidden, matrix, targets, **options, **EVERYTHING)
    tokens = exact(found.top_token).astype(np.int64)
    assert ((tokens == -1) == np.isnan(expected.top_logprob)).all()
    on_top = reference.token_logprob(hidden, matrix, np.maximum(tokens, 0), **options)
    found = found._replace(top_token=on_top)
    expected = expected._replace(top_token=expected.top_logprob)
    for name, right in expected._asdict().items():
        got = exact(getattr(found, name))
        np.testing.assert_allclose(got, right, rtol=1e-6, atol=atol, err_msg=name)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows and one chunk of the vocabulary at a time."""
    monkeypatch.setattr(module, "_CPU", module._Limits(5, CHUNK, 12 << 20))


def test_reference_takes_the_arguments_of_the_op() -> None:
    names = list(inspect.signature(stepscore.token_logprob).parameters)
    for of_the_op_alone in ("product", "stream"):
        names.remove(of_the_op_alone)
    assert list(inspect.signature(reference.token_logprob).parameters) == names


# --- against the reference ------------------------------------------------------------------

OPTIONS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.7},
    {"logit_scale": 0.25, "temperature": 2.0},
    {"soft_cap": 3.0},
    {"soft_cap": 3.0, "logit_scale": 2.0, "temperature": 0.5},
]


@pytest.mark.parametrize("vocabulary", [1, 33, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.usefixtures("small_blocks")
def test_everything_is_that_of_the_reference(kind, vocabulary, options, with_bias):
    hidden, matrix, bias, targets = drawn(13, vocabulary)
    hidden, matrix = kind.make(hidden), kind.make(matrix)
    options = options | {"bias": bias if with_bias else None}
    found = stepscore.token_logprob(hidden, matrix, targets, **options, **EVERYTHING)
    assert all(type(each) is type(hidden) for each in found)
    assert all(tuple(each.shape) == (13,) for each in found)
    check(found, (hidden, matrix, targets), **options)


@st.composite
def calls(draw: Any) -> tuple[tuple[np.ndarray, ...], dict[str, Any]]:
    rows, vocabulary = draw(st.integers(0, 9)), draw(st.integers(1, 2 * CHUNK))
    arrays = drawn(rows, vocabulary, draw(st.integers(1, 40)), draw(st.integers(0, 10**6)))
    options = {
        "temperature": draw(st.floats(0.2, 5.0)),
        "logit_scale": draw(st.floats(0.1, 3.0)),
        "soft_cap": draw(st.none() | st.floats(1.0, 50.0)),
        "vocabulary": draw(st.none() | st.integers(1, vocabulary)),
    }
    arrays[3][...] %= options["vocabulary"] or vocabulary
    if rows and draw(st.booleans()):
        arrays[3][draw(st.integers(0, rows - 1))] = -100
    return arrays, options


@given(calls())
def test_any_call_is_the_reference(given_call):
    (hidden, matrix, bias, targets), options = given_call
    found = stepscore.token_logprob(hidden, matrix, targets, bias=bias, **options, **EVERYTHING)
    # What a product of float32 loses grows with the logits.
    check(found, (hidden, matrix, targets), 1e-4, bias=bias, **options)


def test_the_matrix_of_a_language_model_agrees_to_1e_4():
    hidden, matrix, _, targets = drawn(40, 30_000, width=512)
    matrix /= np.float32(4)
    found = stepscore.token_logprob(hidden, matrix, targets, **EVERYTHING)
    check(found, (hidden, matrix, targets), 1e-4)


def test_products_in_the_format_of_the_input():
    torch = pytest.importorskip("torch")
    hidden, matrix, _, targets = drawn(9, 3000)
    for dtype in (torch.bfloat16, torch.float16):
        h, w = torch.from_numpy(hidden).to(dtype), torch.from_numpy(matrix).to(dtype)
        found = stepscore.token_logprob(h, w, targets, product="input", **EVERYTHING)
        logits = (h @ w.T).double().numpy()  # rounded, as the model's own layer leaves them
        unit = np.eye(logits.shape[1])
        check(found, (logits, unit, targets))


# --- rows, blocks, memory -------------------------------------------------------------------


def test_a_batch_equals_its_rows(kind):
    hidden, matrix, bias, targets = drawn(70, 2000)
    hidden, matrix = kind.make(hidden), kind.make(matrix)
    together = stepscore.token_logprob(hidden, matrix, targets, bias=bias, **EVERYTHING)
    for i in range(0, 70, 7):
        alone = stepscore.token_logprob(
            hidden[i : i + 1], matrix, targets[i : i + 1], bias=bias, **EVERYTHING
        )
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_allclose(exact(one), exact(all_of_them)[i : i + 1], atol=1e-5)


def whole_numbers(rows: int, vocabulary: int) -> tuple[np.ndarray, ...]:
    """Their products are exact, whatever the order of a sum: only our own arithmetic is left."""
    hidden, matrix, bias, targets = drawn(rows, vocabulary)
    return np.round(hidden), np.round(matrix * 4) / np.float32(4), bias, targets


def test_the_bits_are_those_of_any_block_level_and_number_of_threads(levels, monkeypatch):
    hidden, matrix, bias, targets = whole_numbers(11, 3 * CHUNK + 9)

    def call() -> np.ndarray:
        found = stepscore.token_logprob(hidden, matrix, targets, bias=bias, **EVERYTHING)
        return np.concatenate([np.asarray(each, np.float64) for each in found])

    expected = bits(call())
    for rows, columns in ((3, CHUNK), (1024, 2 * CHUNK), (4, 4096)):
        monkeypatch.setattr(module, "_CPU", module._Limits(rows, columns, 12 << 20))
        assert bits_everywhere(levels, call) == expected


@pytest.mark.parametrize("rows", [1, 700])
def test_numpy_allocates_less_than_64_megabytes(rows):
    hidden, matrix, _, targets = drawn(rows, 9000, width=1536)
    halves = hidden.astype(np.float16), matrix.astype(np.float16)
    for h, w in ((hidden, matrix), halves):
        tracemalloc.start()
        try:
            stepscore.token_logprob(h, w, targets, **EVERYTHING)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 64e6


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_torch_allocates_less_than_64_megabytes(dtype):
    torch = pytest.importorskip("torch")
    hidden, matrix, _, targets = drawn(2048, 6000, width=1536)
    hidden, matrix = (torch.from_numpy(x).to(getattr(torch, dtype)) for x in (hidden, matrix))
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        stepscore.token_logprob(hidden, matrix, targets, **EVERYTHING)
    living = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            living += event.nbytes()
            peak = max(peak, living)
    assert 0 < peak < 64e6


@pytest.mark.parametrize("converted", [False, True])
@pytest.mark.parametrize("width", [1, 512, 1536, 3584, 8192, 16384])
@pytest.mark.parametrize(("limits", "most"), [(module._CPU, 64e6), (module._GPU, 256e6)])
def test_what_is_multiplied_at_a_time_is_bounded(width, converted, limits, most):
    rows, columns = module._cuts(limits, 10**6, width, 200_000, converted)
    held = rows * columns + (rows * width + columns * width if converted else 0)
    assert 4 * held < most
    assert rows >= 64
    assert columns % CHUNK == 0


def test_it_takes_little_more_than_the_bare_product_and_less_than_a_log_softmax():
    torch = pytest.importorskip("torch")
    hidden, matrix, _, targets = map(torch.from_numpy, drawn(256, 8192, width=1536))
    buffer = torch.empty(256, 4096)

    def product() -> None:
        for first in range(0, 8192, 4096):
            torch.mm(hidden, matrix[first : first + 4096].T, out=buffer)

    calls = {
        "product": product,
        "ours": lambda: stepscore.token_logprob(hidden, matrix, targets, entropy=True, top=True),
        "dense": lambda: (hidden @ matrix.T).log_softmax(1).gather(1, targets[:, None]),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    stepscore.set_num_threads(1)
    try:
        # The least of several rounds, which alternate; what else runs can only make them longer.
        least = dict.fromkeys(calls, np.inf)
        for _ in range(40):
            for name, call in calls.items():
                begun = time.process_time()
                call()
                least[name] = min(least[name], time.process_time() - begun)
            if least["ours"] <= min(1.15 * least["product"], least["dense"]):
                return
    finally:
        torch.set_num_threads(threads)
    pytest.fail(str(least))


# --- what is no number ----------------------------------------------------------------------


def test_nan_stays_in_its_row_and_masked_tokens_weigh_nothing(kind):
    hidden, matrix, bias, targets = drawn(4, 900)
    hidden[1, 2] = np.nan
    bias[:600] = -np.inf
    targets[:] = [700, 700, 5, 899]
    found = stepscore.token_logprob(
        kind.make(hidden), kind.make(matrix), targets, bias=bias, **EVERYTHING
    )
    check(found, (kind.make(hidden), kind.make(matrix), targets), bias=bias)
    assert np.isnan(exact(found.logprob)).tolist() == [False, True, False, False]
    assert exact(found.logprob)[2] == -np.inf
    assert exact(found.top_token)[1] == -1


def test_huge_logits_neither_overflow_nor_vanish():
    hidden, matrix, _, targets = drawn(8, 3000)
    found = stepscore.token_logprob(hidden * 1000, matrix * 1000, targets, **EVERYTHING)
    assert np.isfinite(found.logprob).all()
    assert (found.entropy >= 0).all()
    flat = stepscore.token_logprob(hidden * 0, matrix, targets, **EVERYTHING)
    np.testing.assert_allclose(flat.entropy, np.log(3000), rtol=1e-6)
    np.testing.assert_allclose(flat.logprob, -np.log(3000), rtol=1e-6)


def test_a_row_without_a_target_has_no_log_probability():
    hidden, matrix, _, targets = drawn(5, 300)
    targets[[1, 3]] = -100
    found = stepscore.token_logprob(hidden, matrix, targets, entropy=True)
    assert np.isnan(found.logprob).tolist() == [False, True, False, True, False]
    assert np.isfinite(found.entropy).all()
    assert found.top_token is None
    assert found.log_sum_exp is None
    targets[[1, 3]] = 7
    own = stepscore.token_logprob(hidden, matrix, targets, ignore_index=7)
    assert np.isnan(own[[1, 3]]).all()


def test_rows_beyond_the_vocabulary_are_left_out():
    hidden, matrix, bias, targets = drawn(5, 1000)
    targets %= 900
    part = stepscore.token_logprob(hidden, matrix[:900].copy(), targets, bias=bias[:900].copy())
    matrix[900:] *= 50
    padded = stepscore.token_logprob(hidden, matrix, targets, bias=bias, vocabulary=900)
    np.testing.assert_allclose(padded, part, rtol=1e-6)


# --- frameworks -----------------------------------------------------------------------------


def test_arrays_of_two_frameworks_meet():
    torch = pytest.importorskip("torch")
    hidden, matrix, _, targets = drawn(5, 700)
    expected = stepscore.token_logprob(hidden, matrix, targets)
    mixed = stepscore.token_logprob(hidden, torch.from_numpy(matrix).bfloat16(), targets)
    assert type(mixed) is np.ndarray
    np.testing.assert_allclose(mixed, expected, atol=0.2)
    tensor = stepscore.token_logprob(torch.from_numpy(hidden), matrix, targets)
    assert type(tensor) is torch.Tensor
    np.testing.assert_allclose(tensor, expected, rtol=1e-6)


def test_autocast_of_the_caller_changes_nothing():
    torch = pytest.importorskip("torch")
    hidden, matrix, _, targets = map(torch.from_numpy, drawn(5, 700))
    expected = stepscore.token_logprob(hidden, matrix, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(stepscore.token_logprob(hidden, matrix, targets), expected)


# --- refusals -------------------------------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"hidden": normal(4)}, r"hidden must have 2 dimensions; got shape \[4\]"),
    ({"lm_head": normal(9, 5)}, r"lm_head must have shape \[V, 24\] to match hidden; got \[9, 5\]"),
    ({"lm_head": normal(0, 24)}, r"lm_head must have shape \[V, 24\]"),
    ({"targets": [1, 2]}, r"targets must have shape \[3\], a token for each hidden state"),
    ({"targets": [1, 50, 2]}, r"targets\[1\] is 50; the vocabulary has the ids 0 to 49"),
    ({"targets": [1, 2, -1]}, r"targets\[2\] is -1"),
    ({"targets": [1, 2, -100], "ignore_index": None}, r"targets\[2\] is -100"),
    ({"targets": [1, 2, 45], "vocabulary": 40}, r"targets\[2\] is 45; .* 0 to 39"),
    ({"bias": normal(49)}, r"bias must have shape \[50\] to match lm_head; got \[49\]"),
    ({"temperature": 0.0}, "temperature must be positive and finite; got 0.0"),
    ({"temperature": -1.0}, "temperature must be positive and finite; got -1.0"),
    ({"temperature": float("nan")}, "temperature must be positive and finite; got nan"),
    ({"temperature": 1e-60}, "temperature: the factors of a logit leave float32 with temp.*=1e-60"),
    ({"logit_scale": 0.0}, "logit_scale must be positive and finite; got 0.0"),
    ({"soft_cap": 0.0}, "soft_cap must be positive and finite, or None for no cap; got 0.0"),
    ({"vocabulary": 0}, "vocabulary must be 1 to 50, the rows of lm_head; got 0"),
    ({"vocabulary": 51}, "vocabulary must be 1 to 50, the rows of lm_head; got 51"),
    ({"product": "float16"}, 'product must be "float32" or "input"; got'),
    ({"product": "input"}, "product must be 'float32' unless hidden and lm_head are torch tensors"),
]


@pytest.mark.parametrize(("wrong", "message"), REFUSED, ids=str)
def test_a_wrong_argument_is_named(wrong, message):
    hidden, matrix, _, targets = drawn(3, 50)
    arguments = {"hidden": hidden, "lm_head": matrix, "targets": targets} | wrong
    with pytest.raises(ValueError, match="token_logprob: " + message):
        stepscore.token_logprob(**arguments)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"hidden": np.zeros((3, 24))},
            "hidden must be float32 or float16 or bfloat16; got float64",
        ),
        ({"lm_head": np.zeros((50, 24), np.int64)}, "lm_head must be .*; got int64"),
        ({"targets": np.zeros(3)}, "targets must hold integers that fit int64; got float64"),
        ({"vocabulary": 2.5}, "vocabulary must be an integer; got 2.5"),
        ({"temperature": "hot"}, "temperature must be a number; got 'hot'"),
    ],
    ids=str,
)
def test_a_wrong_type_is_named(wrong, message):
    hidden, matrix, _, targets = drawn(3, 50)
    arguments = {"hidden": hidden, "lm_head": matrix, "targets": targets} | wrong
    with pytest.raises(TypeError, match="token_logprob: " + message):
        stepscore.token_logprob(**arguments)
