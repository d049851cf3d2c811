"""Searches that go level by level and keep the best nodes of each."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from stepscore.ops.frontier import rebase_allotment, resample, top_k
from stepscore.search.budget import adaptive_k, adaptive_m
from stepscore.search.tree import Ids, PendingNodes, Reals, Tree


def beam(
    tree: Tree,
    *,
    n: int = 4,
    m: int = 4,
    depth: int = 40,
    how: str = "last",
    duplicates: str = "keep",
) -> PendingNodes:
    """Beam search: n beams take a step each; the best n / m of them are copied to n again.

    A beam that ends is set aside. The last of `depth` rounds runs to the end of the response. The
    candidates are the first n beams that ended.

    Args:
        tree: of the problems.
        n: beams, a multiple of m.
        m: n / m beams are kept; ties: the first.
        depth: rounds.
        how: makes the score of a beam of those of its steps.
        duplicates: ``"drop"`` keeps one of equal beams; ``"keep"`` all.

    Source: beam_search of huggingface/search-and-learn with its defaults. There the order of equal
    scores is unspecified, and the beams that ended are repeated up to n, which changes no winner.
    """
    _check_multiple("beam", n, m)
    beams, ended = tree.replicate(tree.roots, n), tree.join()
    for level in range(depth):
        last = level == depth - 1
        beams = yield from tree.step(beams, mode="rollout" if last else "step")
        ended = tree.join(ended, beams[tree.ended(beams)])
        beams = beams[~tree.ended(beams)]
        if not tree.open(beams).any():
            break
        if duplicates == "drop":
            beams = tree.distinct(beams)
        kept = tree.best(beams, n // m, tree.values(beams, how))
        beams = tree.replicate(np.sort(kept), n)
    return _first(tree, tree.join(ended, beams), n)


def beam_with_finished(
    tree: Tree, *, n: int = 16, width: int = 4, depth: int = 40, how: str = "last"
) -> PendingNodes:
    """Beam search in which beams that have ended keep their score and their place.

    n / width beams begin; from then on the best `width` of all are copied, in turns, to n.

    Args:
        tree: of the problems.
        n: beams, a multiple of `width`.
        width: beams that are kept, best first; ties: the first.
        depth: rounds at most.
        how: makes the score of a beam of those of its steps.

    Source: BeamSearch of its_hub 1.2.0: its budget is n, its n / width copies of `width` beams.
    """
    _check_multiple("beam_with_finished", n, width)
    beams = tree.replicate(tree.roots, n // width)
    for _ in range(depth):
        moving = tree.moving(beams)
        if not moving.any():
            break
        moved = yield from tree.step(beams[moving])
        kept = tree.best(moved, width, tree.values(moved, how))
        copies = tree.replicate(kept, n // width * width)
        shorter = tree.count(kept) * (n // width)  # where some failed
        beams = tree.join(beams[~moving], _first(tree, copies, shorter))
    return beams


def step_beam(
    tree: Tree,
    *,
    width: int = 10,
    beams: int = 1,
    depth: int = 10,
    how: str = "last",
    duplicates: str = "drop",
) -> PendingNodes:
    """Beam search with shrinking width: every beam that ends leaves one place less.

    The root draws `width` steps, later each beam draws width / beams; the best of them, as many as
    there are beams that have not ended, go on.

    Args:
        tree: of the problems.
        width: continuations in a round, a multiple of `beams`.
        beams: traces wanted.
        depth: rounds at most.
        how: makes the score of a trace of those of its steps; ties: the first.
        duplicates: ``"drop"``: of equal traces the first stays; ``"keep"``: all.

    Source: c-o-tts (RyanLiu112/compute-optimal-tts) with its defaults; ``beams=1, width=5, depth=4,
    duplicates="keep"`` is the step-level beam search of AlphaMath (Super_MARIO, its B1 and B2).
    """
    _check_multiple("step_beam", width, beams)
    live, ended = tree.roots, tree.join()
    for level in range(depth):
        children = yield from tree.grow(live, width if level == 0 else width // beams)
        if not len(children):
            break
        live = tree.idle(live, children)
        if duplicates == "drop":
            children = tree.distinct(children)
        places = beams - tree.count(ended)
        kept = tree.best(children, places, tree.values(children, how))
        ended = tree.join(ended, kept[tree.ended(kept)])
        live = tree.join(live, kept[~tree.ended(kept)])
    return tree.join(ended, live)


def outcome_beam(
    tree: Tree,
    *,
    width: int = 20,
    beams: int = 4,
    depth: int = 10,
    beta: float = 1.0,
    beta_on: str = "process",
    how: str = "mean",
) -> PendingNodes:
    r"""Beam search by process and outcome: :math:`f = h + \beta g`.

    With h the `outcome` of a trace by the second scorer and g the aggregate of its step scores.

    Args:
        tree: of the problems.
        width: continuations in a round, a multiple of `beams`.
        beams: traces wanted; one that ends leaves one place less.
        depth: rounds at most.
        beta: weight.
        beta_on: ``"process"``, as written; ``"outcome"``: :math:`f = g + \beta h`, as in A*.
        how: makes g of the step scores.

    Source: BiRM (chenwxOggai/BiRM): defaults as in the code; its scripts use beta 1.5, 3.0 and 3.5.
    ``beta_on="outcome"`` follows the description of others.
    """
    _check_multiple("outcome_beam", width, beams)
    live, ended = tree.roots, tree.join()
    for level in range(depth):
        children = yield from tree.grow(live, width if level == 0 else width // beams)
        if not len(children):
            break
        live = tree.idle(live, children)
        children = tree.distinct(children)
        kept = tree.best(
            children,
            beams - tree.count(ended),
            process_and_outcome(tree, children, beta, beta_on, how),
        )
        ended = tree.join(ended, kept[tree.ended(kept)])
        live = tree.join(live, kept[~tree.ended(kept)])
    return tree.join(ended, live)


def process_and_outcome(tree: Tree, nodes: Ids, beta: float, beta_on: str, how: str) -> Reals:
    """The score f of `outcome_beam` and `best_first`."""
    process, outcome = tree.values(nodes, how), tree.outcome[nodes]
    if np.isnan(outcome).any():
        raise ValueError("search: the strategy needs a second scorer, of the outcome; pass value=")
    return outcome + beta * process if beta_on == "process" else process + beta * outcome


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
    _check_multiple("dvts", n, m)
    beams, candidates = tree.replicate(tree.roots, n // m), tree.join()
    for level in range(depth):
        children = yield from tree.grow(beams, m)
        if not len(children):
            break
        ahead = yield from look_ahead(tree, children, lookahead)
        values = tree.values(ahead, how)
        candidates = tree.join(candidates, tree.idle(beams, children))
        beams = tree.join()
        for begin, end in pairwise(_batches(tree, children)):
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
    pairs = zip(ahead.tolist(), nodes.tolist(), strict=True)
    return np.array([end if end in scored else own for end, own in pairs], np.int64)


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

    With V the score of a step and V' that of the node k greedy steps later.

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
    _check_multiple("lookahead_beam", n, m)
    beams, ended, samples = tree.roots, tree.join(), n
    for _ in range(depth):
        children = yield from tree.grow(beams, samples)
        if not len(children):
            break
        samples = m
        ahead = yield from look_ahead(tree, children, lookahead)
        own, later = tree.values(children), tree.values(ahead)
        k = tree.engine.depth[ahead] - tree.engine.depth[children]
        values = own + alpha * (discount**k * later - own)
        done = tree.ended(children)
        ended = tree.join(ended, children[done], tree.idle(beams, children))
        beams = tree.best(children[~done], n // m, values[~done])
    return tree.join(ended, beams)


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
            values, offsets, np.maximum(left, 0), temperature=balance, arith=arith
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
    frozen in its place.

    Args:
        tree: of the problems.
        n: continuations in a round, a multiple of `width`.
        width: continuations of a trace; n: breadth-first search.
        block: tokens of a block.
        depth: blocks of a response at most; the source has 16,384 / 4,096.

    Source: value-guided search (kaiwenw/value-guided-search), with its defaults; ties there are
    unspecified, here the first.
    """
    _check_multiple("blocks", n, width)
    traces = tree.replicate(tree.roots, n // width)
    for _ in range(depth):
        active = traces[tree.open(traces)]
        children = yield from tree.grow(active, width, mode="block", max_tokens=block)
        if not len(children):
            break
        traces = tree.join(traces[~tree.open(traces)], tree.best(children, tree.count(active)))
    return traces


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
    _check_multiple("early_rejection", n, m)
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
        kept = begun[top_k(rank, _batches(tree, begun), 1)[0]]
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
    _check_multiple("adaptive_beam", n, width)
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


def reward_sampling(
    tree: Tree, *, n: int = 4, m: int = 4, beta: float = 1.0, depth: int = 40
) -> PendingNodes:
    r"""n traces; each draws m steps and takes one with probability :math:`\propto r^\beta`.

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
        bounds = _batches(tree, children)
        weights = np.maximum(tree.values(children), 0) ** beta
        empty = np.add.reduceat(weights, bounds[:-1]) == 0
        weights[np.repeat(empty, np.diff(bounds))] = 1.0
        # The number of a batch's first node makes its draw its own.
        keys = tree.batch[children[bounds[:-1]]] % tree.engine.max_nodes
        keys += tree.keys[tree.problem(children[bounds[:-1]])]
        drawn, _ = resample(weights, bounds, 1, seed=tree.seed, keys=keys, draw=level)
        traces = children[drawn]
    return tree.join(ended, traces)


def _batches(tree: Tree, children: Ids) -> Ids:
    """Where the children of each request begin and end."""
    starts = np.flatnonzero(np.diff(tree.batch[children], prepend=-1))
    return np.append(starts, len(children))


def _first(tree: Tree, nodes: Ids, n: int | Ids) -> Ids:
    """The first n nodes of every problem."""
    offsets = tree.offsets(nodes)
    rank = np.arange(len(nodes)) - offsets[tree.problem(nodes)]
    return nodes[rank < np.broadcast_to(n, len(tree.roots))[tree.problem(nodes)]]


def _check_multiple(strategy: str, n: int, m: int) -> None:
    if m < 1 or n < m or n % m:
        raise ValueError(f"{strategy}: {n} must be a multiple of {m}, and both at least 1")
