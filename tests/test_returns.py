"""Returns, advantages and targets against sums written out, and bit for bit against themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_kinds import KINDS, Kind, exact
from hypothesis import given
from hypothesis import strategies as st
from same_bits import bits, bits_everywhere

import stepscore
from stepscore import reference

OPS = ["discounted_return", "min_return", "gae", "td_targets"]
MASK = np.array([[1, 1, 0, 0, 1, 1]])
REWARDS = np.array([[0.1, 0, 0, 0, 0.2, 1]])
VALUES = np.array([[0.5, 0.4, 0.9, 0.8, 0.6, 0.7]])


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=5e-7)


# --- published values -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("carry", [0.991, 0.99, 0, 0, 1.1, 1]),
        ("zero", [0.82171, 0.8019, 0.891, 0.99, 1.1, 1]),
        ("none", [0.82171, 0.8019, 0.891, 0.99, 1.1, 1]),
        ("reset", [0.1, 0, 0, 0.99, 1.1, 1]),
    ],
)
def test_the_return_under_every_mask_policy(policy, expected):
    close(
        stepscore.discounted_return(REWARDS, gamma=0.9, mask=MASK, mask_policy=policy), [expected]
    )


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("carry", [0.292006, 0.46112, 0.446, 0.446, 0.446, 0.3]),
        ("none", [0.184701, 0.312085, -0.135994, 0.06112, 0.446, 0.3]),
        ("zero", [-0.006589, 0.046405, 0.620006, 0.86112, 0.446, 0.3]),
    ],
)
def test_the_advantage_under_every_mask_policy(policy, expected):
    got, returns = stepscore.gae(REWARDS, VALUES, gamma=0.9, lam=0.8, mask=MASK, mask_policy=policy)
    close(got, [expected])
    close(returns, got + (VALUES * MASK if policy == "zero" else VALUES))


def test_the_least_reward_to_come():
    close(stepscore.min_return([0.6, -0.2, 0.4], offsets=[0, 3]), [-0.2, -0.2, 0.4])
    # Over zeros between the steps, as the verl branch of PURE has it.
    zeros = [[0, 0, 0.6, 0, -0.2, 0, 0.4, 0]]
    close(stepscore.min_return(zeros), [[-0.2, -0.2, -0.2, -0.2, -0.2, 0, 0, 0]])
    close(stepscore.min_return([[0, 0.6, 0, 0.5, 0, 0.4]]), [[0, 0, 0, 0, 0, 0.4]])
    # Over the steps alone.
    ends = np.array(zeros) != 0
    got = stepscore.min_return(zeros, step_mask=ends, empty=0.0)
    close(got, [[-0.2, -0.2, -0.2, -0.2, -0.2, 0.4, 0.4, 0]])


@pytest.mark.parametrize(("length", "lam"), [(10, 0), (20, 0), (100, 0.8), (1000, 0.98)])
def test_a_lambda_for_each_row_is_that_of_vapo(length, lam):
    rewards = np.random.default_rng(0).normal(size=(2, length))
    values = np.random.default_rng(1).normal(size=(2, length))
    adaptive = 1 - 1 / max(0.05 * length, 1)
    assert adaptive == pytest.approx(lam)
    got = stepscore.gae(rewards, values, gamma=1, lam=[adaptive, 0.5])
    for row, each in enumerate((lam, 0.5)):
        alone = stepscore.gae(rewards[row : row + 1], values[row : row + 1], gamma=1, lam=each)
        np.testing.assert_allclose(got[0][row], alone[0][0], rtol=1e-9, atol=1e-12)


def test_targets_of_tdrm():
    rewards, values = [0.1, 0.2, 0.3, 1.0], [0.5, 0.6, 0.7, 0.9]
    expected = {
        1: [0.1 + 0.8 * 0.6, 0.2 + 0.8 * 0.7, 0.3 + 0.8 * 0.9, 1.0],
        2: [0.1 + 0.16 + 0.64 * 0.7, 0.2 + 0.24 + 0.64 * 0.9, 0.3 + 0.8, 1.0],
        3: [0.1 + 0.16 + 0.192 + 0.512 * 0.9, 0.2 + 0.24 + 0.64, 0.3 + 0.8, 1.0],
    }
    for n, targets in expected.items():
        got = stepscore.td_targets(rewards, values, n=n, gamma=0.8, offsets=[0, 4])
        close(got, targets)
        got = stepscore.td_targets(rewards, values, n=n, gamma=0.8, offsets=[0, 4], clip=(0, 1))
        close(got, np.minimum(targets, 1))


# --- oracles, each a sum written out ----------------------------------------------------------


def summed(coefficients: Callable[[int], Any], terms: Any) -> Any:
    """sum over s >= t of coefficients(s - t) * terms[s]."""
    return np.array(
        [
            sum(coefficients(s - t) * terms[s] for s in range(t, len(terms)))
            for t in range(len(terms))
        ]
    )


def row_of_returns(r, m, gamma, policy):
    if policy == "carry":
        out = np.zeros(len(r))
        out[m] = summed(lambda k: gamma**k, r[m])
        return out
    if policy == "zero":
        return summed(lambda k: gamma**k, np.where(m, r, 0))
    if policy == "none":
        return summed(lambda k: gamma**k, r)
    # A token reaches as far as the last one of a run that no masked token has behind it.
    out = np.zeros(len(r))
    for t in range(len(r)):
        for s in range(t, len(r)):
            if s > t and not m[s]:
                break
            out[t] += gamma ** (s - t) * r[s]
    return out


def row_of_advantages(r, v, m, gamma, lam, policy):
    if policy == "carry":
        kept = np.flatnonzero(m)
        of_kept, _ = row_of_advantages(r[m], v[m], np.ones(len(kept), bool), gamma, lam, "none")
        out = np.zeros(len(r))
        for t in range(len(r)):
            later = np.flatnonzero(kept >= t)
            out[t] = of_kept[later[0]] if len(later) else 0.0
        return out, out + v
    if policy == "zero":
        r, v = np.where(m, r, 0), np.where(m, v, 0)
    delta = r + gamma * np.append(v[1:], 0)[: len(v)] - v
    out = summed(lambda k: (gamma * lam) ** k, delta)
    return out, out + v


def ragged(rng: np.random.Generator, dtype: type, rows: int = 12) -> dict[str, Any]:
    """A padded batch with gaps; the first rows are empty, one token long, and without a one."""
    lengths = np.concatenate([[0, 1, 9, 130], rng.integers(0, 90, rows - 4)])
    width = max(lengths) + 3
    mask = (np.arange(width) < lengths[:, None]) & (rng.random((rows, width)) < 0.8)
    mask[2] = False
    return {
        "rewards": rng.normal(size=(rows, width)).astype(dtype),
        "values": rng.normal(size=(rows, width)).astype(dtype),
        "mask": mask,
        "lengths": lengths,
    }


def packed(batch: dict[str, Any]) -> dict[str, Any]:
    inside = np.arange(batch["mask"].shape[1]) < batch["lengths"][:, None]
    flat = {name: batch[name][inside] for name in ("rewards", "values", "mask")}
    return {**flat, "offsets": np.concatenate([[0], np.cumsum(batch["lengths"])])}


@pytest.mark.parametrize("policy", ["carry", "zero", "none", "reset"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_returns_are_the_sum_written_out(seed, dtype, policy):
    rng = np.random.default_rng(seed)
    batch = ragged(rng, dtype)
    rewards, mask, gamma = batch["rewards"], batch["mask"], rng.random(len(batch["mask"]))
    got = stepscore.discounted_return(rewards, gamma=gamma, mask=mask, mask_policy=policy)
    assert got.dtype == dtype
    expected = [
        row_of_returns(*row, policy) for row in zip(exact(rewards), mask, gamma, strict=True)
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("policy", ["carry", "zero", "none"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_advantages_are_the_sum_written_out(seed, dtype, policy):
    rng = np.random.default_rng(seed)
    batch = ragged(rng, dtype)
    rewards, values, mask = batch["rewards"], batch["values"], batch["mask"]
    gamma, lam = rng.random(len(mask)), rng.random(len(mask))
    got = stepscore.gae(rewards, values, gamma=gamma, lam=lam, mask=mask, mask_policy=policy)
    rows = zip(exact(rewards), exact(values), mask, gamma, lam, strict=True)
    expected = np.array([row_of_advantages(*row, policy) for row in rows])
    for i in range(2):
        assert got[i].dtype == dtype
        np.testing.assert_allclose(got[i], expected[:, i], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_the_least_reward_is_the_minimum_written_out(seed, dtype):
    rng = np.random.default_rng(seed)
    batch = ragged(rng, dtype)
    rewards, mask = batch["rewards"], batch["mask"]
    ends = mask & (rng.random(mask.shape) < 0.2)
    got = stepscore.min_return(rewards, step_mask=ends, mask=mask, empty=7.0)
    for row in range(len(mask)):
        for t in range(mask.shape[1]):
            later = [rewards[row, s] for s in range(t, mask.shape[1]) if ends[row, s]]
            expected = 0.0 if not mask[row, t] else min(later) if later else 7.0
            assert got[row, t] == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_targets_are_the_sum_written_out(n, dtype):
    rng = np.random.default_rng(n)
    batch = ragged(rng, dtype)
    gamma = rng.random(len(batch["mask"]))
    got = stepscore.td_targets(
        batch["rewards"], batch["values"], n=n, gamma=gamma, mask=batch["mask"], clip=(-2, 2)
    )
    rows = zip(exact(batch["rewards"]), exact(batch["values"]), batch["mask"], strict=True)
    for row, (r, v, m) in enumerate(rows):
        r, v, expected = r[m], v[m], np.zeros(len(m))
        terms = [
            sum(gamma[row] ** k * r[t + k] for k in range(n) if t + k < len(r))
            + (gamma[row] ** n * v[t + n] if t + n < len(r) else 0.0)
            for t in range(len(r))
        ]
        expected[m] = np.clip(terms, -2, 2)
        np.testing.assert_allclose(got[row], expected, rtol=1e-6, atol=1e-10)


# --- against the reference ----------------------------------------------------------------------


@pytest.mark.parametrize("op", OPS)
def test_the_reference_takes_the_arguments_of_the_op(op):
    names = list(inspect.signature(getattr(stepscore, op)).parameters)
    assert list(inspect.signature(getattr(reference, op)).parameters) == names[:-1]
    assert names[-1] == "stream"


sizes = st.lists(st.integers(0, 20) | st.integers(60, 70), max_size=20)
policies = st.sampled_from(["carry", "zero", "none", "reset"])


@given(sizes, policies, st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1), st.integers(1, 5))
def test_all_are_the_reference(lengths, policy, seed, gamma, lam, n):
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rewards, values = rng.normal(size=(2, offsets[-1])).astype(np.float32)
    mask = rng.random(offsets[-1]) < 0.7
    ends = mask & (rng.random(offsets[-1]) < 0.5)
    for of in (stepscore, reference):
        results = [
            of.discounted_return(
                rewards, gamma=gamma, mask=mask, offsets=offsets, mask_policy=policy
            ),
            of.min_return(rewards, step_mask=ends, mask=mask, offsets=offsets, empty=-1.0),
            of.td_targets(rewards, values, n=n, gamma=gamma, mask=mask, offsets=offsets),
        ]
        if policy != "reset":
            options = {"mask": mask, "offsets": offsets, "mask_policy": policy}
            results += of.gae(rewards, values, gamma=gamma, lam=lam, **options)
        if of is stepscore:
            ours = results
    for got, expected in zip(ours, results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-10)


# --- the same bits ------------------------------------------------------------------------------


def every_op(batch: dict[str, Any]) -> list[Any]:
    """All ops on a batch, in either layout."""
    arrays = {name: batch[name] for name in ("mask", "offsets") if name in batch}
    rewards, values, mask = batch["rewards"], batch["values"], np.asarray(batch["mask"])
    out = [
        stepscore.discounted_return(rewards, gamma=0.9, mask_policy=policy, **arrays)
        for policy in ("carry", "zero", "none", "reset")
    ]
    for policy in ("carry", "zero", "none"):
        out += stepscore.gae(rewards, values, gamma=0.99, lam=0.95, mask_policy=policy, **arrays)
    ends = mask & (np.abs(np.asarray(rewards)) < 0.4)
    out.append(stepscore.min_return(rewards, step_mask=ends, empty=0.0, **arrays))
    out.append(stepscore.min_return(rewards, **arrays))
    out.append(stepscore.td_targets(rewards, values, n=3, gamma=0.8, **arrays))
    return out


def carrying(results: list[Any]) -> list[Any]:
    """Those that padding does not reach: under none and reset a row's padding counts as text."""
    return [results[i] for i in (0, 1, 4, 5, 6, 7, 10, 11, 12)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_packed_rows_have_the_bits_of_padded_ones(dtype):
    batch = ragged(np.random.default_rng(0), dtype, rows=40)
    inside = np.arange(batch["mask"].shape[1]) < batch["lengths"][:, None]
    padded, flat = every_op(batch), every_op(packed(batch))
    # The values of padding are read where A + V is given; they are no result of a packed row.
    for wide, narrow in zip(carrying(padded), carrying(flat), strict=True):
        assert bits(wide[inside]) == bits(narrow)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batch_has_the_bits_of_its_rows(dtype):
    batch = ragged(np.random.default_rng(1), dtype, rows=37)
    whole = every_op(batch)
    for row in range(37):
        alone = {name: array[row : row + 1] for name, array in batch.items()}
        for one, all_rows in zip(every_op(alone), whole, strict=True):
            assert bits(one[0]) == bits(all_rows[row])


def test_wider_padding_changes_nothing():
    batch = ragged(np.random.default_rng(2), np.float32)
    width = batch["mask"].shape[1]
    wider = {name: np.pad(batch[name], ((0, 0), (0, 77))) for name in ("rewards", "values", "mask")}
    for narrow, wide in zip(carrying(every_op(batch)), carrying(every_op(wider)), strict=True):
        assert bits(narrow) == bits(wide[:, :width])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bits_do_not_depend_on_level_or_threads(levels, dtype):
    batch = ragged(np.random.default_rng(3), dtype, rows=50)
    flat = packed(batch)
    bits_everywhere(levels, lambda: np.concatenate([np.ravel(a) for a in every_op(batch)]))
    bits_everywhere(levels, lambda: np.concatenate(every_op(flat)))


@pytest.mark.parametrize("length", [1, 63, 64, 65, 100_000])
def test_rows_of_one_token_and_of_many(length):
    rng = np.random.default_rng(length)
    rewards, values = rng.normal(size=(2, 3, length))
    mask = rng.random((3, length)) < 0.9
    got = stepscore.gae(rewards, values, gamma=0.999, lam=0.99, mask=mask)
    expected = reference.gae(rewards, values, gamma=0.999, lam=0.99, mask=mask)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


# --- what follows from the formulas --------------------------------------------------------------


def test_gae_without_values_is_the_return_and_without_lambda_the_error():
    batch = ragged(np.random.default_rng(4), np.float64)
    rewards, values, mask = batch["rewards"], batch["values"], batch["mask"]
    got, _ = stepscore.gae(rewards, 0 * values, gamma=0.9, lam=1, mask=mask)
    returns = stepscore.discounted_return(rewards, gamma=0.9, mask=mask)
    np.testing.assert_array_equal(got[mask], returns[mask])
    got, _ = stepscore.gae(rewards, values, gamma=0.9, lam=0)
    np.testing.assert_allclose(
        got, rewards + 0.9 * np.pad(values[:, 1:], ((0, 0), (0, 1))) - values, atol=1e-15
    )
    targets = stepscore.td_targets(rewards, values, n=1, gamma=0.9)
    np.testing.assert_allclose(got, targets - values, atol=1e-15)


def test_a_return_without_discount_is_a_sum_from_the_end():
    rewards = np.random.default_rng(5).normal(size=(5, 90))
    got = stepscore.discounted_return(rewards, gamma=1)
    np.testing.assert_allclose(got, rewards[:, ::-1].cumsum(axis=1)[:, ::-1], rtol=1e-12)
    np.testing.assert_array_equal(
        stepscore.min_return(rewards), np.minimum.accumulate(rewards[:, ::-1], axis=1)[:, ::-1]
    )


# --- arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_arrays_of_every_kind(kind: Kind):
    batch = ragged(np.random.default_rng(6), np.float32)
    rewards, values = kind.make(batch["rewards"]), kind.make(batch["values"])
    got = stepscore.gae(rewards, values, gamma=0.9, lam=0.9, mask=batch["mask"])
    wide = [exact(a).astype(np.float32) for a in (rewards, values)]
    expected = stepscore.gae(*wide, gamma=0.9, lam=0.9, mask=batch["mask"])
    for ours, theirs in zip(got, expected, strict=True):
        assert isinstance(ours, np.ndarray) == kind.name.startswith("numpy")
        assert bits(ours) == bits(theirs)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "int64", "f2", "f4", "f8"])
