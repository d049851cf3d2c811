"""Searches as their authors' loops run them, on tables: one problem, lists, nothing of the engine.

Each follows the published description, with the names it has there; what a language model would
sample comes from a `plain.World`, so that nodes have the same numbers as in the search under test.
"""

from __future__ import annotations

import math
from typing import Any

from plain import Node, World, reduced

from stepscore import reference

# --- beams in which finished traces compete ---------------------------------------------------


def beam_with_values(
    w: World, width: int, beams: int, depth: int, value: Any, dedup: bool = False
) -> list[Node]:
    """BiRM's and OVM's beam search: the kept sequences, the best first.

    Every kept sequence is continued width / beams times; one that has an end token stays as it is,
    as often. The top `beams` of all sequences are kept, until all of those have ended.
    """
    sequences = [w.root] * beams
    for _ in range(depth):
        candidates: list[Node] = []
        if sequences[0].parent is None:  # the copies of the question, in one request
            candidates = w.draw(w.root, width)
        else:
            for sequence in sequences:
                again = width // beams
                candidates += [sequence] * again if sequence.ended else w.draw(sequence, again)
        w.score(candidates)
        texts: set[str] = set()
        ranks = []  # where wanted, what repeats a text comes after all that does not
        for node in candidates:
            repeats = dedup and node.response in texts
            texts.add(node.response)
            ranks.append((repeats, -value(node)))
        order = sorted(range(len(candidates)), key=ranks.__getitem__)
        sequences = [candidates[i] for i in order[:beams]]
        if all(node.ended for node in sequences):
            break
    return sequences


def n_ias(p: float, q: float, shares: int = 1) -> int:
    p = max(1e-4, min(p, 1 - 1e-4))
    return math.ceil(math.log(1 - q) / math.log(1 - p) / shares)


def adaptive_beams(
    w: World, n: int, width: int, every: int, depth: int, q: float, k_adapts: bool, m_adapts: bool
) -> list[Node]:
    """Instance-adaptive scaling: the paths when its loop ends, and by their last score the best."""
    k_max = n // width
    paths = [w.root]
    step = 0
    while not all(node.ended for node in paths) and step < every * depth:
        counts = [1] * len(paths)
        if step == 0:
            counts = [n]
        elif step % every == 0:
            w.score(paths)
            ranked = sorted(paths, key=lambda node: -node.scores[-1])
            k = k_max
            if k_adapts:
                for k, node in enumerate(ranked, start=1):
                    if k == k_max or k * width >= n_ias(node.scores[-1], q):
                        break
            paths = ranked[:k]
            m = width
            if m_adapts:
                m = min(n_ias(min(node.scores[-1] for node in paths), q, k_max), width)
            counts = [m] * len(paths)
            if all(node.ended for node in paths):
                break
        paths = [
            after
            for node, count in zip(paths, counts, strict=True)
            for after in ([node] if node.ended else w.draw(node, count))
        ]
        step += 1
    return w.score(paths)


# --- early rejection --------------------------------------------------------------------------


def partial_beam_search(
    w: World, beams: int, width: int, tau: int, depth: int
) -> list[tuple[Node, float]]:
    """The beams of ER-PRM's code with the scores of their last beginnings, the best first."""
    all_beams: list[tuple[Node, float]] = [(w.root, 0.0)]
    for _ in range(depth):
        if all(node.ended for node, _ in all_beams):
            break
        begun = [
            (child, 0.0)
            for node, _ in all_beams
            if not node.ended
            for child in w.draw(node, width, "partial", tau)
        ]
        w.score([node for node, _ in begun])
        begun = [(node, node.scores[-1]) for node, _ in begun]
        top = sorted(begun, key=lambda pair: -pair[1])[: beams // width]
        completed = [pair for pair in top if pair[0].ended]
        for node, score in top:
            if not node.ended:
                whole = node.text.endswith("\n")
                completed.append((node if whole else w.one_step(node), score))
        if completed:
            all_beams = completed
    return sorted(all_beams, key=lambda pair: -pair[1])


# --- Feynman-Kac ------------------------------------------------------------------------------


def feynman_kac_steps(
    w: World,
    n: int,
    depth: int,
    potential: str,
    strength: float,
    threshold: float | None,
    final: str,
) -> list[Node]:
    """The particles of FKD when all have ended: rewards and products belong to the population."""
    particles = [w.root] * n
    population_rs, products, seen = [0.0] * n, [1.0] * n, [False] * n
    for t in range(1, depth + 1):
        moved = [w.one_step(node) for node in particles]
        seen = [a is b and was for a, b, was in zip(particles, moved, seen, strict=True)]
        particles = w.score(moved)
        terminal = t == depth or all(node.ended for node in particles)
        rs = []
        for node, before, was in zip(particles, population_rs, seen, strict=True):
            r = node.scores[-1]
            running = {"max": max(r, before), "add": r + before}.get(potential, r)
            rs.append(before if was else running)  # a trace that has ended has no new reward
        weights = []
        for r, before, product, node in zip(rs, population_rs, products, particles, strict=True):
            exponent = r - before if potential == "diff" else r
            weight = math.exp(strength * exponent)
            if terminal and potential != "diff":
                reached = r if final == "running" else node.scores[-1]
                weight = math.exp(strength * reached) / product
            weights.append(min(max(weight, 0.0), 1e10))
        if sum(weights) == 0:
            weights = [1.0] * n
        share = [weight / sum(weights) for weight in weights]
        population_rs, seen = rs, [True] * n
        if threshold is None or 1 / sum(x * x for x in share) < threshold * n:
            drawn, _ = reference.resample(weights, [0, n], n, seed=w.seed, keys=[w.key], draw=t)
            particles = [particles[i] for i in drawn]
            population_rs = [rs[i] for i in drawn]
            products = [products[i] * weights[i] for i in drawn]
        if all(node.ended for node in particles):
            break
    return particles


def last_score(node: Node) -> float:
    return reduced(node, "last")


# --- value-guided search ----------------------------------------------------------------------


def value_guided_search(w: World, n: int, width: int, block: int, depth: int) -> list[Node]:
    """The beams of VGS: those not finished become the best of all their continuations."""
    beams = [w.root] * (n // width)
    for _ in range(depth):
        going = [y for y in beams if not y.ended]
        if not going:
            break
        blocks = w.score([b for y in going for b in w.draw(y, width, "block", block)])
        best = sorted(blocks, key=lambda node: -node.scores[-1])[: len(going)]
        beams = [y for y in beams if y.ended] + best
    return beams


def weighted_majority(nodes: list[Node]) -> str | None:
    """The answer of the greatest sum of last scores; ties: the one that came first."""
    weights: dict[str, float] = {}
    for node in nodes:
        if node.answer is not None:
            weights[node.answer] = weights.get(node.answer, 0.0) + node.scores[-1]
    return max(weights, key=weights.__getitem__) if weights else None
