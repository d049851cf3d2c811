"""Estimators over problems.

- ``at_k``: what k samples per problem would reach, from n that were drawn
- ``vote_at_k``: what they would vote for; ``majority`` and ``subsets`` are its two ways to count
- ``interval``: the mean over problems and its confidence interval
- ``problems``: problems and their candidates, as all of these read them
"""

from stepscore.evaluation.at_k import AtK, pass_at_k, prm_at_k
from stepscore.evaluation.interval import Interval, mean_interval
from stepscore.evaluation.vote_at_k import vote_at_k

__all__ = ["AtK", "Interval", "mean_interval", "pass_at_k", "prm_at_k", "vote_at_k"]
