"""Scores of process reward models: render -> plan -> forward -> read."""

from stepscore.scoring.loading import load
from stepscore.scoring.model import ProcessRewardModel, Ranked
from stepscore.scoring.scores import StepScores

__all__ = ["ProcessRewardModel", "Ranked", "StepScores", "load"]
