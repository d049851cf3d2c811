"""What the field of an answer says."""

from __future__ import annotations

import numpy as np
import pytest
from given_answers import read_given

from stepscore.answers import grade, stated_answers
from stepscore.answers.stated import not_understood


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        # a text that states an answer
        (r"\boxed{18}", "18"),
        (r"$\boxed{\frac{1}{2}}$", r"\frac{1}{2}"),
        (r"So \fbox{7} it is.", "7"),
        ("5+6=<<5+6=11>>11\n11+7=<<11+7=18>>18\n#### 18", "18"),
        ("#### 1,000", "1,000"),
        ("The answer is 6.", "6"),
        ("Answer: 6", "6"),
        ("The result is $6$", "6"),
        ("The result is 6.", "6"),
        ("5+6=11\n11+7=18", "18"),
        ("First we add five and six, which gives 5 + 6 = 11", "11"),
        # an answer
        ("18", "18"),
        ("$18$", "$18$"),
        ("12 hours", "12 hours"),
        ("x+1", "x+1"),
        ("(C)", "(C)"),
        ("y = 2x + 3", "y = 2x + 3"),
        (r"\frac{\sqrt{2}}{\sin x + \cos y}", r"\frac{\sqrt{2}}{\sin x + \cos y}"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
        ("No", "No"),
        ("Alina", "Alina"),
        # prose that states nothing else
        ("New York City Hall", "New York City Hall"),
        ("n is even", "n is even"),
        ("The result is obvious", "The result is obvious"),
        ("apple banana cherry date elder", "apple banana cherry date elder"),
        ("", ""),
        (None, None),
    ],
)
def test_a_field_says(text: str | None, answer: str | None) -> None:
    assert stated_answers([text]) == [answer]
    assert stated_answers(stated_answers([text])) == [answer]
    assert stated_answers(["3", text, None]) == ["3", answer, None]


def test_a_known_answer_may_be_a_solution() -> None:
    known = [r"\boxed{1/2}", "1+1=2\n#### 2", "$3$", "The answer is 4.", None]
    offsets = np.array([0, 1, 3, 5, 6, 7])
    answers = read_given(["0.5", "2", "2", "1", "3", "4", "5"], offsets)
    grades = grade(known, answers, offsets)
    assert grades.right.tolist() == [True, True, True, False, True, True, False]
    assert grades.known.tolist() == [True, True, True, True, False]
    assert grades.unread == ()


def test_what_cannot_be_understood_judges_nobody() -> None:
    known = ["First we add and then we see it", "the cat sat there", "N", "apple pear plum fig"]
    given = ["18", "19", "there sat the cat", "18", "B", "2", "2", "3"]
    offsets = np.array([0, 2, 4, 6, 8])
    answers = read_given(given, offsets)
    # The second is compared with its like; a short word is an answer, though nobody gave it.
    assert not_understood(known, lambda p: given[2 * p : 2 * p + 2]) == [0, 3]
    grades = grade(known, answers, offsets)
    assert grades.known.tolist() == [False, True, True, False]
    assert grades.unread == (known[0], known[3])
    assert not grades.right.any()
    # Who is right by the file is known whatever the known answer says.
    flagged = grade(known, answers, offsets, flags=np.array([1, 0, *[-1] * 6], np.int8))
    assert flagged.known.tolist() == [True, True, True, False]
    assert flagged.unread == (known[3],)
