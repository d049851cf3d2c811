"""vote over several columns of scores: one call for what were many."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from same_bits import bits, bits_everywhere

import stepscore
from stepscore import Rule, reference

HMR = "hybrid_majority_reward"
WRF = "weighted_reward_frequency"
# By what they read. Those of the last group have the bits of the reference.
TOGETHER = [
    Rule("pareto"),
    Rule("pareto", columns=[3, 1]),
    Rule("multi_objective", objective_weights=[0.5, 0.25], scale="minmax", columns=[0, 2]),
    Rule("multi_objective", objective_weights=[1, 2, 4, 8], scale="none"),
]
ROUNDED = [
    Rule("softmax_weighted", temperature=0.1),
    Rule("softmax_weighted", temperature=3),
    Rule("logodds_weighted"),
    Rule("loglik_weighted", prior=0.5, reliability=0.6, answers=5),
    Rule("confidence_weighted"),
    Rule("crew"),
    Rule(HMR, tau=0.7, consensus="entropy", reward="sum"),
]
EXACT = [
    Rule("majority"),
    Rule("weighted"),
    Rule("weighted_mean"),
    Rule("best_of_n"),
    Rule("minmax_weighted"),
    Rule("borda"),
    Rule("borda", power=2),
    Rule(HMR, tau=0.5, consensus="share", reward="max"),
    Rule(HMR, tau=0.5, consensus="share", reward="mean"),
    Rule(WRF, reward_weight=0.5, normalize="minmax"),
    Rule(WRF, reward_weight=0.5, normalize="sum"),
]
ALL = [*EXACT, *ROUNDED, *TOGETHER]
COLUMNS = 4
FIELDS = ("winner", "answer_id", "score", "tied", "margin", "class_scores")


def ballot(problems: int, seed: int, *, most: int = 12, missing: float = 0.1):
    """Four columns: shares, numbers of at most 0, any numbers, and some that are infinite."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, most, problems))]).astype(np.int64)
    n = offsets[-1]
    answers = rng.integers(-1, rng.integers(1, 6, n))
    scores = np.stack(
        [
            rng.integers(0, 9, n) / 8,
            -rng.integers(0, 9, n) / 8,
            rng.integers(-8, 9, n) / 8,
            np.where(rng.random(n) < 0.05, np.inf, rng.integers(0, 5, n) / 4),
        ],
        axis=1,
    )
    scores[rng.random(scores.shape) < missing] = np.nan
    return answers, scores, offsets


def assert_same(got, expected) -> None:
    for name in FIELDS:
        ours, theirs = getattr(got, name), getattr(expected, name)
        assert ours.shape == theirs.shape, name
        assert ours.dtype == theirs.dtype, name
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


@st.composite
def calls(draw):
    rules = draw(st.lists(st.sampled_from([*EXACT, *TOGETHER]), min_size=1, max_size=6))
    arrays = ballot(
        draw(st.integers(0, 6)),
        draw(st.integers(0, 10**6)),
        missing=draw(st.sampled_from([0.0, 0.1, 0.6])),
    )
    prefixes = draw(st.sampled_from([None, [1, 2, 3, 5, 8, 100]]))
    return arrays, rules, {"prefixes": prefixes, "class_scores": True, "nan": "drop"}


@given(calls())
def test_any_call_is_the_dictionary(call) -> None:
    arrays, rules, options = call
    assert_same(
        stepscore.vote(*arrays, rules, **options), reference.vote(*arrays, rules, **options)
    )


def test_rules_of_logarithms_are_close_to_the_dictionary() -> None:
    arrays = ballot(400, seed=1)
    got = stepscore.vote(*arrays, ROUNDED, nan="drop", class_scores=True)
    expected = reference.vote(*arrays, ROUNDED, nan="drop", class_scores=True)
    for name in ("score", "class_scores"):
        np.testing.assert_allclose(
            getattr(got, name), getattr(expected, name), rtol=1e-12, atol=1e-12
        )
    # Where two answers are as good as equal, the last bit decides on both sides.
    clear = ~(expected.margin < 1e-9)
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(got.winner[clear], expected.winner[clear])


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_a_call_is_the_calls_of_its_rules_and_columns(missing: float) -> None:
    answers, scores, offsets = ballot(200, seed=2, most=40, missing=missing)
    options = {"nan": "drop", "unfit": "nan", "prefixes": [1, 3, 10, 30], "class_scores": True}
    got = stepscore.vote(answers, scores, offsets, ALL, **options)
    assert got.winner.shape == (200, len(ALL), COLUMNS, 4)
    assert got.class_scores.shape == (len(answers), len(ALL), COLUMNS, 4)
    for r, rule in enumerate(ALL):
        for c in range(COLUMNS):
            if rule.info.reads == "column":
                alone = stepscore.vote(answers, scores[:, c], offsets, rule, **options)
            elif rule.info.reads == "nothing":
                alone = stepscore.vote(answers, None, offsets, rule, **options)
            else:
                whole = stepscore.vote(answers, scores, offsets, rule, **options)
                alone = stepscore.VoteResult(*(field[:, c] for field in whole))
            for name in FIELDS:
                assert bits(getattr(got, name)[:, r, c]) == bits(getattr(alone, name)), (rule, name)


