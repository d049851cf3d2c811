"""Verifiers that could only score by guess are refused when they are made."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from stepscore.errors import InputError
from stepscore.policies.texts import GeneratedText, Turn
from stepscore.recipes import Reading
from stepscore.scoring import rubrics, verdicts
from stepscore.scoring.pairs import pair_verifier
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe

WHOLE = "{problem}{solution}"


class Says:
    """A policy that says one thing."""

    name = "says"

    def __init__(self, text: str = "") -> None:
        self.text = text

    def generate(self, requests):
        return [GeneratedText(self.text) for _ in requests]

    def check_logprobs(self, count, prompt):
        pass


def prompted(**options: Any) -> Any:
    return verdicts.prompted(Says(), prompt="{problem}{step}", **options)


def likert(**options: Any) -> Any:
    return verdicts.likert(Says(), prompt="{problem}{step}", **options)


def rubric(**options: Any) -> Any:
    prompt = "{problem}{solution}{criterion}"
    return rubrics.rubric(Says(), criteria=[("c", 1.0)], prompt=prompt, **options)


def pair(**options: Any) -> Any:
    given = {"verdict": "(A|B)", "points": {"A": 1, "B": 0}} | options
    return pair_verifier("pair", prompt="{problem}{first}{second}", **given)


def gm_prm(**options: Any) -> Any:
    return verdicts.gm_prm(Says(), prompt=WHOLE, **options)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (prompted, "pattern"),
        (likert, "pattern"),
        (gm_prm, "corrected"),
        (rubric, "verdict"),
        (pair, "verdict"),
    ],
)
def test_an_expression_must_find_a_word(make: Any, argument: str) -> None:
    for pattern, expected in (
        ("(", r"a regular expression; got '\(': missing"),
        ("Yes|No", "a regular expression with a group"),
        (3, "a regular expression; got int"),
    ):
        with pytest.raises(InputError, match=rf"\w+: {argument}: expected {expected}"):
            make(**{argument: pattern})


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        # The probability of one word, renormalised over itself, is 1.
        (prompted, {"words": ("Yes",)}, "words: expected at least two words"),
        (prompted, {"words": "Yes"}, "words: expected at least two words"),
        (prompted, {"words": ("Yes", "")}, "words: expected at least two words"),
        (prompted, {"words": ("Yes", 1)}, "words: expected at least two words"),
        (prompted, {"words": ("Yes", "yes")}, "words: expected words that differ in more than"),
        (
            prompted,
            {"values": (1.0,)},
            "values: expected 2 finite numbers, one for each of Yes, No",
        ),
        (prompted, {"values": (1.0, math.nan)}, "values: expected 2 finite numbers"),
        (prompted, {"values": (1.0, "0")}, "values: expected 2 finite numbers"),
        (prompted, {"values": (1.0, 1.0)}, "values: expected 2 .* not all the same"),
        (prompted, {"by": "txt"}, 'by: expected "probability" or "text"; got \'txt\''),
        # A score for all steps, and so one for the first step alone.
        (likert, {"scope": "trace"}, 'scope: expected "solution" or "step"'),
        (likert, {"scope": "steps"}, 'scope: expected "solution" or "step"'),
        (likert, {"cut_off": "errors", "asked": "?"}, 'cut_off: expected "error" or "ask"'),
        (likert, {"by": "mean"}, 'by: expected "probability" or "text"'),
        (likert, {"scale": (1, 2, 2)}, "scale: expected at least two grades, each once"),
        (gm_prm, {"after_wrong": 7.0}, r"after_wrong: expected a number in \[0, 1\], or None"),
        (gm_prm, {"after_wrong": math.nan}, r"after_wrong: expected a number in \[0, 1\]"),
        (rubric, {"words": ("met", "Met")}, "words: expected words that differ"),
        (rubric, {"words": ("met",)}, "words: expected at least two words"),
        (pair, {"points": {"A": 2, "B": 0}}, r"points: expected words with points in \[0, 1\]"),
        (pair, {"points": {"A": math.nan, "B": 0}}, "points: expected words with points"),
        (pair, {"points": {"A": 1, "B": 1}}, "points: .* not all are the same"),
        (pair, {"points": {}}, "points: expected words with points"),
    ],
)
def test_options_of_which_no_score_can_come(make: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**options)


def test_a_score_in_place_of_a_verdict_is_a_score() -> None:
    with pytest.raises(InputError, match=r"genprm: unread: expected a number in \[0, 1\]"):
        verdicts.genprm(Says(), unread=5)
    with pytest.raises(
        InputError, match="thinkprm: decision_temperature: expected a number above 0"
    ):
        verdicts.think_prm(Says(), decision_temperature=0)


def test_scores_have_the_range_of_what_the_words_are_worth() -> None:
    judge = verdicts.prompted(
        Says(r"\boxed{No}"), prompt="{problem}{step}", values=(1.0, -1.0), by="text"
    )
    scores = judge.score("p", [["a", "b"]])
    assert scores.to_list() == [[-1.0, -1.0]]
    assert scores.recipe.score_range == (-1.0, 1.0)
    with pytest.raises(InputError, match=r"scores in \[0, 1\], which prod needs"):
        scores.aggregate("prod")


@pytest.mark.parametrize("score", [math.nan, 1.5, -0.1])
def test_a_vote_that_is_no_score_is_no_verdict(score: float) -> None:
    def read(text: GeneratedText, behind: str, count: int) -> list[verdicts.Vote]:
        return [verdicts.Vote(score, text.text)] * count

    judge = verdicts.spark(Says(), prompt=WHOLE, votes=1, read=read)
    with pytest.raises(InputError, match=r"expected a score in \[0, 1\]; got "):
        judge.score("p", [["a", "b"]])
    faults = judge.score("p", [["a", "b"]], nan="propagate").faults
    assert set(faults) == {(0, 0), (0, 1)}


@pytest.mark.parametrize("count", [1, 3])
def test_votes_about_other_steps_than_there_are(count: int) -> None:
    judge = verdicts.spark(
        Says(), prompt=WHOLE, votes=1, read=lambda *_: [verdicts.Vote(1.0, "")] * count
    )
    with pytest.raises(InputError, match=f"expected votes about 2 steps; got {count}"):
        judge.score("p", [["a", "b"]])


@dataclasses.dataclass(frozen=True)
class Two:
    """A verifier of the caller's own, which has two verdicts whatever it is asked."""

    scope: str
    recipe = verdict_recipe(
        "two",
        confidence="unverified",
        source="test",
        readings=(Reading("score", "identity", (1.0,), (-math.inf, math.inf)),),
        unverified=("all",),
    )
    logprobs = 0
    sample = (Turn("user", "1"),)

    def judge(self, problem, steps, seeds, before=()):
        yield []
        return [verdicts.StepVerdict(1.0), verdicts.StepVerdict(2.0)]


