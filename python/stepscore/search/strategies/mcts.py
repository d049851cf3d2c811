"""Tree searches that come back to nodes: Monte Carlo tree search, and best first."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from stepscore.ops import TreeSearch
from stepscore.ops.tree_search_rules import SelectionRule
from stepscore.search.strategies.beams import BETA_ON, process_and_outcome
from stepscore.search.strategies.parameters import check_choice
from stepscore.search.tree import Ids, PendingNodes, Tree

# What a rule's authors take as candidates, and as values, where it is not the usual.
_DECODINGS = ("ended", "visited", "walk", "greatest_q", "greatest_v")
_DECODE = {
    "openr": "visited",
    "alphamath": "walk",
    "masprm": "greatest_q",
    "rest_mcts": "greatest_v",
}
_SQUASH = {"masprm": "tanh"}


def mcts(
    tree: Tree,
    *,
    select: str = "puct",
    simulations: int = 100,
    m: int = 4,
    leaves: int = 1,
    decode: str | None = None,
    beams: int = 3,
    squash: str | None = None,
    **settings: Any,
) -> PendingNodes:
    r"""Monte Carlo tree search: select a leaf, draw m steps from it, score them, back up.

    A root, which ``muzero`` and ``gumbel`` evaluate, has no step to score: its value is 0.

    Args:
        tree: of the problems.
        select: the rule: ``puct``, ``uct``, ``muzero``, ``gumbel``, ``openr``, ``alphamath``,
            ``rest_mcts``, ``masprm``, ``usail``, ``llm_reasoners``; formulas:
            `stepscore.TreeSearch.select`.
        simulations: per problem; in ``openr``, ``alphamath``, ``rest_mcts`` and ``masprm`` the
            first one expands the root, as in their loops, in the others it comes after that.
        m: continuations of a leaf.
        leaves: simulations in flight per problem; 1 is the sequential algorithm.
        decode: the candidates: ``"ended"``, all scored traces that have ended, and where there is
            none, all nodes; ``"visited"``, those of them that a simulation came to;
            ``"greatest_q"``, the one trace that follows the greatest :math:`Q = (W + v) / (n + 1)`
            down from the root; ``"greatest_v"``, the one trace of a node that passed the gate, else
            of the greatest V of all nodes (ties: the later); these two draw a trace that has not
            ended to its end; ``"walk"``, the ends of a beam search in the finished tree by
            :math:`Q = W / n`, 0 without visits, which Q chooses from; where it comes to none, as
            ``"ended"``. None: the rule's own, which is ``"visited"`` for ``openr``, ``"walk"`` for
            ``alphamath``, ``"greatest_q"`` for ``masprm``, ``"greatest_v"`` for ``rest_mcts``, else
            ``"ended"``.
        beams: of the walk; one that ends, or that has no children, leaves one place less.
        squash: ``"tanh"``: what the scorers say are logits z, taken as :math:`\tanh z`; ``"none"``:
            taken as it is. None: the rule's own, ``"tanh"`` for ``masprm``, else ``"none"``; with a
            scorer whose values are in [-1, 1] already pass ``"none"``.
        settings: what the rule stands for, to change it: ``c``, ``prior``, ``max_depth``, ...

    Source: of the rules, see `stepscore.TreeSearch.select`. ``masprm`` is MCTSInfer of
    milad1378yz/MASPRM; its outcome model is the second scorer, without which the score of the
    terminal is backed up. ``rest_mcts`` is MCTS_search of THUDM/ReST-MCTS with its value model,
    whose reflection is whether a trace has ended; in place of the summary that it asks for of an
    unfinished trace, the trace is drawn to its end. ``alphamath`` is the loop of Super_MARIO at
    inference, and the walk that of its offline_inference.py. ``openr`` is vanila_mcts of
    openreasoner/openr and compute-optimal-tts.
    """
    check_choice("decode", decode or "ended", _DECODINGS)
    check_choice("squash", squash or "none", ("none", "tanh"))
    engine = tree.engine
    rule = cast("SelectionRule", select)
    if (squash or _SQUASH.get(select)) == "tanh":
        tree.squash = math.tanh
    while engine.select(rule, simulations=simulations, samples=m, leaves=leaves, **settings):
        yield
    decode = decode or _DECODE.get(select, "ended")
    if decode == "ended":
        return _results(tree)
    if decode == "walk":
        return _walk(tree, beams)
    if decode == "visited":
        candidates = _results(tree)
        visited = candidates[engine.visits[candidates] > 0]
        without = tree.count(visited)[tree.problem(candidates)] == 0
        return tree.join(visited, candidates[without])
    chosen = _greatest_q(tree) if decode == "greatest_q" else _greatest_v(tree)
    whole = yield from tree.advance(chosen, mode="rollout")
    yield from tree.score(whole)
    begin = np.where(np.isin(whole, chosen), whole, engine.parent[whole])
    tree.worth[whole] = tree.worth[begin]
    return tree.join(whole, chosen[~np.isin(chosen, begin)])  # as they are, where that failed


def _walk(tree: Tree, beams: int) -> Ids:
    """The ends that a beam search by W / n in the finished tree comes to."""
    engine = tree.engine
    q = engine.value_sum / np.maximum(engine.visits, 1)
    ends = tree.join()
    for root in tree.roots.tolist():
        level, places, found = [root], beams, []
        while level:
            children = np.concatenate([_known_children(tree, node) for node in level])
            best = children[np.argsort(-q[children], kind="stable")][:places]
            found += best[tree.ended(best)].tolist()
            level = best[~tree.ended(best) & (engine.child_count[best] > 0)].tolist()
            places -= len(best) - len(level)
        ends = np.append(ends, np.array(found, np.int64))
    tree.worth[ends] = q[ends]
    results = _results(tree)
    return tree.join(ends, results[tree.count(ends)[tree.problem(results)] == 0])


def _greatest_q(tree: Tree) -> Ids:
    """The end of the path along the greatest (W + v) / (n + 1); ties: the first."""
    engine = tree.engine
    q = (engine.value_sum + engine.value) / (engine.visits + 1)
    ends = []
    for node in tree.roots.tolist():
        while len(children := _known_children(tree, node)):
            node = int(children[np.argmax(q[children])])
        tree.worth[node] = q[node]
        ends.append(node)
    return np.array(ends, np.int64)


def _greatest_v(tree: Tree) -> Ids:
    """The node that passed the gate, else that of the greatest V; ties: the later."""
    engine = tree.engine
    v = np.where(engine.visits > 0, engine.value_sum, engine.value)

    def best(node: int) -> int:
        top = node
        for child in _known_children(tree, node).tolist():
            below = best(child)
            top = below if v[below] >= v[top] else top
        return top

    ends = []
    for root, found in zip(tree.roots.tolist(), engine.found.tolist(), strict=True):
        end = found if found >= 0 else best(root)
        tree.worth[end] = v[end]
        ends.append(end)
    return np.array(ends, np.int64)


def _known_children(tree: Tree, node: int) -> Ids:
    """The children of a node that are scored and not out of the search."""
    if not tree.engine.child_count[node]:
        return tree.join()
    children = tree.engine.children(node)
    flags = tree.engine.flags[children]
    gone = TreeSearch.PRUNED | TreeSearch.DUPLICATE
    known: Ids = children[(flags & TreeSearch.SCORED != 0) & (flags & gone == 0)]
    return known


def best_first(
    tree: Tree,
    *,
    expansions: int = 40,
    m: int = 4,
    beams: int = 1,
    beta: float | None = None,
    beta_on: str = "outcome",
    how: str = "last",
) -> PendingNodes:
    r"""Best-first search: expand the open node with the greatest f.

    :math:`f = g`, the aggregate of the step scores, or with `beta` :math:`f = g + \beta h`, with h
    the outcome by the second scorer.

    A trace that has ended is a result when it is the best of all that is open, as in A*; the search
    ends with `beams` results, among which f chooses the answer.

    Args:
        tree: of the problems.
        expansions: of a problem at most.
        m: continuations of a node.
        beams: traces wanted.
        beta: weight; None: g alone.
        beta_on: ``"outcome"``, as written; ``"process"``: :math:`h + \beta g`.
        how: makes g of the step scores; ties: the lowest number.

    Source: A*; f as BiRM (chenwxOggai/BiRM) is described by others, which calls it A*-guided.
    """
    check_choice("beta_on", beta_on, BETA_ON)
    waiting, ended = tree.roots, tree.join()
    values = np.zeros(len(waiting))
    for _ in range(expansions):
        while True:  # take the best; those that have ended are results
            full = tree.count(ended)[tree.problem(waiting)] >= beams
            waiting, values = waiting[~full], values[~full]
            best = tree.best(waiting, 1, values)
            done = best[tree.ended(best)]
            if not len(done):
                break
            ended = tree.join(ended, done)
            keep = ~np.isin(waiting, done)
            waiting, values = waiting[keep], values[keep]
        children = yield from tree.grow(best, m)
        if not len(children):
            break
        if beta is None:
            new = tree.values(children, how)
        else:
            new = process_and_outcome(tree, children, beta, beta_on, how)
            tree.worth[children] = new
        keep = ~np.isin(waiting, best)
        nodes = np.concatenate([waiting[keep], children])
        order = np.argsort(nodes)
        waiting, values = nodes[order], np.concatenate([values[keep], new])[order]
    short = tree.count(ended)[tree.problem(waiting)] < beams
    return tree.join(ended, tree.best(waiting[short], beams, values[short]))


def _results(tree: Tree) -> Ids:
    """The scored traces that have ended; of a problem without one, all scored nodes."""
    flags = tree.engine.flags
    gone = TreeSearch.PRUNED | TreeSearch.DUPLICATE
    there = np.flatnonzero((flags & TreeSearch.SCORED != 0) & (flags & gone == 0))
    ended = there[tree.ended(there)]
    without = tree.count(ended)[tree.problem(there)] == 0
    return tree.join(ended, there[without])
