"""Generative PRMs: verifiers that write their verdicts, over a policy.

- a family a file: what it asks, and how it reads the answers; each gives a `GenerativeRewardModel`
- ``word_verdict``, ``trace_votes``: the two layouts that most families share
- ``programs``: how the texts of all steps, votes and candidates are asked for side by side
- ``words``: a verdict as the probability of its words
"""

from stepscore.scoring.verdicts.capo import capo
from stepscore.scoring.verdicts.dyve import dyve
from stepscore.scoring.verdicts.genprm import genprm
from stepscore.scoring.verdicts.gm_prm import gm_prm
from stepscore.scoring.verdicts.likert import likert
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.natural_program import elect_verified, natural_program
from stepscore.scoring.verdicts.pro_step import pro_step
from stepscore.scoring.verdicts.programs import Program, VerdictError, ask, run, together
from stepscore.scoring.verdicts.prompted import prompted
from stepscore.scoring.verdicts.python_runner import PythonRunner
from stepscore.scoring.verdicts.r_prm import r_prm
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.scores import MissingVerdictError, VerdictScores
from stepscore.scoring.verdicts.spark import spark
from stepscore.scoring.verdicts.stepwiser import stepwiser
from stepscore.scoring.verdicts.think_prm import think_prm
from stepscore.scoring.verdicts.trace_votes import TraceVotes, words_of_steps
from stepscore.scoring.verdicts.verdict import Seeds, StepVerdict, Verifier, Vote, decide, seeds_of
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import Asked, Opening, Tool, WordVerdict
from stepscore.scoring.verdicts.words import (
    WordReading,
    find_verdict,
    no_verdict,
    read_next,
    read_words,
    say_next,
)

__all__ = [
    "Asked",
    "GenerativeRewardModel",
    "MissingVerdictError",
    "Opening",
    "Program",
    "PythonRunner",
    "Sampling",
    "Seeds",
    "StepVerdict",
    "Tool",
    "TraceVotes",
    "VerdictError",
    "VerdictScores",
    "Verifier",
    "Vote",
    "WordReading",
    "WordVerdict",
    "ask",
    "capo",
    "decide",
    "dyve",
    "elect_verified",
    "find_verdict",
    "genprm",
    "gm_prm",
    "likert",
    "natural_program",
    "no_verdict",
    "pro_step",
    "prompted",
    "r_prm",
    "read_next",
    "read_words",
    "run",
    "say_next",
    "seeds_of",
    "spark",
    "stepwiser",
    "think_prm",
    "together",
    "verdict_recipe",
    "words_of_steps",
]
