"""Rubrics, checklists and Likert scales: scores in [0, 1] of answers to what is asked of a step.

They make `GenerativeRewardModel`s, which jobs and searches take for any other PRM.
"""

from stepscore.scoring.rubrics.likert import likert
from stepscore.scoring.rubrics.rubric import rubric
from stepscore.scoring.rubrics.shares import share
from stepscore.scoring.rubrics.web_shepherd import web_shepherd

__all__ = ["likert", "rubric", "share", "web_shepherd"]
