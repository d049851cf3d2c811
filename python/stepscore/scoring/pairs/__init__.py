"""Pair-wise judges: they say which of two solutions is better, and so rank, but score none alone.

- ``model``: `PairwiseJudge`, which ranks; ``tournament``, ``matches``: who meets whom, and how
- ``verifier``: what a family is; a file for each published one
"""

from stepscore.scoring.pairs.families import FAMILIES
from stepscore.scoring.pairs.j1 import j1, j1_scores
from stepscore.scoring.pairs.matches import Match
from stepscore.scoring.pairs.model import PairwiseJudge
from stepscore.scoring.pairs.pair_judge_rm import pair_judge_rm
from stepscore.scoring.pairs.r1_reward import r1_reward
from stepscore.scoring.pairs.rm_r1 import rm_r1
from stepscore.scoring.pairs.rrm import rrm
from stepscore.scoring.pairs.s2j import s2j
from stepscore.scoring.pairs.tournament import (
    TOURNAMENTS,
    MissingVerdictsError,
    Standings,
    Tournament,
)
from stepscore.scoring.pairs.verifier import PairVerifier, pair_verifier
from stepscore.scoring.pairs.web_arbiter import web_arbiter

__all__ = [
    "FAMILIES",
    "TOURNAMENTS",
    "Match",
    "MissingVerdictsError",
    "PairVerifier",
    "PairwiseJudge",
    "Standings",
    "Tournament",
    "j1",
    "j1_scores",
    "pair_judge_rm",
    "pair_verifier",
    "r1_reward",
    "rm_r1",
    "rrm",
    "s2j",
    "web_arbiter",
]
