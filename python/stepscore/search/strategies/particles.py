"""Particle filters: traces that are drawn again and again in proportion to their weights."""

from __future__ import annotations

from typing import cast

import numpy as np

from stepscore.ops.frontier import Resampling, Tempering, effective_sample_size, resample, tempering
from stepscore.search.strategies.parameters import check_choice, check_probabilities
from stepscore.search.tree import Ids, PendingNodes, Reals, Tree

_POTENTIALS = ("diff", "max", "add", "rt")
_MOST_LOG_POTENTIAL = float(np.log(1e10))


def particles(
    tree: Tree,
    *,
    n: int = 4,
    depth: int = 40,
    how: str = "last",
    clip: float = 1e-7,
    resampling: str = "multinomial",
    weight_temperature: float = 1.0,
    temper: str | None = None,
    temper_end: float = 1.0,
    finished: str = "compete",
) -> PendingNodes:
    r"""Particle filtering: after every step draw n particles by :math:`w = r^{1/T} (1 - r)^{-1/T}`.

    That is softmax(logit(r) / T), with r the score of the particle so far.

    Args:
        tree: of the problems.
        n: particles.
        depth: steps.
        how: makes r of the step scores.
        clip: r is taken as within [clip, 1 - clip].
        resampling: ``"multinomial"``, ``"systematic"``, ``"stratified"`` or ``"residual"``.
        weight_temperature: T.
        temper: None; or how T changes, over weights and t / depth: ``"ess"``, ``"entropy"``,
            ``"base"`` or ``"linear"``, see `stepscore.tempering`. ``linear`` goes from
            `weight_temperature` to `temper_end`.
        temper_end: the last T of ``linear``.
        finished: ``"compete"``: traces that have ended are drawn like the others, with their last
            weight, until all have ended; ``"leave"``: they are set aside, and as many are drawn as
            go on.

    Source: its_hub 1.2.0 (ParticleFiltering; ``temper="ess", resampling="systematic"`` is its
    EntropicParticleFiltering) with its clip; probabilistic-inference-scaling (arXiv 2502.01618)
    for n, depth and T.
    """
    check_choice("finished", finished, ("compete", "leave"))
    moving, resting = tree.replicate(tree.roots, n), tree.join()
    for t in range(depth):
        moving = yield from tree.step(moving)
        if finished == "leave":
            resting = tree.join(resting, moving[tree.ended(moving)])
            moving = moving[~tree.ended(moving)]
        log_weights = logit(tree.values(moving, how), clip)
        offsets = tree.offsets(moving)
        weights = _weights(log_weights / weight_temperature, offsets)
        if temper is not None:
            linear = temper == "linear"
            heat = tempering(
                weights,
                offsets,
                t / max(depth - 1, 1) if linear else (t + 1) / depth,
                how=cast("Tempering", temper),
                start=weight_temperature,
                end=temper_end,
            )
            heat = heat if linear else heat * weight_temperature
            weights = _weights(log_weights / np.repeat(heat, np.diff(offsets)), offsets)
        count = np.diff(offsets)
        draws = count if finished == "leave" else np.where(count > 0, n, 0)
        drawn, _ = resample(
            weights,
            offsets,
            draws,
            method=cast("Resampling", resampling),
            seed=tree.seed,
            keys=tree.keys,
            draw=t,
        )
        moving = moving[drawn]
        still = ~tree.moving(moving)
        resting, moving = tree.join(resting, moving[still]), moving[~still]
        if not len(moving):
            break
    return tree.join(resting, moving)


def particle_gibbs(
    tree: Tree,
    *,
    n: int = 4,
    sweeps: int = 2,
    depth: int = 40,
    how: str = "last",
    clip: float = 1e-7,
    resampling: str = "multinomial",
    weigh: str = "final",
) -> PendingNodes:
    """Particle filtering in sweeps: one trace of the last sweep takes part in the next.

    The reference is drawn by the final weights. Copies of it that are drawn at step t are cut there
    and go on by themselves.

    Args:
        tree: of the problems.
        n: particles in a sweep; from the second on n - 1 and the reference.
        sweeps: how many; the candidates are those of the last.
        depth: steps.
        how: makes the score of the step scores.
        clip: scores are taken as within [clip, 1 - clip].
        resampling: as in `particles`.
        weigh: the weight of the reference at step t: ``"final"``, that of its last step, or
            ``"ahead"``, that of its step t + 1, or its last where it is shorter.

    Source: ParticleGibbs of its_hub 1.2.0 (its budget is n times the sweeps, with one reference)
    for ``final``; probabilistic-inference-scaling, whose index is one ahead, for ``ahead``.
    """
    check_choice("weigh", weigh, ("final", "ahead"))
    reference = current = tree.join()
    for sweep in range(sweeps):
        free = n - 1 if sweep else n
        current = tree.replicate(tree.roots, free)
        resting = tree.join()
        for t in range(depth):
            current = yield from tree.step(current)
            known = reference[~np.isin(tree.problem(reference), tree.problem(resting))]
            population = tree.join(current, _at_depth(tree, known, t + 1))
            weighed = known if weigh == "final" else _at_depth(tree, known, t + 2)
            offsets = tree.offsets(population)
            values = tree.values(tree.join(current, weighed), how)
            weights = _weights(logit(values, clip), offsets)
            drawn, _ = resample(
                weights,
                offsets,
                np.where(np.diff(offsets) > 0, free, 0),
                method=cast("Resampling", resampling),
                seed=tree.seed,
                keys=tree.keys,
                draw=sweep * (depth + 1) + t,
            )
            current = population[drawn]
            still = ~tree.moving(current)
            resting, current = tree.join(resting, current[still]), current[~still]
            if not len(current):
                break
        current = tree.join(resting, current, reference)
        offsets = tree.offsets(current)
        weights = _weights(logit(tree.values(current, how), clip), offsets)
        drawn, _ = resample(
            weights,
            offsets,
            (np.diff(offsets) > 0).astype(np.int64),
            seed=tree.seed,
            keys=tree.keys,
            draw=sweep * (depth + 1) + depth,
        )
        reference = current[drawn]
    return current


