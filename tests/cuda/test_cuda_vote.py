"""vote on the GPU elects whom the CPU elects, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from on_gpu import same_bits

import stepscore

torch = pytest.importorskip("torch")

RULES = ["majority", "weighted", "best_of_n"]


def ballot(sizes: Any, answers: int, seed: int = 0, *, ties: bool = False) -> tuple[Any, ...]:
    random = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    ids = random.integers(-1, answers, offsets[-1])
    scores = random.integers(0, 5, offsets[-1]) / 4 if ties else random.random(offsets[-1])
    return tuple(torch.from_numpy(a) for a in (ids, scores, offsets))


def check(device: Any, arrays: tuple[Any, ...], rule: Any = RULES, **options: Any) -> Any:
    moved = [None if array is None else array.to(device) for array in arrays]
    got = stepscore.vote(*moved, rule, **options)
    expected = stepscore.vote(*arrays, rule, **options)
    for name, ours, theirs in zip(got._fields, got, expected, strict=True):
        assert ours.device == device
        assert same_bits(ours, theirs), name
    return got


@pytest.mark.parametrize("ties", ["first", "best_score"])
@pytest.mark.parametrize("answers", [1, 3, 40, 10_000])
def test_all_rules(ties: str, answers: int, device: Any) -> None:
    sizes = np.random.default_rng(answers).integers(0, 130, 300)
    check(device, ballot(sizes, answers), ties=ties)
    check(device, ballot(sizes, answers, ties=True), ties=ties)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_alone(rule: str, device: Any) -> None:
    got = check(device, ballot([0, 1, 2, 64, 65, 0], 4), rule)
    assert got.winner.shape == (6,)


@pytest.mark.parametrize("size", [511, 512, 513, 2000])
def test_more_candidates_than_shared_memory_holds(size: int, device: Any) -> None:
    for ties in ("first", "best_score"):
        check(device, ballot([size, 3, size], 30, ties=True), ties=ties)


def test_thousands_of_problems(device: Any) -> None:
    check(device, ballot(np.full(5000, 16), 5))


def test_arguments_that_may_be_missing(device: Any) -> None:
    ids, scores, offsets = ballot([5, 0, 70], 4)
    check(device, (None, scores, offsets))
    check(device, (ids, None, offsets), "majority")
    check(device, (ids.int(), scores.float(), offsets))


def test_nan_scores_take_no_part(device: Any) -> None:
    ids, scores, offsets = ballot([5, 1, 70], 4)
    scores[::3] = float("nan")
    scores[5] = float("nan")
    check(device, (ids, scores, offsets), nan="drop")


def test_signed_zeros(device: Any) -> None:
    ids, scores, offsets = ballot([1, 5, 70], 4)
    for zeros in (torch.full_like(scores, -0.0), torch.where(scores < 0.5, 0.0, -0.0).double()):
        check(device, (ids, zeros, offsets))


def test_infinite_scores_win_where_nothing_is_added(device: Any) -> None:
    ids, scores, offsets = ballot([9, 30], 4)
    scores[4], scores[20] = float("inf"), float("-inf")
    check(device, (ids, scores, offsets), ["majority", "best_of_n"])


def test_no_problems(device: Any) -> None:
    check(device, ballot([], 4))


def test_up_to_twelve_rules(device: Any) -> None:
    arrays = ballot([9, 30], 4)
    check(device, arrays, RULES * 4)
    with pytest.raises(ValueError, match="vote: at most 12 rules in one call on CUDA; got 13"):
        stepscore.vote(*(array.to(device) for array in arrays), [*RULES * 4, "majority"])


def test_candidates_that_the_cpu_refuses_take_no_part(device: Any) -> None:
    ids = torch.tensor([0, 0, 1, -7, 1], device=device)
    nan, infinity = float("nan"), float("inf")
    scores = torch.tensor([nan, 0.5, infinity, 0.5, 0.25], dtype=torch.float64, device=device)
    got = stepscore.vote(ids, scores, torch.tensor([0, 2, 5], device=device), RULES)
    assert got.winner.tolist() == [[1, 1, 1], [4, 4, 4]]


def test_a_batch_equals_its_parts_and_a_run_the_next(device: Any) -> None:
    arrays = ballot(np.random.default_rng(3).integers(0, 90, 200), 6)
    together = check(device, arrays)
    again = check(device, arrays)
    for first, second in zip(together, again, strict=True):
        assert same_bits(first, second)
    ids, scores, offsets = arrays
    for problem in (0, 57, 199):
        begin, end = offsets[problem : problem + 2].tolist()
        alone = check(device, (ids[begin:end], scores[begin:end], torch.tensor([0, end - begin])))
        assert same_bits(alone.score[0], together.score[problem])
        there = together.winner[problem]
        assert torch.equal(alone.winner[0], torch.where(there >= 0, there - begin, there))
