"""vote against a dictionary."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from same_bits import bits, bits_everywhere

import stepscore
from stepscore import Rule, _core, reference

RULES = ["majority", "weighted", "best_of_n"]


def ragged(sizes) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def assert_same(got, expected):
    for field, ours, theirs in zip(got._fields, got, expected, strict=True):
        if theirs is None:
            assert ours is None, field
            continue
        assert np.asarray(ours).dtype == theirs.dtype, field
        np.testing.assert_array_equal(ours, theirs, err_msg=field)


def check(answer_ids, scores, offsets, rule, **parameters):
    got = stepscore.vote(answer_ids, scores, offsets, rule, **parameters)
    assert_same(got, reference.vote(answer_ids, scores, offsets, rule, **parameters))
    return got


def winners(answer_ids, scores, rule, **parameters):
    """The winning candidate of one problem, and whether it was tied."""
    got = check(answer_ids, scores, [0, len(answer_ids)], rule, **parameters)
    return got.winner.tolist()[0], got.tied.tolist()[0]


def test_reference_takes_the_arguments_of_the_op():
    names = [name for name in inspect.signature(stepscore.vote).parameters if name != "stream"]
    assert names == list(inspect.signature(reference.vote).parameters)


# --- by hand --------------------------------------------------------------------------------


def test_a_worked_example():
    #        two problems: answers 0 0 1 | 4 and one without an answer
    answers, scores = [0, 0, 1, 4, -1], [0.2, 0.3, 0.9, 0.1, 1.0]
    got = stepscore.vote(answers, scores, [0, 3, 5], RULES)
    assert got.winner.tolist() == [[0, 2, 2], [3, 3, 3]]
    assert got.answer_id.tolist() == [[0, 1, 1], [4, 4, 4]]
    assert got.score.tolist() == [[2.0, 0.9, 0.9], [1.0, 0.1, 0.1]]
    assert not got.tied.any()


def test_the_winner_of_best_of_n_is_the_candidate_with_the_score():
    assert winners([7, 7, 7], [0.1, 0.9, 0.3], "best_of_n") == (1, False)
    assert winners([7, 7, 7], [0.1, 0.9, 0.9], "best_of_n") == (1, False)  # one answer: no tie
    assert winners([7, 7, 7], [0.1, 0.9, 0.3], "weighted") == (0, False)
    assert winners([7, 7, 7], [0.1, 0.9, 0.3], "majority") == (0, False)


@pytest.mark.parametrize(
    ("rule", "answers", "scores", "first", "best_score"),
    [
        ("majority", [1, 2, 2, 1], [0.1, 0.2, 0.9, 0.3], 0, 1),
        ("majority", [1, 2, 3], [0.5, 0.7, 0.7], 0, 1),
        ("weighted", [1, 2, 2], [0.5, 0.25, 0.25], 0, 0),
        ("weighted", [2, 2, 1], [0.25, 0.25, 0.5], 0, 2),
        ("best_of_n", [1, 2, 3], [0.1, 0.8, 0.8], 1, 1),
    ],
)
def test_ties(rule, answers, scores, first, best_score):
    assert winners(answers, scores, rule) == (first, True)
    assert winners(answers, scores, rule, ties="first") == (first, True)
    assert winners(answers, scores, rule, ties="best_score") == (best_score, True)


def test_a_tie_below_the_winner_is_none():
    assert winners([1, 2, 3, 3], [0.1, 0.1, 0.1, 0.1], "majority") == (2, False)
    assert winners([1, 2, 3], [0.1, 0.1, 0.4], "weighted") == (2, False)


def test_best_score_chooses_among_the_tied_only():
    # Answer 3 holds the highest score, but lost the vote.
    assert winners([1, 1, 2, 2, 3], [0.1, 0.2, 0.3, 0.1, 0.9], "majority", ties="best_score") == (
        2,
        True,
    )


def test_negative_scores():
    assert winners([0, 1, 1], [-3.0, -1.0, -1.5], "weighted") == (1, False)
    assert winners([0, 1, 1], [-2.0, -1.0, -1.5], "weighted") == (0, False)
    assert winners([0, 1, 1], [-3.0, -1.0, -1.5], "best_of_n") == (1, False)


def test_zeros_of_both_signs_are_equal():
    assert winners([0, 1], [-0.0, 0.0], "best_of_n") == (0, True)


def test_scores_are_added_in_float64_in_candidate_order():
    # 1e16 + 1 + 1 is 1e16 from the left, 1e16 + 2 otherwise.
    answers, scores = [0, 0, 0, 1], [1e16, 1.0, 1.0, 1e16]
    assert winners(answers, scores, "weighted") == (0, True)
    assert winners(answers, [1.0, 1.0, 1e16, 1e16], "weighted") == (0, False)
    # float32 scores are widened before they are added.
    got = stepscore.vote([0, 0], np.array([1, 2.0**-30], np.float32), [0, 2], "weighted")
    assert got.score.tolist() == [1 + 2.0**-30]


@pytest.mark.parametrize("rule", [*RULES, RULES], ids=str)
def test_nobody_to_vote_for(rule):
    got = check([-1, -1, 5, -1], [0.1, 0.2, 0.3, 0.4], [0, 0, 2, 4, 4], rule)
    shape = (4,) if isinstance(rule, str) else (4, 3)
    assert got.winner.shape == shape
    assert (got.winner[[0, 1, 3]] == -1).all()
    assert (got.answer_id[[0, 1, 3]] == -1).all()
    assert np.isnan(got.score[[0, 1, 3]]).all()
    assert not got.tied.any()
    assert (got.winner[2] == 2).all()


@pytest.mark.parametrize("rule", [*RULES, RULES], ids=str)
def test_no_problems(rule):
    got = stepscore.vote([], [], [0], rule)[:5]
    assert all(field.shape == ((0,) if isinstance(rule, str) else (0, 3)) for field in got)
    assert [field.dtype for field in got] == [np.int64, np.int64, np.float64, np.bool_, np.float64]


@pytest.mark.parametrize(
    "answers",
    [[0, 2**62, 0], [2**63 - 1, 0, 2**63 - 1], [2**32, 0, 2**32], [5, 5 + 2**32, 5]],
    ids=str,
)
def test_huge_and_sparse_ids(answers):
    got = check(answers, [0.1, 0.2, 0.3], [0, 3], RULES)
    assert got.answer_id.tolist() == [[answers[0]] * 3]


def test_ids_that_share_their_hash_slots():
    # Multiples of 2^44 and more leave few of the mixed bits apart.
    for step in (1, 2**20, 2**32, 2**44, 2**56):
        answers = [i % 40 * step for i in range(100)]
        check(answers, np.linspace(0, 1, 100), [0, 100], RULES)


def test_the_table_forgets_the_problem_before():
    rng = np.random.default_rng(0)
    sizes = [100, 3, 0, 500, 1, 2, 1000, 5, 5000, 4]  # it grows between problems
    offsets = ragged(sizes)
    answers = rng.integers(-1, 4, offsets[-1])
    check(answers, rng.random(offsets[-1]), offsets, RULES)


def test_every_candidate_is_an_answer_of_its_own_without_ids():
    scores = [0.1, 0.9, 0.4, 0.4, 0.2]
    got = check(None, scores, [0, 2, 5], RULES)
    assert got.winner.tolist() == [[0, 1, 1], [2, 2, 2]]
    assert got.answer_id.tolist() == [[0, 1, 1], [0, 0, 0]]  # the index within the problem
    assert got.tied.tolist() == [[True, False, False], [True, True, True]]


def test_majority_needs_no_scores():
    got = check([3, 1, 1], None, [0, 3], "majority")
    assert got.winner.tolist() == [1]
    for rule in ("weighted", "best_of_n", RULES):
        with pytest.raises(ValueError, match="vote: scores may be None only when every rule is"):
            stepscore.vote([3, 1, 1], None, [0, 3], rule)
    with pytest.raises(ValueError, match="vote: ties='best_score' needs scores"):
        stepscore.vote([3, 1, 1], None, [0, 3], "majority", ties="best_score")


# --- NaN and infinities ---------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_nan_scores(rule):
    answers, scores = [1, 1, 2, 3, 3], [np.nan, 0.5, np.nan, 0.2, 0.1]
    with pytest.raises(ValueError, match=r'vote: scores\[0\] is NaN; pass nan="drop"'):
        stepscore.vote(answers, scores, [0, 5], rule)
    got = check(answers, scores, [0, 5], rule, nan="drop")
    # Majority reads no score: nobody is left out.
    expected = {"majority": (0, 2.0), "weighted": (1, 0.5), "best_of_n": (1, 0.5)}[rule]
    assert (got.winner[0], got.score[0]) == expected
    got = check([1, 2], [np.nan, np.nan], [0, 2], rule, nan="drop")
    assert got.winner.tolist() == [0 if rule == "majority" else -1]


def test_a_nan_breaks_no_tie():
    answers, scores = [1, 1, 2, 3, 2], [np.nan, np.nan, 0.5, np.nan, np.nan]
    got = check(answers, scores, [0, 5], RULES, nan="drop", ties="best_score")
    assert got.winner.tolist() == [[2, 2, 2]]
    got = check([1, 2], [np.nan, -np.inf], [0, 2], "majority", nan="drop", ties="best_score")
    assert got.winner.tolist() == [0]


def test_a_nan_without_an_answer_is_still_a_nan():
    with pytest.raises(ValueError, match=r"vote: scores\[1\] is NaN"):
        stepscore.vote([1, -1], [0.5, np.nan], [0, 2], "weighted")
    check([1, -1], [0.5, np.nan], [0, 2], "weighted", nan="drop")


def test_infinite_scores():
    inf = np.inf
    assert winners([0, 1, 2], [0.5, inf, inf], "best_of_n") == (1, True)
    assert winners([0, 1, 2], [-inf, -inf, -1e308], "best_of_n") == (2, False)
    assert winners([0, 1, 1], [inf, -inf, inf], "majority") == (1, False)
    for bad in (inf, -inf):
        with pytest.raises(ValueError, match=r"vote: scores\[1\] is -?inf; the rule weighted"):
            stepscore.vote([0, 1], [0.5, bad], [0, 2], ["majority", "weighted"])
    check([0, -1], [0.5, inf], [0, 2], "weighted")  # takes no part


# --- against the dictionary -----------------------------------------------------------------


@st.composite
def ballots(draw):
    sizes = draw(st.lists(st.integers(0, 30), max_size=6))
    offsets = ragged(sizes)
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    alphabet = draw(st.sampled_from([[0, 1], [-1, 0, 1, 2], [-1, 2**62, 2**62 + 1, 7], range(40)]))
    answers = rng.choice(np.array(alphabet, np.int64), offsets[-1])
    levels = draw(st.sampled_from([2, 5, 1000]))  # few levels make ties
    scores = rng.integers(-levels, levels, offsets[-1]) / levels
    return answers, scores, offsets


@given(
    ballots(),
    st.sampled_from([*RULES, RULES, RULES[::-1]]),
    st.sampled_from(["first", "best_score"]),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
)
def test_any_ballot_is_the_dictionary(ballot, rule, ties, dtype, with_ids):
    answers, scores, offsets = ballot
    check(answers if with_ids else None, scores.astype(dtype), offsets, rule, ties=ties)


def random_ballot(problems: int, seed: int):
    rng = np.random.default_rng(seed)
    offsets = ragged(rng.integers(0, 12, problems))
    n = offsets[-1]
    spread = rng.integers(1, 8, n)
    answers = rng.integers(-1, spread)
    scores = rng.integers(-8, 9, n) / 8
    scores[rng.random(n) < 0.05] = np.nan
    return answers, scores, offsets


@pytest.mark.parametrize("ties", ["first", "best_score"])
def test_a_hundred_thousand_candidates(ties):
    answers, scores, offsets = random_ballot(100_000 // 6, seed=1)
    got = stepscore.vote(answers, scores, offsets, RULES, ties=ties, nan="drop")
    plain = answers.tolist(), scores.tolist(), offsets.tolist()
    assert_same(got, reference.vote(*plain, RULES, ties=ties, nan="drop"))


def test_a_list_of_rules_is_the_single_rules():
    answers, scores, offsets = random_ballot(500, seed=2)
    for rules in (RULES, RULES[::-1], ("weighted", "weighted")):
        together = stepscore.vote(answers, scores, offsets, rules, nan="drop")
        for column, rule in enumerate(rules):
            alone = stepscore.vote(answers, scores, offsets, rule, nan="drop")
            for field, single in zip(together[:5], alone[:5], strict=True):
                assert bits(field[:, column]) == bits(single)


# --- every rule -----------------------------------------------------------------------------

HMR = "hybrid_majority_reward"
WRF = "weighted_reward_frequency"
# Rules, and the kind of scores that they read.
SPECS = [
    (Rule("majority"), "any"),
    (Rule("weighted"), "any"),
    (Rule("weighted_mean"), "any"),
    (Rule("best_of_n"), "any"),
    (Rule("minmax_weighted"), "any"),
    (Rule("softmax_weighted", temperature=0.05), "any"),
    (Rule("softmax_weighted", temperature=3.0), "any"),
    (Rule("logodds_weighted"), "probability"),
    (Rule("logodds_weighted", eps=0.01), "probability"),
    (Rule("loglik_weighted", prior=0.3, reliability=0.6, answers=4), "probability"),
    (Rule("confidence_weighted"), "negative"),
    (Rule("crew"), "probability"),
    (Rule("borda"), "any"),
    (Rule("borda", power=3), "any"),
    *[
        (Rule(HMR, tau=tau, consensus=consensus, reward=reward), "any")
        for tau, consensus, reward in [
            (0.5, "share", "max"),
            (0.75, "share", "mean"),
            (0.0, "share", "sum"),
            (1.0, "share", "sum"),
            (0.9, "entropy", "max"),
            (0.5, "entropy", "mean"),
        ]
    ],
    (Rule(WRF, reward_weight=0.5, normalize="minmax"), "any"),
    (Rule(WRF, reward_weight=0.25, normalize="sum"), "positive"),
    (Rule("pareto"), "columns"),
    (Rule("pareto", columns=[2, 0]), "columns"),
    (Rule("multi_objective", objective_weights=[1.0, -0.5, 0.25], scale="none"), "columns"),
    (Rule("multi_objective", objective_weights=[0.5, 0.25, 2.0], scale="minmax"), "columns"),
    (
        Rule("multi_objective", objective_weights=[0.5, 2], scale="minmax", columns=[2, 1]),
        "columns",
    ),
]
# Exponentials and logarithms are ours, and differ from the C library's in the last bit.
ROUNDED = {"softmax_weighted", "logodds_weighted", "loglik_weighted", "confidence_weighted"}


def is_rounded(rule: Rule) -> bool:
    return rule.name in ROUNDED or rule.parameters.get("consensus") == "entropy"


def scores_of(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Few different scores, so that there are ties."""
    shape = (n, 3) if kind == "columns" else (n,)
    levels = rng.integers(-4, 5, shape) / 4
    if kind == "probability":
        return np.abs(levels)
    if kind == "positive":
        return np.abs(levels)
    return -np.abs(levels) if kind == "negative" else levels