def feynman_kac(
    tree: Tree,
    *,
    potential: str,
    strength: float,
    n: int = 4,
    depth: int = 40,
    every: int = 1,
    threshold: float | None = None,
    reward_min: float = 0.0,
    final: str = "reward",
) -> PendingNodes:
    r"""Particles drawn by the potentials of Feynman-Kac steering.

    With :math:`\lambda` the strength and :math:`r_t` the score at the t-th choice:

    - ``diff``: :math:`e^{\lambda (r_t - r_{t-1})}`
    - ``max``: :math:`e^{\lambda \max_s r_s}`
    - ``add``: :math:`e^{\lambda \sum_s r_s}`
    - ``rt``: :math:`e^{\lambda r_t}`

    clamped to at most 1e10, and all alike where all are 0, with :math:`r_0` = `reward_min` among
    the :math:`r_s`. At the last choice the latter three have
    :math:`e^{\lambda r_t} / \prod_s G_s`, over the potentials of the choices before that drew.

    Args:
        tree: of the problems.
        potential: a name of the list.
        strength: :math:`\lambda`.
        n: particles.
        depth: steps.
        every: steps between choices; the last is when all particles of a problem have ended.
        threshold: draw only where the effective sample size is below this share of n; else the
            particles stay, and this choice counts for nothing, be it the last. None: always.
        reward_min: :math:`r_0`.
        final: what stands for :math:`r_t` at the last choice: ``"reward"``, the reward itself, as
            in the paper; ``"running"``, with ``max`` and ``add`` their maximum and sum, as in the
            code.

    Source: Feynman-Kac steering (arXiv 2501.06848, zacharyhorvitz/Fk-Diffusion-Steering), whose
    code has 0.5 n for the threshold and 0 for :math:`r_0`. Unverified: taken from diffusion models
    to steps of reasoning; there all particles end together.
    """
    check_choice("potential", potential, _POTENTIALS)
    check_choice("final", final, ("reward", "running"))
    # Of every node: what its potentials know of the path, their product, and whether it was chosen.
    memory = np.full(len(tree.engine.value), np.nan)
    product, counted = np.ones(len(memory)), np.zeros(len(memory), bool)
    memory[tree.roots] = reward_min
    moving, resting = tree.replicate(tree.roots, n), tree.join()
    for t in range(1, depth + 1):
        moving = yield from tree.step(moving)
        fresh = moving[np.isnan(memory[moving])]
        before = tree.engine.parent[fresh]
        memory[fresh], product[fresh] = memory[before], product[before]
        last = ~tree.moving(moving) | (t == depth)
        chosen = last | (t % every == 0)
        due = chosen & ~counted[moving]
        reward, past = tree.values(moving), memory[moving]
        known = {
            "diff": reward,
            "max": np.maximum(past, reward),
            "add": past + reward,
            "rt": reward,
        }[potential]
        known = np.where(due, known, past)
        power = strength * (known - past if potential == "diff" else known)
        if potential != "diff":
            end = known if final == "running" else reward
            power = np.where(last, strength * end - np.log(product[moving]), power)
        gain = np.where(chosen, np.exp(np.minimum(power, _MOST_LOG_POTENTIAL)), 1.0)
        problem = tree.problem(moving)
        gain[(np.bincount(problem, gain, len(tree.roots)) == 0)[problem]] = 1.0
        memory[moving], counted[moving] = known, counted[moving] | due
        offsets = tree.offsets(moving)
        drawing = tree.count(moving[chosen]) > 0
        if threshold is not None:
            drawing &= effective_sample_size(gain, offsets) < threshold * n
        drawn, _ = resample(
            gain, offsets, np.where(drawing, n, 0), seed=tree.seed, keys=tree.keys, draw=t
        )
        product[moving] *= np.where(drawing[problem], gain, 1.0)
        moving = tree.join(moving[drawn], moving[~drawing[problem]])
        still = ~tree.moving(moving)
        resting, moving = tree.join(resting, moving[still]), moving[~still]
        if not len(moving):
            break
    return tree.join(resting, moving)


def logit(scores: Reals, clip: float) -> Reals:
    r"""Give :math:`\ln(r / (1 - r))` of scores clipped to [clip, 1 - clip].

    Raises:
        InputError: a score outside [0, 1].
    """
    check_probabilities(scores)
    clipped = np.clip(scores, clip, 1 - clip)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _weights(log_weights: Reals, offsets: Ids) -> Reals:
    """Their exponentials, the greatest of every problem 1."""
    filled = np.diff(offsets) > 0
    greatest = np.zeros(len(filled))
    if filled.any():
        greatest[filled] = np.maximum.reduceat(log_weights, offsets[:-1][filled])
    return np.asarray(np.exp(log_weights - np.repeat(greatest, np.diff(offsets))))


def _at_depth(tree: Tree, nodes: Ids, depth: int) -> Ids:
    """The node at that depth on the path to each node; itself where that is shorter."""
    path, offsets = tree.engine.path(nodes)
    return path[np.minimum(offsets[:-1] + depth, offsets[1:] - 1)]
