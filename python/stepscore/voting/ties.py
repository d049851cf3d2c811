"""What ties are worth: how right a rule is, or how often two agree, whatever the order of the file.

The winners of `Elections` are those of the file's order. A table that counts them would reward it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stepscore.ragged import segment_of
from stepscore.voting.elections import Elections
from stepscore.voting.leaders import Part, is_exact, nearly_tied, parts
from stepscore.voting.scores import CandidateScores
from stepscore.voting.settings import TieCredit

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


def level(elections: Elections, offsets: Int) -> Bool:
    """Tell where two answers reach the same, ``[problems, rules, columns, sizes]``.

    Sums that may differ by the order of their addition alone are the same.

    Args:
        elections: of all problems.
        offsets: where the candidates of each problem begin and end, ``[problems + 1]``.
    """
    same = elections.tied.copy()
    for r, rule in enumerate(elections.rules):
        if not is_exact(rule):
            same[:, r] |= nearly_tied(elections, r, offsets)
    return np.asarray(same)


def credits_of(
    scores: CandidateScores,
    elections: Elections,
    right: Bool,
    known: Bool,
    tie_credit: TieCredit,
) -> Float:
    """Credit every rule with how right it is.

    Args:
        scores: of the candidates.
        elections: of all of them.
        right: whether each candidate is right, ``[candidates]``.
        known: of which problems that is known, ``[problems]``.
        tie_credit: see `VoteSettings`.

    Returns:
        float64 ``[problems, rules, columns, sizes]``, 0 to 1; 0 without a winner, and in problems
        of which nothing is known.
    """
    # The last element stands for no winner.
    credit = np.append(right, False)[elections.winner].astype(np.float64)
    credit[~known] = 0.0
    if tie_credit == "first" or not known.any():
        return credit
    unclear = level(elections, scores.offsets) | _mixed(elections, right, scores)
    unclear &= known[:, None, None, None] & (elections.winner >= 0)
    for r in range(len(elections.rules)):
        # A rule that reads no single column has the same in each.
        by_column = elections.rules[r].info.reads == "column"
        wanted = unclear[:, r] if by_column else unclear[:, r, :1]
        for part in parts(scores, elections, wanted):
            leads, weight = part.leaders(r)
            verdict = right[part.rows, None, None]
            if tie_credit == "share":
                chance = leads * weight
                value = part.sum(chance * verdict) / np.maximum(part.sum(chance), 1.0)
            else:
                value = np.asarray(~part.any(leads & (weight > 0) & ~verdict), np.float64)
            _put(credit[:, r], value, part, unclear[:, r])
        if not by_column:
            credit[:, r] = credit[:, r, :1]
    return credit


def agreements_of(
    scores: CandidateScores,
    elections: Elections,
    classes: Int,
    pairs: Sequence[tuple[int, int]],
    tie_credit: TieCredit,
) -> Float:
    """Tell how often two rules choose the same answer, each pair in the same order.

    Args:
        scores, elections: as in `credits_of`.
        classes: the answer of each candidate, -1 = none.
        pairs: the rules that are compared.
        tie_credit: see `VoteSettings`; under ``"lose"`` they agree if they do in every order.

    Returns:
        float64 ``[problems, pairs, columns, sizes]``, 0 to 1.
    """
    answer = np.append(classes, -1)[elections.winner]
    shape = (len(answer), len(pairs), *answer.shape[2:])
    agreed = np.empty(shape)
    for at, (a, b) in enumerate(pairs):
        agreed[:, at] = answer[:, a] == answer[:, b]
    if tie_credit == "first":
        return agreed
    tied = level(elections, scores.offsets)
    for at, (a, b) in enumerate(pairs):
        unclear = (tied[:, a] | tied[:, b]) & (answer[:, a] >= 0) & (answer[:, b] >= 0)
        for part in parts(scores, elections, unclear):
            value = _agreement(
                part, part.leaders(a)[0], part.leaders(b)[0], certain=tie_credit == "lose"
            )
            _put(agreed[:, at], value, part, unclear)
    return agreed


def _agreement(part: Part, first: Bool, second: Bool, *, certain: bool) -> Float:
    """Tell how often the first seen of two sets of leaders give the same answer, in one order.

    The first seen of both sets together decides for those sets that it is in; in the other set
    every candidate may then be the first, with equal chances.
    """
    both = part.sum(first & second)
    value, differs = both, np.zeros(both.shape, np.bool_)
    for leads, others in ((first, second), (second, first)):
        same = part.over_answer(np.add, others.astype(np.float64))
        number = part.sum(others)
        alone = leads & ~others
        value = value + part.sum(alone * same) / np.maximum(number, 1.0)
        differs = differs | part.any(alone & (same < number[part.problem]))
    if certain:
        return np.asarray(~differs, np.float64)
    return np.asarray(value / np.maximum(part.sum(first | second), 1.0))


def _mixed(elections: Elections, right: Bool, scores: CandidateScores) -> Bool:
    """Tell which problems have an answer with right and wrong candidates, with axes behind them."""
    problem, votes = segment_of(scores.offsets), np.flatnonzero(elections.ids >= 0)
    answer = scores.offsets[problem[votes]] + elections.ids[votes]
    verdict, of_answer = right[votes], np.zeros(len(right), np.bool_)
    of_answer[answer] = verdict  # that of one of its candidates
    mixed = np.zeros(scores.problems, np.bool_)
    mixed[problem[votes[verdict != of_answer[answer]]]] = True
    return mixed[:, None, None, None]


def _put(into: Float, values: Float, part: Part, where: Bool) -> None:
    """Write the values of a part, ``[problems, columns, sizes]``, where they are wanted."""
    into[part.place] = np.where(where[part.place], values, into[part.place])
