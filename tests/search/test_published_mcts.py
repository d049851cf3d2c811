"""Monte Carlo tree searches against their authors' loops, on 100 random tables each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import authors_mcts
import pytest
from plain import Node, World
from tables import Tables

from stepscore.search import (
    ExpandRequest,
    ProblemResult,
    ScoreRequest,
    SearchResult,
    TreeNode,
    search,
)

PROBLEMS = [f"p{i}" for i in range(25)]


class Eighths(Tables):
    """Scores that tie, and whose sums are exact: a mean of equal values is that value."""

    def value_of(self, problem: str, steps: Sequence[str], what: str = "score") -> float:
        return round(super().value_of(problem, steps, what) * 8) / 8


# Steps end seldom, often, or nearly all at once.
TABLES = [
    Eighths(0, ends=0.15), Tables(1, ends=0.3), Eighths(2, ends=0.6), Eighths(3, ends=0.9)
]  # fmt: skip


def runs(
    select: str, *, outcome: bool = False, **settings: Any
) -> Iterator[tuple[World, ProblemResult, list[TreeNode]]]:
    """100 tables: a world for the authors' loop, what was found, and the tree of it."""
    for table in TABLES:
        value = {"value": table.outcome} if outcome else {}
        result: SearchResult = search(
            PROBLEMS, "mcts", table.policy, table.scorer, seed=table.seed, select=select,
            **value, **settings,
        )  # fmt: skip
        for i, problem in enumerate(PROBLEMS):
            w = World(table, problem, table.seed)
            yield w, result[i], result.tree(i)
            assert [node.number for node in result.tree(i)] == [node.number for node in w.nodes]


def visits(tree: list[TreeNode]) -> dict[int, int]:
    return {node.number: node.visits for node in tree}


def decoded(w: World, found: ProblemResult, node: Node) -> None:
    """The one candidate is the authors' node, drawn to its end where it had none."""
    end = node if node.ended else w.draw(node, 1, "rollout")[0]
    assert [trace.node for trace in found.traces] == [end.number]
    assert found.text == end.response


@pytest.mark.parametrize(("c", "max_depth"), [(1.5, None), (1.25, 2)])
def test_alphamath_visits_as_super_mario(c: float, max_depth: int | None) -> None:
    stopped = walked = 0
    deep = {} if max_depth is None else {"max_depth": max_depth + 1}
    for w, found, tree in runs("alphamath", simulations=15, m=3, c=c, **deep):
        theirs = authors_mcts.super_mario(w, 15, 3, c=c, max_depth=max_depth or 10**9)
        assert visits(tree) == theirs.counts()
        stopped += len(theirs.children) < 15
        answers = authors_mcts.offline_inference(theirs, 3)
        if answers:
            assert {t.node for t in found.traces} == {node.number for node in answers}
            assert found.traces[found.winner].node == answers[0].number
        walked += bool(answers)
    assert stopped > 0
    assert walked > 50


@pytest.mark.parametrize("normalized", [True, False])
def test_openr_visits_as_vanila_mcts(normalized: bool) -> None:
    changes = {} if normalized else {"prior": "exp_of_mean"}
    for w, found, tree in runs("openr", simulations=10, m=3, max_depth=6, **changes):
        theirs, paths = authors_mcts.vanila_mcts(w, 10, 3, 6, normalized=normalized)
        assert visits(tree) == theirs.counts()
        ended = {node.number for node in paths if node.ended}
        if ended:
            assert {trace.node for trace in found.traces} == ended


@pytest.mark.parametrize("orm", [False, True])
def test_masprm_is_the_loop_of_its_authors(orm: bool) -> None:
    for w, found, tree in runs("masprm", simulations=10, m=3, outcome=True, ends=(
        "outcome" if orm else "score"
    )):  # fmt: skip
        theirs, node = authors_mcts.masprm(w, 10, 3, orm=orm)
        assert visits(tree) == {**visits(tree), **theirs.counts()}
        decoded(w, found, node)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({}, {}),
        ({"roll_steps": 3, "roll_branch": 2, "alpha": 0.25, "gate": 0.97, "c": 0.7},
         {"roll_steps": 3, "roll_samples": 2, "roll_weight": 0.25, "gate": 0.97, "c": 0.7}),
    ],
)  # fmt: skip
def test_rest_mcts_is_the_loop_of_its_authors(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    passed = 0
    for w, found, tree in runs("rest_mcts", simulations=8, m=3, **ours):
        loop, node = authors_mcts.rest_mcts(w, 8, 3, **theirs)
        assert visits(tree) == {**visits(tree), **loop.counts()}
        decoded(w, found, node)
        passed += found.traces[0].worth >= theirs.get("gate", 0.9)
    assert 0 < passed < 100


RULES = ["openr", "alphamath", "masprm", "rest_mcts"]


@pytest.mark.parametrize("select", RULES)
def test_a_journal_keeps_what_the_models_said(select: str, tmp_path: Path) -> None:
    tables = Tables(3)

    def run() -> SearchResult:
        return search(
            ["p", "q"], "mcts", tables.policy, tables.scorer, value=tables.outcome, select=select,
            simulations=6, m=3, journal=tmp_path / "journal",
        )  # fmt: skip

    first = run()
    asked = (len(tables.expanded), len(tables.scored))
    again = run()
    assert list(again) == list(first)
    assert [again.tree(i) for i in range(2)] == [first.tree(i) for i in range(2)]
    assert (len(tables.expanded), len(tables.scored)) == asked


@pytest.mark.parametrize("select", RULES)
@pytest.mark.parametrize("limit", [{"samples": 1}, {"samples": 10}, {"max_nodes": 9}, {}])
def test_what_fails_or_ends_early_leaves_candidates(select: str, limit: dict[str, int]) -> None:
    tables = Tables(5)

    def policy(requests: Sequence[ExpandRequest]) -> list[Any]:
        return [
            ValueError("no answer") if request.seeds[0] % 7 == 0 else answer
            for request, answer in zip(requests, tables.policy(requests), strict=True)
        ]

    def scorer(requests: Sequence[ScoreRequest]) -> list[Any]:
        return [
            ValueError("no score") if len("".join(request.steps)) % 9 == 0 else answer
            for request, answer in zip(requests, tables.scorer(requests), strict=True)
        ]

    for leaves in (1, 3):
        found = search(
            PROBLEMS, "mcts", policy, scorer, select=select, simulations=8, m=3, leaves=leaves,
            retries=0, **limit,
        )  # fmt: skip
        for one in found:
            assert one.traces or one.status != "done"
            assert one.costs.samples <= limit.get("samples", 10**9)
            assert one.winner in range(len(one.traces)) or not one.traces
        with_traces = sum(len(one.traces) > 0 for one in found)
        assert with_traces > 10  # a root whose samples failed has none
