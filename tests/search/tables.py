"""A policy and scorers that are tables: what they say is a function of the text and the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from stepscore.search import Continuation, ExpandRequest, ScoreRequest

# What every strategy needs beyond its defaults, kept small; shared by all tests of all of them.
SETTINGS: dict[str, dict[str, Any]] = {
    "best_of_n": {"n": 6},
    "self_consistency": {"n": 12, "stop_rule": "beta", "threshold": 0.8},
    "adaptive_n": {"n": 12, "confidence": 0.9},
    "beam": {"n": 6, "m": 3, "depth": 5},
    "beam_with_finished": {"n": 8, "width": 4, "depth": 6},
    "step_beam": {"width": 6, "beams": 2, "depth": 6},
    "outcome_beam": {"width": 6, "beams": 3, "depth": 5, "beta": 0.7},
    "dvts": {"n": 6, "m": 3, "depth": 5, "lookahead": 1},
    "lookahead_beam": {"n": 4, "m": 2, "depth": 5, "alpha": 0.6, "discount": 0.9},
    "rebase": {"width": 9, "depth": 6},
    "blocks": {"n": 6, "width": 3, "block": 7, "depth": 5},
    "early_rejection": {"n": 6, "m": 3, "tau": 5, "depth": 4},
    "adaptive_beam": {"n": 8, "width": 4, "every": 2, "depth": 4},
    "reward_sampling": {"n": 4, "m": 3, "beta": 2.0, "depth": 6},
    "particles": {"n": 5, "depth": 7},
    "particle_gibbs": {"n": 4, "sweeps": 3, "depth": 6},
    "feynman_kac": {"n": 5, "depth": 6, "potential": "max", "strength": 3.0},
    "greedy": {"m": 3, "accept": 0.45, "depth": 5, "expansions": 12},
    "pats": {"iterations": 8, "samples_of_mode": (5, 3, 2)},
    "refine": {"n": 3, "rounds": 2, "depth": 6},
    "mcts": {"simulations": 12, "m": 3, "leaves": 2},
    "best_first": {"expansions": 6, "m": 3, "beta": 0.5},
    "speculative": {"n": 4, "m": 3, "tau": 5, "reject": 0.3, "consistency": 0.5, "depth": 5},
    "omega_prm": {"k": 4, "searches": 5, "rollouts": 40, "depth": 6},
}


class Tables:
    """Policy, scorer, second scorer and judge.

    Args:
        seed: of the tables.
        ends: chance that a step is the last.
        digits: scores have so many; 1 makes many of them equal.
    """

    def __init__(self, seed: int = 0, *, ends: float = 0.25, digits: int = 9) -> None:
        self.seed, self.ends, self.digits = seed, ends, digits
        self.expanded: list[ExpandRequest] = []
        self.scored: list[ScoreRequest] = []

    def draw(self, *what: Any) -> random.Random:
        return random.Random(repr((self.seed, *what)))

    def sample(self, request: ExpandRequest, seed: int) -> Continuation:
        rng = self.draw(request.problem, request.steps, seed, request.temperature)
        text, ended, tokens = "", False, 0
        while not ended and tokens < request.max_tokens:
            ended = rng.random() < self.ends
            text += f"{rng.choice('abcdefgh') * rng.randint(1, 4)} "
            tokens += rng.randint(1, 3)
            if ended:
                text += f"The answer is {rng.randint(0, 3)}"
            text += "\n"
            if request.mode in ("step", "partial") and rng.random() < 0.7:
                break
        tokens = min(tokens, request.max_tokens)
        return Continuation(text, tokens, -rng.random(), ended)

    def policy(self, requests: Sequence[ExpandRequest]) -> list[list[Continuation]]:
        self.expanded += requests
        return [[self.sample(request, seed) for seed in request.seeds] for request in requests]

    def value_of(self, problem: str, steps: Sequence[str], what: str = "score") -> float:
        rng = self.draw(what, problem, "".join(steps))
        return round(rng.random(), self.digits)

    def scorer(self, requests: Sequence[ScoreRequest]) -> list[float | list[float]]:
        self.scored += requests
        return [
            [self.value_of(r.problem, r.steps[: k + 1]) for k in range(len(r.steps))]
            for r in requests
        ]

    def outcome(self, requests: Sequence[ScoreRequest]) -> list[float]:
        return [self.value_of(r.problem, r.steps, "outcome") for r in requests]

    def judge(self, requests: Sequence[ScoreRequest]) -> list[bool]:
        return ["The answer is 2" in "".join(r.steps) for r in requests]

    def arguments(self, strategy: str) -> dict[str, Any]:
        """What `search` needs to run a strategy on these tables."""
        models: dict[str, Any] = {"policy": self.policy, "scorer": self.scorer}
        if strategy in ("outcome_beam", "best_first"):
            models["value"] = self.outcome
        if strategy == "omega_prm":
            models["judge"] = self.judge
        return {**models, **SETTINGS[strategy]}
