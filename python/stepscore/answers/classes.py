"""The answers of some problems' candidates, in classes of equal ones."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
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
        texts: the answer of each candidate; None where it gives none.
        groups: their classes, first seen = 0 within a problem, -1 = no answer.
        has_answers: whether a problem's candidates hold solutions or answers at all, bool
            ``[problems]``. Without, nothing can be counted.
    """

    texts: list[str | None]
    groups: AnswerGroups
    has_answers: NDArray[np.bool_]

    @property
    def classes(self) -> NDArray[np.int64]:
        """The class of each candidate, ``[candidates]``."""
        return self.groups.ids


def read_answers(
    stated: Sequence[str | None],
    solutions: Sequence[str | None],
    offsets: NDArray[np.int64],
    *,
    verify: Verifier | None = None,
) -> Answers:
    """Read the answer of every candidate, and group equal ones.

    Args:
        stated: the answer that each candidate is given with, empty for one that has none; None
            where it has to be read from the solution.
        solutions: the text of each candidate; None where there is none, or where it is not needed.
        offsets: where the candidates of each problem begin and end, ``[problems + 1]``.
        verify: what decides on answers whose keys differ.

    Raises:
        InputError: a verifier that does not start.
    """
    texts = [answer or None for answer in stated]
    has_answers = np.ones(len(offsets) - 1, np.bool_)
    if None in stated:
        unread = [place for place, answer in enumerate(stated) if answer is None]
        read = [solutions[place] for place in unread]
        can_answer = np.ones(len(texts), np.bool_)
        can_answer[unread] = [solution is not None for solution in read]
        has_answers = first_true(can_answer, offsets) >= 0
        for place, answer in zip(unread, extract_answers(read), strict=True):
            texts[place] = answer
    groups = group_equal(texts, offsets, verify=verify)
    for place in np.flatnonzero(groups.ids < 0).tolist():
        texts[place] = None  # what says that there is no answer, such as N/A, is none
    return Answers(texts, groups, has_answers)


def group_equal(
    answers: Sequence[str | None], offsets: NDArray[np.int64], *, verify: Verifier | None = None
) -> AnswerGroups:
    """Group equal answers within each problem, as `stepscore.group_answers` does.

    What the verifier could not decide is in the result, and no warning.

    Raises:
        InputError: a verifier that does not start.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="group_answers: math-verify gave no verdict")
        try:
            return group_answers(answers, offsets, extract=False, verify=verify, explain=True)
        except RuntimeError as error:
            raise InputError(
                "it to compare answers",
                got=str(error).removeprefix("group_answers: "),
                argument=Argument("verify", verify),
            ) from error
