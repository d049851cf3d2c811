"""A search as it is to be run: all that its results depend on, but for the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepscore.ops import Rule, TreeSearch
from stepscore.ops.vote import RuleName
from stepscore.search.arguments import (
    Limits,
    Strategy,
    check_least,
    read_limits,
    read_problems,
    read_strategy,
)
from stepscore.search.choice import Choice, ScoreChoice, read_choice
from stepscore.search.driver import Group, problem_keys
from stepscore.search.strategies import REGISTRY
from stepscore.search.tree import Ids, Sampling, Tree


@dataclass(frozen=True)
class Plan:
    """A search as it is to be run.

    Attributes:
        problems: their texts.
        strategy: its name.
        run: the strategy itself.
        parameters: all that it takes.
        choice: how candidates choose the answer.
        limits: what each problem may cost.
        sampling: how continuations are sampled.
        seed: of all random numbers.
    """

    problems: list[str]
    strategy: str
    run: Strategy
    parameters: dict[str, Any]
    choice: Choice
    limits: Limits
    sampling: Sampling
    seed: int

    def groups(self, count: int) -> list[Group]:
        """Deal the problems into so many groups, a run of the strategy each."""
        keys = problem_keys(self.problems)
        count = min(count, len(self.problems))
        return [self._group(np.arange(first, len(keys), count), keys) for first in range(count)]

    def _group(self, members: Ids, keys: Ids) -> Group:
        limits = self.limits.subset(members)
        engine = TreeSearch(
            len(members),
            max_nodes=limits.max_nodes,
            seed=self.seed,
            keys=keys[members],
            samples=limits.samples,
            tokens=limits.tokens,
            prm_tokens=limits.prm_tokens,
        )
        problems = [self.problems[i] for i in members]
        tree = Tree(problems, keys[members], engine, self.sampling, self.seed)
        return Group(
            tree,
            members,
            self.run(tree, **self.parameters),
            has_outcome=self.choice.has_outcome,
            may_fill_up=self.limits.may_fill_up,
        )

    def identity(self) -> dict[str, Any]:
        """What the answers of the models depend on, for the journal."""
        limits = self.limits
        budgets = {
            "samples": limits.samples,
            "tokens": limits.tokens,
            "prm_tokens": limits.prm_tokens,
        }
        return {
            "problems": self.problems,
            "strategy": self.strategy,
            "parameters": self.parameters,
            "seed": self.seed,
            "sampling": repr(self.sampling),
            "max_nodes": limits.max_nodes,
            "value": self.choice.has_outcome,
            **{name: None if b is None else b.tolist() for name, b in budgets.items()},
        }


def read_plan(
    problems: Sequence[str],
    strategy: str | Strategy,
    parameters: Mapping[str, Any],
    *,
    how: str | None,
    rule: RuleName | Rule | None,
    choose: ScoreChoice | None,
    has_outcome: bool,
    sampling: Sampling,
    samples: Any,
    tokens: Any,
    prm_tokens: Any,
    max_nodes: int | None,
    seed: int,
) -> Plan:
    """Check the arguments of `stepscore.search.search`, and put the strategy's own where none is.

    Raises:
        InputError: an argument that cannot be used.
    """
    name, run, bound = read_strategy(strategy, how, parameters)
    usual = REGISTRY[name].rule if name in REGISTRY else "best_of_n"
    choice = read_choice(
        how or bound.get("how", "last"), rule or usual, has_outcome=has_outcome, by=choose
    )
    texts = read_problems(problems)
    limits = read_limits(len(texts), samples, tokens, prm_tokens, max_nodes)
    check_least("seed", seed, 0)
    return Plan(texts, name, run, bound, choice, limits, sampling, seed)