def test_the_order_of_rules_and_columns_changes_no_bit() -> None:
    answers, scores, offsets = ballot(100, seed=3)
    rules = [*EXACT, *ROUNDED]  # which know no column by its number
    options = {"nan": "drop", "class_scores": True}
    got = stepscore.vote(answers, scores, offsets, rules, **options)
    turned = stepscore.vote(answers, scores[:, ::-1], offsets, rules[::-1], **options)
    for name in FIELDS:
        assert bits(getattr(turned, name)[:, ::-1, ::-1]) == bits(getattr(got, name)), name


def test_the_same_bits_over_levels_threads_and_batches(levels) -> None:
    answers, scores, offsets = ballot(300, seed=4, most=60)
    options = {"nan": "drop", "prefixes": [2, 9, 1000], "class_scores": True}

    def call():
        got = stepscore.vote(answers, scores, offsets, ALL, **options)
        return np.concatenate([field.astype(np.float64).ravel() for field in got])

    bits_everywhere(levels, call)
    whole = stepscore.vote(answers, scores, offsets, ALL, **options)
    for p in range(0, 300, 41):
        part = slice(offsets[p], offsets[p + 1])
        bounds = [0, offsets[p + 1] - offsets[p]]
        alone = stepscore.vote(answers[part], scores[part], bounds, ALL, **options)
        moved = np.where(alone.winner >= 0, alone.winner + offsets[p], -1)
        assert moved.tolist() == whole.winner[p : p + 1].tolist()
        for name in FIELDS[1:-1]:
            assert bits(getattr(alone, name)) == bits(getattr(whole, name)[p : p + 1])
        assert bits(alone.class_scores) == bits(whole.class_scores[part])


def test_a_prefix_fits_where_its_problem_does() -> None:
    # The score that is no probability stands behind the first two prefixes.
    answers, scores = [0, 1, 1, 0], [0.5, 0.25, 0.5, 1.5]
    got = stepscore.vote(
        answers, scores, [0, 4], "logodds_weighted", unfit="nan", prefixes=[1, 2, 4]
    )
    assert got.winner.tolist() == [[-1, -1, -1]]
    assert np.isnan(got.score).all()
    # A problem does not depend on the next one.
    got = stepscore.vote(
        [*answers, 2], [*scores, 0.5], [0, 4, 5], "logodds_weighted", unfit="nan", prefixes=[1, 2]
    )
    assert got.winner.tolist() == [[-1, -1], [4, 4]]


def test_no_winner_where_scores_do_not_fit() -> None:
    answers, scores = [0, 0, 1], np.array([[0.5, 2.0], [0.5, 0.5], [0.25, 0.5]])
    rules = ["majority", "logodds_weighted", "weighted"]
    got = stepscore.vote(answers, scores, [0, 3], rules, class_scores=True)
    assert got.winner.tolist() == [[[0, 0], [0, -1], [0, 0]]]
    assert got.answer_id.tolist() == [[[0, 0], [0, -1], [0, 0]]]
    assert np.isnan(got.score[0, 1]).tolist() == [False, True]
    assert np.isnan(got.margin[0, 1]).tolist() == [False, True]
    assert got.tied.tolist() == [[[False, False]] * 3]
    assert np.isnan(got.class_scores[:, 1]).tolist() == [[False, True]] * 3
    # Who takes no part may have any score.
    got = stepscore.vote([-1, 0, 1], scores, [0, 3], rules)
    assert got.winner[0, 1].tolist() == [1, 1]