def some_ballot(kind: str, problems: int, seed: int, most: int = 9):
    rng = np.random.default_rng(seed)
    offsets = ragged(rng.integers(0, most, problems))
    answers = rng.integers(-1, rng.integers(1, 6, offsets[-1]))
    return answers, scores_of(kind, offsets[-1], rng), offsets


def assert_elects(got, expected, rounded: bool):
    if not rounded:
        return assert_same(got, expected)
    for ours, theirs in [(got.score, expected.score), (got.class_scores, expected.class_scores)]:
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    # Where two answers are as good as equal, the last bit decides on both sides.
    clear = ~(expected.margin < 1e-9)
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(got.winner[clear], expected.winner[clear])
    np.testing.assert_array_equal(got.answer_id[clear], expected.answer_id[clear])
    np.testing.assert_array_equal(got.tied[clear], expected.tied[clear])
    np.testing.assert_allclose(got.margin, expected.margin, rtol=1e-9, atol=1e-9)
    assert (got.margin[~clear] < 1e-8).all()


@pytest.mark.parametrize(
    ("rule", "kind", "ties"),
    [(*spec, "first") for spec in SPECS]
    # With several columns there is no single score to break a tie by.
    + [(*spec, "best_score") for spec in SPECS if spec[1] != "columns"],
    ids=str,
)
def test_every_rule_is_the_dictionary(rule, kind, ties):
    # 49 of these: 100,000 elections with ties, invalid answers, empty problems and, where the rule
    # takes them, negative scores.
    answers, scores, offsets = some_ballot(kind, 2200, seed=len(rule.name) + len(ties))
    options = {"ties": ties, "class_scores": True}
    got = stepscore.vote(answers, scores, offsets, rule, **options)
    plain = answers.tolist(), scores.tolist(), offsets.tolist()
    assert_elects(got, reference.vote(*plain, rule, **options), is_rounded(rule))


