"""Which of its candidates answers a problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError, InputTypeError, did_you_mean
from stepscore.ops import Rule, vote
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.ops.vote import RuleName
from stepscore.search.result import Trace
from stepscore.search.tree import Ids, Reals, Tree

ScoreChoice: TypeAlias = Literal["process", "value"]


@dataclass(frozen=True)
class Choice:
    """How candidates choose the answer.

    Attributes:
        how: makes one score of a candidate's steps, a name of `stepscore.aggregate`.
        rule: of the vote.
        has_outcome: whether a second scorer knows the outcome of candidates.
        by: which score a rule reads that reads one: ``"process"``, what `how` makes; ``"value"``,
            the second scorer's; None: the strategy's own, such as the f of `outcome_beam`, and
            where it has none the process score.
    """

    how: str
    rule: Rule
    has_outcome: bool
    by: ScoreChoice | None = None

    def worth(self, tree: Tree, candidates: Ids) -> Reals:
        """The one score by which a candidate is judged, ``[candidates]``."""
        if self.by == "value":
            return tree.outcome[candidates]
        process = tree.values(candidates, self.how)
        strategy = tree.worth[candidates]
        # Within a problem all are judged by the same: a root has no f, and does not win by it.
        judges = tree.count(candidates[~np.isnan(strategy)])[tree.problem(candidates)] > 0
        return np.where(judges, strategy, process) if self.by is None else process

    def scores(self, tree: Tree, candidates: Ids) -> Reals:
        """What the rule reads, ``[candidates]`` or ``[candidates, columns]``."""
        if self.rule.info.reads != "columns":
            return self.worth(tree, candidates)
        process = tree.values(candidates, self.how)
        columns = [process, tree.outcome[candidates]] if self.has_outcome else [process]
        return np.stack(columns, axis=1)

    def words(self) -> str:
        """Which score it is, for a message."""
        return "of the second scorer" if self.by == "value" else f"by how={self.how!r}"


def read_choice(
    how: str, rule: RuleName | Rule, *, has_outcome: bool, by: ScoreChoice | None = None
) -> Choice:
    """Refuse what no vote can be held by, before any model works.

    Raises:
        InputError: an unknown aggregation or rule, a parameter of the rule that is missing, or that
            does not fit the columns there are; a second scorer that shall choose and is not there.
    """
    if by is not None and by not in get_args(ScoreChoice):
        raise InputError(
            f"one of {', '.join(get_args(ScoreChoice))}, or None",
            got=repr(by),
            argument="choose",
            where="search",
        )
    if by == "value" and not has_outcome:
        raise InputError(
            "a second scorer, because choose='value' lets it choose",
            got="none",
            argument="value",
            where="search",
        )
    if how not in AGGREGATIONS:
        raise InputError(
            f"one of {', '.join(AGGREGATIONS)}",
            got=repr(how),
            advice=did_you_mean(how, AGGREGATIONS),
            argument="how",
            where="search",
        )
    if not isinstance(rule, (str, Rule)):
        raise InputTypeError(
            "a name or a Rule", got=f"{rule!r:.60}", argument="rule", where="search"
        )
    choice = Choice(how, _named(rule) if isinstance(rule, str) else rule, has_outcome, by)
    if by is not None and choice.rule.info.reads != "column":
        raise InputError(
            "a rule that reads one score, which `choose` names",
            got=f"{choice.rule.name!r}",
            advice=("pass another rule, or no ", Argument("choose")),
            argument="rule",
            where="search",
        )
    columns = 1 + has_outcome
    try:
        if choice.rule.info.reads == "columns":
            vote([0], np.full((1, columns), 0.5), [0, 1], choice.rule)
    except ValueError as error:
        known = "the process and the outcome score" if has_outcome else "the process score"
        raise InputError(
            f"a rule for {columns} column{'s' if has_outcome else ''}, {known}",
            got=f"{choice.rule!r}: {error}",
            argument="rule",
            where="search",
        ) from error
    return choice


def _named(name: RuleName) -> Rule:
    try:
        return Rule(name)
    except InputError as error:
        inside = error.argument
        field = f".{inside.name}" if inside is not None and inside.name != "name" else ""
        raise InputError(
            error.expected,
            got=error.got,
            advice=error.advice,
            argument=Argument(f"rule{field}"),
            where="search",
        ) from None


@dataclass(frozen=True)
class Elected:
    """What the candidates of a problem chose.

    Attributes:
        traces: the candidates.
        winner: its place among them; -1 without any.
    """

    traces: list[Trace]
    winner: int

    @property
    def answer(self) -> str | None:
        """The winner's."""
        return self.traces[self.winner].answer if self.winner >= 0 else None

    @property
    def text(self) -> str:
        """The winner's."""
        return self.traces[self.winner].text if self.winner >= 0 else ""


