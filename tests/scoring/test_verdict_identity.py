"""A judge that asks, reads or draws otherwise is another one; the same one is so in any process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from stepscore.policies.texts import GeneratedText
from stepscore.scoring import rubrics, verdicts
from stepscore.scoring.verdicts.identity import fingerprint


class Policy:
    name = "policy"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def generate(self, requests):
        self.asked += [request.prompt[-1].content for request in requests]
        return [
            GeneratedText("hm" if "bad" in request.prompt[-1].content else "\\boxed{Yes}")
            for request in requests
        ]

    def check_logprobs(self, count, prompt):
        pass


def parameters(make: Any, **options: Any) -> dict[str, str]:
    return dict(make(Policy(), **options).recipe.parameters)


WHOLE = "{problem}{solution}"
CHANGES: dict[str, tuple[Any, dict[str, Any], list[dict[str, Any]]]] = {
    "prompted": (
        verdicts.prompted,
        {"prompt": "{problem}{step}"},
        [
            {"prompt": "{problem}{step}!"},
            {"words": ("No", "Yes")},
            {"values": (0.0, 1.0)},
            {"pattern": "(Yes|No)"},
            {"prefill": "So"},
            {"seed": 1},
            {"by": "text"},
            {"sampling": verdicts.Sampling(8)},
            {"sampling": verdicts.Sampling(1024, 0.5, votes=3, quorum=1)},
            {"sampling": verdicts.Sampling(1024, 0.5, votes=3, quorum=2)},
            {"tool": verdicts.Tool(("</a>",), str.upper)},
            {"tool": verdicts.Tool(("</a>",), str.lower)},
            {"tool": verdicts.Tool(("</a>",), lambda text: text + "1")},
            {"tool": verdicts.Tool(("</a>",), lambda text: text + "2")},
        ],
    ),
    "likert": (
        verdicts.likert,
        {"prompt": "{problem}{step}"},
        [{"prompt": "{problem}{step}."}, {"asked": "Grade: "}, {"pattern": "(1|2)"}, {"seed": 3}],
    ),
    "spark": (
        verdicts.spark,
        {"prompt": WHOLE},
        [
            {"prompt": WHOLE + "."},
            {"critique": "{verification}"},
            {"read": verdicts.words_of_steps(["good"], ["bad"])},
            {"read": verdicts.words_of_steps(["bad"], ["good"])},
        ],
    ),
    "capo": (
        verdicts.capo,
        {"prompt": WHOLE},
        [{"prompt": WHOLE + "."}, {"read": lambda _: []}, {"read": lambda _: [1]}],
    ),
    "gm_prm": (verdicts.gm_prm, {"prompt": WHOLE}, [{"corrected": "Now: (.*)"}]),
    "think_prm": (
        verdicts.think_prm,
        {},
        [{"instruction": "Look."}, {"stop": ("x",)}, {"numbered": False}],
    ),
    "pro_step": (verdicts.pro_step, {}, [{"system": "You are."}]),
    "natural_program": (
        verdicts.natural_program,
        {},
        [{"examples": "As in: "}, {"premises": lambda problem, steps: steps}],
    ),
    "dyve": (verdicts.dyve, {"unsure": (0, 1)}, [{"unsure": (0.1, 1)}]),
    "rubric": (
        rubrics.rubric,
        {"prompt": "{problem}{solution}{criterion}", "criteria": [("right", 1.0)]},
        [{"words": ("false", "true")}, {"criteria": lambda _: [("right", 1.0)]}, {"seed": 1}],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_judges_that_differ_have_other_parameters(name: str) -> None:
    make, options, changes = CHANGES[name]
    assert parameters(make, **options) == parameters(make, **options)
    every = [{}, *changes]
    told = [tuple(parameters(make, **(options | change)).items()) for change in every]
    assert len(set(told)) == len(every)
    judges = [dict(each)["judge"] for each in told]
    seeds = sum("seed" in change for change in changes)  # which stands beside it
    assert len(set(judges)) == len(every) - seeds


def test_the_letters_are_those_of_every_process_and_of_no_object() -> None:
    code = (
        "from stepscore.scoring import verdicts\n"
        "class P:\n    name = 'p'\n    generate = print\n"
        "tool = verdicts.Tool(('x',), str.strip)\n"
        "recipe = verdicts.prompted(P(), prompt='{problem}|{step}', tool=tool).recipe\n"
        "print(dict(recipe.parameters)['judge'])"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    here = parameters(
        verdicts.prompted, prompt="{problem}|{step}", tool=verdicts.Tool(("x",), str.strip)
    )
    assert runs == {here["judge"] + "\n"}

    def binds_itself(text: str) -> str:
        return binds_itself(text)

    assert len(fingerprint(binds_itself)) == 16


def test_readable_facts_stand_beside_the_letters() -> None:
    told = parameters(verdicts.prompted, prompt="{problem}|{step}", words=("Up", "Down"), seed=5)
    assert told["words"] == "('Up', 'Down')"
    assert told["values"] == "(1.0, 0.0)"
    assert told["seed"] == "5"
    assert "Up|Down" in told["pattern"]


@pytest.mark.parametrize("scope", ["step", "trace"])
def test_a_session_pays_once_for_a_verdict_that_came(scope: str) -> None:
    policy = Policy()
    prm = verdicts.prompted(policy, prompt="{problem}|{previous}>{step}", by="text")
    if scope == "trace":
        policy.generate = lambda requests: [  # type: ignore[method-assign]
            policy.asked.append(request.prompt[-1].content)
            or GeneratedText("hm" if "bad" in request.prompt[-1].content else "\\boxed{none}")
            for request in requests
        ]
        prm = verdicts.capo(policy, prompt=WHOLE, votes=1)
    session = prm.session("p")
    for _ in range(2):
        with pytest.raises(verdicts.MissingVerdictError):
            session.extend([0, 0], ["good", ["good", "bad"]])
    good = [text for text in policy.asked if "bad" not in text]
    assert len(good) == 1  # only what did not come is asked for again
    assert len(policy.asked) == 3
    made = session.extend([0], ["good"])
    assert made.scores.to_list() == [[1.0]]
    assert len(policy.asked) == 3
    assert replace(prm, seed=1).recipe.parameters != prm.recipe.parameters