ARGMAX = [
    Rule("best_of_n"),
    Rule("crew"),
    Rule(HMR, tau=1.0, consensus="share", reward="max"),  # consensus is a single answer
]


def first_best(answers, scores):
    """The first of the candidates with an answer that has the highest score; -1 = nobody."""
    takes_part = answers >= 0
    return int(np.argmax(np.where(takes_part, scores, -np.inf))) if takes_part.any() else -1


@pytest.mark.parametrize("ties", ["first", "best_score"])
@pytest.mark.parametrize("rule", ARGMAX, ids=str)
def test_a_maximum_over_candidates_is_an_argmax(rule, ties):
    # The answer of the winner need not be the first that was seen, nor the first that ties.
    sizes = [2, 5, 100]
    differs = 0
    for seed, most in ((5, 9), (6, 90)):
        answers, scores, offsets = some_ballot("probability", 1000, seed, most)
        got = stepscore.vote(answers, scores, offsets, rule, ties=ties, prefixes=sizes)
        for p, (begin, end) in enumerate(pairwise(offsets)):
            for f, size in enumerate(sizes):
                inside = slice(begin, min(end, begin + size))
                ids = answers[inside]
                if rule.name == HMR and len(set(ids[ids >= 0])) == 1:
                    continue
                best = first_best(ids, scores[inside])
                assert got.winner[p, f] == (begin + best if best >= 0 else -1)
                if best < 0:
                    continue
                assert got.answer_id[p, f] == ids[best]
                assert got.score[p, f] == scores[inside][best]
                tied = ids[(ids >= 0) & (scores[inside] == got.score[p, f])]
                assert got.tied[p, f] == (len(set(tied)) > 1)
                differs += ids[best] != next(i for i in ids if i in set(tied))
    assert differs > 100


