"""Generative PRMs: verifiers that write their verdicts, over a policy."""

from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.programs import Program, VerdictError, ask, run, together
from stepscore.scoring.verdicts.recipes import verdict_recipe
from stepscore.scoring.verdicts.scores import MissingVerdictError, VerdictScores
from stepscore.scoring.verdicts.verdict import Seeds, StepVerdict, Verifier, Vote, decide, seeds_of
from stepscore.scoring.verdicts.words import WordReading, find_verdict, no_verdict, read_words

__all__ = [
    "GenerativeRewardModel",
    "MissingVerdictError",
    "Program",
    "Seeds",
    "StepVerdict",
    "VerdictError",
    "VerdictScores",
    "Verifier",
    "Vote",
    "WordReading",
    "ask",
    "decide",
    "find_verdict",
    "no_verdict",
    "read_words",
    "run",
    "seeds_of",
    "together",
    "verdict_recipe",
]
