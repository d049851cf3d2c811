"""Particle filtering on TreeSearch against its_hub: the same particles, and how long.

``python its_hub_particles.py``; needs its_hub. The step of a particle is the name of its place, its
score stands in a table by level and place, and both sides draw with the same random numbers, so
that their own time is all there is to measure.
"""

from __future__ import annotations

import asyncio
import bisect
import gc
import itertools
import statistics
import time
from typing import Any

import numpy as np
from its_hub.core.algorithms import particle_gibbs
from its_hub.core.algorithms.particle_gibbs import ParticleFiltering

import stepscore
from stepscore import TreeSearch

LEVELS = 16


TABLE = np.random.default_rng(0).random((LEVELS, 4096))


class Steps:
    """its_hub's step generator: the step of particle i is its place."""

    max_steps = LEVELS

    async def aforward(self, lm: Any, prompts: Any, steps: Any, **_: Any) -> Any:
        return [(f"{i}\n", len(own) + 1 == LEVELS) for i, own in enumerate(steps)]

    def _post_process(self, steps: list[str], stopped: bool) -> str:
        return "".join(steps)


class Scores:
    """its_hub's reward model."""

    def __init__(self) -> None:
        self.level = 0

    async def ascore(self, prompt: str, responses: list[str]) -> list[float]:
        scores: list[float] = TABLE[self.level, : len(responses)].tolist()
        self.level += 1
        return scores


class Draws:
    """``random.choices`` by the random numbers of `stepscore.resample`."""

    def __init__(self, particles: int) -> None:
        self.tree = TreeSearch(1, max_nodes=particles)
        self.draw = 0

    def choices(self, population: Any, weights: Any, k: int) -> list[Any]:
        total = list(itertools.accumulate(float(w) for w in weights))
        uniform = self.tree.uniform(np.arange(k), self.draw)
        self.draw += 1
        last = len(total) - 1
        return [population[bisect.bisect(total, u * total[-1], 0, last)] for u in uniform]


def theirs(particles: int) -> tuple[list[list[str]], float]:
    particle_gibbs.random = Draws(particles)
    gc.collect()
    begin = time.perf_counter()
    result = asyncio.run(
        ParticleFiltering(Steps(), Scores()).ainfer(
            None, "q", particles, return_response_only=False
        )
    )
    seconds = time.perf_counter() - begin
    return [response["content"] for response in result.responses], seconds


def ours(particles: int) -> tuple[list[str], float]:
    tree = TreeSearch(1, max_nodes=particles * LEVELS + 1)
    places, ones = np.zeros(particles, np.int64), np.arange(particles + 1)
    texts = [f"{i}\n" for i in range(particles)]
    gc.collect()
    begin = time.perf_counter()
    for level in range(LEVELS):
        tree.request_expand(places)
        children = tree.tell_expand(tree.ask(particles, 0).expand.tickets, ones, texts=texts)
        tree.request_score(children)
        tree.tell_score(tree.ask(0, particles).score.tickets, TABLE[level, :particles])
        score = np.clip(tree.value[children], 1e-7, 1 - 1e-7)
        weights = score / (1 - score)  # the softmax of log-odds
        drawn, _ = stepscore.resample(weights, [0, particles], particles, draw=level)
        places = children[drawn]
    seconds = time.perf_counter() - begin
    return tree.text(places), seconds


def main() -> None:
    """Print whether the particles are the same, and the times."""
    stepscore.set_num_threads(1)
    for particles in (8, 64, 256):
        sides = [[run(particles) for _ in range(12)][1:] for run in (theirs, ours)]
        same = all(a[0] == b[0] for a, b in zip(*sides, strict=True))
        medians = [statistics.median(seconds for _, seconds in side) * 1e3 for side in sides]
        print(
            f"{particles} particles x {LEVELS} levels: same {same}; its_hub {medians[0]:.1f} ms, "
            f"ours {medians[1]:.2f} ms, ratio {medians[0] / medians[1]:.0f}"
        )


if __name__ == "__main__":
    main()
