"""The ops on a level of a search against their specification and their promises."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from same_bits import bits

import stepscore
from stepscore import reference

SEED_OF_VECTORS = [
    # Philox4x32-10: counter, key, expected (Random123's known answers)
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([2**32 - 1] * 4, [2**32 - 1] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), SEED_OF_VECTORS)
def test_the_specification_of_philox(counter: Any, key: Any, expected: Any) -> None:
    from stepscore.reference.tree_search_nodes import _philox

    assert _philox(counter, key) == expected


def random_level(rng: np.random.Generator, *, distinct: int = 10**6) -> tuple[Any, Any]:
    """Values above 0, some equal, in problems of 0 to 300 items."""
    sizes = rng.choice([0, 1, 2, 5, 8, 40, 300], size=rng.integers(0, 6))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return rng.integers(1, distinct, offsets[-1]) / distinct, offsets


def same(ours: Any, theirs: Any) -> bool:
    return all(a.tolist() == b.tolist() for a, b in zip(ours, theirs, strict=True))


# --- top_k, replicate, drop_duplicates ------------------------------------------------------


@pytest.mark.parametrize("distinct", [3, 10**6])
def test_top_k_and_replicate_are_the_specification(distinct: int) -> None:
    rng = np.random.default_rng(distinct)
    for _ in range(100):
        scores, offsets = random_level(rng, distinct=distinct)
        k = rng.integers(0, 20, len(offsets) - 1)
        for op, arguments in (("top_k", (scores, offsets)), ("replicate", (offsets,))):
            ours, theirs = (getattr(m, op)(*arguments, k) for m in (stepscore, reference))
            assert same(ours, theirs), op


def test_top_k_keeps_the_order_of_equal_scores() -> None:
    indices, offsets = stepscore.top_k([0.5, 0.9, 0.5, 0.9, 0.5], [0, 5, 5], [4, 4])
    assert indices.tolist() == [1, 3, 0, 2]
    assert offsets.tolist() == [0, 4, 4]
    assert stepscore.top_k([0.1, -np.inf, np.inf], [0, 3], 3)[0].tolist() == [2, 0, 1]


def test_replicate_goes_round() -> None:
    indices, offsets = stepscore.replicate([0, 3, 3, 4], 5)
    assert indices.tolist() == [0, 1, 2, 0, 1, 3, 3, 3, 3, 3]
    assert offsets.tolist() == [0, 5, 5, 10]


def test_drop_duplicates_keeps_the_first() -> None:
    texts = ["a", "b", "a", "", "", "a", "\ud800", "\ud800"]
    for module in (stepscore, reference):
        indices, offsets = module.drop_duplicates(texts, [0, 5, 5, 8])
        assert indices.tolist() == [0, 1, 3, 5, 6]
        assert offsets.tolist() == [0, 3, 3, 5]


# --- REBASE ---------------------------------------------------------------------------------

VECTORS = [  # scores, then what exact, float32 and float64 allot of 16, best first
    ([0.5] * 4, [4, 4, 4, 4], [4, 4, 5, 4], [4, 4, 5, 4]),
    ([0.9, 0.8, 0.7, 0.6], [8, 5, 2, 1], [8, 5, 2, 1], [8, 5, 2, 2]),
    ([0.9, 0.5, 0.1], [14, 2, 0], [14, 2, 0], [14, 2, 0]),
]


@pytest.mark.parametrize(("scores", "exact", "float32", "float64"), VECTORS)
def test_rebase_vectors(scores: Any, exact: Any, float32: Any, float64: Any) -> None:
    expected = {"exact": exact, "float32": float32, "float64": float64}
    for arith, counts in expected.items():
        for module in (stepscore, reference):
            got = module.rebase_allotment(scores, [0, len(scores)], 16, arith=arith).tolist()
            equal = len(set(scores)) == 1  # then the later is served first
            assert got == (counts[::-1] if equal else counts), (arith, module)


@pytest.mark.parametrize("arith", ["float32", "float64", "exact"])
def test_rebase_is_the_specification(arith: str) -> None:
    rng = np.random.default_rng(1)
    for distinct in (3, 50, 10**6):
        for _ in range(150):
            scores, offsets = random_level(rng, distinct=distinct)
            width = rng.integers(0, 65, len(offsets) - 1)
            options = {"temperature": float(rng.choice([0.05, 0.2, 1.0])), "arith": arith}
            ours, theirs = (
                m.rebase_allotment(scores, offsets, width, **options)
                for m in (stepscore, reference)
            )
            assert ours.tolist() == theirs.tolist()


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.integers(0, 64))
def test_rebase_allots_the_width(scores: list[float], width: int) -> None:
    for arith, above in (("exact", 0), ("float32", 1), ("float64", 1)):
        counts = stepscore.rebase_allotment(scores, [0, len(scores)], width, arith=arith)
        assert width <= counts.sum() <= width + above
        assert (counts >= 0).all()


# --- particles ------------------------------------------------------------------------------

METHODS = ("multinomial", "stratified", "systematic", "residual")


@pytest.mark.parametrize("method", METHODS)
def test_resample_is_the_specification(method: str) -> None:
    rng = np.random.default_rng(2)
    for draw in range(60):
        weights, offsets = random_level(rng, distinct=7)
        sizes = np.diff(offsets)
        n = np.where(sizes > 0, rng.integers(0, 40, len(sizes)), 0)
        keys = rng.integers(-5, 2**60, len(sizes))
        options = {"method": method, "seed": 2**63 + draw, "keys": keys, "draw": draw}
        ours, theirs = (m.resample(weights, offsets, n, **options) for m in (stepscore, reference))
        assert same(ours, theirs)


@pytest.mark.parametrize("method", METHODS)
def test_resample_draws_in_proportion(method: str) -> None:
    weights = np.array([1.0, 0.0, 3.0, 6.0])
    counts = np.zeros(4)
    for draw in range(400):
        drawn, _ = stepscore.resample(weights, [0, 4], 10, method=method, draw=draw)
        counts += np.bincount(drawn, minlength=4)
    assert counts[1] == 0
    assert np.abs(counts / 4000 - weights / 10).max() < 0.03


def test_systematic_resampling_rounds_up_or_down() -> None:
    rng = np.random.default_rng(3)
    for draw in range(200):
        weights = rng.random(30)
        drawn, _ = stepscore.resample(weights, [0, 30], 64, method="systematic", draw=draw)
        copies, wanted = np.bincount(drawn, minlength=30), 64 * weights / weights.sum()
        assert (copies >= np.floor(wanted - 1e-9)).all()
        assert (copies <= np.ceil(wanted + 1e-9)).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_its_single_draws(method: str) -> None:
    weights, keys = np.random.default_rng(4).random(60), np.array([11, 12, 13])
    batch, offsets = stepscore.resample(
        weights, [0, 20, 45, 60], [8, 9, 10], method=method, keys=keys, draw=3
    )
    for p, (begin, end) in enumerate(((0, 20), (20, 45), (45, 60))):
        single, _ = stepscore.resample(
            weights[begin:end], [0, end - begin], 8 + p, method=method, keys=keys[p : p + 1], draw=3
        )
        assert batch[offsets[p] : offsets[p + 1]].tolist() == (single + begin).tolist()


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(5)
    offsets = np.arange(0, 60_001, 30)
    weights, found = rng.random(60_000), []
    for threads in (1, 3):
        stepscore.set_num_threads(threads)
        found.append(
            [
                bits(stepscore.top_k(weights, offsets, 7)[0]),
                bits(stepscore.rebase_allotment(weights, offsets, 16)),
                bits(stepscore.resample(weights, offsets, 16)[0]),
            ]
        )
    assert found[0] == found[1]


def test_effective_sample_size_and_tempering_are_the_specification() -> None:
    rng = np.random.default_rng(6)
    for _ in range(100):
        weights, offsets = random_level(rng)
        weights = weights**12  # far from even
        ours, theirs = (m.effective_sample_size(weights, offsets) for m in (stepscore, reference))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        sizes = np.diff(offsets)
        assert ((ours >= 1 - 1e-9) & (ours <= sizes + 1e-9) | (sizes == 0)).all()
        progress = float(rng.choice([0.0, 0.1, 0.4, 0.7, 3.0]))
        for how in ("ess", "entropy", "base", "linear"):
            options = {"how": how, "threshold": 0.6, "start": 2.0, "end": 0.5}
            ours, theirs = (
                m.tempering(weights, offsets, progress, **options) for m in (stepscore, reference)
            )
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


# --- bad input ------------------------------------------------------------------------------

WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("top_k", ([0.1, np.nan], [0, 2], 1), {}, "top_k: scores[1] is NaN"),
    ("top_k", ([0.1], [0, 1], -1), {}, "top_k: k[0] must be 0 or more; got -1"),
    ("top_k", ([0.1], [0, 2], 1), {}, "top_k: offsets must end at 1"),
    ("top_k", ([0.1], [0, 1], [1, 2]), {}, "k must be a number or have shape [1]; got [2]"),
    ("replicate", ([0, 2], -3), {}, "replicate: counts[0] must be 0 or more; got -3"),
    ("replicate", ([1, 2], 3), {}, "replicate: offsets must begin at 0"),
    ("rebase_allotment", ([np.nan], [0, 1], 4), {}, "rebase_allotment: scores[0] is NaN"),
    ("rebase_allotment", ([1.0], [0, 1], -4), {}, "width[0] must be 0 or more; got -4"),
    ("rebase_allotment", ([1.0], [0, 1], 4), {"temperature": 0}, "temperature must be above 0"),
    ("rebase_allotment", ([1.0], [0, 1], 4), {"arith": "real"}, 'arith must be "float32" or'),
    ("resample", ([0.0, 0.0], [0, 2], 4), {}, "the weights of problem 0 are all 0"),
    ("resample", ([0.5, -1.0], [0, 2], 4), {}, "weights[1] is -1; it must be finite and 0 or more"),
    ("resample", ([0.5, np.inf], [0, 2], 4), {}, "weights[1] is inf"),
    ("resample", ([0.5], [0, 1, 1], 4), {}, "problem 1 has nothing to draw from"),
    ("resample", ([0.5], [0, 1], -1), {}, "n[0] must be 0 or more; got -1"),
    ("resample", ([0.5], [0, 1], 1), {"method": "fair"}, 'method must be "multinomial" or'),
    ("resample", ([0.5], [0, 1], 1), {"draw": -1}, "draw must be 0 or more"),
    ("resample", ([0.5], [0, 1], 1), {"keys": [1, 2]}, "keys must be a number or have shape [1]"),
    ("effective_sample_size", ([np.nan], [0, 1]), {}, "weights[0] is nan"),
    ("tempering", ([1.0], [0, 1], -0.5), {}, "progress must be 0 or more; got -0.5"),
    ("tempering", ([1.0], [0, 1], 0.5), {"how": "cold"}, 'how must be "ess" or'),
    ("drop_duplicates", (["a"], [0, 2]), {}, "drop_duplicates: offsets must end at 1"),
]


@pytest.mark.parametrize(("op", "arguments", "options", "message"), WRONG, ids=str)
def test_what_is_wrong_is_named(op: str, arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(stepscore, op)(*arguments, **options)


def test_tensors_are_read() -> None:
    torch = pytest.importorskip("torch")
    indices, _ = stepscore.top_k(torch.tensor([0.1, 0.3]), torch.tensor([0, 2]), torch.tensor(1))
    assert indices.tolist() == [1]
