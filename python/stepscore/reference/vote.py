"""Which answer wins among the candidates of a problem, by a dictionary."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from stepscore.ops.vote import RULES, Rule, RuleName
from stepscore.ops.vote import VoteResult as VoteResult

Members = list[int]
Totals = dict[int, float]
Show = Callable[[Members], int]

_FINITE = sys.float_info.max


def vote(
    answer_ids: Any,
    scores: Any,
    offsets: Any,
    rule: RuleName | Rule | Sequence[RuleName | Rule],
    *,
    ties: str = "first",
    nan: str = "error",
    unfit: str | None = None,
    prefixes: Sequence[int] | None = None,
    class_scores: bool = False,
    **parameters: Any,
) -> VoteResult:
    r"""The answer :math:`a` with the largest :math:`s_a`, over its candidates :math:`C_a`.

    Args:
        answer_ids: ``[n]``, -1 = takes no part; None: the candidate's index in its problem.
        scores: v, ``[n]`` or ``[n, columns]``; None when only ``majority`` is asked.
        offsets: ``[problems + 1]``.
        rule: a name, a `Rule`, or a list of them; `stepscore.Rule` has the formulas.
        ties: ``first`` seen, or ``best_score``: the highest single score, then the first.
        nan: ``error``, or ``drop``: takes no part where the rule reads a NaN.
        unfit: ``error``, or ``nan``: no winner in a problem with scores that the rule cannot use;
            None: ``error`` for ``[n]``, ``nan`` for ``[n, columns]``.
        prefixes: sizes; the vote over the first so many candidates of every problem.
        class_scores: whether to give what the answer of every candidate reached.
        **parameters: those of rules that are given by name.

    Returns:
        winner (the first candidate of the answer; of some rules its best, or the best of all),
        answer_id, score, tied, margin: each ``[problems]``, and an axis each for a list of rules,
        for columns and for prefixes; class_scores ``[n]`` and so on, or None.
    """
    rules = [
        _named(each, parameters) if isinstance(each, str) else each
        for each in ([rule] if isinstance(rule, (str, Rule)) else rule)
    ]
    ids = _answers(answer_ids, offsets)
    values = None if scores is None else np.asarray(scores, dtype=np.float64)
    has_columns = values is not None and values.ndim == 2
    table = np.zeros((len(ids), 1)) if values is None else values
    table = table if has_columns else table.reshape(-1, 1)
    _refuse(ids, table, nan)
    stops = unfit == "error" or (unfit is None and not has_columns)
    sizes = [None] if prefixes is None else list(prefixes)

    tie_scores = np.where(np.isnan(table), -math.inf, table)
    shape = (len(offsets) - 1, len(rules), table.shape[1], len(sizes))
    fields = [np.empty(shape, t) for t in (np.int64, np.int64, np.float64, np.bool_, np.float64)]
    reached = np.full((len(ids), *shape[1:]), math.nan)
    for p, (begin, end) in enumerate(pairwise(offsets)):
        for r, by in enumerate(rules):
            for c in range(shape[2]):
                ballot = _ballot(by, ids, table, c, range(begin, end))
                fits = _fits(by, ballot)
                if stops and not fits:
                    raise ValueError(f"{by} cannot use the scores of problem {p}")
                for f, size in enumerate(sizes):
                    last = end if size is None else begin + size
                    votes = _Votes(by, ballot, last if fits else begin, tie_scores[:, c])
                    for field, value in zip(fields, votes.decide(ties), strict=True):
                        field[p, r, c, f] = value
                    for answer, members in votes.classes.items():
                        reached[members, r, c, f] = votes.totals[answer]
    # Only what was asked for in the plural has an axis.
    axes = (isinstance(rule, (str, Rule)), not has_columns, prefixes is None)
    kept = (slice(None), *(0 if alone else slice(None) for alone in axes))
    results: list[Any] = [field[kept] for field in fields]
    results.append(reached[kept] if class_scores else None)
    return VoteResult(*results)


def _named(name: RuleName, parameters: Mapping[str, Any]) -> Rule:
    takes = RULES[name].parameters
    return Rule(name, **{key: value for key, value in parameters.items() if key in takes})


def _answers(answer_ids: Any, offsets: Any) -> list[int]:
    if answer_ids is not None:
        return [int(answer) for answer in answer_ids]
    return [i - begin for begin, end in pairwise(offsets) for i in range(begin, end)]


def _refuse(ids: list[int], table: Any, nan: str) -> None:
    for i, answer in enumerate(ids):
        if answer < -1:
            raise ValueError(f"answer_ids[{i}] is {answer}")
    if nan == "error" and np.isnan(table).any():
        raise ValueError(f"scores[{np.flatnonzero(np.isnan(table).any(axis=1))[0]}] is NaN")


# --- who takes part, and with what ----------------------------------------------------------


@dataclass
class _Ballot:
    """Those who take part in a problem under a rule, with the scores that it reads."""

    voters: list[int]
    answer: dict[int, int]
    rows: dict[int, list[float]]


def _ballot(rule: Rule, ids: list[int], table: Any, column: int, problem: range) -> _Ballot:
    columns: Sequence[int] = [column]
    if rule.name == "majority":
        columns = []
    elif rule.name in ("pareto", "multi_objective"):
        columns = rule.parameters["columns"] or range(table.shape[1])
    rows = {i: [float(table[i, s]) for s in columns] for i in problem if ids[i] >= 0}
    voters = [i for i, row in rows.items() if not any(map(math.isnan, row))]
    return _Ballot(voters, {i: ids[i] for i in voters}, rows)


def _fits(rule: Rule, ballot: _Ballot) -> bool:
    """Whether the rule can use all scores that it reads of the whole problem."""
    low, high = -_FINITE, _FINITE
    if rule.name in ("majority", "best_of_n", "borda", "pareto"):
        low, high = -math.inf, math.inf
    elif rule.name in ("logodds_weighted", "loglik_weighted", "crew"):
        low, high = 0.0, 1.0
    elif rule.name == "confidence_weighted":
        low, high = -math.inf, 0.0
    elif rule.parameters.get("normalize") == "sum":
        low = 0.0
    return all(low <= score <= high for i in ballot.voters for score in ballot.rows[i])


# --- what the answers reach -----------------------------------------------------------------


class _Reached(NamedTuple):
    """The scores of the answers; of those that tie the one wins whose `order` is lowest."""

    totals: Totals
    show: Show  # the candidate that stands for an answer
    order: Show


class _Votes:
    """The votes of the candidates before `last`."""

    def __init__(self, rule: Rule, ballot: _Ballot, last: int, tie_scores: Any) -> None:
        self.given = rule.parameters
        self.tie_scores = tie_scores
        self.voters = [i for i in ballot.voters if i < last]
        self.rows = ballot.rows
        self.v = {i: ballot.rows[i][0] for i in self.voters if ballot.rows[i]}
        self.classes: dict[int, Members] = {}  # answer -> its candidates, in the order seen
        for i in self.voters:
            self.classes.setdefault(ballot.answer[i], []).append(i)
        self.count = {a: float(len(members)) for a, members in self.classes.items()}
        self.totals: Totals = {}
        if self.classes:
            self.totals, self.show, self.order = _SCORES[rule.name](self)

    def decide(self, ties: str) -> tuple[int, int, float, bool, float]:
        if not self.classes:
            return -1, -1, math.nan, False, math.nan
        total = self.totals
        reached = max(total.values())
        tied = [answer for answer in self.classes if total[answer] == reached]
        tied.sort(key=lambda a: self.order(self.classes[a]))
        answer = tied[0]
        if ties == "best_score":
            answer = max(tied, key=lambda a: max(self.tie_scores[i] for i in self.classes[a]))
        others = [score for a, score in total.items() if a != answer]
        margin = math.inf if not others else 0.0 if len(tied) > 1 else reached - max(others)
        return self.show(self.classes[answer]), answer, total[answer], len(tied) > 1, margin

    def sums(self, weight: Callable[[int], float]) -> Totals:
        return {a: _sum(weight(i) for i in members) for a, members in self.classes.items()}

    def total(self) -> Totals:
        return self.sums(lambda i: self.v[i])

    def mean(self) -> Totals:
        return {a: total / self.count[a] for a, total in self.total().items()}

    def most(self) -> Totals:
        return {a: max(self.v[i] for i in members) for a, members in self.classes.items()}

    def best(self, members: Members) -> int:
        return max(members, key=lambda i: self.v[i])

    def by_class(self, totals: Totals) -> _Reached:
        """The answer that was seen first goes before others, and stands with that candidate."""
        return _Reached(totals, _first, _first)

    def argmax(self) -> _Reached:
        """The first candidate with the highest score wins, whose answer was seen first or not."""
        return _Reached(self.most(), self.best, self.best)


def _majority(votes: _Votes) -> _Reached:
    return votes.by_class(votes.count)


def _weighted(votes: _Votes) -> _Reached:
    return votes.by_class(votes.total())


def _weighted_mean(votes: _Votes) -> _Reached:
    return votes.by_class(votes.mean())


def _best_of_n(votes: _Votes) -> _Reached:
    return votes.argmax()


def _minmax_weighted(votes: _Votes) -> _Reached:
    totals = votes.sums(lambda i: _share(votes.v[i], votes.v.values()))
    return _Reached(totals, votes.best, _first)


def _softmax_weighted(votes: _Votes) -> _Reached:
    high, temperature = max(votes.v.values()), votes.given["temperature"]
    powers = votes.sums(lambda i: math.exp((votes.v[i] - high) / temperature))
    whole = _sum(powers.values())
    return votes.by_class({a: power / whole for a, power in powers.items()})


def _logodds_weighted(votes: _Votes) -> _Reached:
    return votes.by_class(votes.sums(lambda i: _log_odds(votes.v[i], votes.given["eps"])))


def _loglik_weighted(votes: _Votes) -> _Reached:
    q, m, prior = (votes.given[name] for name in ("reliability", "answers", "prior"))
    constant = math.log(q * (m - 1) / (1 - q)) - math.log(prior / (1 - prior))
    return votes.by_class(
        votes.sums(lambda i: _log_odds(votes.v[i], votes.given["eps"]) + constant)
    )


def _confidence_weighted(votes: _Votes) -> _Reached:
    return votes.by_class(votes.sums(lambda i: math.exp(votes.v[i])))


def _crew(votes: _Votes) -> _Reached:
    return votes.argmax()


def _borda(votes: _Votes) -> _Reached:
    return votes.by_class(votes.sums(lambda i: _points(i, votes.v) ** votes.given["power"]))


def _hybrid_majority_reward(votes: _Votes) -> _Reached:
    if _consensus(votes.count, votes.given["tau"], votes.given["consensus"]):
        return votes.by_class(votes.count)
    if votes.given["reward"] == "max":
        return votes.argmax()
    return votes.by_class(votes.mean() if votes.given["reward"] == "mean" else votes.total())


def _weighted_reward_frequency(votes: _Votes) -> _Reached:
    mean, w = votes.mean(), votes.given["reward_weight"]
    whole = _sum(mean.values())
    if votes.given["normalize"] == "minmax":
        scaled = {a: _share(mean[a], mean.values()) for a in mean}
    else:
        scaled = {a: mean[a] / whole if whole > 0 else 1 / len(mean) for a in mean}
    share = {a: count / len(votes.voters) for a, count in votes.count.items()}
    return votes.by_class({a: w * scaled[a] + (1 - w) * share[a] for a in mean})


def _pareto(votes: _Votes) -> _Reached:
    rows = {i: np.array(votes.rows[i]) for i in votes.voters}
    front = {i for i in rows if not any(_dominates(rows[j], rows[i]) for j in rows)}
    return votes.by_class(votes.sums(lambda i: float(i in front)))


def _multi_objective(votes: _Votes) -> _Reached:
    columns = list(zip(*(votes.rows[i] for i in votes.voters), strict=True))

    def objective(i: int) -> float:
        row = votes.rows[i]
        if votes.given["scale"] == "minmax":
            row = [_share(x, column) for x, column in zip(row, columns, strict=True)]
        return _sum(u * x for u, x in zip(votes.given["objective_weights"], row, strict=True))

    return votes.by_class(votes.sums(objective))


_SCORES: dict[str, Callable[[_Votes], _Reached]] = {
    "majority": _majority,
    "weighted": _weighted,
    "weighted_mean": _weighted_mean,
    "best_of_n": _best_of_n,
    "minmax_weighted": _minmax_weighted,
    "softmax_weighted": _softmax_weighted,
    "logodds_weighted": _logodds_weighted,
    "loglik_weighted": _loglik_weighted,
    "confidence_weighted": _confidence_weighted,
    "crew": _crew,
    "borda": _borda,
    "hybrid_majority_reward": _hybrid_majority_reward,
    "weighted_reward_frequency": _weighted_reward_frequency,
    "pareto": _pareto,
    "multi_objective": _multi_objective,
}


def _first(members: Members) -> int:
    return members[0]


def _sum(values: Any) -> float:
    total = 0.0  # not sum(), which compensates for rounding since Python 3.12
    for value in values:
        total += value
    return total


def _share(value: float, values: Any) -> float:
    low, high = min(values), max(values)
    return (0.5 * value - 0.5 * low) / (0.5 * high - 0.5 * low) if high > low else 1.0


def _log_odds(score: float, eps: float) -> float:
    p = min(max(score, eps), 1 - eps)
    return math.log(p / (1 - p))


def _points(i: int, v: dict[int, float]) -> float:
    beaten = sum(score < v[i] for score in v.values())
    equal = sum(score == v[i] for score in v.values()) - 1
    return beaten + 0.5 * equal


def _consensus(count: dict[int, float], tau: float, consensus: str) -> bool:
    n = _sum(count.values())
    shares = [c / n for c in count.values()]
    if consensus == "share":
        return max(shares) >= tau
    entropy = -_sum(f * math.log(f) for f in shares)
    return bool(len(shares) == 1 or entropy / math.log(len(shares)) <= tau)


def _dominates(a: Any, b: Any) -> bool:
    return bool(np.all(a >= b) and np.any(a > b))
