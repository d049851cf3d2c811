"""Every strategy against plain Python: the same nodes, scores, candidates, winner and costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import plain
import pytest
from plain import World
from sweep import SWEEP
from tables import SETTINGS, Tables

from stepscore.search import STRATEGIES, search

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *[(strategy, {}) for strategy in STRATEGIES],
    ("best_of_n", {"how": "min"}),
    ("self_consistency", {"stop_rule": "share", "threshold": 0.6, "n": 16}),
    ("adaptive_n", {"probe": 3, "how": "mean", "confidence": 0.99}),
    ("beam", {"how": "min", "duplicates": "drop"}),
    ("beam", {"how": "prod", "n": 4, "m": 4}),
    ("beam", {"n": 8, "m": 2, "depth": 3, "how": "mean"}),
    ("beam_with_finished", {"n": 9, "width": 3, "how": "min"}),
    ("step_beam", {"width": 5, "beams": 1, "depth": 4, "duplicates": "keep"}),
    ("step_beam", {"width": 12, "beams": 4, "how": "mean"}),
    ("outcome_beam", {"beta_on": "outcome", "beta": 2.0, "how": "min"}),
    ("outcome_beam", {"duplicates": "drop"}),
    ("outcome_beam", {"finished": "leave", "duplicates": "drop"}),
    ("dvts", {"lookahead": 0, "how": "min"}),
    ("dvts", {"n": 8, "m": 2, "lookahead": 2}),
    ("lookahead_beam", {"lookahead": 3, "alpha": 1.0}),
    ("rebase", {"width": 16, "balance": 0.05, "how": "min"}),
    ("rebase", {"arith": "float64", "width": 5}),
    ("rebase", {"arith": "exact", "width": 12}),
    ("blocks", {"n": 4, "width": 4, "block": 3}),
    ("early_rejection", {"n": 8, "m": 2, "tau": 2}),
    ("adaptive_beam", {"adapt": "m", "confidence": 0.8}),
    ("adaptive_beam", {"every": 1, "confidence": 0.6}),
    ("reward_sampling", {"beta": 0.0, "n": 2}),
    ("speculative", {"reject": 0.9, "consistency": 0.0}),
    ("speculative", {"reject": 0.5, "consistency": 2.0}),
    ("particles", {"resampling": "systematic", "temper": "ess"}),
    ("particles", {"temper": "entropy", "n": 9, "how": "min"}),
    ("particles", {"temper": "base", "resampling": "stratified", "n": 8}),
    ("particles", {"temper": "linear", "weight_temperature": 3.0, "temper_end": 0.5}),
    ("particles", {"finished": "leave", "resampling": "residual"}),
    ("particle_gibbs", {"n": 2, "sweeps": 4}),
    ("particle_gibbs", {"n": 6, "sweeps": 2, "weigh": "ahead", "how": "min"}),
    ("feynman_kac", {"potential": "diff", "strength": 2.0}),
    ("feynman_kac", {"potential": "add", "strength": 1.0, "every": 2}),
    ("feynman_kac", {"potential": "rt", "strength": 5.0, "threshold": 0.5}),
    ("feynman_kac", {"potential": "max", "strength": 30.0, "every": 3}),
    ("greedy", {"accept": 0.7}),
    ("greedy", {"accept": 0.0, "depth": 2}),
    ("pats", {"mode": 2, "penalties": 2}),
    ("pats", {"samples_of_mode": (1, 1, 1), "iterations": 25}),
    ("refine", {"locate": "lowest", "threshold": 0.3, "how": "mean"}),
    ("mcts", {"select": "uct", "leaves": 1}),
    ("mcts", {"select": "rest_mcts", "leaves": 4, "decode": "ended"}),
    ("mcts", {"select": "openr", "leaves": 3, "decode": "ended"}),
    ("mcts", {"select": "masprm", "leaves": 2, "decode": "ended", "squash": "none"}),
    ("mcts", {"select": "gumbel", "considered": 3}),
    ("mcts", {"select": "alphamath", "max_depth": 3, "leaves": 1, "decode": "ended"}),
    ("best_first", {"beta": None, "how": "min", "beams": 2}),
    ("best_first", {"beta": 1.5, "beta_on": "process", "expansions": 20, "beams": 3}),
    ("omega_prm", {"k": 8, "rollouts": 100, "searches": 3}),
    ("omega_prm", {"beta": 0.1, "length": 5.0, "alpha": 0.9}),
]  # fmt: skip

RULES = {"self_consistency": "majority", "omega_prm": "majority", "adaptive_n": "weighted",
         "rebase": "weighted", "blocks": "weighted"}  # fmt: skip


def name(value: Any) -> str:
    return value if isinstance(value, str) else "-".join(f"{k}={v}" for k, v in value.items())


def worth(strategy: str, settings: dict[str, Any], how: str) -> Callable[[plain.Node], float]:
    """By what the strategy chooses: f where it knows the outcome, else the process."""
    beta, by_outcome = settings.get("beta"), settings.get("beta_on", "process") == "outcome"
    if strategy == "best_first":
        by_outcome = settings.get("beta_on", "outcome") == "outcome"
    if strategy not in ("outcome_beam", "best_first") or beta is None:
        return lambda node: plain.reduced(node, how)
    if by_outcome:
        return lambda node: plain.reduced(node, how) + beta * node.outcome
    return lambda node: node.outcome + beta * plain.reduced(node, how)


def winner(nodes: list[plain.Node], value: Callable[[plain.Node], float], rule: str) -> plain.Node:
    """The first node of the answer that wins, or the best there is."""
    with_answer = [node for node in nodes if node.answer is not None]
    if not with_answer:
        score = {node: value(node) if node.scores else -math.inf for node in nodes}
        return max(nodes, key=lambda node: (node.ended, score[node]))
    if rule == "best_of_n":
        return max(with_answer, key=value)
    sums: dict[str, float] = {}
    for node in with_answer:
        assert node.answer is not None
        weight = 1.0 if rule == "majority" else value(node)
        sums[node.answer] = sums.get(node.answer, 0.0) + weight
    best = max(sums, key=lambda answer: sums[answer])
    return next(node for node in with_answer if node.answer == best)


@pytest.mark.parametrize(("strategy", "changes"), VARIANTS, ids=name)
@pytest.mark.parametrize("digits", [9, 1])
def test_equals_plain_python(strategy: str, changes: dict[str, Any], digits: int) -> None:
    ended = 0
    # Every seed with either number of digits.
    for seed in range(9) if SWEEP else range(digits == 1, 9, 2):
        tables = Tables(seed, digits=digits, ends=(0.1, 0.25, 0.5)[seed % 3])
        settings = {**SETTINGS[strategy], **changes}
        problems = [f"question {seed}", f"other {seed}"]
        found = search(problems, strategy, seed=seed, **{**tables.arguments(strategy), **changes})
        for i, problem in enumerate(problems):
            world = World(tables, problem, seed)
            candidates = getattr(plain, strategy)(world, **settings)
            candidates = [node for node in candidates if node.parent is not None]
            one = found[i]
            assert [t.node for t in one.traces] == [node.number for node in candidates]
            assert [t.text for t in one.traces] == [node.response for node in candidates]
            if strategy not in ("self_consistency", "omega_prm"):
                assert [t.scores for t in one.traces] == [node.scores for node in candidates]
            tree = found.tree(i)
            assert [node.number for node in tree] == [node.number for node in world.nodes]
            for node, expected in zip(tree, world.nodes, strict=True):
                parent = -1 if expected.parent is None else expected.parent.number
                assert (node.parent, node.text) == (parent, expected.text)
                assert (node.value, node.terminal) == (expected.score, expected.ended)
                if strategy in ("omega_prm", "outcome_beam", "best_first"):
                    outcome = None if math.isnan(expected.outcome) else expected.outcome
                    assert node.outcome == outcome
            if strategy == "mcts":
                for node in tree:
                    plain_node = world.tree.nodes[node.number]  # type: ignore[attr-defined]
                    assert node.visits == plain_node.visits
            assert one.costs.samples == world.count - 1
            assert one.costs.tokens == sum(node.tokens for node in world.nodes)
            how = settings.get(
                "how", {"outcome_beam": "mean", "refine": "min"}.get(strategy, "last")
            )
            chooses_by = worth(strategy, settings, how)
            expected_winner = winner(candidates, chooses_by, RULES.get(strategy, "best_of_n"))
            assert one.traces[one.winner].node == expected_winner.number
            assert one.answer == expected_winner.answer
            ended += expected_winner.ended
    assert ended > 0


def test_logarithms_of_probabilities_reach_the_tree() -> None:
    found = search(["p"], "mcts", **Tables().arguments("mcts"))
    assert any(node.logprob < 0 for node in found.tree(0))
