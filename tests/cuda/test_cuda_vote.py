"""vote on the GPU elects whom the CPU elects, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from on_gpu import captured, no_synchronisation, same_bits

import stepscore
from stepscore import Rule

torch = pytest.importorskip("torch")

RULES = ["majority", "weighted", "best_of_n"]
# Every rule with several of its parameters, by the scores that it can use.
FINITE = [
    Rule("majority"),
    Rule("weighted"),
    Rule("weighted_mean"),
    Rule("best_of_n"),
    Rule("minmax_weighted"),
    Rule("softmax_weighted", temperature=0.1),
    Rule("softmax_weighted", temperature=3.0),
    Rule("borda"),
    Rule("borda", power=3),
    *(
        Rule("hybrid_majority_reward", tau=tau, consensus=consensus, reward=reward)
        for tau, consensus in [(0.4, "share"), (0.8, "entropy")]
        for reward in ("max", "mean", "sum")
    ),
    Rule("weighted_reward_frequency", reward_weight=0.3, normalize="minmax"),
    Rule("pareto"),
    Rule("multi_objective", objective_weights=[0.7], scale="none"),
    Rule("multi_objective", objective_weights=[-0.7], scale="minmax"),
]
SHARES = [
    Rule("crew"),
    Rule("logodds_weighted"),
    Rule("logodds_weighted", eps=0.2),
    Rule("loglik_weighted", prior=0.4, reliability=0.9, answers=5),
    Rule("loglik_weighted", prior=0.6, reliability=0.2, answers=3, eps=0.1),
    Rule("weighted_reward_frequency", reward_weight=0.5, normalize="sum"),
]
SEVEN = [
    *RULES,
    "minmax_weighted",
    Rule("softmax_weighted", temperature=0.5),
    "logodds_weighted",
    Rule("borda", power=2),
]
PREFIXES = [1, 2, 4, 8, 16, 32, 64]


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
        if theirs is None:
            assert ours is None
            continue
        assert ours.device == device
        assert same_bits(ours, theirs), name
    return got


@pytest.mark.parametrize("ties", ["first", "best_score"])
@pytest.mark.parametrize("answers", [1, 3, 40, 10_000])
def test_three_rules(ties: str, answers: int, device: Any) -> None:
    sizes = np.random.default_rng(answers).integers(0, 130, 300)
    check(device, ballot(sizes, answers), ties=ties)
    check(device, ballot(sizes, answers, ties=True), ties=ties)


@pytest.mark.parametrize("answers", [3, 1000])
@pytest.mark.parametrize("rule", [*FINITE, *SHARES, Rule("confidence_weighted")], ids=str)
def test_every_rule(rule: Rule, answers: int, device: Any) -> None:
    for ties in (False, True):
        ids, scores, offsets = ballot([0, 1, 2, 64, 65, 255, 256, 257, 600], answers, ties=ties)
        if rule.name == "confidence_weighted":
            scores = -3 * scores
        elif rule in FINITE:
            scores = scores - 0.5
        arrays = (ids, scores, offsets)
        got = check(device, arrays, rule)
        assert got.winner.shape == (9,)
        options = {"ties": "best_score", "class_scores": True}
        check(device, arrays, rule, **options)
        prefixes = [1, 3, 32, 33, 64, 100, 256, 257, 1000]
        got = check(device, arrays, rule, prefixes=prefixes, **options)
        assert got.margin.shape == (9, 9)


@pytest.mark.parametrize("columns", [1, 2, 16])
def test_several_columns(columns: int, device: Any) -> None:
    ids, _, offsets = ballot([0, 1, 64, 70, 256, 257], 9)
    random = np.random.default_rng(columns)
    scores = torch.from_numpy(random.integers(-4, 5, (len(ids), columns)) / 8.0)
    weights = np.linspace(-1, 1, columns)
    options = {"nan": "drop", "class_scores": True}
    rules = [
        "majority",
        "pareto",
        Rule("multi_objective", objective_weights=weights, scale="minmax"),
        Rule("multi_objective", objective_weights=[2], scale="none", columns=[columns - 1]),
        *SEVEN,
        Rule("softmax_weighted", temperature=0.1),
        Rule("confidence_weighted"),
    ]
    check(device, (ids, scores, offsets), rules, unfit="nan", **options)
    scores += torch.from_numpy(random.random(scores.shape))
    scores[::11, -1] = float("nan")
    scores[::7, 0] = float("nan")
    got = check(device, (ids, scores, offsets), rules, prefixes=PREFIXES, unfit="nan", **options)
    assert got.winner.shape == (6, len(rules), columns, len(PREFIXES))


def test_seven_rules_and_prefixes(device: Any) -> None:
    for ties in (False, True):
        arrays = ballot(np.full(1000, 64), 12, ties=ties)
        got = check(device, arrays, SEVEN, prefixes=PREFIXES, class_scores=True)
        assert got.winner.shape == (1000, 7, 7)
        assert got.class_scores.shape == (64_000, 7, 7)


@pytest.mark.parametrize("size", [255, 256, 257, 2000])
def test_more_candidates_than_shared_memory_holds(size: int, device: Any) -> None:
    for ties in ("first", "best_score"):
        arrays = ballot([size, 3, size], 30, ties=True)
        check(device, arrays, ties=ties)
        check(device, arrays, SEVEN, ties=ties, prefixes=[5, 200, 300], class_scores=True)


def test_thousands_of_problems(device: Any) -> None:
    check(device, ballot(np.full(5000, 16), 5))


def test_arguments_that_may_be_missing(device: Any) -> None:
    ids, scores, offsets = ballot([5, 0, 70], 4)
    check(device, (None, scores, offsets), prefixes=[2, 50], class_scores=True)
    check(device, (ids, None, offsets), "majority")
    check(device, (ids.int(), scores.float(), offsets))


def test_nan_scores_take_no_part(device: Any) -> None:
    ids, scores, offsets = ballot([5, 1, 70], 4)
    scores[::3] = float("nan")
    scores[5] = float("nan")
    check(device, (ids, scores, offsets), nan="drop", class_scores=True)


def test_signed_zeros(device: Any) -> None:
    ids, scores, offsets = ballot([1, 5, 70], 4)
    for zeros in (torch.full_like(scores, -0.0), torch.where(scores < 0.5, 0.0, -0.0).double()):
        check(device, (ids, zeros, offsets), class_scores=True)
        check(device, (ids, zeros, offsets), SEVEN)


def test_infinite_scores_win_where_nothing_is_added(device: Any) -> None:
    ids, scores, offsets = ballot([9, 30], 4)
    scores[4], scores[20] = float("inf"), float("-inf")
    check(device, (ids, scores, offsets), ["majority", "best_of_n", "borda", "pareto"])


def test_no_problems(device: Any) -> None:
    check(device, ballot([], 4))
    got = check(device, ballot([], 4), prefixes=[1, 2], class_scores=True)
    assert got.class_scores.shape == (0, 3, 2)


def test_up_to_32_rules_and_64_prefixes(device: Any) -> None:
    arrays = ballot([9, 30], 4)
    moved = [array.to(device) for array in arrays]
    check(device, arrays, ["majority"] * 32)
    check(device, arrays, prefixes=range(1, 65))
    with pytest.raises(ValueError, match="vote: at most 32 rules in one call on CUDA; got 33"):
        stepscore.vote(*moved, ["majority"] * 33)
    with pytest.raises(ValueError, match="vote: at most 64 prefixes in one call on CUDA; got 65"):
        stepscore.vote(*moved, "majority", prefixes=range(1, 66))
    wide = torch.zeros((len(arrays[0]), 12), dtype=torch.float64)
    check(device, (arrays[0], wide, arrays[2]), ["pareto"] * 2)
    message = "vote: rules that read columns together may read 32 in one call on CUDA; got 36"
    with pytest.raises(ValueError, match=message):
        stepscore.vote(moved[0], wide.to(device), moved[2], ["pareto"] * 3)


def test_candidates_that_the_cpu_refuses_take_no_part(device: Any) -> None:
    ids = torch.tensor([0, 0, 1, -7, 1], device=device)
    nan, infinity = float("nan"), float("inf")
    scores = torch.tensor([nan, 0.5, infinity, 0.5, 0.25], dtype=torch.float64, device=device)
    offsets = torch.tensor([0, 2, 5], device=device)
    got = stepscore.vote(ids, scores, offsets, RULES, class_scores=True)
    assert got.winner.tolist() == [[1, 1, 1], [4, 4, 4]]
    left_out = torch.isnan(got.class_scores).all(1)
    assert left_out.tolist() == [True, False, True, True, False]
    got = stepscore.vote(ids, scores, offsets, ["majority", "logodds_weighted"])
    assert got.winner.tolist() == [[1, 1], [4, 4]]


def test_a_checked_call_names_the_candidate(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPSCORE_CUDA_CHECK", "1")
    ids, scores, offsets = (array.to(device) for array in ballot([50, 300], 4))
    stepscore.vote(ids, scores, offsets, "logodds_weighted")
    scores[320], scores[77] = 1.5, -0.5
    ids[[77, 320]] = 0
    with pytest.raises(ValueError, match="vote: candidate 77 is not valid"):
        stepscore.vote(ids, scores, offsets, "logodds_weighted")


def test_nothing_waits_and_a_graph_replays(device: Any) -> None:
    arrays = ballot([64] * 20 + [300], 9)
    moved = [array.to(device) for array in arrays]
    options = {"rule": SEVEN, "prefixes": PREFIXES, "class_scores": True}
    with no_synchronisation():
        stepscore.vote(*moved, **options)
    graph, got = captured(lambda: stepscore.vote(*moved, **options))
    other = ballot([64] * 20 + [300], 9, seed=1)
    for ours, theirs in zip(moved, other, strict=True):
        ours.copy_(theirs)
    graph.replay()
    for ours, theirs in zip(got, stepscore.vote(*other, **options), strict=True):
        assert same_bits(ours, theirs)


def test_a_batch_equals_its_parts_and_a_run_the_next(device: Any) -> None:
    arrays = ballot(np.random.default_rng(3).integers(0, 90, 200), 6)
    options = {"rule": SEVEN, "prefixes": [4, 90]}
    together = check(device, arrays, **options)
    again = check(device, arrays, **options)
    for first, second in zip(together[:5], again[:5], strict=True):
        assert same_bits(first, second)
    ids, scores, offsets = arrays
    for problem in (0, 57, 199):
        begin, end = offsets[problem : problem + 2].tolist()
        part = (ids[begin:end], scores[begin:end], torch.tensor([0, end - begin]))
        alone = check(device, part, **options)
        assert same_bits(alone.score[0], together.score[problem])
        there = together.winner[problem]
        assert torch.equal(alone.winner[0], torch.where(there >= 0, there - begin, there))
