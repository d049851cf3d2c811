"""Tree searches that come back to nodes: Monte Carlo tree search, and best first."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from stepscore.ops import TreeSearch
from stepscore.ops.tree_search_rules import SelectionRule
from stepscore.search.strategies.beams import process_and_outcome
from stepscore.search.tree import Ids, PendingNodes, Tree


def mcts(
    tree: Tree,
    *,
    select: str = "puct",
    simulations: int = 100,
    m: int = 4,
    leaves: int = 1,
    **settings: Any,
) -> PendingNodes:
    """Monte Carlo tree search: select a leaf, draw m steps from it, score them, back up.

    The candidates are all scored traces that have ended; where there is none, all nodes. A root,
    which ``muzero`` and ``gumbel`` evaluate, has no step to score: its value is 0.

    Args:
        tree: of the problems.
        select: the rule: ``puct``, ``uct``, ``muzero``, ``gumbel``, ``openr``, ``alphamath``,
            ``rest_mcts``, ``masprm``, ``usail``, ``llm_reasoners``; formulas:
            `stepscore.TreeSearch.select`.
        simulations: per problem.
        m: continuations of a leaf.
        leaves: simulations in flight per problem; 1 is the sequential algorithm.
        settings: what the rule stands for, to change it: ``c``, ``prior``, ``max_depth``, ...

    Source: of the rules, see `stepscore.TreeSearch.select`.
    """
    engine = tree.engine
    rule = cast("SelectionRule", select)
    while engine.select(rule, simulations=simulations, samples=m, leaves=leaves, **settings):
        yield
    return _results(tree)


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
