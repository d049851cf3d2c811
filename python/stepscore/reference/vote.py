"""Which answer wins among the candidates of a problem, by a dictionary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from stepscore.ops.vote import VoteResult as VoteResult


def vote(
    answer_ids: Any,
    scores: Any,
    offsets: Any,
    rule: str | Sequence[str],
    *,
    ties: str = "first",
    nan: str = "error",
) -> VoteResult:
    r"""The answer :math:`a` with the largest :math:`s_a`, over its candidates :math:`C_a`.

    ``majority``: :math:`s_a = |C_a|`; ``weighted``: :math:`s_a = \sum_{i \in C_a} v_i`;
    ``best_of_n``: :math:`s_a = \max_{i \in C_a} v_i`.

    Args:
        answer_ids: ``[n]``, -1 = takes no part; None: the candidate's index in its problem.
        scores: v, ``[n]``; None when only ``majority`` is asked.
        offsets: ``[problems + 1]``.
        rule: a name or a list of names.
        ties: ``first`` seen, or ``best_score``: the highest single score, then the first.
        nan: ``error``, or ``drop``: a candidate with a NaN score takes no part.

    Returns:
        winner (first candidate of the answer, for ``best_of_n`` its best), answer_id, score, tied,
        each ``[problems]``, or ``[problems, len(rule)]`` for a list.
    """
    if not isinstance(rule, str):
        columns = [vote(answer_ids, scores, offsets, r, ties=ties, nan=nan) for r in rule]
        return VoteResult(*(np.stack(field, axis=1) for field in zip(*columns, strict=True)))
    rows = []
    for begin, end in pairwise(offsets):
        classes: dict[int, list[int]] = {}  # answer -> its candidates, in the order seen
        for i in range(begin, end):
            answer = i - begin if answer_ids is None else int(answer_ids[i])
            if answer < -1:
                raise ValueError(f"answer_ids[{i}] is {answer}")
            missing = scores is not None and math.isnan(scores[i])
            if missing and nan == "error":
                raise ValueError(f"scores[{i}] is NaN")
            if rule == "weighted" and answer >= 0 and math.isinf(scores[i]):
                raise ValueError(f"scores[{i}] is infinite")
            if answer >= 0 and not missing:
                classes.setdefault(answer, []).append(i)
        rows.append(_decide(classes, scores, rule, ties))
    dtypes = (np.int64, np.int64, np.float64, np.bool_)
    fields = zip(*rows, strict=True) if rows else [()] * 4
    return VoteResult(*(np.array(f, dtype=d) for f, d in zip(fields, dtypes, strict=True)))


def _decide(
    classes: dict[int, list[int]], scores: Any, rule: str, ties: str
) -> tuple[int, int, float, bool]:
    if not classes:
        return -1, -1, math.nan, False
    measure = {"majority": _count, "weighted": _sum, "best_of_n": _best}[rule]
    total = {answer: measure(members, scores) for answer, members in classes.items()}
    reached = max(total.values())
    tied = [answer for answer in classes if total[answer] == reached]
    answer = tied[0]
    if ties == "best_score":
        answer = max(tied, key=lambda a: _best(classes[a], scores))
    members = classes[answer]
    winner = max(members, key=lambda i: scores[i]) if rule == "best_of_n" else members[0]
    return winner, answer, reached, len(tied) > 1


def _count(members: list[int], scores: Any) -> float:
    return float(len(members))


def _sum(members: list[int], scores: Any) -> float:
    total = 0.0  # not sum(), which compensates for rounding since Python 3.12
    for i in members:
        total += float(scores[i])
    return total


def _best(members: list[int], scores: Any) -> float:
    return max(float(scores[i]) for i in members)