def test_masks_of_every_type(dtype):
    batch = ragged(np.random.default_rng(7), np.float32)
    expected = [bits(array) for array in every_op(batch)]
    arrays = batch["rewards"], batch["values"]
    mask = batch["mask"].astype(dtype)
    got = stepscore.gae(*arrays, gamma=0.99, lam=0.95, mask=mask)
    assert [bits(array) for array in got] == expected[4:6]
    got = stepscore.td_targets(*arrays, n=3, gamma=0.8, mask=mask)
    assert bits(got) == expected[-1]


def test_any_row_stride_is_read_where_it_stands():
    torch = pytest.importorskip("torch")
    batch = ragged(np.random.default_rng(8), np.float32)
    expected = [bits(array) for array in every_op(batch)]
    height, width = batch["mask"].shape
    strided = {}
    for name, fill in (("rewards", np.nan), ("values", np.nan), ("mask", True)):
        memory = np.full((2 * height, width + 9), fill, batch[name].dtype)
        strided[name] = memory[::-2, 4:-5]
        strided[name][:] = batch[name]
    assert [bits(array) for array in every_op(strided)] == expected
    turned = {name: np.asfortranarray(array) for name, array in batch.items()}
    assert [bits(array) for array in every_op(turned)] == expected
    tensors = {name: torch.from_numpy(batch[name].copy()) for name in strided}
    assert [bits(array) for array in every_op(tensors)] == expected


