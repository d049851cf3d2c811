"""Searches that score the beginning of a step, and finish only the best of them."""

from __future__ import annotations

import numpy as np

from stepscore.ops.frontier import top_k
from stepscore.search.strategies.parameters import check_multiple
from stepscore.search.tree import Ids, PendingNodes, Tree


def early_rejection(
    tree: Tree,
    *,
    n: int = 16,
    m: int = 4,
    tau: int = 64,
    depth: int = 20,
) -> PendingNodes:
    """Beam search that scores the first tokens of a step and finishes only the best of them.

    n beams draw `tau` tokens each; the best n / m of these finish their step and are copied to n.

    Args:
        tree: of the problems.
        n: beams, a multiple of m.
        m: n / m beams are kept; ties: the first.
        tau: tokens that are drawn before the choice.
        depth: steps.

    Source: early rejection with partial reward models (scheshmi/accelerated-reasoning-ER-PRM), with
    its defaults.
    """
    check_multiple(n=n, m=m)
    beams, ended = tree.replicate(tree.roots, n), tree.join()
    for _ in range(depth):
        if not tree.open(beams).any():
            break
        partial = yield from tree.step(beams, mode="partial", max_tokens=tau)
        kept = np.sort(tree.best(partial, n // m))
        kept = yield from _finish_steps(tree, kept)
        ended = tree.join(ended, kept[tree.ended(kept)])
        beams = tree.replicate(kept[~tree.ended(kept)], n)
    return tree.join(ended, beams)


def speculative(
    tree: Tree,
    *,
    n: int = 4,
    m: int = 4,
    tau: int = 64,
    reject: float,
    consistency: float,
    depth: int = 40,
) -> PendingNodes:
    r"""n traces; each begins m steps, prunes them by a speculative reward and finishes the best.

    The speculative reward :math:`\tilde r` of a step is that of its first `tau` tokens. Those below
    `reject` are pruned (unless all are); of the others the one with the greatest
    :math:`\tilde r - \kappa |\tilde r - r|` is finished, with r the score of the step before.

    Args:
        tree: of the problems.
        n: traces.
        m: beginnings of a step.
        tau: tokens of a beginning.
        reject: see above.
        consistency: :math:`\kappa`; 0 orders by the reward alone.
        depth: steps.

    Source: unverified: the speculative reward model (arXiv 2506.00396) accepts and rejects by a
    speculative reward and orders by reward consistency; its formulas are not known here.
    """
    traces, ended = tree.replicate(tree.roots, n), tree.join()
    for _ in range(depth):
        begun = yield from tree.grow(traces, m, mode="partial", max_tokens=tau)
        if not len(begun):
            break
        ended = tree.join(ended, traces[tree.ended(traces)], tree.idle(traces, begun))
        reward, before = tree.values(begun), tree.engine.value[tree.engine.parent[begun]]
        rank = reward - consistency * np.abs(reward - np.where(np.isnan(before), reward, before))
        rank[reward < reject] -= 2 * np.ptp(rank) + 1.0
        kept = begun[top_k(rank, tree.draws(begun), 1)[0]]
        traces = yield from _finish_steps(tree, kept)
    return tree.join(ended, traces)


def _finish_steps(tree: Tree, nodes: Ids) -> PendingNodes:
    """Draw and score the rest of the steps that were begun; whole ones stay."""
    whole = np.array([_ends_a_step(tree, node) for node in nodes.tolist()], bool)
    finished = yield from tree.step(nodes[~whole])
    return tree.join(nodes[whole], finished)


def _ends_a_step(tree: Tree, node: int) -> bool:
    """Whether nothing is missing: the sample came to a stop text or to the end of the response."""
    text = tree.own_text.get(node, "")
    ends = tree.sampling.stop or ("\n",)
    return bool(tree.ended(np.array(node))) or text.endswith(ends)