def test_an_argmax_in_every_column():
    answers = [7, 8, 7, -1]
    scores = np.array([[0.1, 0.5], [0.9, 0.0], [0.9, 0.5], [1.0, 1.0]])
    got = stepscore.vote(answers, scores, [0, 4], ARGMAX)
    assert got.winner.tolist() == [[[1, 0]] * 3]
    assert got.answer_id.tolist() == [[[8, 7]] * 3]
    scores[1, 0] = np.nan
    got = stepscore.vote(answers, scores, [0, 4], "best_of_n", nan="drop")
    assert got.winner.tolist() == [[2, 0]]


def test_an_argmax_of_zeros_has_the_sign_of_the_first():
    got = check([3, 4, 3], [-1.0, -0.0, 0.0], [0, 3], "best_of_n", class_scores=True)
    assert got.winner.tolist() == [1]
    assert np.signbit(got.score[0])


def assert_is_alone(got, alone, inside, offsets, at):
    """Whether a slice of the results is a vote of some candidates alone, bit for bit."""
    winner, class_scores = got.winner[at], got.class_scores[at]
    moved = np.where(alone.winner >= 0, inside[alone.winner], -1)
    assert moved.tolist() == winner.tolist()
    for field in ("answer_id", "score", "tied", "margin"):
        assert bits(getattr(alone, field)) == bits(getattr(got, field)[at])
    whole = np.full(len(class_scores), np.nan)
    whole[inside] = alone.class_scores
    np.testing.assert_array_equal(whole, class_scores)


@pytest.mark.parametrize(("rule", "kind"), SPECS, ids=str)
def test_a_prefix_is_the_vote_of_its_candidates(rule, kind):
    answers, scores, offsets = some_ballot(kind, 200, seed=7, most=40)
    sizes = [1, 2, 3, 8, 16, 100]
    got = stepscore.vote(
        answers, scores, offsets, [rule, "majority"], prefixes=sizes, class_scores=True
    )
    columns = (3,) if kind == "columns" else ()
    assert got.winner.shape == (200, 2, *columns, len(sizes))
    assert got.class_scores.shape == (len(answers), 2, *columns, len(sizes))
    for f, size in enumerate(sizes):
        inside = np.concatenate([np.arange(b, min(e, b + size)) for b, e in pairwise(offsets)])
        short = ragged(np.minimum(np.diff(offsets), size))
        alone = stepscore.vote(answers[inside], scores[inside], short, rule, class_scores=True)
        if kind == "columns":
            alone = stepscore.VoteResult(*(field[:, 1] for field in alone))
        at = (slice(None), 0, *(1 for _ in columns), f)
        assert_is_alone(got, alone, inside, offsets, at)


