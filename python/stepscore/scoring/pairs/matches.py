"""Two solutions judged in both orders, by several texts each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from stepscore.policies.texts import GeneratedText, TextRequest
from stepscore.scoring.pairs.verifier import PairVerifier
from stepscore.scoring.verdicts.programs import Answers, Program, VerdictError
from stepscore.scoring.verdicts.verdict import seeds_of
from stepscore.voting.tournament import BothOrders, both_orders

# share: the mean of the votes;  majority: 1, 0, or 0.5 where as many say one as the other.
VoteRule = Literal["share", "majority"]
VOTE_RULES: tuple[VoteRule, ...] = get_args(VoteRule)


@dataclass(frozen=True)
class Match:
    """What was said of two solutions.

    Attributes:
        pair: the two.
        points: of the first of them, from both orders; NaN undecided.
        shown_first, shown_second: the points that each vote gives the first of the two, where it
            was shown first, and where it was shown second; NaN where no verdict came.
        faults: why each verdict that did not come has not.
        texts: what the judge wrote, those that showed it first before the others; empty where the
            policy failed.
    """

    pair: tuple[int, int]
    points: float
    shown_first: tuple[float, ...]
    shown_second: tuple[float, ...]
    faults: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class MatchRules:
    """How a match becomes points.

    Attributes:
        votes: texts for each order.
        vote: what the votes of one order give.
        orders: what both orders give, see `both_orders`.
    """

    votes: int = 1
    vote: VoteRule = "share"
    orders: BothOrders = "average"


def play(
    pairs: Sequence[tuple[int, int]],
    problem: str,
    texts: Sequence[str],
    verifier: PairVerifier,
    rules: MatchRules,
    seed: int,
) -> Program[list[Match]]:
    """Judge some pairs, all in one batch.

    The seed of a text is a function of `seed`, the problem, the two solutions in their order and
    the vote: it is the same in any tournament, batch and retry.

    Args:
        pairs: of indices of `texts`.
        problem: what they solve.
        texts: the solutions.
        verifier: asks and reads.
        rules: how often it is asked, and what is made of that.
        seed: of everything that is drawn.
    """
    shown = [order for a, b in pairs for order in ((a, b), (b, a))]
    answers = yield [
        request
        for a, b in shown
        for request in _requests(problem, texts[a], texts[b], verifier, rules.votes, seed)
    ]
    found = []
    for place, pair in enumerate(pairs):
        first = 2 * place * rules.votes
        there = answers[first : first + rules.votes]
        back = answers[first + rules.votes : first + 2 * rules.votes]
        found.append(_match(pair, there, back, verifier, rules))
    return found


def _requests(
    problem: str, first: str, second: str, verifier: PairVerifier, votes: int, seed: int
) -> list[TextRequest]:
    turns = verifier.turns(problem, first, second)
    seeds = seeds_of(seed, problem, (first, second))
    return [
        TextRequest(
            turns,
            seeds(0, vote),
            verifier.max_tokens,
            temperature=verifier.temperature,
            top_p=verifier.top_p,
        )
        for vote in range(votes)
    ]


def _match(
    pair: tuple[int, int],
    there: Answers,
    back: Answers,
    verifier: PairVerifier,
    rules: MatchRules,
) -> Match:
    faults: list[str] = []

    def points(answer: GeneratedText | Exception) -> float:
        try:
            if isinstance(answer, Exception):
                raise VerdictError(f"the policy failed: {answer}")
            return verifier.points(answer)
        except VerdictError as fault:
            faults.append(str(fault))
            return math.nan

    first = tuple(points(answer) for answer in there)
    second = tuple(1.0 - points(answer) for answer in back)
    both = both_orders([_decide(first, rules.vote)], [_decide(second, rules.vote)], rules.orders)
    texts = [answer for answer in (*there, *back) if not isinstance(answer, Exception)]
    return Match(
        pair, float(both[0]), first, second, tuple(faults), tuple(text.text for text in texts)
    )


def _decide(votes: Sequence[float], rule: VoteRule) -> float:
    """Make one result of the votes that came; NaN without any."""
    given = [vote for vote in votes if not math.isnan(vote)]
    if not given:
        return math.nan
    if rule == "share":
        return math.fsum(given) / len(given)
    balance = sum((vote > 0.5) - (vote < 0.5) for vote in given)
    return 0.5 + 0.5 * ((balance > 0) - (balance < 0))
