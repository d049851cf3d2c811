"""Whole responses, drawn independently."""

from __future__ import annotations

import numpy as np

from stepscore.search.budget import next_samples, samples_needed, should_stop
from stepscore.search.strategies.parameters import check_probabilities
from stepscore.search.tree import PendingNodes, Tree


def best_of_n(tree: Tree, *, n: int = 16, how: str = "last") -> PendingNodes:
    r"""Draw n responses and score them: :math:`\arg\max_i s_i`.

    With ``rule="weighted"`` their answers vote with their scores.

    Args:
        tree: of the problems.
        n: responses.
        how: makes one score of the steps of a response.

    Source: "Let's Verify Step by Step" (arXiv 2305.20050).
    """
    return (yield from tree.grow(tree.roots, n, mode="rollout"))


def self_consistency(
    tree: Tree, *, n: int = 16, stop_rule: str | None = None, threshold: float | None = None
) -> PendingNodes:
    """Draw n responses, unscored; the most frequent answer wins.

    With a `stop_rule` they are drawn 2, 4, 8, ... in all, up to n, and a problem whose samples
    agree draws no more: adaptive consistency.

    Args:
        tree: of the problems.
        n: responses at most.
        stop_rule: None, ``"share"`` or ``"beta"``: see `stepscore.search.should_stop`.
        threshold: of the rule; None: its own.

    Source: self-consistency (arXiv 2203.11171); AdaptiveSelfConsistency and BetaSelfConsistency of
    its_hub.
    """
    if stop_rule is None:
        return (yield from tree.expand(tree.roots, n, mode="rollout"))
    drawn, requested = tree.join(), np.zeros(len(tree.roots), np.int64)
    stop = np.zeros(len(tree.roots), bool)
    while True:
        more = next_samples(requested, stop, budget=n)
        new = yield from tree.expand(tree.roots, more, mode="rollout")
        if not len(new):
            return drawn
        drawn, requested = tree.join(drawn, new), requested + more
        stop = should_stop(
            tree.answer_ids(drawn), tree.offsets(drawn), stop_rule, threshold=threshold
        )


def adaptive_n(
    tree: Tree, *, n: int = 64, confidence: float = 0.99, probe: int = 1, how: str = "last"
) -> PendingNodes:
    r"""Draw as many responses as make one right one likely.

    :math:`N = \lceil \ln(1 - q) / \ln(1 - p) \rceil`, at most n, with p the mean score of the
    first `probe` responses.

    Args:
        tree: of the problems.
        n: responses at most.
        confidence: q.
        probe: responses from which p is estimated; they count among the N.
        how: makes one score, a probability, of the steps of a response.

    Source: instance-adaptive scaling, prm-calibration, for N. Unverified: it reads p off a
    calibrated model before any response; `probe` takes that model's place.
    """
    first = yield from tree.grow(tree.roots, min(probe, n), mode="rollout")
    values, counts = tree.values(first, how), tree.count(first)
    check_probabilities(values)
    total = np.bincount(tree.problem(first), values, len(tree.roots))
    p = np.divide(total, counts, out=np.zeros_like(total), where=counts > 0)
    more = np.clip(samples_needed(p, confidence=confidence), None, n) - counts
    more = np.where(counts > 0, np.maximum(more, 0), 0)
    return tree.join(first, (yield from tree.grow(tree.roots, more, mode="rollout")))
