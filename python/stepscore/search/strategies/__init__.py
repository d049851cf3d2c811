"""Strategies as textbook loops over the verbs of `stepscore.search.Tree`, a file a family."""

from stepscore.search.strategies.registry import REGISTRY, STRATEGIES, StrategyInfo

__all__ = ["REGISTRY", "STRATEGIES", "StrategyInfo"]
