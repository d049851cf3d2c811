"""Which answer wins among the candidates of a problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stepscore._arrays import Call, length


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
    stream: Any = None,
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
        stream: for CUDA arrays, the stream to enqueue on; see `value_head`. There a candidate that
            would raise takes no part, and raises under ``STEPSCORE_CUDA_CHECK=1``.

    Returns:
        `VoteResult`. The winner of ``majority`` and ``weighted`` is the first candidate that gave
        the answer, of ``best_of_n`` the candidate with the highest score.

    Raises:
        ValueError: lengths or offsets that do not fit, an unknown rule, an id below -1, a NaN
            score, an infinite score under ``weighted``, missing scores.

    Source: majority is self-consistency; weighted and best-of-N as in search-and-learn (dictionary
    order: the first answer to reach the maximum wins).
    """
    call = Call("vote", stream)
    if answer_ids is not None:
        answer_ids = call.integers("answer_ids", answer_ids)
    if scores is not None:
        scores = call.contiguous("scores", call.array("scores", scores), "float64")
    offsets = call.integers("offsets", offsets)
    call.prefer_tensors(answer_ids, scores, offsets)
    rules = call.names("rule", rule)
    shape = (max(length(offsets) - 1, 0), len(rules))
    result = VoteResult(
        call.empty(shape, "int64"),
        call.empty(shape, "int64"),
        call.empty(shape, "float64"),
        call.empty(shape, "bool"),
    )
    call.module.vote(
        call.optional_view("answer_ids", answer_ids),
        call.optional_view("scores", scores),
        call.view("offsets", offsets),
        rules,
        call.choice("ties", ties, ("first", "best_score")),
        call.choice("nan", nan, ("error", "drop")) == "drop",
        *(call.view(name, field) for name, field in zip(result._fields, result, strict=True)),
        call.queue,
    )
    if isinstance(rule, str) and hasattr(result.winner, "__getitem__"):
        return VoteResult(*(field[:, 0] for field in result))
    return result
