"""Elect, rank, break ties: for search, jobs, evaluation and server alike.

- ``columns``, ``scores``: step scores of candidates as one number, in every way
- ``rules``: rules as they are typed; ``settings``: how candidates vote
- ``elections``: scores and classes of answers -> winners; ``ranks``
- ``accuracy``: how often they are right, or two of them agree
"""

from stepscore.voting.accuracy import AccuracyCounts
from stepscore.voting.elections import Elections, elect
from stepscore.voting.ranks import ranks
from stepscore.voting.rules import (
    DEFAULT_RULES,
    TypedRule,
    parse_objectives,
    parse_prefixes,
    parse_rule,
    parse_rules,
)
from stepscore.voting.scores import CandidateScores, candidate_scores
from stepscore.voting.settings import DEFAULT_SETTINGS, VoteSettings, objectives_of

__all__ = [
    "DEFAULT_RULES",
    "DEFAULT_SETTINGS",
    "AccuracyCounts",
    "CandidateScores",
    "Elections",
    "TypedRule",
    "VoteSettings",
    "candidate_scores",
    "elect",
    "objectives_of",
    "parse_objectives",
    "parse_prefixes",
    "parse_rule",
    "parse_rules",
    "ranks",
]
