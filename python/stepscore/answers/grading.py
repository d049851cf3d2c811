"""Whether answers are right, by a known answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from stepscore.answers.classes import Answers, Verifier, group_equal
from stepscore.answers.stated import not_understood, stated_answers
from stepscore.ops import group_answers
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
    answers: Answers,
    offsets: NDArray[np.int64],
    *,
    flags: NDArray[np.int8] | None = None,
    verify: Verifier | None = None,
) -> Grades:
    """Tell which candidates are right, for the problems of which it is known.

    Args:
        known: the right answer of each problem, or a text that states it, ``[problems]``; None
            where nobody knows it.
        answers: of the candidates.
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
    right = np.zeros(len(answers.places), np.bool_)
    if flags is not None and (flags >= 0).any():
        flagged = first_true(flags < 0, offsets) < 0
        right = (flags > 0) & flagged[problem_of]
    unread = [
        problem
        for problem in not_understood(known, lambda p: answers.texts[offsets[p] : offsets[p + 1]])
        if not flagged[problem]
    ]
    has_answer[unread] = False
    compared = np.flatnonzero((has_answer & ~flagged)[problem_of])
    right[compared], undecided = _compare(
        known, answers.spellings, problem_of[compared], answers.places[compared], verify
    )
    texts = tuple(known[p] or "" for p in unread)
    return Grades(right, has_answer | flagged, undecided, texts)


def _compare(
    known: Sequence[str | None],
    spellings: Sequence[str | None],
    known_at: NDArray[np.int64],
    answer_at: NDArray[np.int64],
    verify: Verifier | None,
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Compare known answers with others.

    Args:
        known_at, answer_at: the places of each pair; -1 where no answer is given.

    Returns:
        Whether each pair is equal, and what the verifier could not decide.
    """
    each: NDArray[np.int64] | slice = slice(None)
    if verify is not None:  # it is asked about each different pair of texts once
        first = _first_places(known)[known_at], _first_places([*spellings, None])[answer_at]
        width = len(spellings) + 1
        pairs, each = np.unique(first[0] * width + first[1], return_inverse=True)
        known_at, answer_at = np.divmod(pairs, width)
        answer_at[answer_at == len(spellings)] = -1
    places = np.empty(2 * len(known_at), np.int64)
    places[::2], places[1::2] = known_at, np.where(answer_at < 0, -1, len(known) + answer_at)
    offsets = np.arange(0, len(places) + 1, 2)
    undecided: tuple[str, ...] = ()
    texts = [*known, *spellings]
    if verify is None:
        ids = group_answers(texts, offsets, places=places, extract=False, verify=None)
    else:
        ids, _, undecided = group_equal(texts, offsets, places=places, verify=verify)
    return ((ids[::2] == ids[1::2]) & (ids[1::2] >= 0))[each], undecided


def _first_places(texts: Sequence[str | None]) -> NDArray[np.int64]:
    """Give where each of the texts stands for the first time."""
    seen: dict[str | None, int] = {}
    return np.fromiter(map(seen.setdefault, texts, count()), np.int64, len(texts))
