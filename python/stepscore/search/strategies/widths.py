"""Searches that keep all traces of a level, and give each its share of the width."""

from __future__ import annotations

from typing import cast

import numpy as np

from stepscore.ops.frontier import Arithmetic, rebase_allotment, top_k
from stepscore.search.strategies.parameters import check_multiple
from stepscore.search.tree import PendingNodes, Tree


def rebase(
    tree: Tree,
    *,
    width: int = 16,
    balance: float = 0.2,
    depth: int = 25,
    how: str = "last",
    arith: str = "float32",
) -> PendingNodes:
    r"""Reward-balanced search: every node gets children in proportion to :math:`e^{R / T}`.

    The best first, :math:`k_j = \lceil W e_j / S \rceil`, see `stepscore.rebase_allotment`. A
    trace that ends takes one from the width W for good. The answers vote with their scores.

    Args:
        tree: of the problems.
        width: W at the beginning.
        balance: T.
        depth: levels.
        how: makes R of the step scores; equal ones: the later first.
        arith: ``"float32"`` as the source, ``"float64"`` or ``"exact"``.

    Source: REBASE (arXiv 2408.00724), thu-wyz/inference_scaling, with its defaults.
    """
    left = np.full(len(tree.roots), width)
    nodes, counts, ended = tree.roots, left, tree.join()
    for _ in range(depth):
        children = yield from tree.grow(nodes, counts)
        if not len(children):
            break
        done = tree.ended(children)
        ended = tree.join(ended, children[done])
        left = left - tree.count(children[done])
        ended = tree.join(ended, tree.idle(nodes, children))
        nodes = children[~done]
        values, offsets = tree.values(nodes, how), tree.offsets(nodes)
        counts = rebase_allotment(
            values,
            offsets,
            np.maximum(left, 0),
            temperature=balance,
            arith=cast("Arithmetic", arith),
        )
        backwards = np.arange(len(nodes))[::-1]
        best_first = backwards[top_k(values[::-1], len(nodes) - offsets[::-1], len(nodes))[0]]
        best_first = best_first[np.argsort(tree.problem(nodes[best_first]), kind="stable")]
        nodes, counts = nodes[best_first], counts[best_first]
    return tree.join(ended, nodes)


def blocks(
    tree: Tree,
    *,
    n: int = 8,
    width: int = 2,
    block: int = 4096,
    depth: int = 4,
) -> PendingNodes:
    """Block-wise search by value: n / width traces draw `width` blocks each, the best go on.

    Of the continuations of a problem as many are kept as were continued; a trace that ends is
    frozen in its place. In the end the answers vote with the values of their traces.

    Args:
        tree: of the problems.
        n: continuations in a round, a multiple of `width`.
        width: continuations of a trace; n: breadth-first search.
        block: tokens of a block.
        depth: blocks of a response at most; the source has 16,384 / 4,096.

    Source: value-guided search (arXiv 2505.17373, kaiwenw/value-guided-search), with its defaults
    and its weighted majority vote; ties there are unspecified, here the first.
    """
    check_multiple(n=n, width=width)
    traces = tree.replicate(tree.roots, n // width)
    for _ in range(depth):
        active = traces[tree.open(traces)]
        children = yield from tree.grow(active, width, mode="block", max_tokens=block)
        if not len(children):
            break
        traces = tree.join(traces[~tree.open(traces)], tree.best(children, tree.count(active)))
    return traces
