"""Search with a policy and a process reward model, over many problems at once.

- ``run``: `search`, which asks a strategy, a policy and a scorer in turn
- ``requests``: what policies and scorers are asked, and what they answer
- ``tree``: the verbs that strategies are written with
- ``samples``, ``beams``, ``particles``, ``paths``, ``mcts``: the strategies
- ``result``: what was found
- ``calls``, ``journal``: models that fail, and searches that are taken up again
- ``budget``: stop rules of sequential sampling, samples per problem, the first wrong step
"""

from stepscore.policies.requests import Continuation, Expand, Policy, Score, Scorer
from stepscore.search.budget import (
    adaptive_k,
    adaptive_m,
    first_error,
    leader_probability,
    next_samples,
    samples_needed,
    should_stop,
)
from stepscore.search.driver.run import search
from stepscore.search.result import Costs, Found, SearchResult, Trace, TreeNode
from stepscore.search.strategies import STRATEGIES
from stepscore.search.tree import Steps, Tree

__all__ = [
    "STRATEGIES",
    "Continuation",
    "Costs",
    "Expand",
    "Found",
    "Policy",
    "Score",
    "Scorer",
    "SearchResult",
    "Steps",
    "Trace",
    "Tree",
    "TreeNode",
    "adaptive_k",
    "adaptive_m",
    "first_error",
    "leader_probability",
    "next_samples",
    "samples_needed",
    "search",
    "should_stop",
]
