"""Step labels for the training of process reward models, by Monte Carlo estimates."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np

from stepscore.search.strategies.paths import run_on
from stepscore.search.tree import PendingNodes, Tree

# A state to estimate -> the share of right rollouts from it, and the nodes of the wrong ones.
_Estimates = Generator[int, tuple[float, list[list[int]]], float]


def omega_prm(
    tree: Tree,
    *,
    k: int = 16,
    searches: int = 20,
    rollouts: int = 200,
    alpha: float = 0.5,
    beta: float = 0.9,
    length: float = 500.0,
    c: float = 0.125,
    depth: int = 40,
) -> PendingNodes:
    r"""Find the first wrong steps of rollouts by binary search, and estimate states on the way.

    MC(s), of a state s, is the share of right ones among k rollouts from it. A search takes the
    state and the wrong rollout r with the greatest Q + U,

    .. math:: Q(s, r) = \alpha^{1 - MC(s)} \beta^{|r| / L}, \quad
              U(s) = c \frac{\sqrt{\sum_{s'} N(s')}}{1 + N(s)}

    with \|r\| its words and N the estimates of a state, out of the wrong rollouts from states with
    0 < MC < 1; ties: the first. It halves the rollout: the step in the middle is estimated; with
    MC = 0 the first wrong step is there or before, else behind it.

    Needs a judge. The candidates are all rollouts; `TreeNode.outcome` of a state is its MC.

    Args:
        tree: of the problems.
        k: rollouts of an estimate.
        searches: of a problem.
        rollouts: of a problem; no estimate begins when so many are drawn.
        alpha, beta, length, c: see above; length is L.
        depth: steps of a rollout at most.

    Source: OmegaPRM (arXiv 2406.06592), with the constants of openreasoner/openr (its v2). There
    priorities are computed when a rollout enters the pool; here they are those of the moment.
    """
    running: dict[int, _Estimates] = {}
    states: dict[int, int] = {}
    for problem, root in enumerate(tree.roots.tolist()):
        running[problem] = _searches(tree, root, searches, alpha, beta, length, c)
        states[problem] = next(running[problem])
    drawn, ends = np.zeros(len(tree.roots), np.int64), tree.join()
    while states:
        starts = np.array(list(states.values()), np.int64)
        last = yield from run_on(tree, np.repeat(starts, k), depth)
        correct = (yield from tree.judge(last[tree.ended(last)])).tolist()
        right = dict(zip(last[tree.ended(last)].tolist(), correct, strict=True))
        drawn += tree.count(last)
        ends = tree.join(ends, last)
        offsets = tree.offsets(last)
        for problem, state in list(states.items()):
            rollout_ends = last[offsets[problem] : offsets[problem + 1]]
            verdicts = [right.get(node, False) for node in rollout_ends.tolist()]
            if not verdicts:
                del states[problem]
                continue
            tree.outcome[state] = sum(verdicts) / len(verdicts)
            path, bounds = tree.engine.path(rollout_ends)
            below = int(tree.engine.depth[state]) + 1
            wrong = [
                path[bounds[i] + below : bounds[i + 1]].tolist()
                for i, is_right in enumerate(verdicts)
                if not is_right
            ]
            try:
                states[problem] = running[problem].send((tree.outcome[state], wrong))
            except StopIteration:
                del states[problem]
        for problem in np.flatnonzero(drawn >= rollouts).tolist():
            states.pop(problem, None)
    return ends


def _searches(
    tree: Tree, root: int, searches: int, alpha: float, beta: float, length: float, c: float
) -> _Estimates:
    """The searches of one problem; returns the MC of its root."""
    mc: dict[int, float] = {}
    estimates: dict[int, int] = {}
    pool: list[tuple[int, list[int], int]] = []

    def estimate(state: int) -> _Estimates:
        share, wrong = yield state
        mc[state] = share
        estimates[state] = estimates.get(state, 0) + 1
        if 0 < share < 1:
            for nodes in wrong:
                words = sum(len(tree.own_text[node].split()) for node in nodes)
                pool.append((state, nodes, words))
        return share

    def priority(place: int) -> float:
        state, _, words = pool[place]
        q: float = alpha ** (1 - mc[state]) * beta ** (words / length)
        return q + c * math.sqrt(sum(estimates.values())) / (1 + estimates[state])

    yield from estimate(root)
    for _ in range(searches):
        if not pool:
            break
        _, nodes, _ = pool.pop(max(range(len(pool)), key=priority))
        left, right = 0, len(nodes) - 1
        while left <= right:
            middle = (left + right) // 2
            if (yield from estimate(nodes[middle])) == 0:
                right = middle - 1
            else:
                left = middle + 1
    return mc[root]
