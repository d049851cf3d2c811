"""TreeSearch alone, its answers from tables, on one core, against a plain Python search.

The name of each group tells the simulations or the levels: median / them is the cost of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import stepscore
from stepscore import TreeSearch

PROBLEMS, CHILDREN, SIMULATIONS = 64, 8, 200
GROUP = f"{PROBLEMS} problems x {CHILDREN} children x {SIMULATIONS} simulations"


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    before = stepscore.num_threads()
    stepscore.set_num_threads(1)
    yield
    stepscore.set_num_threads(before)


def tables(rounds: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((rounds, width)), np.log(rng.random((rounds, width)))


VALUES, LOGPROBS = tables(SIMULATIONS + 1, PROBLEMS * CHILDREN)
OFFSETS = np.arange(0, PROBLEMS * CHILDREN + 1, CHILDREN)


def search(tree: TreeSearch, rule: str) -> None:
    for values, logprobs in zip(VALUES, LOGPROBS, strict=True):
        tree.select(rule, simulations=SIMULATIONS, samples=CHILDREN)
        asked = tree.ask(PROBLEMS, PROBLEMS)
        tree.tell_expand(asked.expand.tickets, OFFSETS, logprob=logprobs)
        score = asked.score.tickets
        if not len(score):
            score = tree.ask(0, PROBLEMS * CHILDREN).score.tickets
        tree.tell_score(score, values[: len(score)])


@pytest.mark.benchmark(group=GROUP)
@pytest.mark.parametrize("rule", ["puct", "uct", "muzero", "gumbel"])
def test_tree_search(benchmark: Any, rule: str) -> None:
    def fresh() -> tuple[tuple[TreeSearch, str], dict[str, Any]]:
        return (TreeSearch(PROBLEMS, max_nodes=(SIMULATIONS + 1) * CHILDREN + 1), rule), {}

    benchmark.pedantic(search, setup=fresh, rounds=9, warmup_rounds=1)


class Node:
    """What a user would write: a node with slots."""

    __slots__ = ("children", "parent", "prior", "value_sum", "visits")

    def __init__(self, parent: Node | None, prior: float) -> None:
        self.parent, self.prior = parent, prior
        self.children: list[Node] = []
        self.visits, self.value_sum = 0, 0.0


def plain_search() -> None:
    roots = [Node(None, 1.0) for _ in range(PROBLEMS)]
    own = [0.0] * PROBLEMS
    for simulation in range(SIMULATIONS + 1):
        values = VALUES[simulation].reshape(PROBLEMS, CHILDREN).tolist()
        priors = np.exp(LOGPROBS[simulation].reshape(PROBLEMS, CHILDREN))
        priors = (priors / priors.sum(1, keepdims=True)).tolist()
        for p, root in enumerate(roots):
            node = root
            while node.children:
                visits = node.visits
                growth = (math.log((visits + 19653) / 19652) + 1.25) * math.sqrt(visits)
                node = max(
                    node.children,
                    key=lambda c: (
                        (c.value_sum / c.visits if c.visits else 0.0)
                        + c.prior * growth / (1 + c.visits)
                    ),
                )
            node.children = [Node(node, prior) for prior in priors[p]]
            value, own[p] = own[p], values[p][0]
            up: Node | None = node
            while up is not None:
                up.visits += 1
                up.value_sum += value
                up = up.parent


@pytest.mark.benchmark(group=GROUP)
def test_plain_python_puct(benchmark: Any) -> None:
    benchmark.pedantic(plain_search, rounds=3)


PARTICLES, LEVELS = 256, 16


def particle_filter(tree: TreeSearch, values: np.ndarray, text: list[str]) -> np.ndarray:
    particles = np.zeros(PARTICLES, np.int64)
    ones = np.arange(PARTICLES + 1)
    for level in range(LEVELS):
        tree.request_expand(particles)
        tickets = tree.ask(PARTICLES, 0).expand.tickets
        children = tree.tell_expand(tickets, ones, texts=text)
        tree.request_score(children)
        tree.tell_score(tree.ask(0, PARTICLES).score.tickets, values[level])
        score = np.clip(tree.value[children], 1e-7, 1 - 1e-7)
        weights = score / (1 - score)  # exp of the log-odds
        drawn, _ = stepscore.resample(weights, [0, PARTICLES], PARTICLES, draw=level)
        particles = children[drawn]
    return particles


@pytest.mark.benchmark(group=f"particle filter, {PARTICLES} particles x {LEVELS} levels")
def test_particle_filter(benchmark: Any) -> None:
    def fresh() -> tuple[tuple[Any, ...], dict[str, Any]]:
        tree = TreeSearch(1, max_nodes=PARTICLES * LEVELS + 1)
        values, _ = tables(LEVELS, PARTICLES)
        return (tree, values, [f"step {i}\n" for i in range(PARTICLES)]), {}

    benchmark.pedantic(particle_filter, setup=fresh, rounds=20, warmup_rounds=1)


def large_search(tree: TreeSearch) -> None:
    while tree.select("puct", simulations=24, samples=8):
        tickets = tree.ask(1 << 20, 0).expand.tickets
        children = tree.tell_expand(tickets, np.arange(0, 8 * len(tickets) + 1, 8))
        tree.tell_score(tree.ask(0, 1 << 20).score.tickets, children % 1009 / 1009)


@pytest.mark.benchmark(group="10,000 problems x 8 children x 24 simulations")
def test_large_search(benchmark: Any) -> None:
    def fresh() -> tuple[tuple[TreeSearch], dict[str, Any]]:
        return (TreeSearch(10_000, max_nodes=201),), {}

    benchmark.pedantic(large_search, setup=fresh, rounds=3)
