"""What published pair-wise judges are shown, and which verdicts are read from their texts."""

from __future__ import annotations

import math

import pytest

from stepscore.errors import InputError
from stepscore.policies.texts import GeneratedText, Turn
from stepscore.scoring.pairs import (
    PairVerifier,
    j1,
    j1_scores,
    pair_judge_rm,
    pair_verifier,
    r1_reward,
    rm_r1,
    rrm,
    s2j,
    web_arbiter,
)
from stepscore.scoring.verdicts import VerdictError

SHOWN = "{problem} / {first} / {second}"
OWN = {"prompt": SHOWN, "verdict": r"Verdict: (\w+)", "points": {"one": 1, "two": 0, "tie": 0.5}}
FAMILIES = {
    "rm-r1": rm_r1(distilled=False),
    "rm-r1-distilled": rm_r1(distilled=True),
    "rrm": rrm(),
    "r1-reward": r1_reward(),
    "j1": j1(),
    "j1-scores": j1_scores(),
    "pair-judge-rm": pair_judge_rm(prompt=SHOWN),
    "s2j": s2j(**OWN),  # type: ignore[arg-type]
    "web-arbiter": web_arbiter(**OWN),  # type: ignore[arg-type]
}
LETTERS = [
    ("<answer>[[A]]</answer>", 1),
    ("<answer>[[B]]</answer>", 0),
    ("<answer> [[B]] </answer>\n", 0),
    # The authors of RM-R1 take A wherever [[A]] stands.
    ("'<answer>[[A]]</answer>' would need a right sum.\n<answer>[[B]]</answer>", 0),
    ("I was to say [[A]] or [[B]]. <answer>[[B]]</answer>", 0),
    ("<answer>[[A]]</answer> No, wait: <answer>[[B]]</answer>", 0),
    ("[[A]]", math.nan),
    ("<answer>A</answer>", math.nan),
    ("<answer>[[A/B]]</answer>", math.nan),  # the format, copied
    ("<answer>[[C]]</answer>", math.nan),
    ("<answer>[[a]]</answer>", math.nan),
    ("", math.nan),
]
TEXTS: dict[str, list[tuple[str, float]]] = {
    "rm-r1": LETTERS,
    "rm-r1-distilled": [*LETTERS, ("<think>A?</think>\n<answer>[[A]]</answer>", 1)],
    "j1": [
        *LETTERS,
        ("<think>At first <answer> [[A]] </answer></think> <answer> [[B]] </answer>", 0),
        # What is said in the reasoning is not said yet.
        ("<think>So <answer>[[A]]</answer></think> I cannot say.", math.nan),
        ("<think>So <answer>[[A]]</answer>, or", math.nan),
        # Its beginning may stand in the prompt.
        ("So <answer>[[A]]</answer>?</think><answer>[[B]]</answer>", 0),
    ],
    "rrm": [
        (r"\boxed{Assistant 1}", 1),
        (r"The first errs.</think> So \boxed{Assistant 2}.", 0),
        (r"\boxed{ Assistant 2 }", 0),
        (r"\boxed{\text{Assistant 1}}", 1),
        (r"<think>Is it \boxed{Assistant 1}?</think> \boxed{Assistant 2}", 0),
        (r"The sum is \boxed{4}, so \boxed{Assistant 2}", 0),
        (r"\boxed{Assistant 2}: the sum is \boxed{4}", math.nan),
        (r"\boxed{Assistant 3}", math.nan),
        ("Assistant 1", math.nan),
        (r"<think>\boxed{Assistant 1}</think>", math.nan),
    ],
    "r1-reward": [
        ("<think>...</think><answer>1</answer>", 1),
        ("<think>...</think><answer>2</answer>", 0),
        ("<think>...</think><answer>\n 2 \n</answer>", 0),
        # The authors give the second each of these, or take the last digit.
        ("<think>...</think>", math.nan),
        ("<think>...</think> Response 1 is better.", math.nan),
        ("<think>...</think><answer>both</answer>", math.nan),
        ("<think>...</think><answer>1/2</answer>", math.nan),
    ],
    "j1-scores": [
        ("<think>x</think><score_A> 7.5 </score_A> <score_B> 6 </score_B>", 1),
        ("<score_A>7</score_A><score_B>7.1</score_B>", 0),
        ("<score_A>7</score_A><score_B>7.0</score_B>", 0.5),
        ("<score_A>7/10</score_A><score_B>9 / 10</score_B>", 0),
        ("<score_A>1</score_A><score_A>9</score_A><score_B>5</score_B>", 1),
        ("<score_A>10</score_A><score_B>9.95</score_B>", 1),
        # The authors give a missing one 0.
        ("<score_A>7</score_A>", math.nan),
        ("<score_A>11</score_A><score_B>9</score_B>", math.nan),
        ("<score_A>-1</score_A><score_B>9</score_B>", math.nan),
    ],
    "pair-judge-rm": [
        ("<resp_a_judge>Correct</resp_a_judge> <resp_b_judge>Incorrect</resp_b_judge>", 1),
        ("<resp_a_judge>Incorrect</resp_a_judge> <resp_b_judge>Correct</resp_b_judge>", 0),
        ("<resp_a_judge>Correct</resp_a_judge> <resp_b_judge>correct</resp_b_judge>", 0.5),
        ("<resp_a_judge>Incorrect</resp_a_judge> <resp_b_judge>Incorrect</resp_b_judge>", 0.5),
        ("<resp_a_judge>Correct</resp_a_judge>", math.nan),
        (
            "<resp_a_judge>Correct/Incorrect</resp_a_judge> <resp_b_judge>Correct</resp_b_judge>",
            math.nan,
        ),
    ],
    "s2j": [("Verdict: one", 1), ("Verdict: one. Verdict: tie", 0.5), ("Verdict: three", math.nan)],
    "web-arbiter": [("Verdict: two", 0), ("one", math.nan)],
}


