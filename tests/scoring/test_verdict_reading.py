"""Which part of a text is a verdict: what is thought, cut off or said of something else is none."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from stepscore.policies.texts import GeneratedText, Token
from stepscore.scoring import verdicts
from stepscore.scoring.pairs import (
    j1,
    j1_scores,
    pair_judge_rm,
    pair_verifier,
    r1_reward,
    rm_r1,
    rrm,
)

WHOLE = "{problem}{solution}"


class Writes:
    """A policy whose texts are given, one after the other and then the last one again."""

    name = "writes"

    def __init__(self, *texts: GeneratedText | Exception) -> None:
        self.texts = list(texts)
        self.prompts: list[Any] = []

    def generate(self, requests):
        self.prompts += [request.prompt for request in requests]
        return [self.texts.pop(0) if len(self.texts) > 1 else self.texts[0] for _ in requests]

    def check_logprobs(self, count, prompt):
        pass


def values(make: Callable[[Writes], Any], steps: int, *texts: GeneratedText) -> list[float | None]:
    scores = make(Writes(*texts)).score("p", [["s"] * steps], nan="propagate")
    assert len(scores.faults) == sum(math.isnan(value) for value in scores.values)
    return [None if math.isnan(value) else float(value) for value in scores.values]


# name -> (a judge of one step, a verdict that it reads as 1)
JUDGES: dict[str, tuple[Callable[[Writes], Any], str]] = {
    "word": (lambda p: verdicts.prompted(p, prompt="{problem}|{step}", by="text"), r"\boxed{Yes}"),
    "first": (lambda p: verdicts.pro_step(p, by="text"), "Label: 1"),
    "grade": (
        lambda p: verdicts.likert(p, prompt="{problem}{step}", scale=(0, 1), by="text"),
        "<score>1</score>",
    ),
    "program": (lambda p: verdicts.natural_program(p, premises=lambda q, s: []), "So: yes"),
    "trace": (lambda p: verdicts.spark(p, prompt=WHOLE, votes=1), "Step 1: \\boxed{correct}"),
    "wrong steps": (lambda p: verdicts.capo(p, prompt=WHOLE, votes=1), r"\boxed{none}"),
    "correction": (lambda p: verdicts.gm_prm(p, prompt=WHOLE), "Step 1: \\boxed{correct}"),
}


@pytest.mark.parametrize("name", JUDGES)
def test_what_counts_of_a_text_with_reasoning(name: str) -> None:
    make, good = JUDGES[name]
    for text, expected in (
        (good, 1.0),
        (f"<think>Hm.</think>\n{good}", 1.0),
        (f"Hm.</think>\n{good}", 1.0),  # a template has opened it
        (f"<think>{good}", None),  # the server does not say that it was cut
        (f"<think>\n{good}\n</think>\n\nI cannot tell.", None),
        (f"<think>{good}</think> Well. <think>\n{good}", None),
    ):
        assert values(make, 1, GeneratedText(text)) == [expected], text
    for text in (good, f"{good}\nBut let me", f"<think>{good}", f"Is it\n{good}"):
        assert values(make, 1, GeneratedText(text, truncated=True)) == [None], text


@pytest.mark.parametrize(
    ("name", "taken_back"),
    [
        ("word", r"\boxed{Yes}? No: \boxed{\textbf{No}}"),
        ("word", r"\boxed{Yes}? No: \boxed{No, it errs}"),
        ("word", r"\boxed{Yes}? No: \boxed{No"),
        ("grade", "<score>1</score>? No: <score>0/1</score>"),
        ("grade", "<score>1</score>? No: <score>zero</score>"),
        ("grade", "<score>1</score>? No: <score>0"),
        ("wrong steps", r"\boxed{none}? No: \boxed{the first one}"),
    ],
)
def test_a_verdict_is_not_read_behind_which_there_is_one_that_cannot_be(
    name: str, taken_back: str
) -> None:
    make, _ = JUDGES[name]
    assert values(make, 1, GeneratedText(taken_back)) == [None]


def test_nor_is_one_of_two_solutions() -> None:
    for family, text in (
        (rrm(), r"\boxed{Assistant 1}? No: \boxed{\textbf{Assistant 2}}"),
        (rrm(), r"\boxed{Assistant 1}? No: \boxed{Assistant 2"),
        (j1(), "<answer>[[A]]</answer> No: <answer>B</answer>"),
        (rm_r1(distilled=True), "<answer>[[A]]</answer> No: <answer>[[B]</answer>"),
        (r1_reward(), "<answer>1</answer> No: <answer>2"),
        (
            j1_scores(),
            "<score_A>7</score_A><score_B>3</score_B> No: <score_A>9 of 10</score_A>",
        ),
        (
            pair_judge_rm(prompt=WHOLE.replace("solution", "first") + "{second}"),
            "<resp_a_judge>Correct</resp_a_judge><resp_b_judge>Incorrect</resp_b_judge> No: "
            "<resp_a_judge>not correct</resp_a_judge>",
        ),
    ):
        with pytest.raises(verdicts.VerdictError, match="expected"):
            family.points(GeneratedText(text))


def test_a_group_that_took_no_part_is_no_word() -> None:
    def make(policy: Writes) -> Any:
        return verdicts.prompted(
            policy, prompt="{problem}{step}", by="text", pattern="So(?: (Yes|No))?"
        )

    assert values(make, 1, GeneratedText("So Yes")) == [1.0]
    assert values(make, 1, GeneratedText("So Yes. So be it")) == [None]


@pytest.mark.parametrize("token", [Token("Yes", -0.1), Token("Yes", -0.1, (("Yes", -0.1),))])
def test_a_word_alone_does_not_tell_how_likely_the_other_one_is(token: Token) -> None:
    """Of one likely token the least is that token's own: a half for both, whatever was said."""
    text = GeneratedText("Yes", tokens=(token,))
    with pytest.raises(verdicts.VerdictError, match=r"'No' is not among the \d likeliest tokens"):
        verdicts.read_next(text, ("Yes", "No"))
    with pytest.raises(verdicts.VerdictError, match="none but the verdict's words"):
        verdicts.read_words(text, re.compile("(Yes|No)"), ("Yes", "No"))
    more = GeneratedText("Yes", tokens=(Token("Yes", -0.1, (("Yes", -0.1), ("Hm", -9.0))),))
    expected = pytest.approx(1 / (1 + math.exp(-8.9)))
    assert verdicts.read_next(more, ("Yes", "No"))[0] == expected
    read = verdicts.read_words(more, re.compile("(Yes|No)"), ("Yes", "No"))
    assert read.probabilities[0] == expected