COMPANY = [
    "minmax_weighted",
    Rule("softmax_weighted", temperature=0.5),
    "logodds_weighted",
    Rule("borda", power=2),
    Rule("softmax_weighted", temperature=0.05),
    Rule(HMR, tau=0.6, consensus="entropy", reward="mean"),
    Rule(WRF, reward_weight=0.3, normalize="sum"),
    "borda",
    *RULES,
]


def together(answers, scores, offsets):
    """All rules over one column, in one call."""
    return stepscore.vote(
        answers, scores, offsets, COMPANY, prefixes=[2, 7, 1000], class_scores=True
    )


def test_rules_in_company_give_the_bits_they_give_alone():
    answers, scores, offsets = some_ballot("probability", 300, seed=3, most=50)
    got = together(answers, scores, offsets)
    for r, rule in enumerate(COMPANY):
        alone = stepscore.vote(answers, scores, offsets, rule, class_scores=True)
        for ours, theirs in zip(got, alone, strict=True):
            assert bits(ours[:, r, 2]) == bits(theirs), rule


def test_every_rule_over_levels_threads_and_batches(levels):
    answers, scores, offsets = some_ballot("probability", 700, seed=4, most=300)

    def call():
        fields = together(answers, scores, offsets)
        return np.concatenate([field.astype(np.float64).ravel() for field in fields])

    bits_everywhere(levels, call)
    whole = together(answers, scores, offsets)
    for p in range(0, 700, 97):
        part = slice(offsets[p], offsets[p + 1])
        alone = together(answers[part], scores[part], [0, offsets[p + 1] - offsets[p]])
        moved = np.where(alone.winner >= 0, alone.winner + offsets[p], -1)
        assert moved.tolist() == whole.winner[p : p + 1].tolist()
        for field in ("answer_id", "score", "tied", "margin"):
            assert bits(getattr(alone, field)) == bits(getattr(whole, field)[p : p + 1])
        assert bits(alone.class_scores) == bits(whole.class_scores[part])


@pytest.mark.parametrize("size", [255, 256, 257, 1000])
def test_borda_counts_the_same_by_comparing_and_by_sorting(size):
    rng = np.random.default_rng(size)
    answers, scores = rng.integers(-1, 9, size), rng.integers(0, 40, size) / 8
    check(answers, scores, [0, size], "borda", prefixes=[1, 5, 250, 256, 257, 999])
    # 300 candidates, all but 200 of which take no part: sorted or not is decided by who does.
    answers[: size - 200] = -1
    check(answers, scores, [0, size], "borda", prefixes=[1, 5, 250, 256, 257, 999])


def test_worked_examples_of_every_rule():
    answers, scores = [0, 0, 1, 2, 1], [0.2, 0.4, 0.9, 0.6, 0.1]

    def one(rule, **taken):
        got = stepscore.vote(answers, scores, [0, 5], Rule(rule, **taken), class_scores=True)
        reached = dict(zip(answers, got.class_scores.tolist(), strict=True))
        return got.winner[0], [round(reached[a], 6) for a in (0, 1, 2)], round(got.margin[0], 6)

    assert one("weighted_mean") == (3, [0.3, 0.5, 0.6], 0.1)
    # (0.2 - 0.1) / 0.8 + (0.4 - 0.1) / 0.8; 1 + 0; 0.5 / 0.8
    assert one("minmax_weighted") == (2, [0.5, 1.0, 0.625], 0.375)
    assert one("borda") == (2, [3.0, 4.0, 3.0], 1.0)
    assert one("borda", power=2) == (2, [5.0, 16.0, 9.0], 7.0)
    assert one(HMR, tau=0.4, consensus="share", reward="max") == (0, [2.0, 2.0, 1.0], 0.0)
    assert one(HMR, tau=0.41, consensus="share", reward="max") == (2, [0.4, 0.9, 0.6], 0.3)
    assert one(HMR, tau=0.41, consensus="share", reward="mean") == (3, [0.3, 0.5, 0.6], 0.1)
    assert one(WRF, reward_weight=0.5, normalize="sum") == (
        2, [0.307143, 0.378571, 0.314286], 0.064286,
    )  # fmt: skip
    e = np.exp(np.array(scores) / 0.5)
    share = [(e[0] + e[1]) / e.sum(), (e[2] + e[4]) / e.sum(), e[3] / e.sum()]
    assert one("softmax_weighted", temperature=0.5)[1] == [round(s, 6) for s in share]
    odds = [0.0, np.log(0.9 / 0.1 * 0.1 / 0.9), np.log(0.6 / 0.4)]
    odds[0] = np.log(0.2 / 0.8 * 0.4 / 0.6)
    assert one("logodds_weighted")[1] == [round(o, 6) + 0.0 for o in odds]
    # With a prior equal to the reliability, the weight is logit(p) + ln(m - 1).
    loglik = one("loglik_weighted", prior=0.7, reliability=0.7, answers=3)[1]
    assert loglik == [round(o + k * np.log(2), 6) for o, k in zip(odds, (2, 2, 1), strict=True)]


