"""Which answer wins among the candidates of a problem."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from stepscore import _arrays, _core


class VoteResult(NamedTuple):
    """The winner of every problem; with a list of rules every field is ``[problems, rules]``.

    Attributes:
        winner: index of the winning candidate into the flat arrays, int64; -1 = none.
        answer_id: its answer id, int64; -1 = none.
        score: what the winning answer reached (count, sum or best score), float64; NaN = none.
        tied: whether another answer reached the same score.
    """

    winner: Any
    answer_id: Any
    score: Any
    tied: Any


def vote(
    answer_ids: Any,
    scores: Any,
    offsets: Any,
    rule: str | Sequence[str],
    *,
    ties: str = "first",
    nan: str = "error",
) -> VoteResult:
    r"""Let the candidates of every problem vote for their answers.

    With :math:`C_a` the candidates whose answer is :math:`a` and :math:`v_i` the scores:

    - ``majority``: :math:`\arg\max_a |C_a|`
    - ``weighted``: :math:`\arg\max_a \sum_{i \in C_a} v_i`, added in float64 in candidate order
    - ``best_of_n``: the answer of :math:`\arg\max_i v_i`

    Args:
        answer_ids: int64 ``[n]``, equal ids within a problem are equal answers; -1 = no answer: the
            candidate takes no part. None: every candidate is an answer of its own.
        scores: ``[n]``, float32 or float64; None is allowed when only ``majority`` is asked.
        offsets: where the candidates of each problem begin and end, int64 ``[problems + 1]``.
        rule: a name, or a list of names for several rules in one pass.
        ties: which of the tied answers wins: ``"first"``, the one seen first, or ``"best_score"``,
            the one that holds the highest single score (then the first).
        nan: ``"error"`` raises on a NaN score, ``"drop"`` lets that candidate take no part.

    Returns:
        `VoteResult`. The winner of ``majority`` and ``weighted`` is the first candidate that gave
        the answer, of ``best_of_n`` the candidate with the highest score.

    Raises:
        ValueError: lengths or offsets that do not fit, an unknown rule, an id below -1, a NaN
            score, an infinite score under ``weighted``, missing scores.

    Source: majority is self-consistency; weighted and best-of-N as in search-and-learn (dictionary
    order: the first answer to reach the maximum wins).
    """
    op = "vote"
    like = next((a for a in (answer_ids, scores, offsets) if _arrays.is_torch(a)), None)
    if answer_ids is not None:
        answer_ids = _arrays.integers(op, "answer_ids", answer_ids)
    if scores is not None:
        scores = _arrays.contiguous(_arrays.array(op, "scores", scores), "float64")
    offsets = _arrays.integers(op, "offsets", offsets)
    rules = _arrays.names(op, "rule", rule)
    shape = (max(_arrays.length(offsets) - 1, 0), len(rules))
    winner = np.empty(shape, dtype=np.int64)
    answer_id = np.empty(shape, dtype=np.int64)
    score = np.empty(shape, dtype=np.float64)
    tied = np.empty(shape, dtype=np.bool_)
    _core.vote(
        _arrays.optional_view(op, "answer_ids", answer_ids),
        _arrays.optional_view(op, "scores", scores),
        _arrays.view(op, "offsets", offsets),
        rules,
        _arrays.choice(op, "ties", ties, ("first", "best_score")),
        _arrays.choice(op, "nan", nan, ("error", "drop")) == "drop",
        _arrays.view(op, "winner", winner),
        _arrays.view(op, "answer_id", answer_id),
        _arrays.view(op, "score", score),
        tied.__array_interface__["data"][0],
    )
    fields = (winner, answer_id, score, tied)
    if isinstance(rule, str):
        fields = tuple(field[:, 0] for field in fields)  # type: ignore[assignment]
    if like is not None:
        from_numpy = sys.modules["torch"].from_numpy
        return VoteResult(*(from_numpy(field) for field in fields))
    return VoteResult(*fields)
