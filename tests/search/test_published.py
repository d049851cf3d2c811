"""Strategies against their authors' loops, on 100 random tables each: ties and endings included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import authors
import pytest
from plain import Node, World, reduced
from tables import SETTINGS, Tables

from stepscore.errors import InputError
from stepscore.search import ProblemResult, SearchResult, search

PROBLEMS = [f"p{i}" for i in range(25)]
# Scores of one digit tie; steps end seldom, often, or all at once.
TABLES = [
    Tables(seed, digits=digits, ends=ends)
    for seed, (digits, ends) in enumerate([(9, 0.05), (1, 0.3), (1, 0.6), (1, 0.1)])
]


def run(table: Tables, strategy: str, *, outcome: bool = False, **parameters: Any) -> SearchResult:
    value = {"value": table.outcome} if outcome else {}
    return search(
        PROBLEMS, strategy, table.policy, table.scorer, seed=table.seed, **value, **parameters
    )


def runs(strategy: str, **parameters: Any) -> Iterator[tuple[World, ProblemResult]]:
    """100 tables: the world in which the authors' loop runs, and what was found in the same."""
    for table in TABLES:
        result = run(table, strategy, **parameters)
        for i, problem in enumerate(PROBLEMS):
            w = World(table, problem, table.seed)
            yield w, result[i]
            assert len(result.tree(i)) == w.count  # as many samples, under the same numbers


def numbers(nodes: list[Node]) -> list[int]:
    """Each node once, in order, without the root."""
    return list(dict.fromkeys(node.number for node in nodes if node.parent is not None))


def best(nodes: list[Node], value: Any) -> Node:
    """The best that has ended, the first of equal ones; else the best."""
    return max(nodes, key=lambda node: (node.ended, value(node)))


def check(found: ProblemResult, nodes: list[Node], value: Any) -> None:
    assert [trace.node for trace in found.traces] == numbers(nodes)
    winner = found.traces[found.winner]
    assert winner.node == best(nodes, value).number
    assert winner.worth == value(best(nodes, value))


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 6, "beams": 3, "depth": 5, "beta": 1.5},
        {"width": 6, "beams": 3, "depth": 5, "beta": 3.0, "how": "min", "duplicates": "drop"},
        {"width": 4, "beams": 4, "depth": 3, "beta": 0.0},
        {"width": 8, "beams": 2, "depth": 6, "beta": 0.5, "beta_on": "outcome"},
    ],
)
def test_outcome_beam_is_the_search_of_birm(settings: dict[str, Any]) -> None:
    beta, how = settings["beta"], settings.get("how", "mean")
    dedup = settings.get("duplicates") == "drop"

    def f(node: Node) -> float:
        g, h = reduced(node, how), node.outcome
        return g + beta * h if "beta_on" in settings else h + beta * g

    shape = {name: settings[name] for name in ("width", "beams", "depth")}
    other = 0
    for w, found in runs("outcome_beam", outcome=True, **settings):
        kept = authors.beam_with_values(w, value=f, dedup=dedup, **shape)
        check(found, kept, f)
        other += best(kept, lambda node: reduced(node, how)) is not best(kept, f)
    assert other > 0  # the process alone would choose another


def test_step_beam_with_finished_traces_is_the_search_of_ovm() -> None:
    shape = {"width": 10, "beams": 2, "depth": 5}
    for w, found in runs("step_beam", finished="compete", duplicates="keep", **shape):
        kept = authors.beam_with_values(w, value=authors.last_score, **shape)
        check(found, kept, authors.last_score)


@pytest.mark.parametrize("adapt", ["k", "m", "both"])
def test_adaptive_beam_is_instance_adaptive_scaling(adapt: str) -> None:
    shape = {"n": 12, "width": 4, "every": 2, "depth": 4}
    for w, found in runs("adaptive_beam", adapt=adapt, confidence=0.9, **shape):
        paths = authors.adaptive_beams(
            w, **shape, q=0.9, k_adapts=adapt != "m", m_adapts=adapt != "k"
        )
        winner = found.traces[found.winner]
        assert winner.node == best(paths, authors.last_score).number


