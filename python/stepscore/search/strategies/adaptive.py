"""Beam search whose width follows the scores."""

from __future__ import annotations

import numpy as np

from stepscore.search.budget import adaptive_k, adaptive_m
from stepscore.search.strategies.parameters import check_multiple, check_probabilities
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
    each `width` times; ``"m"`` keeps n / width and continues each as often as the worst needs.

    Args:
        tree: of the problems.
        n: continuations in a round at most, a multiple of `width`.
        width: continuations of a beam at most.
        every: steps between two choices.
        depth: choices.
        adapt: ``"k"`` or ``"m"``.
        confidence: q.

    Source: instance-adaptive scaling (prm-calibration), with its defaults; its scores are low
    quantiles of a calibrated model.
    """
    check_multiple(n=n, width=width)
    k_max = n // width
    beams, samples, ended = tree.roots, np.full(len(tree.roots), n), tree.join()
    for _ in range(depth):
        children = yield from tree.expand(beams, samples)
        for _ in range(every - 1):
            children = yield from tree.advance(children)
        children = yield from tree.score(children)
        if not len(children):
            break
        done = tree.ended(children)
        ended = tree.join(ended, children[done], tree.idle(beams, children))
        live = children[~done]
        values = tree.values(live)
        check_probabilities(values)
        offsets, limits = tree.offsets(live), {"k_max": k_max, "m_max": width}
        if adapt == "k":
            k = adaptive_k(values, offsets, confidence=confidence, **limits)
            beams = tree.best(live, k)
            samples = np.full(len(beams), width)
        else:
            beams = tree.best(live, k_max)
            m = adaptive_m(tree.values(beams), tree.offsets(beams), confidence=confidence, **limits)
            samples = m[tree.problem(beams)]
    return tree.join(ended, beams)
