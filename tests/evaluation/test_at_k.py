"""The estimators against all subsets, enumerated one by one in exact fractions."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from itertools import combinations, pairwise, permutations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from same_bits import bits

import stepscore
from stepscore.evaluation import mean_interval, pass_at_k, prm_at_k, vote_at_k
from stepscore.recipes import trl_prm
from stepscore.scoring import StepScores

RULES = ["majority", "weighted", "best_of_n"]


def ragged(sizes) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


# --- oracles: one problem, all subsets ------------------------------------------------------


def mean(values: list[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def passes(correct, k) -> Fraction:
    return mean([Fraction(any(subset)) for subset in combinations(correct, k)])


def best(correct, scores, k) -> Fraction:
    """Of equal scores any is as likely to be chosen."""
    results = []
    for subset in combinations(range(len(correct)), k):
        top = max(scores[i] for i in subset)
        results.append(mean([Fraction(correct[i]) for i in subset if scores[i] == top]))
    return mean(results)


def verdicts_of(correct, answers) -> dict[int, Fraction]:
    return {
        a: mean([Fraction(c) for c, b in zip(correct, answers, strict=True) if b == a])
        for a in set(answers)
    }


def elected(ordered, answers, scores, rule) -> int:
    """The answer of one vote, the first seen of tied ones; -1 = none."""
    if rule == "best_of_n":  # that of the first candidate with the highest score
        best = max((i for i in ordered if answers[i] >= 0), key=lambda i: scores[i], default=-1)
        return answers[best] if best >= 0 else -1
    totals: dict[int, Fraction] = {}
    for i in ordered:
        a = answers[i]
        if a < 0:
            continue
        one = Fraction(scores[i]) if rule == "weighted" else 1
        totals[a] = totals.get(a, Fraction(0)) + one
    return max(totals, key=totals.__getitem__) if totals else -1


def votes(correct, answers, scores, k, rule) -> Fraction:
    """All subsets in all orders."""
    verdicts = verdicts_of(correct, answers) | {-1: Fraction(0)}
    orders = permutations(range(len(correct)), k)
    return mean([verdicts[elected(order, answers, scores, rule)] for order in orders])


def check(got, offsets, ks, oracle):
    for problem, (begin, end) in enumerate(pairwise(offsets)):
        for column, k in enumerate(ks):
            value = got.values[problem, column]
            if k > end - begin:
                assert math.isnan(value)
            else:
                assert value == pytest.approx(float(oracle(begin, end, k)), rel=1e-13, abs=1e-15)


# --- pass@k ---------------------------------------------------------------------------------


@given(st.lists(st.lists(st.booleans(), max_size=9), min_size=1, max_size=4))
def test_pass_at_k_is_the_mean_over_all_subsets(problems):
    correct = np.array([c for p in problems for c in p], dtype=bool)
    offsets, ks = ragged([len(p) for p in problems]), list(range(1, 10))
    got = pass_at_k(correct, offsets, ks, too_few="nan", resamples=2)
    check(got, offsets, ks, lambda b, e, k: passes(correct[b:e].tolist(), k))
    assert got.exact.all()
    assert not got.sampling_error.any()


def test_pass_at_k_by_hand():
    got = pass_at_k([1, 0, 0, 0, 1, 1], [0, 4, 6], [1, 2])
    assert got.values.tolist() == [[0.25, 0.5], [1.0, 1.0]]
    assert got.mean.tolist() == [0.625, 0.75]
    assert pass_at_k([True, False], [0, 2], 2).values.tolist() == [[1.0]]


@pytest.mark.parametrize("c", [0, 1, 2, 50, 49_000, 99_990, 100_000])
def test_pass_at_k_of_many_candidates(c):
    n, ks = 100_000, [1, 2, 10, 1_000, 50_000, 99_999, 100_000]
    got = pass_at_k(np.arange(n) < c, [0, n], ks, resamples=2).values[0]
    for k, value in zip(ks, got, strict=True):
        # 1 - prod (1 - k / i) in the integers.
        wrong = Fraction(comb(n - c, k), comb(n, k)) if min(c, k, n - k) <= 1_000 else None
        if n - c < k:
            assert value == 1.0
        elif wrong is not None:
            assert value == pytest.approx(float(1 - wrong), rel=1e-11, abs=0)
    assert (np.diff(got) >= 0).all()


# --- prm@k ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tie_credit", ["share", "first", "lose"])
def test_ties_of_the_best_of_k_in_all_subsets(tie_credit):
    rng = np.random.default_rng(3)
    correct, scores = rng.random(12 * 6) < 0.5, rng.integers(0, 3, 12 * 6) / 4
    scores[rng.random(72) < 0.1] = np.nan
    offsets, ks = np.arange(0, 73, 6), [1, 2, 3, 5, 6]

    def chosen(begin, end, k):
        results = []
        for subset in combinations(range(begin, end), k):
            known = [i for i in subset if not math.isnan(scores[i])]
            if not known:
                results.append(Fraction(0))
                continue
            top = max(scores[i] for i in known)
            best = [Fraction(bool(correct[i])) for i in known if scores[i] == top]
            results.append({"share": mean(best), "first": best[0], "lose": min(best)}[tie_credit])
        return mean(results)

    got = prm_at_k(correct, scores, offsets, ks, tie_credit=tie_credit, nan="drop", resamples=2)
    check(got, offsets, ks, chosen)


def test_an_unknown_tie_credit_is_refused():
    with pytest.raises(ValueError, match='tie_credit must be "share", "first" or "lose"'):
        prm_at_k([1], [0.5], [0, 1], 1, tie_credit="best")


def test_step_scores_are_aggregated():
    values = np.array([0.9, 0.1, 0.5, 0.5, 0.8, np.nan], np.float32)
    scores = StepScores(values, np.array([0, 2, 4, 6]), trl_prm(), np.array([0, 0, 1]))
    correct, offsets = [1, 0, 1], [0, 3]
    ballot = correct, [0, 1, 0], scores, offsets, 3
    for how, value in (("first", 1.0), ("min", 0.0), (None, 0.0)):  # None: the last step
        best = prm_at_k(correct, scores, offsets, 3, how=how, nan="drop", resamples=2)
        assert best.mean.tolist() == [value]
        elected = vote_at_k(*ballot, "best_of_n", how=how, nan="drop", resamples=2)
        assert elected.mean.tolist() == [value]
    # What truncation left out may be the worst step: such a candidate has no score.
    with pytest.raises(ValueError, match=r"scores\[2\] is NaN"):
        prm_at_k(correct, scores, offsets, 3, how="first")
    with pytest.raises(ValueError, match="how aggregates StepScores; got list"):
        prm_at_k(correct, [0.1, 0.2, 0.3], offsets, 3, how="min")


problem_with_scores = st.lists(
    st.tuples(st.booleans(), st.integers(-1, 3), st.sampled_from([-1.0, 0.0, 0.25, 0.5, 2.0])),
    max_size=6,
)


def columns(problems):
    """correct, answers, scores and offsets of lists of (correct, answer, score)."""
    rows = [row for p in problems for row in p]
    correct, answers, scores = zip(*rows, strict=True) if rows else ((), (), ())
    return (
        np.array(correct, dtype=bool),
        np.array(answers, dtype=np.int64),
        np.array(scores, dtype=np.float64),
        ragged([len(p) for p in problems]),
    )


@given(st.lists(problem_with_scores, min_size=1, max_size=4))
def test_prm_at_k_is_the_mean_over_all_subsets(problems):
    correct, _, scores, offsets = columns(problems)
    ks = list(range(1, 7))
    got = prm_at_k(correct, scores, offsets, ks, too_few="nan", resamples=2)
    check(got, offsets, ks, lambda b, e, k: best(correct[b:e].tolist(), scores[b:e].tolist(), k))


def test_prm_at_k_by_hand():
    # Ranks: right, wrong, right. Of two: (1, 2) right, (1, 3) right, (2, 3) wrong.
    got = prm_at_k([1, 0, 1], [0.9, 0.5, 0.1], [0, 3], [1, 2, 3])
    assert got.values.tolist() == [[pytest.approx(2 / 3), pytest.approx(2 / 3), 1.0]]
    tied = prm_at_k([1, 0], [-0.0, 0.0], [0, 2], [1, 2])
    assert tied.values.tolist() == [[0.5, 0.5]]
    infinite = prm_at_k([0, 1, 0], [-np.inf, np.inf, 0], [0, 3], 3)
    assert infinite.values.tolist() == [[1.0]]


def test_prm_at_k_never_chooses_a_candidate_without_a_score():
    correct, scores = [1, 0, 1, 1], [math.nan, 0.5, -math.inf, math.nan]
    got = prm_at_k(correct, scores, [0, 4], [1, 2, 4], nan="drop").values[0]
    # Of the six pairs: two hold the infinite one alone of the scored, one is without any score.
    assert got.tolist() == pytest.approx([1 / 4, 2 / 6, 0.0])


def test_prm_at_k_of_many_candidates():
    # The right ones have the best scores: then it is pass@k.
    n, ks = 100_000, [1, 3, 1_000, 50_000, 100_000]
    correct = np.arange(n) >= n - 40
    got = prm_at_k(correct, np.arange(n), [0, n], ks, resamples=2).values
    expected = pass_at_k(correct, [0, n], ks, resamples=2).values
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert prm_at_k(np.ones(n), np.arange(n), [0, n], ks, resamples=2).values.tolist() == [[1] * 5]


# --- vote@k ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@given(st.lists(problem_with_scores, min_size=1, max_size=3))
def test_vote_at_k_is_the_mean_over_all_subsets_in_all_orders(rule, problems):
    correct, answers, scores, offsets = columns(problems)
    ks = list(range(1, 6))
    got = vote_at_k(
        correct, answers, scores, offsets, ks, rule, method="exact", too_few="nan", resamples=2
    )
    assert got.exact.all()
    check(
        got,
        offsets,
        ks,
        lambda b, e, k: votes(
            correct[b:e].tolist(), answers[b:e].tolist(), scores[b:e].tolist(), k, rule
        ),
    )


def test_majority_by_hand():
    # Answers a a b, a right. Of two: aa, ab (a tie), ab. Of three: a.
    got = vote_at_k([1, 1, 0], [7, 7, 8], None, [0, 3], [1, 2, 3], "majority")
    assert got.values.tolist() == [[pytest.approx(2 / 3), pytest.approx(2 / 3), 1.0]]
    # A sample without an answer is wrong alone and silent in company.
    got = vote_at_k([1, 1], [7, -1], None, [0, 2], [1, 2], "majority")
    assert got.values.tolist() == [[0.5, 1.0]]
    nobody = vote_at_k([1, 1], [-1, -1], None, [0, 2], [1, 2], "majority")
    assert nobody.values.tolist() == [[0.0, 0.0]]


def test_an_answer_is_as_right_as_its_candidates_are_judged():
    got = vote_at_k([1, 0, 0], [7, 7, 8], [0.5, 0.5, 0.1], [0, 3], 3, "weighted")
    assert got.values.tolist() == [[0.5]]


def majority_by_counts(counts, right, k) -> Fraction:
    """Every composition of the sample, one class after the other, in the integers."""
    n = sum(counts)

    def walk(left, place, chosen, ways):
        if place == len(counts):
            if left:
                return Fraction(0)
            tied = [i for i, m in enumerate(chosen) if m == max(chosen)]
            return ways * Fraction(sum(i == right for i in tied), len(tied))
        return sum(
            (
                walk(left - m, place + 1, [*chosen, m], ways * comb(counts[place], m))
                for m in range(min(left, counts[place]) + 1)
            ),
            Fraction(0),
        )

    return walk(k, 0, [], Fraction(1)) / comb(n, k)


@pytest.mark.parametrize(
    ("counts", "k"),
    [([20, 18, 10], 9), ([30, 34], 33), ([500, 400, 100], 12), ([50_000, 49_990, 10], 9)],
)
def test_majority_of_many_candidates(counts, k):
    answers = np.repeat(np.arange(len(counts)), counts)
    for right in range(len(counts)):
        got = vote_at_k(
            answers == right, answers, None, [0, len(answers)], k, "majority", method="exact",
            resamples=2,
        )  # fmt: skip
        expected = float(majority_by_counts(counts, right, k))
        assert got.values[0, 0] == pytest.approx(expected, rel=1e-11)


def world(problems, n, seed, classes=6):
    """Problems with one right answer, 0; scores that favour it a little."""
    generator = np.random.default_rng(seed)
    offsets = ragged([n] * problems if np.isscalar(n) else n)
    answers = np.minimum(generator.geometric(0.45, offsets[-1]), classes) - 2
    correct = answers == 0
    scores = np.clip(generator.normal(0.5 + 0.1 * correct, 0.2), 0.01, 0.99)
    return correct, answers, scores, offsets


@pytest.mark.parametrize("rule", RULES)
def test_random_subsets_come_near_the_exact_values(rule):
    correct, answers, scores, offsets = world(200, 10, seed=0)
    ks = [1, 2, 5, 10]
    ballot = correct, answers, scores, offsets, ks, rule
    exact = vote_at_k(*ballot, method="exact")
    near = vote_at_k(*ballot, method="subsets", subsets=400)
    assert exact.exact.all()
    assert not near.exact.any()
    assert (np.abs(near.mean - exact.mean) <= 4 * near.sampling_error + 1e-12).all()
    assert np.abs(near.values - exact.values).max() <= 5 * 0.5 / math.sqrt(400)
    assert (near.sampling_error[:3] < 0.003).all()  # 0.5 / sqrt(400 * 200) = 0.0018
    other = vote_at_k(*ballot, method="subsets", subsets=400, seed=1)
    assert (other.values != near.values).any()


def test_the_sampling_error_is_that_of_many_seeds():
    correct, answers, scores, offsets = world(30, 12, seed=1)
    runs = [
        vote_at_k(
            correct, answers, scores, offsets, [3, 6], "weighted", method="subsets", subsets=50,
            seed=seed, resamples=2,
        )
        for seed in range(200)
    ]  # fmt: skip
    means = np.array([run.mean for run in runs])
    stated = np.mean([run.sampling_error for run in runs], axis=0)
    np.testing.assert_allclose(means.std(axis=0, ddof=1), stated, rtol=0.2)
    exact = vote_at_k(
        correct, answers, scores, offsets, [3, 6], "weighted", method="exact", resamples=2
    )
    unbiased = np.abs(means.mean(axis=0) - exact.mean) / (stated / math.sqrt(200))
    assert (unbiased < 4).all()


def test_errors_do_not_add_up_where_every_file_has_the_right_one_first():
    problems, n = 400, 12
    correct = np.tile(np.arange(n) == 0, problems)
    scores = np.random.default_rng(2).random(problems * n) + correct
    answers, offsets = np.tile(np.arange(n), problems), ragged([n] * problems)
    got = vote_at_k(
        correct, answers, scores, offsets, 6, "best_of_n", method="subsets", subsets=100
    )
    # Alike in all problems, the subsets would leave 0.5 / sqrt(100) = 0.05.
    assert got.sampling_error[0] < 0.006
    assert abs(got.mean[0] - 0.5) < 0.01


def test_auto_is_exact_where_that_is_cheap():
    correct, answers, scores, offsets = world(3, [8, 20, 64], seed=3)
    ballot = correct, answers, scores, offsets, [2, 8, 32]
    parameters = {"too_few": "nan", "subsets": 200, "resamples": 2}
    weighted = vote_at_k(*ballot, "weighted", **parameters)
    # C(8, 2) = 28, C(8, 8) = 1, C(20, 2) = 190; the others exceed 200. NaN counts as exact.
    assert weighted.exact.tolist() == [[True] * 3, [True, False, True], [False] * 3]
    assert vote_at_k(*ballot, "majority", **parameters).exact.all()
    wide = np.arange(2_000)
    most = vote_at_k(wide == 0, wide, None, [0, 2_000], [1_000, 2_000], "majority", **parameters)
    assert most.exact.tolist() == [[False, True]]
    assert most.values[0] == pytest.approx([1 / 2_000, 1 / 2_000], abs=0.01)


def test_a_problem_without_answers_is_exact_beside_any_other():
    answers = np.concatenate([np.full(400, -1), np.arange(400) % 2])
    got = vote_at_k(answers == 0, answers, None, [0, 400, 800], 150, "majority", subsets=2)
    assert got.exact.tolist() == [[True], [False]]
    assert got.values[0] == 0


def test_parameters_reach_the_vote():
    ballot = [1, 0], [0, 1], [math.nan, 0.5], [0, 2]
    assert vote_at_k(*ballot, 2, "weighted", nan="drop").values.tolist() == [[0.0]]
    assert vote_at_k(*ballot, 1, "weighted", nan="drop").values.tolist() == [[0.0]]
    with pytest.raises(ValueError, match=re.escape("vote: scores[0] is NaN")):
        vote_at_k(*ballot, 2, "weighted")
    tied = [1, 0], [0, 1], [0.9, 0.5], [0, 2], 2, "majority"
    assert vote_at_k(*tied).values.tolist() == [[0.5]]
    assert vote_at_k(*tied, ties="best_score").values.tolist() == [[1.0]]


def test_work_that_is_too_much_is_seen():
    # Every answer another one and all of them right; half of them the same and half different.
    n = 100_000
    halves = np.where(np.arange(n) < n // 2, 0, np.arange(n))
    for answers, k in ((np.arange(n), 1), (halves, n - 1)):
        ballot = np.ones(n), answers, None, [0, n], k, "majority"
        got = vote_at_k(*ballot, subsets=2, resamples=2)
        assert not got.exact.any()
        assert got.values.tolist() == [[1.0]]
        with pytest.raises(ValueError, match=f"vote_at_k: {k} of the 100000 candidates"):
            vote_at_k(*ballot, method="exact")


# --- properties -----------------------------------------------------------------------------


def estimates(correct, answers, scores, offsets, ks, **parameters):
    yield "pass", pass_at_k(correct, offsets, ks, **parameters)
    yield "prm", prm_at_k(correct, scores, offsets, ks, **parameters)
    for rule in RULES:
        for method in ("exact", "subsets"):
            got = vote_at_k(
                correct, answers, scores, offsets, ks, rule, method=method, subsets=64, **parameters
            )
            yield f"{rule} {method}", got


def test_a_batch_is_its_problems_bit_for_bit():
    sizes = np.random.default_rng(4).integers(0, 9, 60)
    correct, answers, scores, offsets = world(60, sizes, seed=4)
    ks, options = [1, 2, 4, 8], {"too_few": "nan", "resamples": 2}
    together = dict(estimates(correct, answers, scores, offsets, ks, **options))
    for i, (begin, end) in enumerate(pairwise(offsets)):
        own = slice(begin, end)
        alone = estimates(correct[own], answers[own], scores[own], [0, end - begin], ks, **options)
        for name, got in alone:
            assert bits(got.values[0]) == bits(together[name].values[i]), name
            assert got.exact[0].tolist() == together[name].exact[i].tolist()


def test_large_batches_are_cut_without_a_trace():
    # More candidates than one block holds.
    correct, answers, scores, offsets = world(20_000, 64, seed=5)
    ks = [1, 16, 64]
    got = prm_at_k(correct, scores, offsets, ks, resamples=2).values
    for i in (0, 7_777, 16_384, 19_999):
        own = slice(64 * i, 64 * i + 64)
        alone = prm_at_k(correct[own], scores[own], [0, 64], ks, resamples=2)
        assert bits(alone.values[0]) == bits(got[i])
    ballot = correct[: 64 * 2_000], answers[: 64 * 2_000], None, offsets[:2_001]
    got = vote_at_k(*ballot, [5, 24, 40], "majority", method="exact", resamples=2).values
    for i in range(0, 2_000, 97):
        own = slice(64 * i, 64 * i + 64)
        alone = vote_at_k(
            correct[own], answers[own], None, [0, 64], [5, 24, 40], "majority", method="exact",
            resamples=2,
        )  # fmt: skip
        assert bits(alone.values[0]) == bits(got[i])
    few = slice(0, 64 * 40)
    ballot = correct[few], answers[few], scores[few], offsets[:41], [4, 64], "weighted"
    got = vote_at_k(*ballot, method="subsets", subsets=700, resamples=2).values  # 2 blocks of votes
    for i in (0, 39):
        own = slice(64 * i, 64 * i + 64)
        alone = vote_at_k(
            correct[own], answers[own], scores[own], [0, 64], [4, 64], "weighted",
            method="subsets", subsets=700, resamples=2,
        )  # fmt: skip
        assert bits(alone.values[0]) == bits(got[i])


def test_the_number_of_threads_changes_no_bit():
    correct, answers, scores, offsets = world(50, 10, seed=6)
    seen = set()
    for threads in (1, 3):
        stepscore.set_num_threads(threads)
        rows = estimates(correct, answers, scores, offsets, [3, 10], resamples=2)
        seen.add(b"".join(bits(got.values) + bits(got.sampling_error) for _, got in rows))
    assert len(seen) == 1


def test_all_k_samples_are_the_plain_vote():
    correct, answers, scores, offsets = world(300, 7, seed=7)
    got = stepscore.vote(answers, scores, offsets, RULES)
    for column, rule in enumerate(RULES):
        winner, tied = got.winner[:, column], got.tied[:, column]
        plain = np.where(winner >= 0, correct[winner], False)
        values = vote_at_k(correct, answers, scores, offsets, 7, rule).values[:, 0]
        assert (~tied).sum() > 200
        assert values[~tied].tolist() == plain[~tied].tolist()
    right = prm_at_k(correct, scores, offsets, 7).values[:, 0]
    top = scores.reshape(-1, 7).argmax(axis=1)
    assert right.tolist() == correct.reshape(-1, 7)[np.arange(300), top].tolist()
    any_right = correct.reshape(-1, 7).any(axis=1)
    assert pass_at_k(correct, offsets, 7).values[:, 0].tolist() == any_right.tolist()


def test_one_sample_is_the_share_of_right_ones():
    correct, answers, scores, offsets = world(40, 8, seed=8)
    correct = correct & (answers >= 0)
    share = correct.reshape(-1, 8).mean(axis=1)
    for name, got in estimates(correct, answers, scores, offsets, 1, resamples=2):
        if "subsets" not in name:
            np.testing.assert_allclose(got.values[:, 0], share, rtol=1e-14, err_msg=name)


def test_the_order_of_candidates_and_the_names_of_answers_do_not_count():
    correct, answers, scores, offsets = world(40, 9, seed=9)
    scores = np.round(scores, 1) * 8 // 1 / 8  # ties, and sums without rounding
    order = np.concatenate([b + np.random.default_rng(b).permutation(9) for b in offsets[:-1]])
    renamed = np.where(answers >= 0, 10**12 - answers, -1)
    before = dict(estimates(correct, answers, scores, offsets, [1, 3, 6, 9], resamples=2))
    after = estimates(
        correct[order], renamed[order], scores[order], offsets, [1, 3, 6, 9], resamples=2
    )
    for name, got in after:
        if "subsets" not in name:
            np.testing.assert_allclose(
                got.values, before[name].values, rtol=1e-13, atol=1e-15, err_msg=name
            )


def test_pass_at_k_never_falls_and_bounds_the_rest():
    correct, answers, scores, offsets = world(100, 8, seed=10)
    ks = list(range(1, 9))
    rows = dict(estimates(correct, answers, scores, offsets, ks, resamples=2))
    ceiling = rows.pop("pass").values
    assert (np.diff(ceiling, axis=1) >= 0).all()
    for name in ("prm", "majority exact", "weighted exact", "best_of_n exact"):
        assert (rows[name].values <= ceiling + 1e-12).all(), name


def test_intervals_are_those_of_the_values():
    correct, _, scores, offsets = world(100, 8, seed=11)
    got = prm_at_k(correct, scores, offsets, [1, 4], confidence=0.8, resamples=300, seed=3)
    expected = mean_interval(got.values, confidence=0.8, resamples=300, seed=3)
    for ours, theirs in zip(got[1:4], expected, strict=True):
        assert ours.tolist() == theirs.tolist()
    assert (got.low < got.mean).all()
    assert (got.mean < got.high).all()
    # All samples together give 0 or 1 to the last bit, and so do problems that are all right.
    pass_at_k(correct, offsets, 8, interval="wilson")
    prm_at_k(np.ones(800), scores, offsets, [1, 3, 8], interval="wilson")


def test_too_few_candidates():
    correct, offsets = [1, 0, 1, 1], [0, 1, 4]
    got = pass_at_k(correct, offsets, [1, 3], too_few="nan")
    assert got.mean.tolist() == [pytest.approx((1 + 2 / 3) / 2), 1.0]
    assert np.isnan(got.values).tolist() == [[False, True], [False, False]]
    sampled = vote_at_k(
        correct, [0, 1, 0, 0], None, offsets, [1, 3], "majority", method="subsets", too_few="nan"
    )
    assert np.isnan(sampled.values).tolist() == [[False, True], [False, False]]
    assert sampled.mean[1] == 1.0


@pytest.mark.parametrize("offsets", [[0], [0, 0, 0]])
def test_nothing_to_estimate(offsets):
    options = {"too_few": "nan"}
    for _, got in estimates([], np.empty(0, np.int64), [], offsets, [1, 2], **options):
        assert got.values.shape == (len(offsets) - 1, 2)
        assert np.isnan(got.mean).all()


# --- real data ------------------------------------------------------------------------------


def test_qwen_rm_maj(data: Path):
    lines = (data / "qwen_rm_maj" / "math_cot_100.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    correct = np.array([row["score"] for row in rows]).ravel()
    scores = np.array([row["pred_score"] for row in rows]).ravel()
    answers = np.array([row["pred"].index(p) for row in rows for p in row["pred"]])
    offsets, ks = np.arange(0, 801, 8), [1, 2, 4, 8]
    got = pass_at_k(correct, offsets, ks).mean * 100
    assert np.round(got, 4).tolist() == [91.0, 93.2857, 95.1, 96.0]
    got = prm_at_k(correct, scores, offsets, ks).mean * 100
    assert np.round(got, 4).tolist() == [91.0, 92.7857, 93.6143, 94.0]
    weighted = vote_at_k(correct, answers, scores, offsets, 8, "weighted")
    assert weighted.mean.tolist() == [0.94]
    # The first of tied answers makes it 93; two problems are tied between a right and a wrong one.
    majority = vote_at_k(correct, answers, None, offsets, 8, "majority")
    plain = stepscore.vote(answers, None, offsets, "majority")
    assert correct[plain.winner].sum() == 93
    settled = ~plain.tied
    assert majority.values[settled, 0].tolist() == correct[plain.winner[settled]].tolist()


# --- bad input ------------------------------------------------------------------------------

ONE = [1, 0], [0, 1], [0.5, 0.25], [0, 2]

FAULTS = {
    "too few candidates": (
        lambda: pass_at_k([1, 0, 1], [0, 2, 3], [1, 2]),
        "pass_at_k: problem 1 has 1 candidates, fewer than k = 2; leave out that k, or pass "
        'too_few="nan" to leave out such problems',
    ),
    "too few in a vote": (
        lambda: vote_at_k(*ONE, 3, "majority"),
        "vote_at_k: problem 0 has 2 candidates, fewer than k = 3",
    ),
    "k of 0": (
        lambda: pass_at_k([1], [0, 1], [0, 1]),
        "pass_at_k: ks must hold at least one k, each 1 or more; got [0, 1]",
    ),
    "no k": (
        lambda: prm_at_k([1], [0.5], [0, 1], []),
        "prm_at_k: ks must hold at least one k, each 1 or more; got []",
    ),
    "half right": (
        lambda: pass_at_k([1, 0.5], [0, 2], 1),
        "pass_at_k: correct must be true or false; correct[1] is 0.5",
    ),
    "unjudged": (
        lambda: pass_at_k([math.nan, 1], [0, 2], 1),
        "pass_at_k: correct must be true or false; correct[0] is nan",
    ),
    "offsets that go past the end": (
        lambda: pass_at_k([1], [0, 2], 1),
        "pass_at_k: offsets must end at 1 (the number of candidates); got 2",
    ),
    "scores of another length": (
        lambda: prm_at_k([1, 0], [0.5], [0, 2], 1),
        "prm_at_k: scores must have shape [2] to match correct; got [1]",
    ),
    "answers of another length": (
        lambda: vote_at_k([1, 0], [0], None, [0, 2], 1, "majority"),
        "vote_at_k: answer_ids must have shape [2] to match correct; got [1]",
    ),
    "NaN score": (
        lambda: prm_at_k([1, 0], [0.5, math.nan], [0, 2], 1),
        'prm_at_k: scores[1] is NaN; nan="drop" never chooses that candidate',
    ),
    "unknown policy for NaN": (
        lambda: prm_at_k([1], [0.5], [0, 1], 1, nan="skip"),
        'prm_at_k: nan must be "error" or "drop"; got \'skip\'',
    ),
    "unknown policy for too few": (
        lambda: pass_at_k([1], [0, 1], 1, too_few="drop"),
        'pass_at_k: too_few must be "error" or "nan"; got \'drop\'',
    ),
    "unknown interval": (
        lambda: pass_at_k([1], [0, 1], 1, interval="exact"),
        'pass_at_k: the interval must be "bootstrap" or "normal" or "wilson"; got \'exact\'',
    ),
    "wilson of shares": (
        lambda: pass_at_k([1, 0], [0, 2], 1, interval="wilson"),
        "mean_interval: wilson is for values of 0 and 1; got 0.5; use bootstrap",
    ),
    "unknown method": (
        lambda: vote_at_k(*ONE, 1, "majority", method="fast"),
        'vote_at_k: method must be "auto", "exact" or "subsets"; got \'fast\'',
    ),
    "one subset": (
        lambda: vote_at_k(*ONE, 1, "majority", subsets=1),
        "vote_at_k: subsets must be at least 2; got 1",
    ),
    "unknown rule": (
        lambda: vote_at_k(*ONE, 1, "plurality"),
        "vote_at_k: rule: expected one of majority, weighted,",
    ),
    "no scores to weigh by": (
        lambda: vote_at_k([1], [0], None, [0, 1], 1, "weighted"),
        "vote: ",
    ),
    "too large to be exact": (
        lambda: vote_at_k(
            np.ones(64), np.zeros(64, int), np.ones(64), [0, 64], 32, "weighted", method="exact"
        ),
        'vote_at_k: 32 of the 64 candidates of problem 0 are too many for method="exact"; pass '
        'method="subsets", or leave out that k',
    ),
}


@pytest.mark.parametrize(("call", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_one_rule_at_a_time():
    with pytest.raises(TypeError, match="vote_at_k: rule must be a name or a Rule"):
        vote_at_k(*ONE, 1, ["majority"])


def test_a_rule_brings_its_parameters():
    rule = stepscore.Rule("softmax_weighted", temperature=0.1)
    world_of_rules = *world(20, 9, seed=12), [2, 5]
    got = vote_at_k(*world_of_rules, rule, method="subsets", subsets=20, resamples=2)
    advice = re.escape("pass Rule('softmax_weighted', temperature=0.1)")
    with pytest.warns(DeprecationWarning, match=f"vote_at_k: parameters beside the rule.*{advice}"):
        loose = vote_at_k(
            *world_of_rules, "softmax_weighted", method="subsets", subsets=20, resamples=2,
            temperature=0.1,
        )  # fmt: skip
    assert bits(loose.values) == bits(got.values)
    with pytest.raises(TypeError, match="vote_at_k: temperature stands beside a Rule"):
        vote_at_k(*world_of_rules, rule, temperature=0.1)


def test_one_vote_for_all_k_is_a_vote_for_each():
    correct, answers, scores, offsets = world(30, 12, seed=13)
    ballot = correct, answers, scores, offsets
    options = {"method": "subsets", "subsets": 40, "resamples": 2}
    together = vote_at_k(*ballot, [7, 2, 7, 12], "weighted", **options)
    for column, k in enumerate([7, 2, 7, 12]):
        alone = vote_at_k(*ballot, k, "weighted", **options)
        assert bits(alone.values[:, 0]) == bits(together.values[:, column])
        assert alone.sampling_error[0] == pytest.approx(together.sampling_error[column])
