"""Credit for ties, against all orders of the candidates one by one."""

from __future__ import annotations

import math
import sys
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest

from stepscore import Rule, reference
from stepscore.ops.vote_rule import RULES
from stepscore.ragged import offsets_of
from stepscore.voting import CandidateScores, TypedRule, VoteSettings, elect
from stepscore.voting.ties import agreements_of, credits_of, level

COLUMNS = ("last", "min", "score")
MORE = [
    Rule("minmax_weighted"),
    Rule("borda", power=2),
    Rule("hybrid_majority_reward", tau=0.5, consensus="share", reward="max"),
    Rule("hybrid_majority_reward", tau=0.8, consensus="entropy", reward="max"),
    Rule("hybrid_majority_reward", tau=0.9, consensus="share", reward="mean"),
    Rule("weighted_reward_frequency", reward_weight=0.5, normalize="sum"),
    Rule("multi_objective", objective_weights=[1, -0.5, 0], scale="none"),
]
# Every rule that there is, with its example, and further parameters.
EVERY = list(dict.fromkeys([*(info.example for info in RULES.values()), *MORE]))


@pytest.fixture(autouse=True)
def _sums_without_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an answer reaches must not depend on the order in which the oracle adds."""
    monkeypatch.setattr(sys.modules["stepscore.reference.vote"], "_sum", math.fsum)


def problems(seed: int, sizes: list[int], rule: Rule) -> tuple[CandidateScores, Any, Any]:
    """Problems in which many tie: scores, answers, and who is right, whatever the answer is."""
    rng = np.random.default_rng(seed)
    offsets = offsets_of(np.array(sizes, np.int64))
    n = int(offsets[-1])
    totals = rng.integers(0, 3, (n, len(COLUMNS))) / 2
    totals[: n // 2] = totals[: n // 2, :1]
    totals = -totals if rule.scores.kind == "log_probability" else totals
    totals[rng.random(totals.shape) < 0.08] = np.nan
    classes = rng.integers(-1, 3, n)
    right = np.where(rng.random(n) < 0.6, classes == 0, rng.random(n) < 0.5) & (classes >= 0)
    bounded = rule.scores.kind != "log_probability"
    scores = CandidateScores(
        offsets, np.empty(0), np.zeros(n + 1, np.int64), COLUMNS, totals, bounded
    )
    return scores, classes, right


def settings_of(*rules: Rule, tie_credit: Any = "share") -> VoteSettings:
    typed = tuple(TypedRule(repr(rule), rule) for rule in rules)
    return VoteSettings(typed, objectives=COLUMNS, tie_credit=tie_credit)


def winner_in(order: Any, rule: Rule, classes: Any, totals: Any, column: int) -> int:
    """Who wins when the candidates come in that order; -1 = nobody."""
    read = totals[order] if rule.info.reads == "columns" else totals[order, column]
    if rule.name in ("best_of_n", "crew") or decides_by_the_highest(rule, classes[order], read):
        # The first of the highest score, as argmax has it.
        read = np.where(np.isnan(read) | (classes[order] < 0), -np.inf, read)
        return int(order[np.argmax(read)]) if np.isfinite(read).any() else -1
    winner = reference.vote(classes[order], read, [0, len(order)], rule, nan="drop").winner.flat[0]
    return int(order[winner]) if winner >= 0 else -1


def decides_by_the_highest(rule: Rule, classes: Any, read: Any) -> bool:
    """Whether hybrid_majority_reward finds no consensus, and takes the highest score."""
    if rule.parameters.get("reward") != "max":
        return False
    counts = np.unique(classes[(classes >= 0) & ~np.isnan(read)], return_counts=True)[1]
    share = counts / counts.sum()
    if rule.parameters["consensus"] == "share":
        return bool(len(share) and share.max() < rule.parameters["tau"])
    entropy = -(share * np.log(share)).sum()
    return bool(len(share) > 1 and entropy / np.log(len(share)) > rule.parameters["tau"])


def orders_of(begin: int, end: int, size: int) -> Any:
    here = range(begin, min(begin + size, end))
    return [np.array(order) for order in permutations(here)]


@pytest.mark.parametrize("rule", EVERY, ids=repr)
def test_the_credit_is_the_share_of_all_orders(rule: Rule) -> None:
    scores, classes, right = problems(len(repr(rule)), [4, 4, 1, 4, 3, 5, 4, 4, 5], rule)
    known = np.ones(scores.problems, np.bool_)
    elections = elect(scores, classes, known, settings_of(rule), sizes=(3,))
    share = credits_of(scores, elections, right, known, "share")
    lose = credits_of(scores, elections, right, known, "lose")
    first = credits_of(scores, elections, right, known, "first")
    parted = 0
    for p, (begin, end) in enumerate(pairwise(scores.offsets.tolist())):
        for c, (s, size) in [(c, at) for c in range(2) for at in enumerate((3, 9))]:
            orders = orders_of(begin, end, size)
            winners = [winner_in(order, rule, classes, scores.totals, c) for order in orders]
            verdicts = [winner >= 0 and bool(right[winner]) for winner in winners]
            here = p, 0, c, s
            assert share[here] == pytest.approx(np.mean(verdicts), abs=1e-12)
            assert lose[here] == all(verdicts)
            if rule.name not in ("best_of_n", "crew", "hybrid_majority_reward"):
                assert first[here] == verdicts[0]
            parted += len(set(verdicts)) == 2
    assert parted >= 2  # the order mattered
    assert set(np.unique(first)) <= {0, 1}


def test_shares_that_are_whole_are_whole_to_the_last_bit() -> None:
    for rule in EVERY:
        scores, classes, right = problems(3, [7] * 60, rule)
        known = np.ones(60, np.bool_)
        elections = elect(scores, classes, known, settings_of(rule))
        share = credits_of(scores, elections, right, known, "share")
        lose = credits_of(scores, elections, right, known, "lose")
        assert ((share == 1) == (lose == 1)).all()


@pytest.mark.parametrize("a", EVERY, ids=repr)
def test_agreement_is_the_share_of_all_orders(a: Rule) -> None:
    parted = 0
    for b in (Rule("majority"), Rule("best_of_n"), Rule("borda")):
        if a == b:
            continue
        scores, classes, _ = problems(len(repr(a)) + 50, [4, 4, 3, 4, 4, 4], a)
        known = np.ones(scores.problems, np.bool_)
        elections = elect(scores, classes, known, settings_of(a, b))
        share = agreements_of(scores, elections, classes, [(1, 0)], "share")
        lose = agreements_of(scores, elections, classes, [(1, 0)], "lose")
        for p, (begin, end) in enumerate(pairwise(scores.offsets.tolist())):
            for c in range(2):
                if (elections.winner[p, :, c] < 0).any():
                    continue
                answers = [
                    [classes[winner_in(order, rule, classes, scores.totals, c)] for rule in (a, b)]
                    for order in orders_of(begin, end, 9)
                ]
                same = [x == y for x, y in answers]
                assert share[p, 0, c, 0] == pytest.approx(np.mean(same), abs=1e-12)
                assert lose[p, 0, c, 0] == all(same)
                parted += len(set(same)) == 2
    assert parted


@pytest.mark.parametrize("rule", EVERY, ids=repr)
def test_credit_does_not_depend_on_the_order_of_the_file(rule: Rule) -> None:
    # Decimals, whose sums do depend on it.
    scores, classes, right = problems(9, [8] * 40, rule)
    totals = np.round(scores.totals * 0.4 + 0.1, 1)
    rng = np.random.default_rng(1)
    found = []
    for flat in (np.arange(320), rng.permuted(np.arange(320).reshape(40, 8), axis=1).ravel()):
        shuffled = CandidateScores(
            scores.offsets, scores.values, scores.step_offsets, COLUMNS, totals[flat],
            scores.bounded,
        )  # fmt: skip
        known = np.ones(40, np.bool_)
        elections = elect(shuffled, classes[flat], known, settings_of(rule))
        found.append(
            [
                credits_of(shuffled, elections, right[flat], known, credit).tolist()
                for credit in ("share", "lose")
            ]
        )
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-12)


def test_sums_that_differ_by_rounding_alone_are_level() -> None:
    given = np.array([0.1, 0.2, 0.3, 0.3, 0.2, 0.1])[:, None]
    offsets, classes = np.array([0, 6]), np.array([0, 0, 0, 1, 1, 1])
    scores = CandidateScores(
        offsets, np.empty(0), np.zeros(7, np.int64), ("score",), given, bounded=False
    )
    rules = [Rule(name) for name in ("weighted", "majority", "best_of_n")]
    elections = elect(scores, classes, np.array([True]), settings_of(*rules))
    assert elections.tied[0, :, 0, 0].tolist() == [False, True, True]
    assert level(elections, offsets)[0, :, 0, 0].tolist() == [True, True, True]
    credit = credits_of(scores, elections, classes == 0, np.array([True]), "share")
    assert credit.ravel().tolist() == [0.5, 0.5, 0.5]


def test_candidates_alone_are_chosen_with_equal_chances() -> None:
    # Nothing to count: whole solutions with scores, of which three share the highest.
    given = np.array([0.5, 1.0, 1.0, 1.0, 0.0])[:, None]
    scores = CandidateScores(
        np.array([0, 5]), np.empty(0), np.zeros(6, np.int64), ("score",), given, bounded=False
    )
    nothing = np.full(5, -1)
    elections = elect(scores, nothing, np.array([False]), settings_of(Rule("best_of_n")))
    right = np.array([False, True, False, True, True])
    for credit, value in (("share", 2 / 3), ("first", 1.0), ("lose", 0.0)):
        given_credit = credits_of(scores, elections, right, np.array([True]), credit)  # type: ignore[arg-type]
        assert given_credit.ravel().tolist() == [pytest.approx(value)]


def test_no_problem_at_all() -> None:
    scores, classes, right = problems(1, [], Rule("majority"))
    nothing = np.zeros(0, np.bool_)
    elections = elect(scores, classes, nothing, VoteSettings())
    assert credits_of(scores, elections, right, nothing, "share").shape == (0, 3, 3, 1)
    assert agreements_of(scores, elections, classes, [(1, 0)], "share").shape == (0, 1, 3, 1)


def test_a_large_problem_is_worked_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, classes, right = problems(4, [5] * 30, Rule("borda"))
    known = np.ones(30, np.bool_)
    elections = elect(scores, classes, known, settings_of(Rule("borda"), Rule("majority")))
    whole = credits_of(scores, elections, right, known, "share")
    monkeypatch.setattr("stepscore.voting.leaders._BLOCK", 7)
    assert np.array_equal(credits_of(scores, elections, right, known, "share"), whole)
