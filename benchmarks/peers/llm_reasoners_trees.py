"""TreeSearch's ``llm_reasoners`` rule against llm-reasoners: ``python llm_reasoners_trees.py``

Needs llm-reasoners (``pip install --no-deps llm-reasoners``) and tqdm; torch and transformers,
which its search does not use, are stubbed. The world is a table: a step's reward and whether it
ends are functions of a hash of its path.
"""

from __future__ import annotations

import statistics
import sys
import time
import types
import zlib
from importlib import import_module
from typing import Any

import numpy as np

import stepscore
from stepscore import TreeSearch


def searcher() -> Any:
    """llm-reasoners' MCTS; the stubs are gone when it is imported."""
    stubs = {name: types.ModuleType(name) for name in ("torch", "transformers")}
    stubs["transformers"].StoppingCriteriaList = list  # type: ignore[attr-defined]
    sys.modules.update(stubs)
    try:
        return import_module("reasoners.algorithm.mcts").MCTS
    finally:
        for name in stubs:
            del sys.modules[name]


MCTS = searcher()


def reward_of(path: str) -> float:
    return zlib.crc32(path.encode()) / 2**32


def ends(path: str) -> bool:
    return reward_of(path + "?") < 0.15


class World:
    """llm-reasoners' world model and configuration in one; a state is its path."""

    def __init__(self, name: str, actions: int) -> None:
        self.name, self.actions = name, actions

    def init_state(self) -> str:
        return self.name

    def step(self, state: str, action: str) -> tuple[str, dict[str, Any]]:
        return state + action, {}

    def is_terminal(self, state: str) -> bool:
        return ends(state)

    def get_actions(self, state: str) -> list[str]:
        return [f" {a}" for a in range(self.actions)]

    def fast_reward(self, state: str, action: str) -> tuple[float, dict[str, Any]]:
        return reward_of(state + action), {}

    def reward(self, state: str, action: str, **_: Any) -> tuple[float, dict[str, Any]]:
        return reward_of(state + action), {}


def theirs(names: list[str], actions: int, depth: int, iterations: int) -> list[Any]:
    search = MCTS(depth_limit=depth, n_iters=iterations)
    trees = []
    for name in names:
        world = World(name, actions)
        trees.append(search(world, world).tree_state)
    return trees


def ours(names: list[str], actions: int, depth: int, iterations: int) -> tuple[TreeSearch, float]:
    """The trees, and the seconds outside the world."""
    clock, seconds = time.perf_counter, 0.0
    tree = TreeSearch(len(names), max_nodes=iterations * depth * actions + 1)
    steps = [f" {a}" for a in range(actions)]
    path = dict(zip(tree.roots.tolist(), names, strict=True))
    while True:
        begin = clock()
        tree.select("llm_reasoners", simulations=iterations - 1, samples=actions, max_depth=depth)
        asked = tree.ask(len(names)).expand
        seconds += clock() - begin
        if not len(asked.tickets):
            return tree, seconds
        told = [path[node] + step for node in asked.nodes.tolist() for step in steps]
        terminal = np.array([ends(each) for each in told])
        rewards = np.array([reward_of(each) for each in told])
        begin = clock()
        offsets = np.arange(0, len(told) + 1, actions)
        children = tree.tell_expand(asked.tickets, offsets, terminal=terminal)
        score = tree.ask(0, len(told)).score
        tree.tell_score(score.tickets, np.zeros(len(told)), rewards)
        seconds += clock() - begin
        path.update(zip(children.tolist(), told, strict=True))


def differences(theirs: Any, ours: TreeSearch, node: int) -> tuple[int, int]:
    """Visited nodes of a tree, and those whose visits or value differ."""
    value = ours.reward[node] + ours.value_sum[node] / ours.visits[node]
    same = len(theirs.cum_rewards) == ours.visits[node]
    same &= abs(np.mean(theirs.cum_rewards) - value) < 1e-12
    nodes, differ = 1, int(not same)
    children = ours.children(node)
    for child, number in zip(theirs.children or [], children.tolist(), strict=False):
        if child.cum_rewards or ours.visits[number]:
            found = differences(child, ours, number) if ours.visits[number] else (1, 1)
            nodes, differ = nodes + found[0], differ + found[1]
    return nodes, differ


def main() -> None:
    """Print the comparison of trees, then of times."""
    stepscore.set_num_threads(1)
    names = [f"problem {i}" for i in range(64)]
    for actions, depth, iterations in ((3, 5, 10), (4, 8, 60), (8, 12, 100)):
        begin = time.perf_counter()
        trees = theirs(names, actions, depth, iterations)
        their_us = (time.perf_counter() - begin) / (len(names) * iterations) * 1e6
        runs = [ours(names, actions, depth, iterations) for _ in range(5)]
        our_us = statistics.median(seconds for _, seconds in runs) / (len(names) * iterations) * 1e6
        found = [
            differences(tree, runs[0][0], root)
            for tree, root in zip(trees, runs[0][0].roots.tolist(), strict=True)
        ]
        nodes, differ = (sum(column) for column in zip(*found, strict=True))
        print(
            f"{actions} actions, depth {depth}, {iterations} iterations, 64 problems: {nodes} "
            f"visited nodes, {differ} differ; llm-reasoners {their_us:.0f} us an iteration (its "
            f"table in it), ours {our_us:.1f}"
        )


if __name__ == "__main__":
    main()
