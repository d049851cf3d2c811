"""What candidates answer, and which answers are equal."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from given_answers import read_given

from stepscore import group_answers
from stepscore.answers import grade, group_equal, same_answer
from stepscore.errors import InputError
from stepscore.voting import VoteSettings


def test_answers_are_stated_or_read_from_the_solution() -> None:
    stated = ["1/2", None, "", None, None]
    solutions = {0: "The answer is 9.", 1: "The answer is 0.5.", 2: "The answer is 9.", 3: "Hm"}
    answers = read_given(stated, [0, 5], solutions)
    assert answers.texts == ["1/2", "0.5", None, None, None]
    assert answers.classes.tolist() == [0, 0, -1, -1, -1]
    assert answers.groups.decided.tolist() == ["first", "key", "none", "none", "none"]
    assert answers.has_answers.tolist() == [True]


def test_a_problem_without_texts_and_answers_has_nothing_to_count() -> None:
    # The second candidate of the last problem has a solution, although it states no answer.
    stated = [None, None, "", None, None]
    answers = read_given(stated, [0, 2, 3, 3, 5], {4: "Hm"})
    assert answers.has_answers.tolist() == [False, True, False, True]


def test_a_verifier_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError("group_answers: the process did not start; try it")

    monkeypatch.setattr("stepscore.answers.classes.group_answers", refuse)
    with pytest.raises(InputError, match="got the process did not start") as caught:
        group_equal(["1"], np.array([0, 1]), places=np.array([0]), verify="math-verify")
    assert caught.value.argument is not None
    assert (caught.value.argument.name, caught.value.argument.value) == ("verify", "math-verify")


def test_none_is_a_word_for_keys_alone() -> None:
    texts, offsets = ["x+1", "1+x", "2", "2.0"], np.array([0, 4])
    settings = VoteSettings(verify="none")
    assert settings == VoteSettings(verify=None)
    both: tuple[Literal["none"] | None, ...] = ("none", None)
    for verify in both:
        assert group_answers(texts, offsets, extract=False, verify=verify).tolist() == [0, 1, 2, 2]
        groups = group_equal(texts, offsets, places=np.arange(4), verify=verify)
        assert groups.ids.tolist() == [0, 1, 2, 2]
        assert same_answer(["x+1", "2"], ["1+x", "2.0"], verify=verify).tolist() == [False, True]
        right = grade(["2"], read_given(texts, offsets), offsets, verify=verify).right
        assert right.tolist() == [False, False, True, True]
