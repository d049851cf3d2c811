"""Searches that score the beginning of a step, and finish only the best of them."""

from __future__ import annotations

import numpy as np

from stepscore.ops.frontier import top_k
from stepscore.search.strategies.parameters import check_choice, check_multiple
from stepscore.search.tree import Bools, Ids, PendingNodes, Tree


def early_rejection(
    tree: Tree,
    *,
    n: int = 16,
    m: int = 4,
    tau: int = 64,
    depth: int = 20,
    variant: str = "paper",
) -> PendingNodes:
    """Beam search that scores the first tokens of a step and finishes only the best of them.

    n beams draw `tau` tokens each; the best n / m of these finish their step and are copied to n.

    Args:
        tree: of the problems.
        n: beams, a multiple of m.
        m: n / m beams are kept; ties: the first.
        tau: tokens that are drawn before the choice.
        depth: steps.
        variant: ``"paper"``: n beams begin; one that ends is set aside, and its last step's score
            counts in the end. ``"code"``: the first round has m beginnings, later every beam draws
            m; steps that were finished are not scored again, and the score of the last beginning
            chooses in the end; a beam that has ended is gone when another of its problem goes on.

    Source: early rejection with partial reward models (arXiv 2508.01969) and its code,
    scheshmi/accelerated-reasoning-ER-PRM, with its defaults. In the code a step that came to its
    end within `tau` tokens is continued all the same; here it stands as it is.
    """
    check_multiple(n=n, m=m)
    check_choice("variant", variant, ("paper", "code"))
    if variant == "code":
        return (yield from _by_beginnings(tree, n, m, tau, depth))
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


def _by_beginnings(tree: Tree, n: int, m: int, tau: int, depth: int) -> PendingNodes:
    """Early rejection as in the code of its authors."""
    beams = tree.roots
    for _ in range(depth):
        moving = tree.moving(beams)
        if not moving.any():
            break
        begun = yield from tree.grow(beams[moving], m, mode="partial", max_tokens=tau)
        tree.worth[begun] = tree.values(begun)
        kept = tree.best(begun, n // m)
        whole = _whole_steps(tree, kept)
        finished = yield from tree.advance(kept[~whole])
        begin = np.where(np.isnan(tree.worth[finished]), tree.engine.parent[finished], finished)
        tree.worth[finished] = tree.worth[begin]
        end_of = dict(zip(begin.tolist(), finished.tolist(), strict=True))
        end_of.update(zip(kept[whole].tolist(), kept[whole].tolist(), strict=True))
        ended = tree.ended(kept)  # these come first, as there
        in_turn = tree.join(kept[ended], kept[~ended]).tolist()
        after = np.array([end_of[node] for node in in_turn if node in end_of], np.int64)
        gone_on = tree.count(after)[tree.problem(beams)] > 0
        beams = tree.join(beams[~gone_on], after)
    return tree.best(beams, n, np.where(np.isnan(tree.worth[beams]), -np.inf, tree.worth[beams]))


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
    The traces do not compete before the end: one that ends waits for the others.

    Args:
        tree: of the problems.
        n: traces.
        m: beginnings of a step.
        tau: tokens of a beginning.
        reject: see above.
        consistency: :math:`\kappa`; 0 orders by the reward alone.
        depth: steps.

    Source: after the idea of the speculative reward model (arXiv 2506.00396), not its algorithm.
    Of the paper this lacks the reward model that is trained to assign rewards to actions (any
    scorer takes its place); its formulas of the speculative reward, by which actions are accepted
    or pruned, and of reward consistency, by which they are ordered (the two above are unverified
    stand-ins); and the tree searches into which it is plugged: breadth first, depth first, Monte
    Carlo. That beginnings of steps are scored instead of whole actions is this library's.
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
    whole = _whole_steps(tree, nodes)
    finished = yield from tree.step(nodes[~whole])
    return tree.join(nodes[whole], finished)


def _whole_steps(tree: Tree, nodes: Ids) -> Bools:
    """Which of the nodes end a step."""
    return np.array([_ends_a_step(tree, node) for node in nodes.tolist()], bool)


def _ends_a_step(tree: Tree, node: int) -> bool:
    """Whether nothing is missing: the sample came to a stop text or to the end of the response."""
    text = tree.own_text.get(node, "")
    ends = tree.sampling.stop or ("\n",)
    return bool(tree.ended(np.array(node))) or text.endswith(ends)