def test_pairs_read_by_the_same_rule() -> None:
    family = pair_verifier(
        "mine", prompt="{problem}{first}{second}", verdict="Better: (A|B)", points={"A": 1, "B": 0}
    )
    assert family.points(GeneratedText("<think>Better: A</think>Better: B")) == 0
    for text in (
        GeneratedText("Better: A", truncated=True),
        GeneratedText("<think>Better: A"),
        GeneratedText("<think>x</think>Better: A<think>no"),
    ):
        with pytest.raises(verdicts.VerdictError):
            family.points(text)


def test_a_reasoning_that_begins_in_the_prefill_must_end() -> None:
    def make(policy: Writes) -> Any:
        return verdicts.prompted(policy, prompt="{problem}|{step}", by="text", prefill="<think>\n")

    assert values(make, 1, GeneratedText(r"So \boxed{Yes}")) == [None]
    assert values(make, 1, GeneratedText(r"So </think> \boxed{Yes}")) == [1.0]


def test_a_cut_text_has_a_verdict_that_nothing_can_change() -> None:
    first = JUDGES["first"][0]
    cut = GeneratedText("<think>Hm.</think> Label: 1\nAnd further", truncated=True)
    assert values(first, 1, cut) == [1.0]
    alone = verdicts.Sampling(1)

    def next_word(policy: Writes) -> Any:
        return verdicts.prompted(
            policy,
            prompt="{problem}|{step}",
            by="text",
            prefill="It is ",
            pattern="(Yes|No)",
            sampling=alone,
        )

    assert values(next_word, 1, GeneratedText("Yes", truncated=True)) == [1.0]