def test_one_column_raises_unless_told_otherwise() -> None:
    answers, scores = [0, 0], [0.5, 2.0]
    with pytest.raises(ValueError, match=r"scores\[1\] is 2; the rule logodds_weighted needs"):
        stepscore.vote(answers, scores, [0, 2], "logodds_weighted")
    got = stepscore.vote(answers, scores, [0, 2], "logodds_weighted", unfit="nan")
    assert got.winner.tolist() == [-1]
    got = stepscore.vote(answers, np.array(scores)[:, None], [0, 2], "logodds_weighted")
    assert got.winner.tolist() == [[-1]]
    for score, word in [(np.nan, "NaN"), (np.inf, "inf")]:
        table = [[0.5, 0.5], [0.5, score]]
        with pytest.raises(ValueError, match=rf"vote: scores\[1, 1\] is {word}"):
            stepscore.vote(answers, table, [0, 2], "weighted", unfit="error")


def test_who_has_no_score_in_a_column_takes_no_part_there() -> None:
    nan = np.nan
    answers = [3, 5, 3, 5]
    scores = np.array([[nan, 1.0], [0.5, nan], [0.25, 3.0], [nan, 1.0]])
    rules = ["majority", "weighted", "best_of_n", "pareto", Rule("pareto", columns=[1])]
    got = stepscore.vote(answers, scores, [0, 4], rules, nan="drop", class_scores=True)
    assert got.winner[0].tolist() == [[0, 0], [1, 0], [1, 2], [2, 2], [0, 0]]
    assert got.tied[0].tolist() == [[True, True], *[[False, False]] * 4]
    expected = [[2, 2], [nan, 4.0], [nan, 3.0], [nan, nan], [1, 1]]
    np.testing.assert_array_equal(got.class_scores[0], expected)


@pytest.mark.parametrize("shape", [(0,), (0, 3)])
@pytest.mark.parametrize("bounds", [[0], [0, 0, 0]])
def test_axes_of_nothing(shape: tuple[int, ...], bounds: list[int]) -> None:
    scores = np.zeros(shape)
    columns = shape[1:]
    for rule, by_rule in [("weighted", ()), (["weighted", "pareto"], (2,)), (["majority"], (1,))]:
        for prefixes, by_prefix in [(None, ()), ([1, 2], (2,))]:
            got = stepscore.vote([], scores, bounds, rule, prefixes=prefixes, class_scores=True)
            axes = (*by_rule, *columns, *by_prefix)
            assert got.winner.shape == (len(bounds) - 1, *axes)
            assert got.class_scores.shape == (0, *axes)
            assert (got.winner == -1).all()


def test_thirty_columns() -> None:
    answers, _, offsets = ballot(20, seed=5)
    scores = np.random.default_rng(5).random((len(answers), 30))
    rules = ["majority", "weighted", "borda", Rule("pareto", columns=range(14, 30))]
    got = stepscore.vote(answers, scores, offsets, rules, class_scores=True)
    assert_same(got, reference.vote(answers, scores, offsets, rules, class_scores=True))


def test_tensors_in_tensors_out() -> None:
    torch = pytest.importorskip("torch")
    arrays = ballot(20, seed=6)
    got = stepscore.vote(*map(torch.from_numpy, arrays), ALL, nan="drop", class_scores=True)
    expected = stepscore.vote(*arrays, ALL, nan="drop", class_scores=True)
    for ours, theirs in zip(got, expected, strict=True):
        assert bits(ours.numpy()) == bits(theirs)
    wide = torch.from_numpy(arrays[1]).float()
    got = stepscore.vote(arrays[0], wide, arrays[2], "weighted", nan="drop")
    assert got.winner.shape == (20, COLUMNS)


@pytest.mark.parametrize("size", [15, 64, 300])
def test_ids_dense_or_sparse_give_the_same(size: int) -> None:
    rng = np.random.default_rng(size)
    answers, scores, offsets = ballot(30, seed=size, most=size)
    dense = answers.copy()  # as group_answers gives them: first seen = 0
    for begin, end in pairwise(offsets):
        seen: dict[int, int] = {}
        for i in range(begin, end):
            if answers[i] >= 0:
                dense[i] = seen.setdefault(int(answers[i]), len(seen))
    names = rng.integers(0, 2**62, 10)
    sparse = np.where(dense < 0, -1, names[dense])
    options = {"nan": "drop", "class_scores": True, "prefixes": [1, 4, 200]}
    for ids in (dense, np.maximum(dense, 0)):
        given = np.where(ids < 0, -1, sparse if ids is dense else names[ids])
        got = stepscore.vote(ids, scores, offsets, ALL, **options)
        other = stepscore.vote(given, scores, offsets, ALL, **options)
        for name in FIELDS:
            if name != "answer_id":
                assert bits(getattr(got, name)) == bits(getattr(other, name)), name
        there = got.answer_id
        assert np.where(there < 0, -1, names[there]).tolist() == other.answer_id.tolist()
