"""A pair-wise judge that ranks: a policy, a family, and who meets whom."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import numpy as np

from stepscore.errors import Argument, InputError, InputTypeError, did_you_mean
from stepscore.lists import as_lists
from stepscore.policies.texts import GeneratedText, TextPolicy, TextRequest
from stepscore.scoring.arguments import Solution
from stepscore.scoring.pairs.matches import MatchRules, VoteRule
from stepscore.scoring.pairs.texts import solution_texts
from stepscore.scoring.pairs.tournament import (
    TOURNAMENTS,
    MissingVerdictsError,
    Rate,
    Standings,
    Tournament,
    compete,
)
from stepscore.scoring.pairs.verifier import PairVerifier
from stepscore.scoring.ranking import (
    Ranked,
    check_candidates,
    check_problems_and_candidates,
    check_ranking,
)
from stepscore.scoring.reserved_tokens import ReservedTokens
from stepscore.scoring.score_options import check_choice
from stepscore.scoring.verdicts.programs import Program, run, together
from stepscore.voting.tournament import BothOrders

# warn: say how many verdicts did not come, and refuse a ranking without any;  error: refuse a
# ranking where one is missing;  keep: do neither: who calls reads it from the standings.
OnMissing = Literal["warn", "error", "keep"]


@dataclass(frozen=True, eq=False)
class PairwiseJudge:
    """Ranks candidates by showing them to a judge two by two, always in both orders.

    A verdict that does not come, because the text was cut off, keeps no format or the server failed
    at it, is an abstention: it wins nobody anything, and `rank` says how many there were.

    Args:
        policy: writes the verdicts; how many requests are in flight is its ``concurrency``.
        verifier: the family, such as `rrm`.
        how: ``win_rate``, ``majority``, ``copeland``, ``borda``, ``elo`` or ``bradley_terry`` of a
            round robin, where n candidates need n (n - 1) / 2 matches, or ``knockout``, where they
            need n - 1; or a rating of your own, such as ``functools.partial(elo, k=16)``.
        votes: texts for each order of a pair.
        vote: ``share``: the points of one order are the mean of its votes; ``majority``: 1 or 0.
        orders: ``average`` or ``agree``, see `stepscore.voting.both_orders`.
        budget: the most matches of a problem, each of ``2 * votes`` verdicts. A round robin plays
            so many that every candidate meets about as many others; a knockout stops, and who is
            left is level.
        batch_size: the most requests in one call of the policy; None gives it a whole round of all
            problems.
        seed: of draws and texts: a ranking depends on it, the policy, the family, the problem and
            its candidates, and on nothing else.

    Raises:
        InputError: an option that is none of these.

    Examples:
        >>> from stepscore.policies.texts import GeneratedText
        >>> from stepscore.scoring.pairs import PairwiseJudge, pair_verifier
        >>> family = pair_verifier(
        ...     "longer is better",
        ...     prompt="{problem}|{first}|{second}",
        ...     verdict="Better: (A|B)",
        ...     points={"A": 1, "B": 0},
        ... )
        >>> class Longer:
        ...     name = "longer"
        ...     def generate(self, requests):
        ...         shown = [request.prompt[-1].content.split("|")[1:] for request in requests]
        ...         return [GeneratedText(f"Better: {'AB'[len(a) < len(b)]}") for a, b in shown]
        >>> ranking = PairwiseJudge(Longer(), family).rank("1 + 1 = ?", ["2", "It is 2.", "is 2"])
        >>> [(ranked.index, ranked.score) for ranked in ranking]
        [(1, 1.0), (2, 0.5), (0, 0.0)]
    """

    policy: TextPolicy
    verifier: PairVerifier
    how: Tournament | Rate = "win_rate"
    votes: int = 1
    vote: VoteRule = "share"
    orders: BothOrders = "average"
    budget: int | None = None
    batch_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        where = "PairwiseJudge"
        _check_how(where, self.how)
        check_choice(where, "vote", self.vote, VoteRule)
        check_choice(where, "orders", self.orders, BothOrders)
        for name, least in (("votes", 1), ("budget", 1), ("batch_size", 1)):
            value = getattr(self, name)
            optional = name != "votes" and value is None
            if not optional and (type(value) is not int or value < least):
                raise InputError(
                    f"a whole number of at least {least}"
                    + (", or None" if name != "votes" else ""),
                    got=repr(value),
                    argument=name,
                    where=where,
                )

        if self.votes > 1 and self.verifier.temperature == 0:
            raise InputError(
                "1, because votes at temperature 0 would all be the same text",
                got=str(self.votes),
                advice=("give the family one above 0, such as ", Argument("temperature", 0.7)),
                argument="votes",
                where=where,
            )

    @property
    def name(self) -> str:
        """The policy's and the family's."""
        return f"{self.policy.name} ({self.verifier.name})"

    def rank(
        self,
        problem: str,
        candidates: Sequence[Solution],
        *,
        how: Tournament | Rate | None = None,
        top_k: int | None = None,
        on_missing: OnMissing = "warn",
    ) -> list[Ranked]:
        """Order the candidates of one problem, best first; ties keep the order of the input.

        Args:
            problem: the problem.
            candidates: its solutions, each a text or a list of steps, which are shown as lines.
                Identical ones are judged once and share their score.
            how: replaces the judge's.
            top_k: how many to return; None returns all.
            on_missing: ``warn`` where verdicts did not come; ``error`` raises then; ``keep`` does
                neither, even where none came.

        Returns:
            As `ProcessRewardModel.rank`, without step scores; ``score`` is the rating, or the share
            of a knockout's rounds that a candidate survived; NaN, which comes last, for one of whom
            no match was decided. A single candidate gets what each of two level ones would.

        Raises:
            TypeError, ValueError: no texts, no candidates, special tokens in them, an option that
                is none of these; a budget of less than n - 1 matches for n different candidates.
            MissingVerdictsError: no verdict at all; under ``on_missing="error"`` one that is
                missing.
            RuntimeError: the policy fails at everything, such as a server that is down.
        """
        candidates = as_lists(candidates)
        check_ranking("rank", None, top_k)
        check_candidates("rank", Argument("candidates"), candidates)
        standings = self._play("rank", [problem], [candidates], how, on_missing)
        return _ranked(candidates, standings[0], top_k)

    def rank_many(
        self,
        problems: Sequence[str],
        candidates: Sequence[Sequence[Solution]],
        *,
        how: Tournament | Rate | None = None,
        top_k: int | None = None,
        on_missing: OnMissing = "warn",
    ) -> list[list[Ranked]]:
        """Order the candidates of every problem, as `rank` does; the rounds are asked together."""
        problems, candidates = as_lists(problems), as_lists(candidates)
        check_ranking("rank_many", None, top_k)
        check_problems_and_candidates("rank_many", problems, candidates)
        standings = self._play("rank_many", problems, candidates, how, on_missing)
        return [
            _ranked(each, standing, top_k)
            for each, standing in zip(candidates, standings, strict=True)
        ]

    def compare(
        self,
        problem: str,
        candidates: Sequence[Solution],
        *,
        how: Tournament | Rate | None = None,
        on_missing: OnMissing = "warn",
    ) -> Standings:
        """Give the scores of the candidates, and every match they come from; see `rank`."""
        candidates = as_lists(candidates)
        check_candidates("compare", Argument("candidates"), candidates)
        return self._play("compare", [problem], [candidates], how, on_missing)[0]

    def compare_many(
        self,
        problems: Sequence[str],
        candidates: Sequence[Sequence[Solution]],
        *,
        how: Tournament | Rate | None = None,
        on_missing: OnMissing = "warn",
    ) -> list[Standings]:
        """Give the scores and matches of every problem, as `compare`; see `rank_many`."""
        problems, candidates = as_lists(problems), as_lists(candidates)
        check_problems_and_candidates("compare_many", problems, candidates)
        return self._play("compare_many", problems, candidates, how, on_missing)

    def check(self, problems: Sequence[str], candidates: Sequence[Sequence[Solution]]) -> None:
        """Refuse what `rank_many` would refuse, without asking for anything."""
        problems, candidates = as_lists(problems), as_lists(candidates)
        check_problems_and_candidates("check", problems, candidates)
        self._read("check", problems, candidates)

    def score(self, *_: object, **__: object) -> NoReturn:
        """Refuse: a judge of pairs says nothing of one solution alone.

        Raises:
            InputTypeError: always.
        """
        raise InputTypeError(
            "a model that scores a solution by itself",
            got=f"{self.verifier.name}, which compares two",
            advice="call rank or rank_many",
            where="score",
        )

    def _play(
        self,
        call: str,
        problems: Sequence[object],
        candidates: Sequence[Sequence[Solution]],
        how: Tournament | Rate | None,
        on_missing: OnMissing,
    ) -> list[Standings]:
        kind = self.how if how is None else how
        _check_how(call, kind)
        check_choice(call, "on_missing", on_missing, OnMissing)
        rules = MatchRules(self.votes, self.vote, self.orders)
        programs: list[Program[Standings]] = [
            compete(problem, texts, self.verifier, rules, kind, self.budget, self.seed)
            for problem, texts in self._read(call, problems, candidates)
        ]
        standings: list[Any] = run(together(programs), _Batches(self.policy, self.batch_size))
        if on_missing != "keep":
            _report(call, standings, on_missing)
        return standings

    def _read(
        self, call: str, problems: Sequence[object], candidates: Sequence[Sequence[Solution]]
    ) -> list[tuple[str, list[str]]]:
        """Give every problem and its candidates as texts that can be shown."""
        tokenizer = getattr(self.policy, "tokenizer", None)
        reserved = ReservedTokens.of(tokenizer) if tokenizer else ReservedTokens((), ())
        many = call in ("rank_many", "compare_many", "check")
        shown = []
        for index, (problem, solutions) in enumerate(zip(problems, candidates, strict=True)):

            def argument_of(name: str, place: int | None, index: int = index) -> Argument:
                named = "problems" if many and name == "problem" else name
                return Argument(
                    named, index=((index,) if many else ()) + (() if place is None else (place,))
                )

            text, texts = solution_texts(call, problem, solutions, reserved, argument_of)
            self._check_budget(call, len(set(texts)))
            shown.append((text, texts))
        return shown

    def _check_budget(self, call: str, distinct: int) -> None:
        if self.budget is not None and self.budget < distinct - 1:
            raise InputError(
                f"at least {distinct - 1} matches, which {distinct} different candidates need",
                got=str(self.budget),
                advice="pass more, or None",
                argument=Argument("budget", self.budget),
                where=call,
            )


@dataclass(frozen=True)
class _Batches:
    """A policy that is asked for a few texts at a time."""

    policy: TextPolicy
    size: int | None

    @property
    def name(self) -> str:
        return self.policy.name

    def generate(self, requests: Sequence[TextRequest]) -> list[GeneratedText | Exception]:
        size = self.size or max(len(requests), 1)
        return [
            answer
            for first in range(0, len(requests), size)
            for answer in self.policy.generate(requests[first : first + size])
        ]

    def check_logprobs(self, count: int, prompt: Any) -> None:
        self.policy.check_logprobs(count, prompt)


def _check_how(call: str, how: object) -> None:
    if callable(how) or how in TOURNAMENTS:
        return
    raise InputError(
        f"one of {', '.join(TOURNAMENTS)}, or a function of comparisons",
        got=repr(how),
        advice=did_you_mean(how, TOURNAMENTS),
        argument="how",
        where=call,
    )


def _report(call: str, standings: Sequence[Standings], on_missing: OnMissing) -> None:
    """Refuse problems without any verdict; tell of verdicts that did not come."""
    asked = sum(each.asked for each in standings)
    faults = [fault for each in standings for fault in each.faults]
    silent = [each for each in standings if each.asked and each.missing == each.asked]
    if not faults:
        return
    undecided = sum(each.undecided for each in standings)
    counted = f"{len(faults)} of {asked} verdicts did not come"
    if silent or on_missing == "error":
        error = MissingVerdictsError(
            "a verdict of every problem's candidates" if silent else "every verdict",
            got=f"none for {len(silent)} of {len(standings)} problems; {counted}: {faults[0]}"
            if silent
            else f"{counted}: {faults[0]}",
            where=call,
        )
        error.standings = tuple(standings)
        raise error
    warnings.warn(
        f"{call}: {counted}, which leaves {undecided} of "
        f"{sum(len(each.matches) for each in standings)} matches undecided; they count for "
        f"nobody. The first: {faults[0]}",
        UserWarning,
        stacklevel=4,
    )


def _ranked(
    candidates: Sequence[Solution], standings: Standings, top_k: int | None
) -> list[Ranked]:
    # NaN sorts last, and a stable sort keeps ties in the order of the input.
    best = np.argsort(-standings.scores, kind="stable")[:top_k].tolist()
    return [
        Ranked(index, float(standings.scores[index]), _shown(candidates[index]), [])
        for index in best
    ]


def _shown(solution: Solution) -> str:
    return solution if isinstance(solution, str) else "\n".join(solution)
