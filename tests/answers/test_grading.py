"""Which answers are right."""

from __future__ import annotations

import numpy as np
from given_answers import read_given

from stepscore.answers import grade, same_answer


def test_flags_count_before_the_known_answer_where_all_have_one() -> None:
    offsets = np.array([0, 2, 4, 6, 8])
    grades = grade(
        ["1", "1", None, None],
        read_given(["1", "2", "1", "2", "1", "2", "1", "2"], offsets),
        offsets,
        flags=np.array([0, 1, -1, 1, 1, 0, -1, 1], np.int8),
    )
    assert grades.right.tolist() == [False, True, True, False, True, False, False, False]
    assert grades.known.tolist() == [True, True, True, False]
    assert grades.undecided == ()


def test_without_flags_the_known_answer_decides() -> None:
    offsets = np.array([0, 2, 3, 5])
    answers = read_given(["0.5", None, "7", "7.0", "8"], offsets)
    grades = grade(["1/2", None, "7"], answers, offsets)
    assert grades.right.tolist() == [True, False, False, True, False]
    assert grades.known.tolist() == [True, False, True]


def test_a_grade_is_that_of_every_pair() -> None:
    generator = np.random.default_rng(0)
    pool = ["1/2", "0.5", "50%", "x", None, "12 hours", "12"]
    offsets = np.cumsum([0, *generator.integers(0, 5, 60)])
    known = [pool[i] for i in generator.integers(len(pool), size=60)]
    answers = [pool[i] for i in generator.integers(len(pool), size=offsets[-1])]
    repeated = [
        text for text, size in zip(known, np.diff(offsets), strict=True) for _ in range(size)
    ]
    assert (
        grade(known, read_given(answers, offsets), offsets).right.tolist()
        == same_answer(repeated, answers, verify=None).tolist()
    )
