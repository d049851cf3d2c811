"""What a search costs outside its models: 500 problems, and models that answer at once.

The name of each group tells the nodes: median / nodes is the cost of one. About half of it is the
garbage collector of Python, which looks at every request and answer again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from stepscore.search import Continuation, ExpandRequest, ScoreRequest, search

PROBLEMS = [f"problem {i}" for i in range(500)]


def policy(requests: Sequence[ExpandRequest]) -> list[list[Continuation]]:
    return [
        [Continuation(f"step {seed % 1000}\n", 8, -1.0, seed % 9 == 0) for seed in request.seeds]
        for request in requests
    ]


def scorer(requests: Sequence[ScoreRequest]) -> list[float]:
    return [(hash(request.steps[-1]) % 1000) / 1000 for request in requests]


@pytest.mark.parametrize(
    ("strategy", "parameters"),
    [
        ("beam", {"n": 16, "m": 4, "depth": 10}),
        ("particles", {"n": 16, "depth": 10}),
        ("rebase", {"width": 16, "depth": 10}),
        ("mcts", {"simulations": 40, "m": 4}),
    ],
)
def test_search(benchmark: Any, strategy: str, parameters: dict[str, Any]) -> None:
    result = search(PROBLEMS, strategy, policy, scorer, **parameters)
    nodes = sum(problem.costs.samples for problem in result)
    benchmark.group = f"{strategy}, 500 problems, about {round(nodes, -3):,} nodes"
    benchmark.pedantic(
        search, (PROBLEMS, strategy, policy, scorer), parameters, rounds=3, warmup_rounds=0
    )
