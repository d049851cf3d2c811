"""Estimators over problems.

- ``at_k``: what k samples per problem would reach, from n that were drawn
- ``interval``: the mean over problems and its confidence interval
"""

from stepscore.evaluation.at_k import AtK, pass_at_k, prm_at_k, vote_at_k
from stepscore.evaluation.interval import Interval, mean_interval

__all__ = ["AtK", "Interval", "mean_interval", "pass_at_k", "prm_at_k", "vote_at_k"]