@pytest.mark.parametrize(
    ("family", "text", "points"),
    [(name, text, points) for name, each in TEXTS.items() for text, points in each],
)
def test_a_verdict_is_read_or_there_is_none(family: str, text: str, points: float) -> None:
    if math.isnan(points):
        with pytest.raises(VerdictError, match="expected"):
            FAMILIES[family].points(GeneratedText(text))
    else:
        assert FAMILIES[family].points(GeneratedText(text)) == points


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_that_was_cut_off_has_no_last_verdict(family: str) -> None:
    text, _ = next((text, p) for text, p in TEXTS[family] if not math.isnan(p))
    with pytest.raises(VerdictError, match="cut off at 7 tokens"):
        FAMILIES[family].points(GeneratedText(text, truncated=True, token_count=7))


def test_every_family_has_texts_and_says_where_it_comes_from() -> None:
    assert set(TEXTS) == set(FAMILIES)
    for name, family in FAMILIES.items():
        assert family.name == name
        assert family.source
    # s2j and web-arbiter have one prompt here, and so has pair-judge-rm but for its system turn.
    assert len({family.fingerprint for family in FAMILIES.values()}) == len(FAMILIES) - 1
    options = {"prompt": "{problem}{first}{second}", "verdict": "(A|B)"}
    judges = [pair_verifier("mine", points={"A": a, "B": 1 - a}, **options) for a in (0, 1)]
    assert judges[0].fingerprint != judges[1].fingerprint  # of opposite verdicts
    for name, family in FAMILIES.items():
        assert name in ("s2j", "web-arbiter") or family.confidence != "unverified"


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_shown_stands_as_it_is_in_its_place(family: str) -> None:
    problem, first, second = "What is {first}?", "It is {second} \\1.", "{problem} {} {{second}}"
    *_, turn = FAMILIES[family].turns(problem, first, second)
    assert turn.role == "user"
    places = [turn.content.index(text) for text in (problem, first, second)]
    assert places == sorted(places)
    assert [turn.content.count(text) for text in (problem, first, second)] == [1, 1, 1]


def test_turns_are_those_that_the_authors_lay_out() -> None:
    """The published user turns, once more, from their pieces."""
    header = "[Client Question]\nQ\n\n[The Start of Chatbot A's Response]\nX\n"
    pair = (
        header + "[The End of Chatbot A's Response]\n\n[The Start of Chatbot B's Response]\nY\n"
        "[The End of Chatbot B's Response]"
    )
    system, user = rm_r1(distilled=False).turns("Q", "X", "Y")
    assert user == Turn("user", pair)
    assert system.content.startswith("Please act as an impartial judge and evaluate the quality")
    assert system.content.endswith("</eval>\n\n<answer>[[A/B]]</answer>")
    (user,) = rm_r1(distilled=True).turns("Q", "X", "Y")
    begin, end = user.content.split(pair)
    assert begin.endswith("to the Client question displayed below. \n\n")
    assert end == (
        "\n\nOutput your final verdict at last by strictly following this format: "
        "'<answer>[[A]]</answer>' if Chatbot A is better, or '<answer>[[B]]</answer>' if Chatbot B "
        "is better."
    )
    system, user = rrm().turns("Q", "X", "Y")
    assert user.content == (
        "## Query\n\nQ\n\n## Assistant responses\n\n### Assistant 1\n\nX\n\n\n"
        "### Assistant 2\n\nY\n\n## Analysis\n\nLet's analyze this step by step and decide which "
        "assistant is better, and then answer \\boxed{Assistant 1} or \\boxed{Assistant 2}."
    )
    assert system.content.endswith("if assistant 2 is better. Omit any other output.\n\n")
    (user,) = r1_reward().turns("Q", "X", "Y")
    assert "###### [Question]:\nQ  \n\n###### [Response 1]:\nX  \n\n###### [Resp" in user.content
    for family in (j1(), j1_scores()):
        (user,) = family.turns("Q", "X", "Y")
        assert user.content.startswith("\nYou are given a user question and two responses")
        assert user.content.endswith(
            "\n[User Question]\nQ\n\n<response_A>\nX\n</response_A>\n\n<response_B>\nY\n"
            "</response_B>\n"
        )


def test_what_could_not_be_verified_is_a_required_argument() -> None:
    for family in (s2j, web_arbiter):
        with pytest.raises(TypeError, match="prompt"):
            family()  # type: ignore[call-arg]
        assert family(**OWN).unverified  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="prompt"):
        pair_judge_rm()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": "{problem} {first}"}, "{second} once"),
        ({"prompt": "{problem} {first} {first} {second}"}, "{first} once"),
        ({"verdict": "Verdict: .*"}, "a group"),
        ({"verdict": "("}, "a regular expression"),
    ],
)
def test_a_family_that_cannot_work_is_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("{", r"\{")) as caught:
        pair_verifier("own", **{**OWN, **change})  # type: ignore[arg-type]
    assert next(iter(change)) in str(caught.value)


def test_points_out_of_range_are_no_verdict() -> None:
    broken = PairVerifier("broken", SHOWN, lambda text: 2.0, "test", "author")
    with pytest.raises(VerdictError, match=r"\[0, 1\]"):
        broken.points(GeneratedText("x"))
