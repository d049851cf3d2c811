"""By which rule the candidates of a search choose the answer: all rules, with their parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tables import Tables

from stepscore import Rule, reference
from stepscore.errors import InputError
from stepscore.ops.vote_rule import RULES
from stepscore.search import (
    Continuation,
    ExpandRequest,
    ProblemResult,
    ScoreRequest,
    SearchResult,
    search,
)

PROBLEMS = [f"problem {i}" for i in range(12)]
EXAMPLES = [
    info.example
    if name != "multi_objective"
    else Rule(name, objective_weights=(0.7, 0.3), scale="minmax")
    for name, info in RULES.items()
]


def run(rule: Any, strategy: str = "best_of_n", **changes: Any) -> SearchResult:
    # Scores of one digit are often equal.
    arguments = {**Tables(ends=0.6, digits=1).arguments(strategy), **changes}
    return search(PROBLEMS, strategy, rule=rule, **arguments)


def elected(result: ProblemResult, rule: Rule, outcomes: Sequence[float] | None = None) -> int:
    """The winner by the specification of the vote, one problem alone."""
    answers = [trace.answer for trace in result.traces]
    seen = list(dict.fromkeys(answer for answer in answers if answer is not None))
    ids = np.array([-1 if answer is None else seen.index(answer) for answer in answers])
    if rule.name == "best_of_n":
        ids = np.where(ids < 0, -1, np.arange(len(ids)))
    scores = np.array([trace.score for trace in result.traces])
    if rule.info.reads == "columns":
        columns = [scores] if outcomes is None else [scores, np.array(outcomes)]
        scores = np.stack(columns, axis=1)
    return int(np.ravel(reference.vote(ids, scores, [0, len(ids)], rule, nan="drop").winner)[0])


@pytest.mark.parametrize("rule", EXAMPLES, ids=lambda rule: rule.name)
def test_every_rule_with_its_parameters(rule: Rule) -> None:
    outcomes = None
    changes: dict[str, Any] = {"n": 12}
    if rule.name == "multi_objective":
        changes["value"] = Tables(digits=1).outcome
    if rule.name == "confidence_weighted":
        tables = Tables(ends=0.6, digits=1)
        changes["scorer"] = lambda requests: [
            [score - 1 for score in scores] for scores in tables.scorer(requests)
        ]
    result = run(rule, **changes)
    winners = []
    for i, chosen in enumerate(result):
        if "value" in changes:
            nodes = {node.number: node.outcome for node in result.tree(i)}
            outcomes = [nodes[trace.node] for trace in chosen.traces]
        assert chosen.winner == elected(chosen, rule, outcomes)
        assert chosen.answer == chosen.traces[chosen.winner].answer
        winners.append(chosen.winner)
    assert len(set(winners)) > 1
    assert [chosen.status for chosen in result] == ["done"] * len(PROBLEMS)


def test_a_name_is_a_rule_without_parameters() -> None:
    for name in ("weighted", "borda", "pareto"):
        assert list(run(name)) == list(run(Rule(name)))


def test_parameters_change_what_is_chosen() -> None:
    cold, hot = (
        run(Rule("softmax_weighted", temperature=temperature), n=20) for temperature in (0.01, 100)
    )
    assert cold.answers != hot.answers


def test_the_first_of_equal_candidates_wins_by_best_of_n() -> None:
    # The answer that came first is 1; the first candidate of the highest score says 2.
    answers, scores = ["1", "2", "1", "2"], [0.5, 0.9, 0.9, 0.1]

    def policy(requests: Sequence[ExpandRequest]) -> list[list[Continuation]]:
        return [[Continuation(f"The answer is {a}", 1, 0.0, True) for a in answers]] * len(requests)

    def scorer(requests: Sequence[ScoreRequest]) -> list[float]:
        return [scores[request.node - 1] for request in requests]

    for rule in (None, "best_of_n", Rule("best_of_n")):
        result = search(["p"], "best_of_n", policy, scorer, n=4, rule=rule)
        assert (result[0].winner, result[0].answer) == (1, "2")


@pytest.mark.parametrize("strategy", ["outcome_beam", "best_first"])
@pytest.mark.parametrize("columns", [None, (0,), (1,)])
def test_joint_rules_read_process_and_outcome(strategy: str, columns: Any) -> None:
    rule = Rule("pareto") if columns is None else Rule("pareto", columns=columns)
    result = run(rule, strategy)
    for i, chosen in enumerate(result):
        nodes = {node.number: node.outcome for node in result.tree(i)}
        winner = elected(chosen, rule, [nodes[trace.node] for trace in chosen.traces])
        if winner >= 0:
            assert chosen.winner == winner


def test_joint_rules_read_the_process_alone_without_a_second_scorer() -> None:
    result = run(Rule("pareto", columns=(0,)), n=12)
    assert list(result) == list(run("pareto", n=12))
    weights = Rule("multi_objective", objective_weights=(2.0,), scale="none")
    assert run(weights, n=12).answers == run("weighted", n=12).answers


@pytest.mark.parametrize(
    ("rule", "scores", "needs", "got"),
    [
        ("confidence_weighted", 0.5, "log probabilities, at most 0", "0.5"),
        ("logodds_weighted", 3.0, r"scores in \[0, 1\]", "3"),
        (Rule("loglik_weighted", prior=0.5, reliability=0.6, answers=4), -1.0, r"scores in", "-1"),
        (
            Rule("weighted_reward_frequency", reward_weight=0.5, normalize="sum"),
            -0.25,
            "finite scores of at least 0",
            "-0.25",
        ),
    ],
)
def test_scores_that_a_rule_cannot_use(rule: Any, scores: float, needs: str, got: str) -> None:
    name = rule if isinstance(rule, str) else rule.name
    with pytest.raises(
        InputError,
        match=f"^search: rule: expected {needs}.*, which {name} reads; got {got} by how='last'; "
        "pass another rule, or another how$",
    ):
        run(rule, scorer=lambda requests: [scores] * len(requests))


def test_unscored_candidates_take_no_part() -> None:
    for rule in ("weighted", "pareto", "confidence_weighted"):
        result = run(rule, "self_consistency")
        for chosen in result:
            assert all(math.isnan(trace.score) for trace in chosen.traces)
            complete = [i for i, trace in enumerate(chosen.traces) if trace.complete]
            assert chosen.winner == complete[0]