def test_a_verifier_that_gives_another_number_of_verdicts_is_named() -> None:
    assert verdicts.GenerativeRewardModel(Says(), Two("trace")).score(
        "p", [["a", "b"]]
    ).to_list() == [[1.0, 2.0]]
    for scope, steps in (("trace", ["a", "b", "c"]), ("step", ["a"])):
        judge = verdicts.GenerativeRewardModel(Says(), Two(scope))
        with pytest.raises(InputError, match=r"two: verifier: expected a verdict for each of"):
            judge.score("p", [steps])


@pytest.mark.parametrize("unsure", [(0.9, 0.1), (-0.1, 0.5), (0.5, 1.5), (0, math.nan), 0.5, "ab"])
def test_dyve_is_unsure_between_two_numbers(unsure: Any) -> None:
    with pytest.raises(InputError, match="dyve: unsure: expected two numbers in ascending order"):
        verdicts.dyve(Says(), unsure=unsure)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"votes": 2}, "temperature: expected a temperature above 0 for several votes"),
        ({"votes": 0}, "votes: expected at least 1"),
        ({"max_tokens": 0}, "max_tokens: expected at least 1"),
        ({"temperature": -1.0}, "temperature: expected 0 or more"),
        ({"temperature": math.nan}, "temperature: expected 0 or more"),
        ({"votes": 3, "temperature": 1.0, "quorum": 4}, "quorum: expected a quorum of 1 up to"),
        ({"votes": 3, "temperature": 1.0, "quorum": 0}, "quorum: expected a quorum of 1 up to"),
        ({"logprobs": 1}, "logprobs: expected at least 2"),
    ],
)
def test_texts_are_drawn_so_that_they_can_tell(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"Sampling: {message}"):
        verdicts.Sampling(**{"max_tokens": 8, **options})
