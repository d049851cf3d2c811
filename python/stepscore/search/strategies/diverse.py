"""Beams that never meet, beams that look ahead, and beams that are drawn by their rewards."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from stepscore.ops.frontier import resample
from stepscore.search.strategies.parameters import check_multiple
from stepscore.search.tree import Ids, PendingNodes, Tree


def dvts(
    tree: Tree, *, n: int = 4, m: int = 4, depth: int = 40, how: str = "last", lookahead: int = 0
) -> PendingNodes:
    """Diverse verifier tree search: n / m beams that never meet, of m steps each.

    A beam of which a step failed is dropped. The candidates are all m traces of the last round of
    every beam.

    Args:
        tree: of the problems.
        n: samples in a round, a multiple of m.
        m: continuations of a beam.
        depth: rounds.
        how: makes the score of a trace of those of its steps; ties: the first.
        lookahead: greedy steps after which a continuation is judged instead.

    Source: dvts of huggingface/search-and-learn with its defaults.
    """
    check_multiple(n=n, m=m)
    beams, candidates = tree.replicate(tree.roots, n // m), tree.join()
    for level in range(depth):
        children = yield from tree.grow(beams, m)
        if not len(children):
            break
        ahead = yield from look_ahead(tree, children, lookahead)
        values = tree.values(ahead, how)
        candidates = tree.join(candidates, tree.idle(beams, children))
        beams = tree.join()
        for begin, end in pairwise(tree.draws(children)):
            if end - begin < m:
                continue
            best = children[begin + int(np.argmax(values[begin:end]))]
            if tree.open(best) and level < depth - 1:
                beams = np.append(beams, best)
            else:
                candidates = np.append(candidates, children[begin:end])
    return tree.join(candidates, beams)


def look_ahead(tree: Tree, nodes: Ids, steps: int) -> PendingNodes:
    """The scored node that each node comes to by greedy steps; itself where one fails."""
    ahead = nodes.copy()
    for _ in range(steps):
        after = yield from tree.expand(ahead, temperature=0.0)
        child_of = dict(zip(tree.engine.parent[after].tolist(), after.tolist(), strict=True))
        ahead = np.array([child_of.get(node, node) for node in ahead.tolist()], np.int64)
    scored = set((yield from tree.score(ahead)).tolist())
    pairs = zip(nodes.tolist(), ahead.tolist(), strict=True)
    return np.array([end if end in scored else node for node, end in pairs], np.int64)


def lookahead_beam(
    tree: Tree,
    *,
    n: int = 4,
    m: int = 4,
    depth: int = 40,
    lookahead: int = 1,
    discount: float = 1.0,
    alpha: float = 1.0,
) -> PendingNodes:
    r"""Beam search by a temporal-difference value: :math:`V + \alpha (\gamma^k V' - V)`.

    With V the score of a step and V' that of the node k greedy steps later. A trace that ends is
    set aside and takes no place; in the end it competes by the score of its last step.

    Args:
        tree: of the problems.
        n: beams, a multiple of m.
        m: continuations of each of the n / m beams that are kept; ties: the first.
        depth: rounds.
        lookahead: k; fewer where the response ends.
        discount: :math:`\gamma`.
        alpha: 1 takes the later score alone.

    Source: TD(k) of Sutton and Barto; lookahead search as in search-and-learn, which scores the
    text after the lookahead (``alpha=1, discount=1``). The mixture is unverified.
    """
    check_multiple(n=n, m=m)
    beams, ended, samples = tree.roots, tree.join(), n
    for _ in range(depth):
        children = yield from tree.grow(beams, samples)
        if not len(children):
            break
        samples = m
        ahead = yield from look_ahead(tree, children, lookahead)
        now, later = tree.values(children), tree.values(ahead)
        k = tree.engine.depth[ahead] - tree.engine.depth[children]
        values = now + alpha * (discount**k * later - now)
        done = tree.ended(children)
        ended = tree.join(ended, children[done], tree.idle(beams, children))
        beams = tree.best(children[~done], n // m, values[~done])
    return tree.join(ended, beams)


def reward_sampling(
    tree: Tree, *, n: int = 4, m: int = 4, beta: float = 1.0, depth: int = 40
) -> PendingNodes:
    r"""n traces; each draws m steps and takes one with probability :math:`\propto r^\beta`.

    The traces do not compete before the end: one that ends waits for the others.

    Args:
        tree: of the problems.
        n: traces.
        m: continuations among which one is drawn.
        beta: 0 draws evenly; the larger, the greedier. Scores below 0 count as 0.
        depth: steps.

    Source: the inference of a GFlowNet process reward model (arXiv 2504.19981), by the description
    of others.
    """
    traces, ended = tree.replicate(tree.roots, n), tree.join()
    for level in range(depth):
        children = yield from tree.grow(traces, m)
        if not len(children):
            break
        ended = tree.join(ended, traces[tree.ended(traces)], tree.idle(traces, children))
        bounds = tree.draws(children)
        weights = np.maximum(tree.values(children), 0) ** beta
        empty = np.add.reduceat(weights, bounds[:-1]) == 0
        weights[np.repeat(empty, np.diff(bounds))] = 1.0
        # The number of a batch's first node makes its draw its own.
        keys = tree.batch[children[bounds[:-1]]] % tree.engine.max_nodes
        keys += tree.keys[tree.problem(children[bounds[:-1]])]
        drawn, _ = resample(weights, bounds, 1, seed=tree.seed, keys=keys, draw=level)
        traces = children[drawn]
    return tree.join(ended, traces)
