"""A tournament as a program: its rounds ask for texts, its end gives every candidate a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import InputError
from stepscore.scoring.pairs.matches import Match, MatchRules, play
from stepscore.scoring.pairs.verifier import PairVerifier
from stepscore.scoring.verdicts.programs import Program
from stepscore.scoring.verdicts.verdict import seeds_of
from stepscore.voting.tournament import Comparisons
from stepscore.voting.tournament_pairings import Knockout, round_robin
from stepscore.voting.tournament_ratings import RATINGS, Rating

Float = NDArray[np.float64]
Tournament = Literal[Rating, "knockout"]
"""How candidates are ranked: a round robin and a rating of `stepscore.voting`, or a knockout."""
TOURNAMENTS: tuple[Tournament, ...] = (*get_args(Rating), "knockout")
"""All of them by name."""
# A rating of the caller's own.
Rate = Callable[[Comparisons], Float]


@dataclass(frozen=True, eq=False)
class Standings:
    """What came out of a tournament.

    Attributes:
        scores: one per candidate, higher is better; NaN for one of whom no match was decided.
        matches: in the order they were played, of indices of candidates; identical candidates are
            one, under the index of the first of them.
        asked: verdicts that were asked for.
    """

    scores: Float
    matches: tuple[Match, ...]
    asked: int

    @property
    def comparisons(self) -> Comparisons:
        """The matches as `stepscore.voting` rates them."""
        return Comparisons(
            [match.pair for match in self.matches],
            [match.points for match in self.matches],
            len(self.scores),
        )

    @property
    def faults(self) -> tuple[str, ...]:
        """Why each verdict that did not come has not."""
        return tuple(fault for match in self.matches for fault in match.faults)

    @property
    def missing(self) -> int:
        """How many verdicts did not come."""
        return len(self.faults)

    @property
    def undecided(self) -> int:
        """How many matches have no result for want of verdicts: they count for nobody."""
        return self.comparisons.abstentions


class MissingVerdictsError(InputError):
    """Verdicts that did not come, where they are an error.

    Attributes:
        standings: of every problem: nothing that was paid for is lost.
    """

    standings: tuple[Standings, ...]


def compete(
    problem: str,
    texts: Sequence[str],
    verifier: PairVerifier,
    rules: MatchRules,
    how: Tournament | Rate,
    budget: int | None,
    seed: int,
) -> Program[Standings]:
    """Let the candidates of a problem meet; every round is one batch.

    Args:
        problem: what they solve.
        texts: of the candidates; identical ones are judged once and share the score. One alone
            gets what each of two that are level would.
        verifier, rules: how two are compared.
        how: ``knockout``, or a rating of a round robin, by its name or a function.
        budget: the most matches; None for no limit.
        seed: of draws and texts.
    """
    distinct = list(dict.fromkeys(texts))
    drawn = seeds_of(seed, problem, distinct)(0, 0)
    first_of = [texts.index(text) for text in distinct]
    matches: list[Match] = []
    rate = RATINGS[how] if isinstance(how, str) and how != "knockout" else how
    if len(distinct) == 1:
        level = 1.0 if not callable(rate) else float(rate(Comparisons([(0, 1)], [0.5], 2))[0])
        return Standings(np.full(len(texts), level), (), 0)
    if not callable(rate):
        knockout = Knockout(len(distinct), seed=drawn)
        while len(pairs := knockout.pairs()):
            if budget is not None and len(matches) + len(pairs) > budget:
                break  # who is left is level
            played = yield from play(_rows(pairs), problem, distinct, verifier, rules, seed)
            knockout.tell([match.points for match in played])
            matches += played
        scores = knockout.scores()
    else:
        pairs = round_robin(len(distinct), seed=drawn)[:budget]
        matches = yield from play(_rows(pairs), problem, distinct, verifier, rules, seed)
        results = Comparisons(pairs, [match.points for match in matches], len(distinct))
        scores = rate(results)
    place_of = {text: place for place, text in enumerate(distinct)}
    return Standings(
        scores[[place_of[text] for text in texts]],
        tuple(_renamed(match, first_of) for match in matches),
        2 * rules.votes * len(matches),
    )


def _rows(pairs: NDArray[np.int64]) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in pairs]


def _renamed(match: Match, names: Sequence[int]) -> Match:
    a, b = match.pair
    return Match(
        (names[a], names[b]),
        match.points,
        match.shown_first,
        match.shown_second,
        match.faults,
        match.texts,
    )