def test_a_grade_is_not_asked_for_in_a_reasoning_without_end() -> None:
    def make(policy: Writes) -> Any:
        return verdicts.likert(
            policy, prompt="{problem}{step}", scale=(0, 1), by="text", asked="Grade: "
        )

    one = GeneratedText("1")
    assert values(make, 1, GeneratedText("<think>Hm."), one) == [None]
    assert values(make, 1, GeneratedText("<think>Hm.</think>"), one) == [1.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"Step 1: fine \boxed{correct}. Step 2: wrong \boxed{incorrect}.", [1, 0]),
        (r"**Step 1**: \boxed{correct} **Step 2**: \boxed{incorrect}", [1, 0]),
        (
            "Step 1: \\boxed{correct}\nStep 2: \\boxed{correct}\n\n"
            "The whole solution misses a case: \\boxed{incorrect}",
            [1, 1],
        ),
        (
            "Step 1: \\boxed{correct}\nStep 2: \\boxed{correct}\n**Overall**: \\boxed{wrong}",
            [1, 1],
        ),
        ("Step 1: \\boxed{correct}\nStep 2: hm.\nIn conclusion: \\boxed{correct}", [1, None]),
        # Two things are said of a step.
        ("Step 1: \\boxed{correct}\nStep 2: \\boxed{correct}\n\nNo: \\boxed{wrong}", [1, None]),
        ("Step 1: \\boxed{correct} \\boxed{incorrect}\nStep 2: \\boxed{correct}", [None, 1]),
        ("Step 1: \\boxed{correct}\nStep 2: \\boxed{wrong}\nStep 1: \\boxed{wrong}", [None, 0]),
        ("Step 1: \\boxed{correct}\nStep 2: so \\boxed{correct}\nStep 1: \\boxed{correct}", [1, 1]),
        # Numbers of other steps than those that were shown.
        ("Step 0: \\boxed{correct}\nStep 1: \\boxed{wrong}", [None, None]),
        (r"Step 1: as \boxed{5}, step 2 holds, \boxed{correct}", [1, None]),
        (r"Step 1: \boxed{\textbf{correct}}", [1, None]),
        (r"Step 1: \boxed{\emph{incorrect}}", [0, None]),
        # Half a word of the two says neither, whatever else is said.
        (r"Step 1: \boxed{correct}? It is \boxed{not correct}.", [None, None]),
        (r"Step 1: \boxed{partially \text{correct}}", [None, None]),
        # Of several steps at once, which is not said of the one before them.
        ("Step 1: fine.\nSteps 2 and 3: \\boxed{incorrect}", [None, None]),
        ("Step 1: \\boxed{correct}\nSteps 2-3: \\boxed{incorrect}", [1, None]),
    ],
)
@pytest.mark.parametrize("family", [verdicts.spark, verdicts.gm_prm])
def test_whose_verdict_it_is(family: Any, text: str, expected: list[float | None]) -> None:
    def make(policy: Writes) -> Any:
        options = {"after_wrong": None} if family is verdicts.gm_prm else {}
        return family(policy, prompt=WHOLE, votes=1, **options)

    assert values(make, 2, GeneratedText(text)) == expected


@pytest.mark.parametrize("family", [verdicts.spark, verdicts.gm_prm])
def test_the_step_in_which_a_text_was_cut_has_no_verdict(family: Any) -> None:
    text = "Step 1: fine \\boxed{correct}\nStep 2: is it \\boxed{correct}? No, because 3"
    cut = GeneratedText(text, truncated=True, cut_by="max_tokens")
    judge = family(Writes(cut), prompt=WHOLE, votes=1)
    scores = judge.score("p", [["a", "b", "c"]], nan="propagate")
    assert [bool(math.isnan(value)) for value in scores.values] == [False, True, True]
    assert "finish_reason max_tokens" in scores.faults[0, 1]