def test_no_rows_and_no_tokens():
    for shape in ((0, 5), (5, 0), (0, 0)):
        empty = np.zeros(shape, np.float32)
        assert stepscore.discounted_return(empty, gamma=1).shape == shape
        assert stepscore.min_return(empty, mask=empty).shape == shape
        assert [a.shape for a in stepscore.gae(empty, empty, gamma=1, lam=1)] == [shape, shape]
        assert stepscore.td_targets(empty, empty, n=1, gamma=1).shape == shape
    for offsets in ([0], [0, 0, 0]):
        assert stepscore.gae([], [], gamma=1, lam=1, offsets=offsets)[0].shape == (0,)


# --- faults ---------------------------------------------------------------------------------------

NAN = float("nan")


@pytest.mark.parametrize("policy", ["carry", "zero"])
def test_a_nan_that_is_not_read_is_harmless(policy):
    dirty = REWARDS.copy()
    dirty[0, 2] = NAN
    for values in (VALUES, np.where(MASK, VALUES, NAN))[: 1 if policy == "carry" else 2]:
        arguments = {"gamma": 0.9, "lam": 0.8, "mask": MASK, "mask_policy": policy}
        got = stepscore.gae(dirty, values, **arguments)
        assert bits(got[0]) == bits(stepscore.gae(REWARDS, VALUES, **arguments)[0])
    arguments = {"gamma": 0.9, "mask": MASK, "mask_policy": policy}
    got = stepscore.discounted_return(dirty, **arguments)
    assert bits(got) == bits(stepscore.discounted_return(REWARDS, **arguments))
    assert not np.isnan(stepscore.min_return(dirty, mask=MASK)).any()
    assert not np.isnan(stepscore.td_targets(dirty, VALUES, n=2, gamma=1, mask=MASK)).any()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_nan_is_an_error_that_names_its_place(threads):
    stepscore._core.set_least_work(0)
    stepscore.set_num_threads(threads)
    rewards = np.random.default_rng(9).normal(size=(40, 150)).astype(np.float32)
    values = rewards.copy()
    rewards[33, 7] = rewards[21, 99] = values[25, 3] = NAN
    place = re.escape("rewards[21, 99] is NaN")
    for call in (
        lambda **o: stepscore.gae(rewards, rewards * 0 + 1, gamma=1, lam=1, **o),
        lambda **o: stepscore.discounted_return(rewards, gamma=0, **o),
        lambda **o: stepscore.min_return(rewards, **o),
        lambda **o: stepscore.td_targets(rewards, values * 0 + 1, n=1, gamma=1, **o),
    ):
        with pytest.raises(ValueError, match=place):
            call()
        got = np.asarray(call(nan="propagate"))
        assert set(np.argwhere(np.isnan(got))[:, -2]) >= {21, 33}
    good = np.zeros_like(values)
    with pytest.raises(ValueError, match=r"gae: values\[25, 3\] is NaN"):
        stepscore.gae(good, values, gamma=1, lam=1)
    with pytest.raises(ValueError, match=r"rewards\[3249\] \(row 21\) is NaN"):
        stepscore.min_return(rewards.ravel(), offsets=np.arange(41) * 150)


