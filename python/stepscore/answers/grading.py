"""Whether answers are right, by a known answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from stepscore.answers.classes import Verifier, group_equal
from stepscore.answers.stated import not_understood, stated_answers
from stepscore.ragged import first_true, segment_of


@dataclass(frozen=True)
class Grades:
    """Which candidates of some problems are right.

    Attributes:
        right: whether each candidate is, bool ``[candidates]``; False where it is not known.
        known: for which problems it is known, bool ``[problems]``.
        undecided: the answers, or pairs of them, that the verifier gave no verdict on in time.
        unread: the known answers that could not be understood; nothing is known by them.
    """

    right: NDArray[np.bool_]
    known: NDArray[np.bool_]
    undecided: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def grade(
    known: Sequence[str | None],
    answers: Sequence[str | None],
    offsets: NDArray[np.int64],
    *,
    flags: NDArray[np.int8] | None = None,
    verify: Verifier | None = None,
) -> Grades:
    """Tell which candidates are right, for the problems of which it is known.

    Args:
        known: the right answer of each problem, or a text that states it, ``[problems]``; None
            where nobody knows it.
        answers: of each candidate, ``[candidates]``; None where it gives none.
        offsets: where the candidates of each problem begin and end, ``[problems + 1]``.
        flags: whether a candidate is right, from elsewhere, ``[candidates]``: 1, 0, or -1 where
            that is not known. They count before the known answer where every candidate of the
            problem has one.
        verify: what decides on answers whose keys differ.

    Raises:
        InputError: a verifier that does not start.
    """
    known = stated_answers(known)
    problem_of = segment_of(offsets)
    has_answer = np.array([answer is not None for answer in known], np.bool_)
    flagged = np.zeros(len(has_answer), np.bool_)
    right = np.zeros(len(answers), np.bool_)
    if flags is not None and (flags >= 0).any():
        flagged = first_true(flags < 0, offsets) < 0
        right = (flags > 0) & flagged[problem_of]
    unread = [
        problem for problem in not_understood(known, answers, offsets) if not flagged[problem]
    ]
    has_answer[unread] = False
    compared = np.flatnonzero((has_answer & ~flagged)[problem_of])
    right[compared], undecided = _compare(known, answers, problem_of[compared], compared, verify)
    texts = tuple(known[p] or "" for p in unread)
    return Grades(right, has_answer | flagged, undecided, texts)


def _compare(
    known: Sequence[str | None],
    answers: Sequence[str | None],
    known_at: NDArray[np.int64],
    answer_at: NDArray[np.int64],
    verify: Verifier | None,
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Compare known answers with others, each different pair of texts once.

    Args:
        known_at, answer_at: the places of each pair.

    Returns:
        Whether each pair is equal, and what the verifier could not decide.
    """
    first = _first_places(known)[known_at], _first_places(answers)[answer_at]
    pairs, pair_of = np.unique(first[0] * len(answers) + first[1], return_inverse=True)
    places = np.divmod(pairs, max(len(answers), 1))
    texts: list[str | None] = [None] * (2 * len(pairs))
    texts[::2] = map(known.__getitem__, places[0].tolist())
    texts[1::2] = map(answers.__getitem__, places[1].tolist())
    groups = group_equal(texts, np.arange(0, len(texts) + 1, 2), verify=verify)
    same = (groups.ids[::2] == groups.ids[1::2]) & (groups.ids[1::2] >= 0)
    return same[pair_of], groups.undecided


def _first_places(texts: Sequence[str | None]) -> NDArray[np.int64]:
    """Give where each of the texts stands for the first time."""
    seen: dict[str | None, int] = {}
    return np.fromiter(map(seen.setdefault, texts, count()), np.int64, len(texts))