def test_half_a_correction_is_none() -> None:
    text = "Step 1: \\boxed{incorrect}\nStep 2: \\boxed{correct}\n\nCorrected step 1: 1 + 1 ="
    judge = verdicts.gm_prm(Writes(GeneratedText(text, truncated=True)), prompt=WHOLE)
    scores = judge.score("p", [["a", "b"]], nan="propagate")
    assert (scores.values[0], scores.verdicts[0].correction) == (0.0, None)
    whole = verdicts.gm_prm(Writes(GeneratedText(f"{text} 2")), prompt=WHOLE)
    assert whole.score("p", [["a", "b"]]).verdicts[0].correction == "1 + 1 = 2"


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ("", None),
        (" ", None),
        ("?", None),
        ("[]", [1, 1]),
        ("none", [1, 1]),
        (r"\text{none}", [1, 1]),
        (r"\text{Step 2}", [1, 0]),
        ("[1, 2]", [0, 0]),
        (r"\frac{1}{2}", None),
    ],
)
def test_the_last_box_names_the_wrong_steps_or_says_nothing(box: str, expected: Any) -> None:
    text = GeneratedText(f"Is it \\boxed{{1}}? I end with \\boxed{{{box}}}.")
    given = values(lambda p: verdicts.capo(p, prompt=WHOLE, votes=1), 2, text)
    assert given == (expected or [None, None])


class Words:
    """A tokenizer with a chat template, for what lays turns out by itself."""

    chat_template = "x"
    eos_token = "<e>"

    def apply_chat_template(self, turns, tokenize, add_generation_prompt):
        return "".join(f"[{turn['role']}]{turn['content']}<e>\n" for turn in turns)

    def __call__(self, text, add_special_tokens=False):
        return {"input_ids": text.split()}


def test_a_first_vote_that_failed_leaves_no_empty_turn() -> None:
    tokens = (
        Token("{", -0.1),
        Token("Yes", math.log(0.9), (("Yes", math.log(0.9)), ("No", math.log(0.1)))),
        Token("}$", -0.1),
    )
    good = GeneratedText("{Yes}$", tokens=tokens, token_count=3)
    policy = Writes(RuntimeError("503 once"), good)
    judge = verdicts.genprm(policy, tokenizer=Words(), analyze=False, votes=3)
    scores = judge.score("q", [["s1", "s2"]])
    assert scores.values.tolist() == [pytest.approx(0.9)] * 2
    assert [verdict.votes for verdict in scores.verdicts] == [2, 3]
    second = next(prompt for prompt in policy.prompts if "s2" in prompt)
    assert "[assistant]<output>\n**Judgement**: $\\boxed{Yes}$<e>" in second


def test_genprm_reads_the_verdict_at_the_head_of_a_cut_text_and_no_other() -> None:
    def piece(*words: str) -> GeneratedText:
        top = (("Yes", math.log(0.8)), ("No", math.log(0.2)))
        tokens = tuple(Token(w, -0.2, top if w in ("Yes", "No") else ()) for w in words)
        return GeneratedText("".join(words), True, None, tokens, len(words))

    def make(policy: Writes) -> Any:
        return verdicts.genprm(policy, tokenizer=Words(), analyze=False)

    assert values(make, 1, piece("{", "Yes", "}$ and {", "No", "}")) == [pytest.approx(0.8)]
    assert values(make, 1, piece("4} so {", "No", "}, but")) == [None]


def test_a_step_before_the_first_wrong_one_is_not_behind_it() -> None:
    text = "Step 1: hm.\nStep 2: \\boxed{incorrect}"
    assert values(lambda p: verdicts.gm_prm(p, prompt=WHOLE), 3, GeneratedText(text)) == [
        None,
        0.0,
        0.0,
    ]
