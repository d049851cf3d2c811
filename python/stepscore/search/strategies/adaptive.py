"""Beam search whose width follows the scores."""

from __future__ import annotations

import numpy as np

from stepscore.search.budget import adaptive_k, adaptive_m
from stepscore.search.strategies.beams import in_their_place
from stepscore.search.strategies.parameters import (
    check_choice,
    check_multiple,
    check_probabilities,
)
from stepscore.search.tree import PendingNodes, Tree


def adaptive_beam(
    tree: Tree,
    *,
    n: int = 64,
    width: int = 8,
    every: int = 5,
    depth: int = 8,
    adapt: str = "k",
    confidence: float = 0.99,
) -> PendingNodes:
    r"""Beam search that keeps as many beams, or draws as many samples, as success asks for.

    With :math:`N(p) = \lceil \ln(1 - q) / \ln(1 - p) \rceil`, see `stepscore.search.adaptive_k`
    and `adaptive_m`: ``adapt="k"`` keeps the fewest beams k with k width >= N(s_k) and continues
    each `width` times; ``"m"`` keeps n / width and continues each as often as the worst needs;
    ``"both"`` keeps as many as the first and continues each as often as the second.

    A beam that has ended keeps its score and its place: it is chosen or not like the others, counts
    in k and in the worst score, and draws nothing. A problem's search ends when all its beams have
    ended.

    Args:
        tree: of the problems.
        n: continuations in a round at most, a multiple of `width`.
        width: continuations of a beam at most.
        every: steps between two choices.
        depth: rounds of so many steps; of the last one all beams are candidates.
        adapt: ``"k"``, ``"m"`` or ``"both"``.
        confidence: q.

    Source: instance-adaptive scaling (young-j-park/prm-calibration), with its defaults, its
    interleave_K and interleave_M; its scores are low quantiles of a calibrated model. Ties: the
    first, as there.
    """
    check_multiple(n=n, width=width)
    check_choice("adapt", adapt, ("k", "m", "both"))
    limits = {"k_max": n // width, "m_max": width}
    beams, samples = tree.roots, np.full(len(tree.roots), n)
    for level in range(depth):
        moving = tree.moving(beams)
        if not moving.any():
            break
        live = beams[moving]
        children = yield from tree.expand(live, samples[moving])
        drawn = in_their_place(tree, live, children)
        for _ in range(every - 1):
            drawn = yield from tree.advance(drawn)
        drawn = yield from tree.score(drawn)
        values = tree.values(drawn)
        check_probabilities(values)
        if level == depth - 1:
            return tree.join(beams[~moving], drawn)
        kept = np.full(len(tree.roots), n // width)
        if adapt != "m":
            kept = adaptive_k(values, tree.offsets(drawn), confidence=confidence, **limits)
        drawn = tree.best(drawn, kept)
        beams = tree.join(beams[~moving], drawn)
        samples = np.full(len(beams), width)
        if adapt != "k":
            m = adaptive_m(tree.values(beams), tree.offsets(beams), confidence=confidence, **limits)
            samples = m[tree.problem(beams)]
    return beams
