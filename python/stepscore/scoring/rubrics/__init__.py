"""Rubrics and checklists: scores in [0, 1] of the answers to what is asked of a step or a solution.

They make `GenerativeRewardModel`s, which jobs and searches take for any other PRM.
"""

from stepscore.scoring.rubrics.rubric import rubric
from stepscore.scoring.rubrics.shares import share
from stepscore.scoring.rubrics.web_shepherd import web_shepherd

__all__ = ["rubric", "share", "web_shepherd"]