def test_a_worked_pareto_front():
    #         dominated by the second; front; front; equal to the third: front; not by anyone
    columns = [[1, 1], [2, 1], [0, 3], [0, 3], [1.5, 2]]
    answers = [0, 1, 2, 2, 0]
    got = stepscore.vote(answers, columns, [0, 5], "pareto", class_scores=True)
    assert got.class_scores.tolist() == [[1, 1], [1, 1], [2, 2], [2, 2], [1, 1]]
    assert (got.winner.tolist(), got.margin.tolist()) == ([[2, 2]], [[1.0, 1.0]])
    plain = Rule("multi_objective", objective_weights=[1, 10], scale="none")
    got = stepscore.vote(answers, columns, [0, 5], plain)
    assert (got.winner.tolist(), got.score.tolist()) == ([[2, 2]], [[60.0, 60.0]])
    # Scaled, the columns are 0.5 1 0 0 0.75 and 0 0 1 1 0.5.
    scaled = Rule("multi_objective", objective_weights=[1, 0.5], scale="minmax")
    got = stepscore.vote(answers, columns, [0, 5], scaled, class_scores=True)
    assert got.class_scores[:, 0].tolist() == [1.5, 1.0, 1.0, 1.0, 1.5]
    # The second column alone.
    alone = [Rule("pareto", columns=[1]), Rule("best_of_n")]
    got = stepscore.vote(answers, columns, [0, 5], alone)
    assert got.winner.tolist() == [[[2, 2], [1, 2]]]


def test_softmax_leads_from_majority_to_the_best_score():
    answers, scores, offsets = some_ballot("probability", 500, seed=11)
    hot = stepscore.vote(answers, scores, offsets, Rule("softmax_weighted", temperature=1e6))
    most = stepscore.vote(answers, None, offsets, "majority")
    clear = ~most.tied
    assert hot.answer_id[clear].tolist() == most.answer_id[clear].tolist()
    cold = stepscore.vote(answers, scores, offsets, Rule("softmax_weighted", temperature=1e-3))
    best = stepscore.vote(answers, scores, offsets, "best_of_n")
    clear = ~best.tied
    assert cold.answer_id[clear].tolist() == best.answer_id[clear].tolist()


def test_minmax_does_not_mind_scale_and_origin():
    answers, scores, offsets = some_ballot("any", 500, seed=12)
    plain = stepscore.vote(answers, scores, offsets, "minmax_weighted")
    moved = stepscore.vote(answers, 4 * scores - 16, offsets, "minmax_weighted")
    assert_same(plain, moved)


def test_huge_scores_do_not_overflow_the_range():
    answers, scores = [0, 1, 2], [1e308, -1e308, 0.0]
    got = stepscore.vote(answers, scores, [0, 3], "minmax_weighted", class_scores=True)
    assert got.class_scores.tolist() == [1.0, 0.0, 0.5]


def test_margins():
    got = stepscore.vote(
        [0, 1, 0, -1, 0, 1, 3], [1, 2, 4, 1, np.inf, np.inf, 1],
        [0, 3, 4, 6, 7], ["majority", "best_of_n"],
    )  # fmt: skip
    assert got.margin[:, 0].tolist()[0] == 1.0
    assert np.isnan(got.margin[1]).all()
    assert got.margin[2].tolist() == [0.0, 0.0]  # of infinities too
    assert got.margin[3].tolist() == [np.inf, np.inf]


# --- the same answer everywhere -------------------------------------------------------------


def test_bits_over_levels_and_threads(levels):
    answers, scores, offsets = random_ballot(2000, seed=3)
    scores = np.nan_to_num(np.random.default_rng(0).standard_normal(len(scores)))

    def call():
        got = stepscore.vote(answers, scores, offsets, RULES, ties="best_score")
        return np.stack([field.astype(np.float64) for field in got[:5]])

    bits_everywhere(levels, call)


def test_a_batch_is_its_problems():
    answers, scores, offsets = random_ballot(300, seed=4)
    whole = stepscore.vote(answers, scores, offsets, RULES, nan="drop")
    for p, (begin, end) in enumerate(pairwise(offsets)):
        part = slice(begin, end)
        alone = stepscore.vote(answers[part], scores[part], [0, end - begin], RULES, nan="drop")
        moved = np.where(alone.winner >= 0, alone.winner + begin, -1)
        assert moved.tolist() == whole.winner[p : p + 1].tolist()
        for field in ("answer_id", "score", "tied"):
            assert bits(getattr(alone, field)) == bits(getattr(whole, field)[p : p + 1])


@pytest.mark.parametrize("threads", [1, 7])
def test_the_first_fault_is_named_whatever_the_threads(threads):
    offsets = ragged([10] * 1000)
    answers, scores = np.zeros(10_000, np.int64), np.ones(10_000)
    scores[[4321, 7000, 9999]] = np.nan
    answers[8000] = -2
    stepscore.set_num_threads(threads)
    for _ in range(5):
        with pytest.raises(ValueError, match=r"scores\[4321\] is NaN"):
            stepscore.vote(answers, scores, offsets, "majority")
    answers[4000] = -7
    with pytest.raises(ValueError, match=r"answer_ids\[4000\] is -7"):
        stepscore.vote(answers, scores, offsets, "majority")


# --- array kinds ----------------------------------------------------------------------------


def test_no_candidates_at_all():
    torch = pytest.importorskip("torch")
    for make in (np.asarray, torch.as_tensor):
        ids, scores = make(np.zeros(0, np.int64)), make(np.zeros(0))
        got = stepscore.vote(ids, scores, make(np.zeros(3, np.int64)), RULES, ties="best_score")
        assert np.all(np.asarray(got.winner) == -1)
        assert got.winner.shape == (2, len(RULES))


