"""Scores of process reward models: render -> plan -> forward -> read."""

from stepscore.scoring.checkpoint.loading import load
from stepscore.scoring.model import ProcessRewardModel, Ranked
from stepscore.scoring.scores import StepScores
from stepscore.scoring.session import Branches, Session

__all__ = ["Branches", "ProcessRewardModel", "Ranked", "Session", "StepScores", "load"]
