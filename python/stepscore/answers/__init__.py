"""Answers of candidates: what they say, which are equal, and which are right."""

from stepscore.answers.classes import Answers, group_equal, read_answers
from stepscore.answers.grading import Grades, grade
from stepscore.answers.pairs import same_answer
from stepscore.answers.stated import not_understood, stated_answers

__all__ = [
    "Answers",
    "Grades",
    "grade",
    "group_equal",
    "not_understood",
    "read_answers",
    "same_answer",
    "stated_answers",
]