def test_tensors_in_tensors_out():
    torch = pytest.importorskip("torch")
    answers, scores, offsets = [0, 1, 1], [0.9, 0.1, 0.2], [0, 3]
    expected = stepscore.vote(answers, scores, offsets, RULES)
    for arguments in (
        (torch.tensor(answers), torch.tensor(scores, dtype=torch.float64), torch.tensor(offsets)),
        (answers, torch.tensor(scores, dtype=torch.float64), offsets),
        (torch.tensor(answers, dtype=torch.int32), scores, np.array(offsets)),
    ):
        got = stepscore.vote(*arguments, RULES)
        dtypes = [torch.int64, torch.int64, torch.float64, torch.bool, torch.float64]
        assert [field.dtype for field in got[:5]] == dtypes
        assert [field.tolist() for field in got[:5]] == [field.tolist() for field in expected[:5]]


def test_scores_of_any_real_type(kind):
    values = np.array([0.5, 0.25, 0.75], np.float32)  # exact in every type
    got = stepscore.vote([0, 0, 1], kind.make(values), [0, 3], "weighted")
    assert got.score.tolist() == [0.75]
    assert stepscore.vote([0, 1], [1, 2], [0, 2], "weighted").winner.tolist() == [1]
    assert stepscore.vote([0, 1], [False, True], [0, 2], "best_of_n").winner.tolist() == [1]


def test_inputs_may_be_strided():
    answers, scores = np.array([0, 9, 1, 9, 1, 9]), np.array([0.9, 9, 0.1, 9, 0.2, 9])
    got = check(answers[::2], scores[::2], [0, 3], RULES)
    assert got.winner.tolist() == [[1, 0, 0]]


def test_the_result_unpacks_and_has_names():
    winner, answer_id, score, tied, margin, class_scores = got = stepscore.vote(
        [0], [0.5], [0, 1], "majority"
    )
    assert isinstance(got, stepscore.VoteResult)
    assert (got.winner is winner, got.score is score) == (True, True)
    assert (answer_id.tolist(), tied.tolist()) == ([0], [False])
    assert (margin.tolist(), class_scores) == ([np.inf], None)


# --- errors ---------------------------------------------------------------------------------

A, S = [0, 1, 1], [0.1, 0.2, 0.3]


def objectives(*weights, **columns):
    return Rule("multi_objective", objective_weights=weights, scale="none", **columns)


