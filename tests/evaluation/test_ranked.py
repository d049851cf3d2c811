"""Right candidates against wrong ones, against plain loops over orders and pairs."""

import itertools
import json
import math

import numpy as np
import pytest
from rewardmath_figures import GOLDEN

import stepscore
from stepscore.evaluation import mean_reciprocal_rank, pairs_won, prm_at_k
from stepscore.ragged import offsets_of


def drawn(seed):
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, 7, draw.integers(1, 6))
    n = int(counts.sum())
    return draw.random(n) < 0.4, draw.integers(0, 4, n) / 4, offsets_of(counts)


def reciprocal_rank(right, scores, order):
    ranked = sorted(order, key=lambda i: -scores[i])  # stable
    places = [place for place, i in enumerate(ranked) if right[i]]
    return 1 / (1 + places[0]) if places else 0.0


@pytest.mark.parametrize("seed", range(80))
def test_reciprocal_ranks(seed):
    correct, scores, offsets = drawn(seed)
    given = {
        credit: mean_reciprocal_rank(correct, scores, offsets, tie_credit=credit)
        for credit in ("share", "lose", "first")
    }
    for problem, (begin, end) in enumerate(itertools.pairwise(offsets.tolist())):
        right, values = correct[begin:end].tolist(), scores[begin:end].tolist()
        ranks = [
            reciprocal_rank(right, values, o) for o in itertools.permutations(range(end - begin))
        ]
        if begin == end:
            assert all(math.isnan(each.values[problem]) for each in given.values())
            continue
        assert given["share"].values[problem] == pytest.approx(math.fsum(ranks) / len(ranks))
        assert given["lose"].values[problem] == min(ranks)
        assert given["first"].values[problem] == ranks[0]
    for each in given.values():
        if not np.isnan(each.values).all():
            assert each.mean == pytest.approx(np.nanmean(each.values))
            assert each.low <= each.mean <= each.high


@pytest.mark.parametrize("seed", range(80))
def test_pairs(seed):
    correct, scores, offsets = drawn(seed)
    given = pairs_won(correct, scores, offsets)
    for problem, (begin, end) in enumerate(itertools.pairwise(offsets.tolist())):
        right = [scores[i] for i in range(begin, end) if correct[i]]
        wrong = [scores[i] for i in range(begin, end) if not correct[i]]
        assert given.won[problem] == sum(a > b for a in right for b in wrong)
        assert given.tied[problem] == sum(a == b for a in right for b in wrong)
        assert given.pairs[problem] == len(right) * len(wrong)
    total = given.pairs.sum()
    if total:
        assert given.share() == given.won.sum() / total
        assert given.share("share") == (given.won.sum() + given.tied.sum() / 2) / total
    else:
        assert math.isnan(given.share())


def test_none_at_all():
    assert math.isnan(mean_reciprocal_rank([], [], [0]).mean)
    assert pairs_won([], [], [0]).won.tolist() == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pairs_won([1, 0], [0.5, math.nan], [0, 2]), r"pairs_won: scores\[1\] is NaN"),
        (lambda: pairs_won([1], [0.5, 0.5], [0, 2]), r"scores must have shape \[1\] to match"),
        (lambda: pairs_won([1, 0], [0.5, 0.5], [0, 1]), "offsets must end at 2"),
        (lambda: pairs_won([1, 0], [1, 0], [0, 2]).share("first"), '"lose" or "share"'),
        (lambda: mean_reciprocal_rank([1], [1], [0, 1], tie_credit="win"), "tie_credit must be"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", GOLDEN)
def test_rewardmaths_figures(name, data):
    problems = json.loads((data / "rewardmath" / f"{name}_reward.json").read_text())
    traces = [scores for problem in problems for scores in problem["score"]]
    steps = np.array([score for trace in traces for score in trace])
    totals = stepscore.aggregate(steps, offsets_of(map(len, traces)), list(GOLDEN[name]))
    offsets = np.arange(0, len(traces) + 1, 10)
    correct = np.arange(len(traces)) % 10 == 0
    for column, (how, (won, rank, pairs)) in enumerate(GOLDEN[name].items()):
        scores = totals[:, column]
        accuracy = prm_at_k(correct, scores, offsets, 10, tie_credit="lose")
        assert accuracy.values.sum() == won, how
        ranks = mean_reciprocal_rank(correct, scores, offsets, tie_credit="lose")
        assert ranks.mean == pytest.approx(rank, abs=5e-7), how
        counted = pairs_won(correct, scores, offsets)
        assert counted.won.sum() == pairs, how
        assert counted.pairs.sum() == 4347
        if how == "max":
            assert counted.tied.sum() == {"Math_Shepherd": 164, "ReasonEval_7B": 132}[name]
