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
from stepscore import _core, reference

RULES = ["majority", "weighted", "best_of_n"]


def ragged(sizes) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def assert_same(got, expected):
    for field, ours, theirs in zip(got._fields, got, expected, strict=True):
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
    names = list(inspect.signature(stepscore.vote).parameters)
    assert list(inspect.signature(reference.vote).parameters) == names[:-1]
    assert names[-1] == "stream"


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
    got = stepscore.vote([], [], [0], rule)
    assert all(field.shape == ((0,) if isinstance(rule, str) else (0, 3)) for field in got)
    assert [field.dtype for field in got] == [np.int64, np.int64, np.float64, np.bool_]


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
    expected = {"majority": (3, 2.0), "weighted": (1, 0.5), "best_of_n": (1, 0.5)}[rule]
    assert (got.winner[0], got.score[0]) == expected
    got = check([1, 2], [np.nan, np.nan], [0, 2], rule, nan="drop")
    assert got.winner.tolist() == [-1]


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
            for field, single in zip(together, alone, strict=True):
                assert bits(field[:, column]) == bits(single)


# --- the same answer everywhere -------------------------------------------------------------


def test_bits_over_levels_and_threads(levels):
    answers, scores, offsets = random_ballot(2000, seed=3)
    scores = np.nan_to_num(np.random.default_rng(0).standard_normal(len(scores)))

    def call():
        got = stepscore.vote(answers, scores, offsets, RULES, ties="best_score")
        return np.stack([field.astype(np.float64) for field in got])

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
        assert [field.dtype for field in got] == [
            torch.int64,
            torch.int64,
            torch.float64,
            torch.bool,
        ]
        assert [field.tolist() for field in got] == [field.tolist() for field in expected]


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
    winner, answer_id, score, tied = got = stepscore.vote([0], [0.5], [0, 1], "majority")
    assert isinstance(got, stepscore.VoteResult)
    assert (got.winner is winner, got.score is score) == (True, True)
    assert (answer_id.tolist(), tied.tolist()) == ([0], [False])


# --- errors ---------------------------------------------------------------------------------

A, S = [0, 1, 1], [0.1, 0.2, 0.3]

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
        "vote: unknown rule 'plurality'; choose from majority, weighted, best_of_n",
    ),
    "rule None": (
        lambda: stepscore.vote(A, S, [0, 3], None),
        TypeError,
        "vote: rule must be a name or a list of names; got None",
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
        lambda: stepscore.vote(A, [S], [0, 3], "weighted"),
        ValueError,
        "vote: scores must have 1 dimension; got shape [1, 3]",
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
