"""Search with a policy and a process reward model, over many problems at once.

- ``search``: `search`, which asks a strategy, a policy and a scorer in turn
- ``arguments``, ``plan``: what it is given, checked, and what its results depend on
- ``tree``: the verbs that strategies are written with; ``strategies``: the strategies
- ``requests``, ``scorers``: what scorers are asked, and scorers
- ``driver``: the calls of the models, those that fail, and searches that are taken up again
- ``choice``: the vote that ends it; ``result``: what was found
- ``budget``: stop rules of sequential sampling, samples per problem
"""

from stepscore.policies.requests import Continuation, ExpandRequest, Policy
from stepscore.renamed import renamed
from stepscore.search.budget import (
    adaptive_k,
    adaptive_m,
    leader_probability,
    next_samples,
    samples_needed,
    should_stop,
)
from stepscore.search.requests import Judge, Scorer, ScoreRequest
from stepscore.search.result import ProblemCosts, ProblemResult, SearchResult, Trace, TreeNode
from stepscore.search.search import search
from stepscore.search.strategies import STRATEGIES
from stepscore.search.tree import PendingNodes, Tree
from stepscore.voting.first_error import first_error

__all__ = [
    "STRATEGIES",
    "Continuation",
    "ExpandRequest",
    "Judge",
    "PendingNodes",
    "Policy",
    "ProblemCosts",
    "ProblemResult",
    "ScoreRequest",
    "Scorer",
    "SearchResult",
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

__getattr__ = renamed(
    __name__,
    {
        "Costs": "stepscore.search.ProblemCosts",
        "Expand": "stepscore.search.ExpandRequest",
        "Found": "stepscore.search.ProblemResult",
        "Score": "stepscore.search.ScoreRequest",
        "Steps": "stepscore.search.PendingNodes",
    },
)
