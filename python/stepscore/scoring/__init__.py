"""Scores of process reward models: render -> plan -> forward -> read."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stepscore.scoring.ranking import Ranked
from stepscore.scoring.reading import read_steps
from stepscore.scoring.scores import StepScores

if TYPE_CHECKING:
    from stepscore.scoring.asynchronous import ScoredCandidate
    from stepscore.scoring.checking.check import check_model
    from stepscore.scoring.checking.report import CheckReport
    from stepscore.scoring.checkpoint.conversion import ConvertedCheckpoint, convert_checkpoint
    from stepscore.scoring.checkpoint.head_alone import load_head
    from stepscore.scoring.checkpoint.loading import load
    from stepscore.scoring.model import ProcessRewardModel
    from stepscore.scoring.prm_head import PrmHead
    from stepscore.scoring.session import Branches, Session

__all__ = [
    "Branches",
    "CheckReport",
    "ConvertedCheckpoint",
    "PrmHead",
    "ProcessRewardModel",
    "Ranked",
    "ScoredCandidate",
    "Session",
    "StepScores",
    "check_model",
    "convert_checkpoint",
    "load",
    "load_head",
    "read_steps",
]

# Only these need torch, which costs seconds to import: only on first use.
_NEED_TORCH = {
    "Branches": "session",
    "CheckReport": "checking.report",
    "ConvertedCheckpoint": "checkpoint.conversion",
    "PrmHead": "prm_head",
    "ProcessRewardModel": "model",
    "ScoredCandidate": "asynchronous",
    "Session": "session",
    "check_model": "checking.check",
    "convert_checkpoint": "checkpoint.conversion",
    "load": "checkpoint.loading",
    "load_head": "checkpoint.head_alone",
}


def __getattr__(name: str) -> Any:
    if name in _NEED_TORCH:
        return getattr(import_module(f"stepscore.scoring.{_NEED_TORCH[name]}"), name)
    raise AttributeError(f"module 'stepscore.scoring' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
