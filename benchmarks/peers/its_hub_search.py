"""Beam search and particle filters of `stepscore.search` against its_hub: the same responses.

``python its_hub_search.py``; needs its_hub. Steps and scores stand in tables: a step is a function
of the response so far and of its place among the requests of a round, a score of the response. The
particle filters draw with the same random numbers on both sides.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from its_hub.core.algorithms import particle_gibbs
from its_hub.core.algorithms.beam_search import BeamSearch
from its_hub.core.algorithms.particle_gibbs import (
    EntropicParticleFiltering,
    ParticleFiltering,
    ParticleGibbs,
)

from stepscore import TreeSearch
from stepscore.search import Continuation, ExpandRequest, ScoreRequest, search
from stepscore.search.driver.seeds import problem_keys

DEPTH = 12
TABLES = 200


def step(table: int, before: str, place: int) -> tuple[str, bool]:
    rng = random.Random(f"{table}/{before}/{place}")
    return f"{rng.randint(0, 10**6)}\n", rng.random() < 0.2 or before.count("\n") == DEPTH - 1


def score(table: int, response: str) -> float:
    return random.Random(f"score {table}/{response}").random()


class Steps:
    """its_hub's step generator."""

    max_steps = DEPTH

    def __init__(self, table: int) -> None:
        self.table = table

    async def aforward(self, lm: Any, prompts: Any, steps: Any, **_: Any) -> Any:
        return [step(self.table, "".join(own), i) for i, own in enumerate(steps)]

    def _post_process(self, steps: list[str], stopped: bool) -> str:
        return "".join(steps)


class Scores:
    """its_hub's reward model."""

    def __init__(self, table: int) -> None:
        self.table = table

    async def ascore(self, prompt: str, responses: list[str]) -> list[float]:
        return [score(self.table, response) for response in responses]


class Draws:
    """The random numbers of `stepscore.resample`, where its_hub takes those of Python or NumPy."""

    def __init__(self) -> None:
        self.tree = TreeSearch(1, max_nodes=64, keys=problem_keys(["q"]))
        self.draw = self.sweep = 0

    def choices(self, population: Any, weights: Any, k: int) -> list[Any]:
        if not k:
            return []
        total = list(itertools.accumulate(float(w) for w in weights))
        if k == 1:  # a reference at the end of a sweep
            self.draw = self.sweep * (DEPTH + 1) + DEPTH
            self.sweep += 1
        uniform = self.tree.uniform(np.arange(k), self.draw)
        self.draw = self.sweep * (DEPTH + 1) if k == 1 else self.draw + 1
        last = len(total) - 1
        return [population[bisect.bisect(total, u * total[-1], 0, last)] for u in uniform]

    def uniform(self, low: float, high: float) -> float:
        self.draw += 1
        return float(self.tree.uniform(np.array([0]), self.draw - 1)[0])


def ours(table: int, strategy: str, **parameters: Any) -> tuple[list[str], str]:
    def policy(requests: Sequence[ExpandRequest]) -> list[list[Continuation]]:
        drawn = [step(table, "".join(r.steps), i) for i, r in enumerate(requests)]
        # Its answers do not matter to its_hub: all have one here, too.
        return [[Continuation(text, 1, 0.0, ended, text)] for text, ended in drawn]

    def scorer(requests: Sequence[ScoreRequest]) -> list[float]:
        return [score(table, "".join(r.steps)) for r in requests]

    found = search(["q"], strategy, policy, scorer, depth=DEPTH, **parameters)[0]
    return [trace.text for trace in found.traces], found.traces[found.winner].text


def theirs(algorithm: Any, budget: int) -> tuple[list[str], str]:
    draws = Draws()
    particle_gibbs.random = draws  # type: ignore[attr-defined]
    np.random.uniform = draws.uniform  # type: ignore[assignment]
    result = asyncio.run(algorithm.ainfer(None, "q", budget, return_response_only=False))
    several = hasattr(result, "responses_lst")  # a list per sweep
    responses = result.responses_lst[-1] if several else result.responses
    return [response["content"] for response in responses], result.the_one["content"]


def main() -> None:
    cases: list[tuple[str, Any, int, str, dict[str, Any]]] = [
        ("beam 16, width 4", lambda t: BeamSearch(Steps(t), Scores(t), 4), 16,
         "beam_with_finished", {"n": 16, "width": 4}),
        ("beam 12, width 2", lambda t: BeamSearch(Steps(t), Scores(t), 2), 12,
         "beam_with_finished", {"n": 12, "width": 2}),
        ("particles 8", lambda t: ParticleFiltering(Steps(t), Scores(t)), 8,
         "particles", {"n": 8}),
        ("entropic 8", lambda t: EntropicParticleFiltering(Steps(t), Scores(t)), 8,
         "particles", {"n": 8, "temper": "ess", "resampling": "systematic"}),
        ("entropic 9, entropy", lambda t: EntropicParticleFiltering(
            Steps(t), Scores(t), temperature_method="entropy"), 9,
         "particles", {"n": 9, "temper": "entropy", "resampling": "systematic"}),
        ("Gibbs 3 x 6", lambda t: ParticleGibbs(Steps(t), Scores(t), num_iterations=3), 18,
         "particle_gibbs", {"n": 6, "sweeps": 3}),
    ]  # fmt: skip
    for name, algorithm, budget, strategy, parameters in cases:
        equal = sum(
            theirs(algorithm(table), budget) == ours(table, strategy, **parameters)
            for table in range(TABLES)
        )
        print(f"{name}: {equal} of {TABLES} tables give the same responses and winner")
        assert equal == TABLES, name


if __name__ == "__main__":
    main()
