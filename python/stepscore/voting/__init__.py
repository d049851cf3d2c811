"""Elect, rank, break ties: for search, jobs, evaluation and server alike.

- ``columns``, ``scores``: step scores of candidates as one number, in every way
- ``rules``: rules as they are typed; ``settings``: how candidates vote
- ``elections``: scores and classes of answers -> winners; ``ranks``
- ``accuracy``: how often they are right, or two of them agree
- ``tournament``: candidates compared two by two; ``tournament_pairings``: who meets whom;
  ``tournament_ratings``: comparisons -> one number per candidate
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
from stepscore.voting.tournament import Comparisons, both_orders
from stepscore.voting.tournament_pairings import Knockout, round_robin
from stepscore.voting.tournament_ratings import (
    RATINGS,
    borda,
    bradley_terry,
    copeland,
    elo,
    majority,
    win_rate,
)

__all__ = [
    "DEFAULT_RULES",
    "DEFAULT_SETTINGS",
    "RATINGS",
    "AccuracyCounts",
    "CandidateScores",
    "Comparisons",
    "Elections",
    "Knockout",
    "TypedRule",
    "VoteSettings",
    "borda",
    "both_orders",
    "bradley_terry",
    "candidate_scores",
    "copeland",
    "elect",
    "elo",
    "majority",
    "objectives_of",
    "parse_objectives",
    "parse_prefixes",
    "parse_rule",
    "parse_rules",
    "ranks",
    "round_robin",
    "win_rate",
]
