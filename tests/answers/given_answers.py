"""Answers as candidates give them, read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stepscore.answers import Answers, read_answers


def read_given(
    answers: Sequence[str | None],
    offsets: Sequence[int] | np.ndarray,
    solutions: Mapping[int, str] | None = None,
) -> Answers:
    """Read an answer of each candidate, None where its solution has to tell."""
    places = np.array([-1 if text is None else place for place, text in enumerate(answers)])
    return read_answers(answers, places, solutions or {}, np.asarray(offsets))
