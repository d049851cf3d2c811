"""Which answer wins among the candidates of a problem, by a dictionary."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from stepscore.ops.vote import VoteResult as VoteResult

Members = list[int]


def vote(
    answer_ids: Any,
    scores: Any,
    offsets: Any,
    rule: str | Sequence[str],
    *,
    ties: str = "first",
    nan: str = "error",
    prefixes: Sequence[int] | None = None,
    class_scores: bool = False,
    **parameters: Any,
) -> VoteResult:
    r"""The answer :math:`a` with the largest :math:`s_a`, over its candidates :math:`C_a`.

    Args:
        answer_ids: ``[n]``, -1 = takes no part; None: the candidate's index in its problem.
        scores: v, ``[n]`` or ``[n, columns]``; None when only ``majority`` is asked.
        offsets: ``[problems + 1]``.
        rule: a name or a list of names; `stepscore.vote` has the formulas.
        ties: ``first`` seen, or ``best_score``: the highest single score, then the first.
        nan: ``error``, or ``drop``: a candidate with a NaN score takes no part.
        prefixes: sizes; the vote over the first so many candidates of every problem.
        class_scores: whether to give what the answer of every candidate reached.
        **parameters: those of the rules.

    Returns:
        winner (the first candidate of the answer; of some rules its best), answer_id, score, tied,
        margin: each ``[problems]``, with a list ``[problems, rules]``, with prefixes one dimension
        more; class_scores ``[n]`` and so on, or None.
    """
    if not isinstance(rule, str):
        columns = [
            vote(
                answer_ids,
                scores,
                offsets,
                name,
                ties=ties,
                nan=nan,
                prefixes=prefixes,
                class_scores=class_scores,
                **parameters,
            )
            for name in rule
        ]
        return _stacked(columns, axis=1)
    if prefixes is not None:
        columns = [
            _vote(answer_ids, scores, offsets, rule, ties, nan, size, parameters)
            for size in prefixes
        ]
        result = _stacked(columns, axis=-1)
    else:
        result = _vote(answer_ids, scores, offsets, rule, ties, nan, None, parameters)
    return result if class_scores else result._replace(class_scores=None)


def _vote(
    answer_ids: Any,
    scores: Any,
    offsets: Any,
    rule: str,
    ties: str,
    nan: str,
    prefix: int | None,
    parameters: dict[str, Any],
) -> VoteResult:
    columns = None if scores is None else np.asarray(scores, dtype=np.float64)
    if columns is not None and columns.ndim == 1:
        columns = columns[:, None]
    rows: list[tuple[int, int, float, bool, float]] = []
    by_candidate = np.full(int(offsets[-1]), math.nan)
    for begin, end in pairwise(offsets):
        classes: dict[int, Members] = {}  # answer -> its candidates, in the order seen
        for i in range(begin, end):
            answer = i - begin if answer_ids is None else int(answer_ids[i])
            if answer < -1:
                raise ValueError(f"answer_ids[{i}] is {answer}")
            missing = columns is not None and bool(np.isnan(columns[i]).any())
            if missing and nan == "error":
                raise ValueError(f"scores[{i}] is NaN")
            inside = prefix is None or i < begin + prefix
            if answer >= 0 and not missing and inside:
                classes.setdefault(answer, []).append(i)
        total, show = _score(classes, columns, rule, parameters)
        rows.append(_decide(classes, total, show, columns, ties))
        for answer, members in classes.items():
            by_candidate[members] = total[answer]
    dtypes = (np.int64, np.int64, np.float64, np.bool_, np.float64)
    fields: Any = zip(*rows, strict=True) if rows else [()] * len(dtypes)
    made: Any = [np.array(field, dtype=dtype) for field, dtype in zip(fields, dtypes, strict=True)]
    return VoteResult(made[0], made[1], made[2], made[3], made[4], by_candidate)


def _stacked(columns: Sequence[VoteResult], axis: int) -> VoteResult:
    fields = zip(*columns, strict=True)
    return VoteResult(*(None if f[0] is None else np.stack(f, axis=axis) for f in fields))


def _decide(
    classes: dict[int, Members],
    total: dict[int, float],
    show: Callable[[Members], int],
    columns: Any,
    ties: str,
) -> tuple[int, int, float, bool, float]:
    if not classes:
        return -1, -1, math.nan, False, math.nan
    reached = max(total.values())
    tied = [answer for answer in classes if total[answer] == reached]
    answer = tied[0]
    if ties == "best_score":
        answer = max(tied, key=lambda a: max(columns[i, 0] for i in classes[a]))
    others = [score for a, score in total.items() if a != answer]
    margin = math.inf if not others else 0.0 if len(tied) > 1 else reached - max(others)
    return show(classes[answer]), answer, reached, len(tied) > 1, margin


def _score(
    classes: dict[int, Members], columns: Any, rule: str, parameters: dict[str, Any]
) -> tuple[dict[int, float], Callable[[Members], int]]:
    """What every answer reaches, and which of its candidates stands for it."""
    voters = sorted(i for members in classes.values() for i in members)
    v = {i: 0.0 if columns is None else float(columns[i, 0]) for i in voters}

    def first(members: Members) -> int:
        return members[0]

    def best(members: Members) -> int:
        return max(members, key=lambda i: v[i])

    def sums(weight: Callable[[int], float]) -> dict[int, float]:
        return {a: _sum(weight(i) for i in members) for a, members in classes.items()}

    def share(value: float, values: Any) -> float:
        low, high = min(values), max(values)
        return (0.5 * value - 0.5 * low) / (0.5 * high - 0.5 * low) if high > low else 1.0

    def log_odds(i: int) -> float:
        eps = parameters.get("eps", 1e-7)
        p = min(max(v[i], eps), 1 - eps)
        return math.log(p / (1 - p))

    count = {a: float(len(members)) for a, members in classes.items()}
    total = sums(lambda i: v[i])
    mean = {a: total[a] / count[a] for a in classes}
    most = {a: max(v[i] for i in members) for a, members in classes.items()}
    if rule == "majority":
        return count, first
    if rule == "weighted":
        return total, first
    if rule == "weighted_mean":
        return mean, first
    if rule == "best_of_n":
        return most, best
    if rule == "minmax_weighted":
        return sums(lambda i: share(v[i], v.values())), best
    if rule == "softmax_weighted":
        high = max(v.values(), default=0.0)
        powers = sums(lambda i: math.exp((v[i] - high) / parameters["temperature"]))
        whole = _sum(powers.values())
        return {a: power / whole for a, power in powers.items()}, first
    if rule == "logodds_weighted":
        return sums(log_odds), first
    if rule == "loglik_weighted":
        q, m, prior = (parameters[name] for name in ("reliability", "answers", "prior"))
        constant = math.log(q * (m - 1) / (1 - q)) - math.log(prior / (1 - prior))
        return sums(lambda i: log_odds(i) + constant), first
    if rule == "confidence_weighted":
        return sums(lambda i: math.exp(v[i])), first
    if rule == "borda":
        return sums(lambda i: _points(i, v) ** parameters.get("power", 1)), first
    if rule == "hybrid_majority_reward":
        if not classes or _consensus(count, **parameters):
            return count, first
        reward = parameters["reward"]
        return {"max": (most, best), "mean": (mean, first), "sum": (total, first)}[reward]
    if rule == "weighted_reward_frequency":
        w, whole = parameters["reward_weight"], _sum(mean.values())
        if parameters["normalize"] == "minmax":
            scaled = {a: share(mean[a], mean.values()) for a in classes}
        else:
            scaled = {a: mean[a] / whole if whole > 0 else 1 / len(classes) for a in classes}
        return {a: w * scaled[a] + (1 - w) * (count[a] / len(voters)) for a in classes}, first
    if rule == "pareto":
        front = [i for i in voters if not any(_dominates(columns[j], columns[i]) for j in voters)]
        return sums(lambda i: float(i in front)), first
    if rule == "multi_objective":

        def objective(i: int) -> float:
            scaled = columns[i]
            if parameters["scale"] == "minmax":
                scaled = [share(x, columns[voters, s]) for s, x in enumerate(columns[i])]
            weights = parameters["objective_weights"]
            return _sum(float(u) * float(x) for u, x in zip(weights, scaled, strict=True))

        return sums(objective), first
    raise ValueError(f"unknown rule {rule!r}")


def _sum(values: Any) -> float:
    total = 0.0  # not sum(), which compensates for rounding since Python 3.12
    for value in values:
        total += value
    return total


def _points(i: int, v: dict[int, float]) -> float:
    beaten = sum(score < v[i] for score in v.values())
    equal = sum(score == v[i] for score in v.values()) - 1
    return beaten + 0.5 * equal


def _consensus(count: dict[int, float], *, tau: float, consensus: str, **_: Any) -> bool:
    n = _sum(count.values())
    shares = [c / n for c in count.values()]
    if consensus == "share":
        return max(shares) >= tau
    entropy = -_sum(f * math.log(f) for f in shares)
    return len(shares) == 1 or entropy / math.log(len(shares)) <= tau


def _dominates(a: Any, b: Any) -> bool:
    return bool(np.all(a >= b) and np.any(a > b))
