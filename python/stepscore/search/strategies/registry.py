"""The strategies by name, and the votes by which their candidates choose the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stepscore.ops.vote import RuleName
from stepscore.search.strategies.adaptive import adaptive_beam
from stepscore.search.strategies.beams import beam, beam_with_finished, outcome_beam, step_beam
from stepscore.search.strategies.diverse import dvts, lookahead_beam, reward_sampling
from stepscore.search.strategies.mcts import best_first, mcts
from stepscore.search.strategies.omega import omega_prm
from stepscore.search.strategies.partial import early_rejection, speculative
from stepscore.search.strategies.particles import feynman_kac, particle_gibbs, particles
from stepscore.search.strategies.paths import greedy, pats, refine
from stepscore.search.strategies.samples import adaptive_n, best_of_n, self_consistency
from stepscore.search.strategies.widths import blocks, rebase
from stepscore.search.tree import PendingNodes


@dataclass(frozen=True)
class StrategyInfo:
    """What is known of a strategy.

    Attributes:
        run: (tree, parameters) -> its candidates, when the models have answered.
        rule: the vote by which they choose the answer where nothing else is said.
        asks: the models that it cannot do without, as `search` names them.
    """

    run: Callable[..., PendingNodes]
    rule: RuleName = "best_of_n"
    asks: tuple[str, ...] = ("policy", "scorer")

    @property
    def name(self) -> str:
        """As `search` takes it."""
        return self.run.__name__


REGISTRY: Mapping[str, StrategyInfo] = MappingProxyType(
    {
        info.name: info
        for info in (
            StrategyInfo(best_of_n),
            StrategyInfo(self_consistency, rule="majority", asks=("policy",)),
            StrategyInfo(adaptive_n, rule="weighted"),
            StrategyInfo(beam),
            StrategyInfo(beam_with_finished),
            StrategyInfo(step_beam),
            StrategyInfo(outcome_beam, asks=("policy", "scorer", "value")),
            StrategyInfo(dvts),
            StrategyInfo(lookahead_beam),
            StrategyInfo(rebase, rule="weighted"),
            StrategyInfo(blocks, rule="weighted"),
            StrategyInfo(early_rejection),
            StrategyInfo(adaptive_beam),
            StrategyInfo(reward_sampling),
            StrategyInfo(speculative),
            StrategyInfo(particles),
            StrategyInfo(particle_gibbs),
            StrategyInfo(feynman_kac),
            StrategyInfo(greedy),
            StrategyInfo(pats),
            StrategyInfo(refine),
            StrategyInfo(mcts),
            StrategyInfo(best_first),
            StrategyInfo(omega_prm, rule="majority", asks=("policy", "judge")),
        )
    }
)

STRATEGIES: dict[str, Callable[..., PendingNodes]] = {
    name: info.run for name, info in REGISTRY.items()
}
"""Every strategy that `search` knows, by name."""
