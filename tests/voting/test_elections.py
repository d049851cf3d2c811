"""All rules, columns and sizes in one call, against a call for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stepscore import Rule, vote
from stepscore.errors import InputError
from stepscore.voting import (
    CandidateScores,
    Elections,
    VoteSettings,
    candidate_scores,
    elect,
    parse_rules,
)

RULES = parse_rules(
    [
        "majority",
        "weighted",
        "best_of_n",
        "logodds_weighted",
        "confidence_weighted",
        "borda:power=2",
        "hybrid_majority_reward:tau=0.5,consensus=share,reward=max",
        "weighted_reward_frequency:reward_weight=0.5,normalize=sum",
        "pareto",
        "multi_objective:objective_weights=1:-0.5,scale=minmax",
    ]
)
SETTINGS = VoteSettings(RULES, objectives=("last", "score"))


def candidates(seed: int, *, low: float = 0.0) -> tuple[CandidateScores, Any, Any]:
    """Scores of 40 problems, classes of answers, and which problems have answers."""
    generator = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(generator.integers(1, 9, 40))])
    lengths = generator.integers(1, 5, offsets[-1])
    step_offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.round(generator.uniform(low, low + 1, step_offsets[-1]), 1)
    values[step_offsets[1:][generator.random(offsets[-1]) < 0.1] - 1] = np.nan
    given = np.round(generator.uniform(-1, 1, offsets[-1]), 1)
    has_answers = generator.random(40) < 0.9
    classes = generator.integers(-1, 3, offsets[-1])
    classes[~np.repeat(has_answers, np.diff(offsets))] = -1
    scores = candidate_scores(offsets, steps=(values, step_offsets), given=given, bounded=low == 0)
    return scores, classes, has_answers


def winner_of(
    scores: CandidateScores, classes: Any, problem: int, at: int, column: str, n: int
) -> tuple[int, float]:
    """The winner of one problem under one rule, by one column, among the first n candidates."""
    begin, end = scores.offsets[problem], scores.offsets[problem + 1]
    rule = RULES[at]
    columns = SETTINGS.objectives if rule.reads_columns else [column]
    read = scores.totals[begin:end, [scores.columns.index(name) for name in columns or ()]]
    ids = classes[begin:end]
    low, high = rule.rule.scores.low, rule.rule.scores.high
    voting = (ids >= 0) & ~np.isnan(read).any(axis=1)
    suited = all(rule.suits(name, bounded=scores.bounded) for name in columns or ())
    outside = ((read < low) | (read > high)).any(axis=1) if suited else np.ones(len(ids), bool)
    if rule.reads_scores and (voting & outside).any():
        return -1, np.nan
    here = slice(0, n)
    result = vote(
        ids[here],
        (read if rule.reads_columns else read[:, 0])[here] if rule.reads_scores else None,
        [0, len(ids[here])],
        rule.rule,
        nan="drop",
    )
    winner, score = result.winner.flat[0], result.score.flat[0]
    return (winner + begin if winner >= 0 else -1), score


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_elections_are_those_of_single_votes(low: float) -> None:
    scores, classes, has_answers = candidates(1, low=low)
    sizes = (1, 2, 5, 100)
    elections = elect(scores, classes, has_answers, SETTINGS, sizes=sizes)
    assert elections.size_at == (0, 1, 2, 3)
    seen = {True: 0, False: 0}
    for problem in np.flatnonzero(has_answers).tolist():
        for r, c in np.ndindex(len(RULES), len(scores.columns)):
            for size, at in zip(sizes, elections.size_at, strict=True):
                winner, score = winner_of(scores, classes, problem, r, scores.columns[c], size)
                assert elections.winner[problem, r, c, at] == winner
                assert np.array_equal(elections.score[problem, r, c, at], score, equal_nan=True)
                seen[winner >= 0] += 1
    assert min(seen.values()) > 1000


def test_without_answers_only_the_best_candidate_can_be_chosen() -> None:
    scores, classes, has_answers = candidates(2)
    elections = elect(scores, classes, has_answers, SETTINGS)
    alone = np.flatnonzero(~has_answers)
    assert len(alone)
    names = [rule.name for rule in RULES]
    others = [r for r, name in enumerate(names) if name != "best_of_n"]
    assert not elections.exists[np.ix_(alone, others)].any()
    assert (elections.winner[np.ix_(alone, others)] == -1).all()
    assert np.isnan(elections.margin[np.ix_(alone, others)]).all()
    assert not elections.tied[np.ix_(alone, others)].any()
    best = elections.winner[alone, names.index("best_of_n"), scores.columns.index("score"), -1]
    for problem, winner in zip(alone.tolist(), best.tolist(), strict=True):
        begin, end = scores.offsets[problem : problem + 2]
        assert winner == begin + np.argmax(scores.by("score")[begin:end])


def test_where_a_vote_means_nothing_there_is_none() -> None:
    scores, classes, has_answers = candidates(3, low=-1.0)
    elections = elect(scores, classes, has_answers, SETTINGS)
    gone = ~elections.exists
    assert gone.any()
    assert (elections.winner[gone] == -1).all()
    names = [rule.name for rule in RULES]
    # The step scores are no probabilities: prod is no column, and log odds of the others mean
    # nothing, but for the score of the whole solution.
    prod, last = scores.columns.index("prod"), scores.columns.index("last")
    assert not elections.exists[:, names.index("weighted"), prod].any()
    assert elections.exists[has_answers][:, names.index("majority"), prod].all()
    log_odds = names.index("logodds_weighted")
    voting = (classes >= 0) & ~np.isnan(scores.by("last"))
    some = [
        voting[begin:end].any()
        for begin, end in zip(scores.offsets, scores.offsets[1:], strict=False)
    ]
    assert elections.unfit[:, log_odds, last].tolist() == some


def test_scores_of_answers_are_given_when_asked_for() -> None:
    scores, classes, has_answers = candidates(4)
    elections = elect(scores, classes, has_answers, SETTINGS, class_scores=True)
    shape = (len(classes), len(RULES), len(scores.columns), 1)
    assert elections.class_scores is not None
    assert elections.class_scores.shape == shape
    counts = elections.class_scores[:, 0, 0, 0]
    assert np.isnan(counts[classes < 0]).all()
    assert elect(scores, classes, has_answers, SETTINGS).class_scores is None


def test_sizes_beyond_every_problem_are_all_the_same() -> None:
    scores, classes, has_answers = candidates(5)
    powers = tuple(2**n for n in range(31))
    elections = elect(scores, classes, has_answers, SETTINGS, sizes=powers)
    assert elections.winner.shape[-1] == 4  # 1, 2, 4 and all
    assert elections.size_at == (0, 1, 2, *[3] * 28)
    whole = elect(scores, classes, has_answers, SETTINGS)
    assert np.array_equal(whole.winner[..., -1], elections.winner[..., -1])


def test_objectives_must_be_there() -> None:
    scores, classes, has_answers = candidates(6, low=-1.0)
    settings = VoteSettings(parse_rules(["pareto"]), objectives=("last", "prod"))
    with pytest.raises(InputError, match="got prod; leave it out"):
        elect(scores, classes, has_answers, settings)


def test_nobody_votes() -> None:
    scores = candidate_scores(np.zeros(1, np.int64), given=np.empty(0), bounded=False)
    nobody = np.empty(0, np.int64)
    elections = elect(scores, nobody, np.empty(0, np.bool_), VoteSettings())
    assert isinstance(elections, Elections)
    assert elections.winner.shape == (0, 3, 1, 1)


def test_a_rule_of_columns_reads_its_objectives() -> None:
    (pareto,) = parse_rules(["pareto"])
    assert pareto.over([2, 0]) == Rule("pareto", columns=(2, 0))
    (weighted,) = parse_rules(["weighted"])
    assert weighted.over([2, 0]) == Rule("weighted")


def test_rules_that_choose_one_need_no_answers() -> None:
    rules = parse_rules(["majority", "weighted", "best_of_n", "crew"])
    scores = candidate_scores(np.array([0, 3]), given=np.array([0.2, 0.9, 0.9]), bounded=True)
    got = elect(scores, np.full(3, -1), np.array([False]), VoteSettings(rules))
    assert got.exists[0, :, 0].tolist() == [False, False, True, True]
    assert got.winner[0, :, 0, -1].tolist() == [-1, -1, 1, 1]
