"""The strategies by name, and the votes by which their candidates choose."""

from __future__ import annotations

from collections.abc import Callable

from stepscore.search.strategies.beams import (
    adaptive_beam,
    beam,
    beam_with_finished,
    blocks,
    dvts,
    early_rejection,
    lookahead_beam,
    outcome_beam,
    rebase,
    reward_sampling,
    speculative,
    step_beam,
)
from stepscore.search.strategies.mcts import best_first, mcts
from stepscore.search.strategies.omega import omega_prm
from stepscore.search.strategies.particles import feynman_kac, particle_gibbs, particles
from stepscore.search.strategies.paths import greedy, pats, refine
from stepscore.search.strategies.samples import adaptive_n, best_of_n, self_consistency
from stepscore.search.tree import PendingNodes

STRATEGIES: dict[str, Callable[..., PendingNodes]] = {
    function.__name__: function
    for function in (
        best_of_n,
        self_consistency,
        adaptive_n,
        beam,
        beam_with_finished,
        step_beam,
        outcome_beam,
        dvts,
        lookahead_beam,
        rebase,
        blocks,
        early_rejection,
        adaptive_beam,
        reward_sampling,
        speculative,
        particles,
        particle_gibbs,
        feynman_kac,
        greedy,
        pats,
        refine,
        mcts,
        best_first,
        omega_prm,
    )
}

# best_of_n where nothing else is written.
RULES = {
    "self_consistency": "majority",
    "adaptive_n": "weighted",
    "rebase": "weighted",
    "omega_prm": "majority",
}
