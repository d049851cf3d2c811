"""Whether two texts give the same answer."""

from __future__ import annotations

import pytest

import stepscore
from stepscore.answers import same_answer
from stepscore.errors import InputError


def test_pairs_are_compared_one_by_one() -> None:
    # 12 and 12 hours are equal, although another answer is 12 minutes.
    known = ["12 hours", "12 hours", "1/2", "x+1", None, None]
    answers = ["12", "12 minutes", "0.5", "1+x", "3", None]
    assert same_answer(known, answers, verify=None).tolist() == [1, 0, 1, 0, 0, 0]
    assert same_answer([], []).tolist() == []
    assert stepscore.same_answer is same_answer


def test_one_right_answer_serves_all() -> None:
    answers = iter(["0.5", r"\frac{1}{2}", "50%", "2", None])
    assert same_answer("1/2", answers, verify=None).tolist() == [1, 1, 1, 0, 0]
    # A percentage in one pair says nothing of another.
    assert same_answer("28%", ["28", "0.28", "2.8"], verify=None).tolist() == [1, 1, 0]


def test_both_sides_may_be_texts() -> None:
    known = ["5 + 6 = 11\n#### 11", r"Thus \boxed{\frac{1}{2}}.", "$18$", "x + 1", "N/A"]
    answers = ["The answer is 11.", "0.5", r"So we have \boxed{18}", "x+1", "N/A"]
    assert same_answer(known, answers, verify=None).tolist() == [1, 1, 1, 1, 0]


def test_a_verifier_decides_on_what_the_keys_leave_open() -> None:
    def same_letters(a: str, b: str) -> bool:
        return sorted(a) == sorted(b)

    known, answers = ["x+1", "x+1", "2"], ["1+x", "1+y", "3"]
    assert same_answer(known, answers, verify=same_letters).tolist() == [1, 0, 0]


def test_math_verify_is_allowed_by_default() -> None:
    pytest.importorskip("math_verify")
    assert same_answer(["(x+1)^2", "x+y=1"], ["x^2+2x+1", "1"]).tolist() == [1, 0]


def test_faults_are_named() -> None:
    with pytest.raises(InputError, match="gold: expected as many right answers as there are"):
        same_answer(["1", "2"], ["1"])
    with pytest.raises(ValueError, match="verify must be"):
        same_answer("1", ["1"], verify="sympy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="budget must be above 0"):
        same_answer("1", ["1"], budget=0)
