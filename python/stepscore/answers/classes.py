"""The answers of some problems' candidates, in classes of equal ones."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError
from stepscore.ops import extract_answers, group_answers
from stepscore.ops.answer_key import AnswerGroups
from stepscore.ragged import first_true

# What decides on answers whose keys differ; None and "none" let the keys alone decide, so that a
# result does not depend on what else is installed.
Verifier = Literal["math-verify", "none"]


@dataclass(frozen=True)
class Answers:
    """What the candidates of some problems answer.

    Attributes:
        spellings: answers as they were given; one may stand here several times.
        places: the answer of each candidate, int64 ``[candidates]``: a place in `spellings`, or -1
            where it gives none.
        groups: their classes, first seen = 0 within a problem, -1 = no answer.
        has_answers: whether a problem's candidates hold solutions or answers at all, bool
            ``[problems]``. Without, nothing can be counted.
    """

    spellings: Sequence[str | None]
    places: NDArray[np.int64]
    groups: AnswerGroups
    has_answers: NDArray[np.bool_]

    @property
    def classes(self) -> NDArray[np.int64]:
        """The class of each candidate, ``[candidates]``."""
        return self.groups.ids

    @cached_property
    def texts(self) -> list[str | None]:
        """The answer of each candidate; None where it gives none."""
        said: list[str | None] = [*self.spellings, None]  # at -1
        return list(map(said.__getitem__, self.places.tolist()))


def read_answers(
    spellings: Sequence[str | None],
    places: NDArray[np.int64],
    solutions: Mapping[int, str],
    offsets: NDArray[np.int64],
    *,
    verify: Verifier | None = None,
) -> Answers:
    """Read the answer of every candidate, and group equal ones.

    Args:
        spellings: answers that are given; an empty one says that there is none.
        places: that of each candidate among them, int64 ``[candidates]``; -1 where it has to be
            read from the solution.
        solutions: candidate -> its solution, where there is one.
        offsets: where the candidates of each problem begin and end, ``[problems + 1]``.
        verify: what decides on answers whose keys differ.

    Raises:
        InputError: a verifier that does not start.
    """
    has_answers = np.ones(len(offsets) - 1, np.bool_)
    unread = np.flatnonzero(places < 0)
    if len(unread):
        texts = [solutions.get(candidate) for candidate in unread.tolist()]
        can_answer = np.ones(len(places), np.bool_)
        can_answer[unread] = [text is not None for text in texts]
        has_answers = first_true(can_answer, offsets) >= 0
        read: dict[str | None, int] = {}
        numbers = [read.setdefault(answer, len(read)) for answer in extract_answers(texts)]
        places = places.copy()
        places[unread] = len(spellings) + np.array(numbers)
        spellings = [*spellings, *(answer or "" for answer in read)]
    groups = group_equal(spellings, offsets, places=places, verify=verify)
    # What says that there is no answer, such as N/A, is none.
    return Answers(spellings, np.where(groups.ids < 0, -1, places), groups, has_answers)


def group_equal(
    answers: Sequence[str | None],
    offsets: NDArray[np.int64],
    *,
    places: NDArray[np.int64],
    verify: Verifier | None = None,
) -> AnswerGroups:
    """Group equal answers within each problem, as `stepscore.group_answers` does.

    What the verifier could not decide is in the result, and no warning.

    Raises:
        InputError: a verifier that does not start.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="group_answers: math-verify gave no verdict")
        try:
            return group_answers(
                answers, offsets, places=places, extract=False, verify=verify, explain=True
            )
        except RuntimeError as error:
            raise InputError(
                "it to compare answers",
                got=str(error).removeprefix("group_answers: "),
                argument=Argument("verify", verify),
            ) from error