def test_a_nan_that_propagates_stays_in_its_row():
    batch = ragged(np.random.default_rng(10), np.float64)
    clean = every_op(batch)
    batch["rewards"][7, 20], batch["mask"][7, 20] = NAN, True
    got = [
        stepscore.gae(
            batch["rewards"], batch["values"], gamma=0.99, lam=0.95, mask=batch["mask"],
            nan="propagate",
        )[0],
        stepscore.min_return(batch["rewards"], mask=batch["mask"], nan="propagate"),
    ]  # fmt: skip
    others = np.arange(12) != 7
    assert bits(got[0][others]) == bits(clean[4][others])
    assert bits(got[1][others]) == bits(clean[11][others])
    ones = batch["mask"][7]
    assert np.isnan(got[0][7, :21][ones[:21]]).all()
    assert np.isnan(got[1][7, :21][ones[:21]]).all()
    assert not np.isnan(got[1][7, 21:]).any()


def test_infinities_of_both_signs_are_an_error():
    rewards = [[1.0, np.inf, -np.inf]]
    assert stepscore.min_return(rewards).tolist() == [[-np.inf] * 3]
    with pytest.raises(ValueError, match="row 0 adds infinities of both signs"):
        stepscore.discounted_return(rewards, gamma=1)


FAULTS: list[tuple[str, Callable[[], Any]]] = [
    (
        "gae: gamma must lie in [0, 1]; got 1.5",
        lambda: stepscore.gae(REWARDS, VALUES, gamma=1.5, lam=1),
    ),
    (
        "gae: lam must lie in [0, 1]; got -0.1",
        lambda: stepscore.gae(REWARDS, VALUES, gamma=1, lam=-0.1),
    ),
    (
        "gae: lam must lie in [0, 1]; got nan",
        lambda: stepscore.gae(REWARDS, VALUES, gamma=1, lam=NAN),
    ),
    (
        "discounted_return: gamma[1] must lie in [0, 1]; got 2",
        lambda: stepscore.discounted_return([1.0, 2.0], gamma=[1, 2], offsets=[0, 1, 2]),
    ),
    (
        "gamma must be a number, or have shape [1], one for each row; got [2]",
        lambda: stepscore.discounted_return(REWARDS, gamma=[1, 1]),
    ),
    (
        "values must have shape [1, 6] to match rewards; got [1, 5]",
        lambda: stepscore.gae(REWARDS, VALUES[:, 1:], gamma=1, lam=1),
    ),
    (
        "mask must have shape [1, 6] to match rewards; got [6]",
        lambda: stepscore.discounted_return(REWARDS, gamma=1, mask=MASK[0]),
    ),
    (
        "mask[0, 3] must be 0 or 1",
        lambda: stepscore.discounted_return(REWARDS, gamma=1, mask=[[1, 1, 0, 2, 1, 1]]),
    ),
    (
        "mask[0, 4] must be 0 or 1",
        lambda: stepscore.td_targets(REWARDS, VALUES, n=1, gamma=1, mask=[[1, 1, 0, 1, 0.5, 1]]),
    ),
    (
        "step_mask[0, 2] ends a step where mask is 0",
        lambda: stepscore.min_return(REWARDS, step_mask=[[0, 0, 1, 0, 0, 1]], mask=MASK),
    ),
    (
        "step_mask[5] (row 1) has no step end at or behind it; pass empty=0.0",
        lambda: stepscore.min_return(REWARDS[0], step_mask=[0, 1, 1, 0, 1, 0], offsets=[0, 3, 6]),
    ),
    (
        "rewards must have 2 dimensions, [rows, tokens]; got shape [6]; pass offsets",
        lambda: stepscore.discounted_return(REWARDS[0], gamma=1),
    ),
    (
        "offsets must end at 6 (the number of rewards); got 5",
        lambda: stepscore.discounted_return(REWARDS[0], gamma=1, offsets=[0, 5]),
    ),
    (
        "unknown mask_policy 'skip'; choose from carry, zero, none, reset",
        lambda: stepscore.discounted_return(REWARDS, gamma=1, mask_policy="skip"),
    ),
    (
        "mask_policy 'reset' is for discounted_return alone",
        lambda: stepscore.gae(REWARDS, VALUES, gamma=1, lam=1, mask_policy="reset"),
    ),
    ("n must be at least 1; got 0", lambda: stepscore.td_targets(REWARDS, VALUES, n=0, gamma=1)),
    (
        "clip must be (low, high) with low <= high; got (1, 0)",
        lambda: stepscore.td_targets(REWARDS, VALUES, n=1, gamma=1, clip=(1, 0)),
    ),
    ("nan must be", lambda: stepscore.gae(REWARDS, VALUES, gamma=1, lam=1, nan="drop")),
    ("empty must be", lambda: stepscore.min_return(REWARDS, empty="zero")),
]


@pytest.mark.parametrize(("said", "act"), FAULTS, ids=[said for said, _ in FAULTS])
def test_faults_are_named(said: str, act: Callable[[], Any]):
    with pytest.raises(ValueError, match=re.escape(said)):
        act()
