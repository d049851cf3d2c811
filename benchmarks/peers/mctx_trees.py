"""TreeSearch against mctx on a CPU: the same trees, and how long. ``python mctx_trees.py``

Needs mctx and jax. The world is a table: a node's logits, value and reward are functions of a
hash of its path, so that both sides see the same numbers whatever the order of their nodes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mctx
import numpy as np

import stepscore
from stepscore import TreeSearch

jax.config.update("jax_enable_x64", True)

MASK = np.uint64(0xFFFFFFFF)


def hashed(state: Any, action: Any, numbers: Any) -> Any:
    """A child's state, for NumPy and JAX alike; 32 bits in 64."""
    x = (state * numbers.uint64(747796405) + action * numbers.uint64(2891336453)) & numbers.uint64(
        MASK
    )
    x = ((x ^ (x >> numbers.uint64(16))) * numbers.uint64(0x45D9F3B)) & numbers.uint64(MASK)
    return x ^ (x >> numbers.uint64(13))


def number(state: Any, salt: int, numbers: Any) -> Any:
    """In [0, 1), of a state."""
    return hashed(state, numbers.uint64(salt), numbers).astype(numbers.float64) / 2.0**32


def looks(state: Any, actions: int, numbers: Any) -> tuple[Any, Any, Any]:
    """Reward of the step to the state, its value, logits of its actions ``[n, actions]``."""
    columns = [number(state, 100 + a, numbers) * 3 for a in range(actions)]
    logits = numbers.stack(columns, -1)
    return number(state, 1, numbers) * 0.2, number(state, 2, numbers), logits


def roots(batch: int) -> Any:
    return (np.arange(batch) * 7919 + 17).astype(np.uint64)


def mctx_search(rule: str, batch: int, actions: int, simulations: int) -> Callable[[], Any]:
    def recurrent(params: Any, key: Any, action: Any, state: Any) -> Any:
        state = hashed(state, action.astype(jnp.uint64), jnp)
        reward, value, logits = looks(state, actions, jnp)
        discount = jnp.ones_like(reward) * 0.9
        step = mctx.RecurrentFnOutput(
            reward=reward, discount=discount, prior_logits=logits, value=value
        )
        return step, state

    def run(state: Any) -> Any:
        _, value, logits = looks(state, actions, jnp)
        root = mctx.RootFnOutput(prior_logits=logits, value=value, embedding=state)
        key = jax.random.PRNGKey(0)
        if rule == "muzero":
            return mctx.muzero_policy(
                (), key, root, recurrent, simulations, dirichlet_fraction=0.0
            ).search_tree
        return mctx.gumbel_muzero_policy(
            (), key, root, recurrent, simulations, gumbel_scale=0.0
        ).search_tree

    compiled = jax.jit(run)
    states = jnp.asarray(roots(batch))
    return lambda: jax.block_until_ready(compiled(states))


def our_search(rule: str, batch: int, actions: int, simulations: int) -> tuple[TreeSearch, float]:
    """The tree and the seconds outside the world's tables."""
    tree = TreeSearch(batch, max_nodes=(simulations + 1) * actions + 1)
    state = np.zeros(len(tree.parent), np.uint64)
    state[tree.roots] = roots(batch)
    every = np.tile(np.arange(actions, dtype=np.uint64), batch)
    offsets = np.arange(0, batch * actions + 1, actions)
    seconds, clock = 0.0, time.perf_counter
    while True:
        begin = clock()
        tree.select(rule, simulations=simulations, samples=actions, discount=0.9, gumbel_scale=0.0)
        asked = tree.ask(batch, batch)
        seconds += clock() - begin
        if not len(asked.expand.tickets):
            return tree, seconds
        rewards, values, logits = looks(state[asked.expand.nodes], actions, np)
        logits = logits.ravel()
        begin = clock()
        children = tree.tell_expand(asked.expand.tickets, offsets, logprob=logits)
        tree.tell_score(asked.score.tickets, values, rewards)
        seconds += clock() - begin
        state[children] = hashed(np.repeat(state[asked.expand.nodes], actions), every, np)


def compare(theirs: Any, ours: TreeSearch, actions: int) -> tuple[int, int, float]:
    """Nodes of mctx, those that differ, and the greatest difference of a value."""
    nodes = differ = 0
    greatest = 0.0
    index, visits = np.asarray(theirs.children_index), np.asarray(theirs.node_visits)
    values, child_visits = np.asarray(theirs.node_values), np.asarray(theirs.children_visits)
    for p in range(len(visits)):
        waiting = [(0, int(ours.roots[p]))]
        while waiting:
            theirs_at, ours_at = waiting.pop()
            nodes += 1
            mean = ours.value_sum[ours_at] / ours.visits[ours_at]
            greatest = max(greatest, abs(mean - values[p, theirs_at]))
            children = ours.children(ours_at)
            same = visits[p, theirs_at] == ours.visits[ours_at] and np.array_equal(
                child_visits[p, theirs_at], ours.visits[children]
            )
            differ += not same
            waiting += [
                (int(index[p, theirs_at, a]), int(children[a]))
                for a in range(actions)
                if index[p, theirs_at, a] >= 0 and ours.visits[children[a]] > 0
            ]
    return nodes, differ, greatest


def main() -> None:
    """Print the comparison of trees, then of times."""
    stepscore.set_num_threads(1)
    for rule in ("muzero", "gumbel"):
        for actions, simulations in ((4, 60), (8, 200), (20, 100)):
            theirs = mctx_search(rule, 64, actions, simulations)()
            ours, _ = our_search(rule, 64, actions, simulations)
            nodes, differ, greatest = compare(theirs, ours, actions)
            print(
                f"{rule}, 64 problems, {actions} actions, {simulations} simulations: {nodes} nodes,"
                f" {differ} differ, values within {greatest:.1e}"
            )
    batch, actions, simulations = 64, 8, 200
    for rule in ("muzero", "gumbel"):
        search = mctx_search(rule, batch, actions, simulations)
        search()  # compiles
        ratios, theirs_us, ours_us = [], [], []
        for _ in range(7):
            begin = time.perf_counter()
            search()
            theirs_us.append((time.perf_counter() - begin) / (batch * simulations) * 1e6)
            ours_us.append(our_search(rule, batch, actions, simulations)[1])
            ours_us[-1] *= 1e6 / (batch * simulations)
            ratios.append(theirs_us[-1] / ours_us[-1])
        print(
            f"{rule}: mctx {statistics.median(theirs_us):.1f} us a simulation (its table in it), "
            f"ours {statistics.median(ours_us):.2f}, ratio {statistics.median(ratios):.0f} "
            f"({min(ratios):.0f} to {max(ratios):.0f})"
        )


if __name__ == "__main__":
    main()