def test_early_rejection_of_the_code() -> None:
    whole = 0
    for w, found in runs("early_rejection", n=8, m=4, tau=3, depth=4, variant="code"):
        beams = authors.partial_beam_search(w, 8, 4, 3, 4)
        assert [trace.node for trace in found.traces] == [node.number for node, _ in beams]
        assert [trace.worth for trace in found.traces] == [score for _, score in beams]
        winner = max(beams, key=lambda pair: (pair[0].ended, pair[1]))[0]
        assert found.traces[found.winner].node == winner.number
        whole += all(trace.complete for trace in found.traces)
    assert 0 < whole < 100


def test_blocks_vote_as_value_guided_search() -> None:
    other = 0
    for w, found in runs("blocks", n=8, width=2, block=3, depth=5):
        beams = authors.value_guided_search(w, 8, 2, 3, 5)
        assert [trace.node for trace in found.traces] == [node.number for node in beams]
        answer = authors.weighted_majority(beams)
        assert found.answer == answer
        other += answer is not None and answer != best(beams, authors.last_score).answer
    assert other > 0  # than the answer of the best


@pytest.mark.parametrize("potential", ["diff", "max", "add", "rt"])
@pytest.mark.parametrize(("threshold", "final"), [(None, "reward"), (0.5, "running")])
def test_feynman_kac_draws_at_the_end_only_as_documented(
    potential: str, threshold: float | None, final: str
) -> None:
    undrawn = 0
    settings = {"n": 4, "depth": 4, "potential": potential, "threshold": threshold, "final": final}
    for w, found in runs("feynman_kac", strength=4.0, **settings):
        particles = authors.feynman_kac_steps(w, strength=4.0, **settings)
        assert [trace.node for trace in found.traces] == [node.number for node in particles]
        undrawn += len(set(numbers(particles))) == 4
    assert undrawn > 0 or threshold is None


@pytest.mark.parametrize("strategy", ["best_of_n", "beam", "rebase", "mcts"])
def test_the_second_scorer_may_choose_in_every_strategy(strategy: str) -> None:
    differ = 0
    settings = {"outcome": True, "rule": "best_of_n", **SETTINGS[strategy]}
    for table in TABLES:
        by_value = run(table, strategy, choose="value", **settings)
        by_process = run(table, strategy, **settings)
        for i, found in enumerate(by_value):
            outcomes = {node.number: node.outcome for node in by_process.tree(i)}
            worths = [trace.worth for trace in found.traces]
            assert worths == [outcomes[trace.node] for trace in found.traces]
            ended = [k for k, trace in enumerate(found.traces) if trace.answer is not None]
            if ended:
                assert found.winner == max(ended, key=worths.__getitem__)
            differ += found.winner != by_process[i].winner
    assert differ > 10


def test_f_chooses_in_best_first_and_the_process_on_request() -> None:
    differ = 0
    for table in TABLES:
        settings = {"outcome": True, "beta": 2.0, "beams": 3, "m": 3, "expansions": 12}
        for by_f, by_process in zip(
            run(table, "best_first", **settings),
            run(table, "best_first", choose="process", **settings),
            strict=True,
        ):
            assert [t.node for t in by_f.traces] == [t.node for t in by_process.traces]
            ended = [i for i, trace in enumerate(by_f.traces) if trace.answer is not None]
            f = [trace.worth for trace in by_f.traces]
            g = [trace.score for trace in by_process.traces]
            if ended:
                assert by_f.winner == max(ended, key=f.__getitem__)
                assert by_process.winner == max(ended, key=g.__getitem__)
            differ += by_f.winner != by_process.winner
    assert differ > 10


@pytest.mark.parametrize(
    ("arguments", "argument", "message"),
    [
        ({"choose": "outcome"}, "choose", "one of process, value, or None; got 'outcome'"),
        ({"choose": "value"}, "value", "a second scorer, because choose='value'"),
        ({"choose": "process", "rule": "majority"}, "rule", "a rule that reads one score"),
        ({"choose": "process", "rule": "pareto"}, "rule", "a rule that reads one score"),
    ],
)
def test_who_cannot_choose(arguments: dict[str, Any], argument: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^search: {argument}: expected {message}"):
        run(TABLES[0], "best_of_n", **arguments)