def elect(tree: Tree, candidates: Ids, choice: Choice) -> list[Elected]:
    """Let the candidates of every problem choose.

    Complete traces with an answer vote. Where there is none, the best complete trace wins, else the
    best of all: the highest score, then the first.

    Raises:
        InputError: scores that the rule cannot use.
    """
    candidates = tree.join(candidates[tree.engine.depth[candidates] > 0])
    offsets = tree.offsets(candidates)
    scores, complete = tree.values(candidates, choice.how), tree.ended(candidates)
    worth = choice.worth(tree, candidates)
    answers = tree.answers(candidates)
    winners = _winners(tree, candidates, choice)
    values, value_offsets = tree.step_scores(candidates)
    steps = [tree.steps(node) for node in candidates.tolist()]
    numbers = (candidates % tree.engine.max_nodes).tolist()
    ranked = np.where(np.isnan(worth), -np.inf, worth)
    elected = []
    for problem in range(len(tree.problems)):
        begin, end = int(offsets[problem]), int(offsets[problem + 1])
        winner = int(winners[problem])
        if winner < 0 and begin < end:
            winner = max(range(begin, end), key=lambda i: (complete[i], ranked[i]))
        traces = [
            Trace(
                steps[i],
                values[value_offsets[i] : value_offsets[i + 1]].tolist(),
                float(scores[i]),
                answers[i],
                bool(complete[i]),
                numbers[i],
                float(worth[i]),
            )
            for i in range(begin, end)
        ]
        elected.append(Elected(traces, winner - begin if winner >= 0 else -1))
    return elected


def _winners(tree: Tree, candidates: Ids, choice: Choice) -> NDArray[np.int64]:
    """The winner of every problem; -1 where nobody takes part."""
    rule, offsets, ids = choice.rule, tree.offsets(candidates), tree.answer_ids(candidates)
    scores = choice.scores(tree, candidates)
    winners = np.asarray(vote(ids, scores, offsets, rule, nan="drop", unfit="nan").winner)
    if winners.ndim > 1:  # a rule that reads columns together has the same winner in each
        winners = winners[:, 0]
    _refuse_unfit(scores, ids, offsets, winners, choice)
    return winners


def _refuse_unfit(scores: Any, ids: Ids, offsets: Ids, winners: Ids, choice: Choice) -> None:
    """Say which rule cannot use which score, where some take part and none of them wins."""
    needs = choice.rule.scores
    if choice.rule.info.reads == "nothing":
        return
    for problem in np.flatnonzero(winners < 0).tolist():
        members = slice(offsets[problem], offsets[problem + 1])
        read = scores[members][ids[members] >= 0]
        read = read[~np.isnan(read)] if read.ndim == 1 else read[~np.isnan(read).any(axis=1)]
        outside = read[~((read >= needs.low) & (read <= needs.high))]
        if outside.size:
            raise InputError(
                f"{needs.words}, which {choice.rule.name} reads",
                got=f"{outside[0]:g} {choice.words()}",
                advice=("pass another rule, or another ", Argument("how")),
                argument="rule",
                where="search",
            )