FAULTS = {
    "scores length": (
        lambda: stepscore.vote(A, S[:2], [0, 3], "weighted"),
        ValueError,
        "vote: scores must have shape [3] to match answer_ids; got [2]",
    ),
    "offsets": (
        lambda: stepscore.vote(A, S, [0, 2], "weighted"),
        ValueError,
        "vote: offsets must end at 3 (the number of candidates); got 2",
    ),
    "offsets fall": (
        lambda: stepscore.vote(A, S, [0, 3, 2, 3], "weighted"),
        ValueError,
        "vote: offsets must not decrease; offsets[2] is 2 after 3",
    ),
    "offsets scalar": (
        lambda: stepscore.vote(A, S, 3, "weighted"),
        ValueError,
        "vote: offsets must have 1 dimension; got shape []",
    ),
    "rule": (
        lambda: stepscore.vote(A, S, [0, 3], "plurality"),
        ValueError,
        "vote: rule: expected one of majority, weighted, weighted_mean, best_of_n,",
    ),
    "rule None": (
        lambda: stepscore.vote(A, S, [0, 3], None),
        TypeError,
        "vote: rule must be a name, a Rule, or a list of them; got None",
    ),
    "no rules": (
        lambda: stepscore.vote(A, S, [0, 3], []),
        ValueError,
        "vote: rule must name at least one rule; got an empty list",
    ),
    "ties": (
        lambda: stepscore.vote(A, S, [0, 3], "majority", ties="last"),
        ValueError,
        'vote: ties must be "first" or "best_score"; got \'last\'',
    ),
    "nan": (
        lambda: stepscore.vote(A, S, [0, 3], "majority", nan="propagate"),
        ValueError,
        'vote: nan must be "error" or "drop"; got \'propagate\'',
    ),
    "a missing parameter": (
        lambda: stepscore.vote(A, S, [0, 3], ["majority", "softmax_weighted"]),
        ValueError,
        "Rule('softmax_weighted'): temperature: expected a finite number above 0; got nothing;",
    ),
    "unfit": (
        lambda: stepscore.vote(A, S, [0, 3], "weighted", unfit="drop"),
        ValueError,
        'vote: unfit must be "error" or "nan"; got \'drop\'',
    ),
    "not a probability": (
        lambda: stepscore.vote(A, [0.1, 1.5, 0.2], [0, 3], ["majority", "logodds_weighted"]),
        ValueError,
        "vote: scores[1] is 1.5; the rule logodds_weighted needs scores in [0, 1]",
    ),
    "not a log probability": (
        lambda: stepscore.vote(A, [-0.1, 0.5, -1], [0, 3], "confidence_weighted"),
        ValueError,
        "vote: scores[1] is 0.5; the rule confidence_weighted needs log probabilities, at most 0",
    ),
    "a negative reward to normalise": (
        lambda: stepscore.vote(
            A, [0.1, -0.5, 1], [0, 3], Rule(WRF, reward_weight=1, normalize="sum")
        ),
        ValueError,
        "vote: scores[1] is -0.5; the rule weighted_reward_frequency needs finite scores of at",
    ),
    "a column that does not fit": (
        lambda: stepscore.vote(
            A, [[0, 2], [0, 0], [0, 1]], [0, 3], ["majority", "logodds_weighted"], unfit="error"
        ),
        ValueError,
        "vote: scores[0, 1] is 2; the rule logodds_weighted needs scores in [0, 1]",
    ),
    "columns that do not fit together": (
        lambda: stepscore.vote(
            A, [[0, 2], [0, np.inf], [0, 1]], [0, 3], objectives(1, 1), unfit="error"
        ),
        ValueError,
        "vote: scores[1, 1] is inf; the rule multi_objective needs finite scores",
    ),
    "no columns": (
        lambda: stepscore.vote(A, np.zeros((3, 0)), [0, 3], "pareto"),
        ValueError,
        "vote: scores must have at least 1 column; got 0",
    ),
    "too many columns together": (
        lambda: stepscore.vote(A, np.zeros((3, 17)), [0, 3], ["weighted", "pareto"]),
        ValueError,
        "vote: the rule pareto reads at most 16 columns; scores has 17: name those that it reads",
    ),
    "a column that is not there": (
        lambda: stepscore.vote(A, np.zeros((3, 2)), [0, 3], Rule("pareto", columns=[0, 2])),
        ValueError,
        "vote: pareto: columns must lie in [0, 2), for the columns of scores; got 2",
    ),
    "objective weights": (
        lambda: stepscore.vote(A, [[1, 2], [3, 4], [5, 6]], [0, 3], objectives(1)),
        ValueError,
        "vote: multi_objective: objective_weights must hold 2 numbers, one for each column that",
    ),
    "objective weights of columns": (
        lambda: stepscore.vote(A, np.zeros((3, 2)), [0, 3], objectives(1, 1, columns=[1])),
        ValueError,
        "vote: multi_objective: objective_weights must hold 1 number, one for each column that",
    ),
    "best_score of columns": (
        lambda: stepscore.vote(A, [[1, 2], [3, 4], [5, 6]], [0, 3], "pareto", ties="best_score"),
        ValueError,
        "vote: ties='best_score' needs one score per candidate; scores has 2 columns",
    ),
    "a NaN in a column": (
        lambda: stepscore.vote(A, [[1, 2], [3, np.nan], [5, 6]], [0, 3], "pareto"),
        ValueError,
        'vote: scores[1, 1] is NaN; pass nan="drop"',
    ),
    "prefixes that fall": (
        lambda: stepscore.vote(A, S, [0, 3], "majority", prefixes=[1, 3, 3]),
        ValueError,
        "vote: prefixes must be positive and ascend; prefixes[2] is 3 after 3",
    ),
    "prefix zero": (
        lambda: stepscore.vote(A, S, [0, 3], "majority", prefixes=[0, 3]),
        ValueError,
        "vote: prefixes must be positive and ascend; prefixes[0] is 0",
    ),
    "one prefix": (
        lambda: stepscore.vote(A, S, [0, 3], "majority", prefixes=8),
        TypeError,
        "vote: prefixes must be a list of numbers; got 8",
    ),
    "no prefixes": (
        lambda: stepscore.vote(A, S, [0, 3], "majority", prefixes=[]),
        ValueError,
        "vote: prefixes must hold at least one size; got an empty list",
    ),
    "nothing": (
        lambda: stepscore.vote(None, None, [0, 3], "majority"),
        ValueError,
        "vote: answer_ids and scores must not both be None",
    ),
    "id below -1": (
        lambda: stepscore.vote([0, -2, 1], S, [0, 3], "majority"),
        ValueError,
        "vote: answer_ids[1] is -2; ids are 0 or more, and -1 for a candidate without an answer",
    ),
    "ids of floats": (
        lambda: stepscore.vote([0.0, 1.0, 1.0], S, [0, 3], "majority"),
        TypeError,
        "vote: answer_ids must hold integers that fit int64; got float64",
    ),
    "ids of text": (
        lambda: stepscore.vote(["a", "b", "b"], S, [0, 3], "majority"),
        TypeError,
        "vote: answer_ids must hold numbers; got str",
    ),
    "ids rank": (
        lambda: stepscore.vote([A], S, [0, 3], "majority"),
        ValueError,
        "vote: answer_ids must have 1 dimension; got shape [1, 3]",
    ),
    "scores rank": (
        lambda: stepscore.vote(A, [[S]], [0, 3], "weighted"),
        ValueError,
        "vote: scores must have 1 dimension, or 2 with a column for each aggregation; got shape "
        "[1, 1, 3]",
    ),
    "scores of text": (
        lambda: stepscore.vote(A, ["a", "b", "c"], [0, 3], "weighted"),
        TypeError,
        "vote: scores must hold numbers; got str",
    ),
    "scores complex": (
        lambda: stepscore.vote(A, [1j, 1j, 1j], [0, 3], "weighted"),
        TypeError,
        "vote: scores must hold numbers; got complex128",
    ),
    "scores ragged": (
        lambda: stepscore.vote(A, [[0.1], [0.2, 0.3]], [0, 3], "weighted"),
        ValueError,
        "vote: scores must be an array; got a list that NumPy cannot read",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_named(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_every_level_runs_the_dictionary(levels):
    answers, scores, offsets = random_ballot(100, seed=5)
    for level in levels:
        _core.set_cpu_level(level)
        check(answers, scores, offsets, RULES, nan="drop")
