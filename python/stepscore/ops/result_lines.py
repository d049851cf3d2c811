"""Results written behind the fields of their records: the public function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepscore import _core

_view = _core.TensorView.of_numpy


class CandidateResults(NamedTuple):
    """What is written of the candidates of some records; None leaves it out.

    Attributes:
        offsets: where the candidates of each record begin and end, int64 ``[records + 1]``.
        truncated: how many steps have no score, int64 ``[candidates]``; written where it is not 0.
        skipped: which candidates have neither step scores nor a rank, bool ``[candidates]``.
        heads: candidate -> fields that stand first, as JSON without the braces.
        step_scores: float64 ``[steps]``.
        step_offsets: where those of each candidate begin and end, int64 ``[candidates + 1]``.
        scores: float64 ``[candidates, columns]``.
        ranks: int64 ``[candidates]``.
        answers: text or None, of each.
        classes: int64 ``[candidates]``.
    """

    offsets: NDArray[np.int64]
    truncated: NDArray[np.int64]
    skipped: NDArray[np.bool_]
    heads: Mapping[int, str] = {}  # a mapping that nothing changes
    step_scores: NDArray[np.float64] | None = None
    step_offsets: NDArray[np.int64] | None = None
    scores: NDArray[np.float64] | None = None
    ranks: NDArray[np.int64] | None = None
    answers: Sequence[str | None] | None = None
    classes: NDArray[np.int64] | None = None


class VoteResults(NamedTuple):
    """Who wins, ``[records, rules, columns]``.

    Attributes:
        winner: a candidate, counted over all records, int64; -1 = none.
        score, margin: float64.
        tied: bool.
    """

    winner: NDArray[np.int64]
    score: NDArray[np.float64]
    tied: NDArray[np.bool_]
    margin: NDArray[np.float64]


def result_lines(
    lines: Sequence[bytes],
    provenance: Sequence[str],
    candidates: CandidateResults,
    votes: VoteResults | None = None,
    *,
    result: str = "stepscore",
    columns: Sequence[str] = (),
    rules: Sequence[str] = (),
) -> bytes:
    """Write the results of records behind their own fields, a line each.

    The bytes are those of Python's ``json`` with ``ensure_ascii=False``: a number is the shortest
    decimal that is that float64 again, and null where it is not finite.

    Args:
        lines: a JSON object with at least one field for each record, without white space around.
        provenance: JSON, of each.
        candidates: their results.
        votes: the winners, with the answers of the candidates; None writes none.
        result: the name of the field that is added.
        columns: the names of the scores.
        rules: the names of the rules.

    Returns:
        All lines, each with a line break.

    Raises:
        ValueError: arrays that do not fit each other; a line that is no object.
        TypeError: a text that is no str.

    Examples:
        >>> one = CandidateResults(np.array([0, 1]), np.array([0]), np.array([False]))
        >>> one = one._replace(scores=np.array([[0.5]]), ranks=np.array([1]))
        >>> print(result_lines([b'{"id": 7}'], ['{"model": null}'], one, columns=["min"]).decode())
        {"id": 7, "stepscore": {"candidates": [{"scores": {"min": 0.5}, "rank": 1}], "provenance": \
{"model": null}}}
        <BLANKLINE>
    """
    heads = dict(sorted(candidates.heads.items()))
    # The views below do not keep the arrays, which this frame does.
    own = candidates._replace(
        **{name: _contiguous(value) for name, value in candidates._asdict().items()}
    )
    head_of = np.fromiter(heads, np.int64, len(heads))
    winners = (None,) * 4 if votes is None else tuple(map(_contiguous, votes))
    return _core.result_lines(
        tuple(lines),
        tuple(provenance),
        result,
        _view(own.offsets),
        _optional_view(own.step_scores),
        _optional_view(own.step_offsets),
        _view(own.truncated),
        _view(own.skipped),
        tuple(columns),
        _optional_view(own.scores),
        _optional_view(own.ranks),
        None if own.answers is None else tuple(own.answers),
        _optional_view(own.classes),
        _view(head_of),
        tuple(heads.values()),
        tuple(rules),
        *map(_optional_view, winners),
    )


def _contiguous(value: Any) -> Any:
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value


def _optional_view(array: NDArray[Any] | None) -> _core.TensorView | None:
    return None if array is None else _view(array)
