"""Whether answers are right, by a known answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepscore.answers.classes import Verifier, group_equal
from stepscore.ragged import first_true, segment_of


@dataclass(frozen=True)
class Grades:
    """Which candidates of some problems are right.

    Attributes:
        right: whether each candidate is, bool ``[candidates]``; False where it is not known.
        known: for which problems it is known, bool ``[problems]``.
        undecided: the answers, or pairs of them, that the verifier gave no verdict on in time.
    """

    right: NDArray[np.bool_]
    known: NDArray[np.bool_]
    undecided: tuple[str, ...] = ()


def same_answer(
    known: Sequence[str | None], answers: Sequence[str | None], *, verify: Verifier | None = None
) -> NDArray[np.bool_]:
    """Tell of every pair whether the answer is in the class of the known one.

    Each pair is compared on its own: other answers, and their units, have no say.

    Args:
        known: the right answers, ``[n]``; None is nobody's answer.
        answers: what is compared with them, ``[n]``; None is never right.
        verify: what decides on answers whose keys differ.

    Returns:
        bool ``[n]``.

    Raises:
        InputError: a verifier that does not start.

    Examples:
        >>> same_answer(["1/2", "12 hours", "3"], ["0.5", "12", None]).tolist()
        [True, True, False]
    """
    return _compare(known, answers, verify)[0]


def grade(
    known: Sequence[str | None],
    answers: Sequence[str | None],
    offsets: NDArray[np.int64],
    *,
    flags: Sequence[bool | None] | None = None,
    verify: Verifier | None = None,
) -> Grades:
    """Tell which candidates are right, for the problems of which it is known.

    Args:
        known: the right answer of each problem, ``[problems]``; None where nobody knows it.
        answers: of each candidate, ``[candidates]``; None where it gives none.
        offsets: where the candidates of each problem begin and end, ``[problems + 1]``.
        flags: whether a candidate is right, from elsewhere, ``[candidates]``. They count before the
            known answer where every candidate of the problem has one.
        verify: what decides on answers whose keys differ.

    Raises:
        InputError: a verifier that does not start.
    """
    problem_of = segment_of(offsets)
    has_answer = np.array([answer is not None for answer in known], np.bool_)
    flagged = np.zeros(len(has_answer), np.bool_)
    right = np.zeros(len(answers), np.bool_)
    if flags is not None and any(flag is not None for flag in flags):
        lacks_flag = np.array([flag is None for flag in flags])
        flagged = first_true(lacks_flag, offsets) < 0
        right = np.array([bool(flag) for flag in flags]) & flagged[problem_of]
    compared = np.flatnonzero((has_answer & ~flagged)[problem_of])
    same, undecided = _compare(
        [known[problem] for problem in problem_of[compared].tolist()],
        [answers[place] for place in compared.tolist()],
        verify,
    )
    right[compared] = same
    return Grades(right, has_answer | flagged, undecided)


def _compare(
    known: Sequence[str | None], answers: Sequence[str | None], verify: Verifier | None
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Compare pairs, each different one once; with what the verifier could not decide."""
    numbers: dict[tuple[str | None, str | None], int] = {}
    pair_of = [numbers.setdefault(pair, len(numbers)) for pair in zip(known, answers, strict=True)]
    texts = [text for pair in numbers for text in pair]
    groups = group_equal(texts, np.arange(0, len(texts) + 1, 2), verify=verify)
    first, second = groups.ids.reshape(-1, 2).T
    same = (first == second) & (second >= 0)
    return same[np.array(pair_of, np.int64)], groups.undecided
