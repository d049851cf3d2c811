"""The families of generative PRMs, each against a script with known log-probabilities."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from stepscore.errors import InputError
from stepscore.policies.texts import GeneratedText, TextRequest, Token, Turn
from stepscore.scoring import verdicts
from stepscore.scoring.verdicts.natural_program import cited_premises

WHOLE = "{problem}\n\n{solution}\n\nJudge."


@dataclass
class Scripted:
    """A policy that answers by a function, and remembers what it was asked, call by call."""

    script: Callable[[TextRequest], GeneratedText | Exception]
    calls: list[list[TextRequest]] = field(default_factory=list)
    name: str = "scripted"

    def generate(self, requests: Sequence[TextRequest]) -> list[GeneratedText | Exception]:
        self.calls.append(list(requests))
        return [self.script(request) for request in requests]

    def check_logprobs(self, count: int, prompt: str | tuple[Turn, ...]) -> None:
        pass

    @property
    def asked(self) -> list[TextRequest]:
        return [request for call in self.calls for request in call]


def said(*pieces: str, at: int = -1, stop: str | None = None, cut: bool = False, **likely: float):
    """A text of pieces, one of which might have been others, of these probabilities."""
    tokens = [Token(piece, -0.1, ((piece, -0.1),)) for piece in pieces]
    if likely:
        top = tuple((word, math.log(p)) for word, p in likely.items())
        place = at % len(pieces)
        tokens[place] = Token(pieces[place], dict(top).get(pieces[place], -5.0), top)
    return GeneratedText("".join(pieces), cut, stop, tuple(tokens), len(pieces))


def user(request: TextRequest) -> str:
    assert not isinstance(request.prompt, str)
    return request.prompt[-1].content


# --- GenPRM ---------------------------------------------------------------------------------


class ChatTokenizer:
    """A tokenizer with a template like that of Qwen2.5, a token per word."""

    chat_template = "chatml"
    eos_token = "<|im_end|>"

    def apply_chat_template(self, turns, *, tokenize, add_generation_prompt):
        assert (tokenize, add_generation_prompt) == (False, False)
        return "".join(f"<|im_start|>{t['role']}\n{t['content']}<|im_end|>\n" for t in turns)

    def __call__(self, text, *, add_special_tokens):
        return {"input_ids": text.split()}


def judgement(word: str, **likely: float) -> GeneratedText:
    return said("{", word, "}$\n", at=1, stop="</output>\n", **likely)


def test_genprm_analyses_and_reads_the_verdict() -> None:
    def script(request: TextRequest) -> GeneratedText:
        if request.stop == ("</analyze>\n",):
            return said("It adds up.\n", stop="</analyze>\n")
        return judgement("Yes", Yes=0.6, No=0.2)

    policy = Scripted(script)
    prm = verdicts.genprm(policy, tokenizer=ChatTokenizer())
    scores = prm.score("What is 1 + 1?", [["Add.", "So 2."]])
    assert scores.to_list() == [[pytest.approx(0.75)] * 2]
    first, *_, last = policy.asked
    head = (
        "<|im_start|>system\nYou are a math teacher. Your task is to review and critique the "
        "paragraphs in solution step by step.<|im_end|>\n"
        "<|im_start|>user\nWhat is 1 + 1?\nAdd."
    )
    # The author's prompt ends where the user's turn would: no header of the verifier's follows.
    assert first.prompt == head
    assert first.prefill == "<analyze>\nLet's analyze the Paragraph 1 step by step: "
    assert (first.temperature, first.top_p, first.top_k, first.logprobs) == (0.6, 0.95, 20, 20)
    verdict = (
        "<analyze>\nLet's analyze the Paragraph {} step by step: It adds up.\n</analyze>\n"
        "<output>\n**Judgement**: $\\boxed"
    )
    # The text about the first paragraph stands before the second.
    assert last.prompt == (
        f"{head}<|im_end|>\n<|im_start|>assistant\n{verdict.format(1)}{{Yes}}$\n</output>\n"
        "<|im_end|>\n<|im_start|>user\nSo 2."
    )
    assert last.prefill == verdict.format(2)


def test_genprm_runs_code_and_puts_its_output_behind_it() -> None:
    def script(request: TextRequest) -> GeneratedText:
        if request.stop == ("</analyze>\n",):
            return said("Hm.\n", stop="</analyze>\n")
        if "[Code Output]\n\n```\n42\n```\n" in request.prefill:
            return said(
                "</verify>\n", "<output>\n", "\\boxed", "{", "No", "}", at=4, No=0.8, Yes=0.1
            )
        return said("x = 6\nprint(x * 7)", stop="\n```\n")

    policy = Scripted(script)
    run = verdicts.PythonRunner()
    prm = verdicts.genprm(policy, tokenizer=ChatTokenizer(), verify=True, run_code=run)
    assert prm.score("p", [["a"]]).values[0] == pytest.approx(1 / 9)
    assert policy.asked[1].prefill.endswith(
        "</analyze>\n<verify>\nLet's use python code to find any potential error:\n```python\n"
    )


def test_genprm_runs_no_code_unless_it_is_asked_to() -> None:
    with pytest.raises(InputError, match=r"genprm: run_code: expected run_code.*verify=True"):
        verdicts.genprm(Scripted(said), tokenizer=ChatTokenizer(), verify=True)

    def script(request: TextRequest) -> GeneratedText:
        if request.stop == ("</analyze>\n",):
            return said("Hm.\n", stop="</analyze>\n")
        return said("?\n```python\nprint(1)\n```\n")

    prm = verdicts.genprm(Scripted(script), tokenizer=ChatTokenizer())
    with pytest.raises(InputError, match="asks for code to be run, and run_code is None"):
        prm.score("p", [["a"]])


def test_genprm_falls_back_on_its_analysis_when_its_rounds_run_out() -> None:
    def script(request: TextRequest) -> GeneratedText:
        if request.stop == ("</analyze>\n",):
            return said("Hm.\n", stop="</analyze>\n")
        if request.max_tokens == 20:
            return judgement("No", Yes=0.5, No=0.5)
        return said("print(1)", stop="\n```\n")

    policy = Scripted(script)
    prm = verdicts.genprm(
        policy, tokenizer=ChatTokenizer(), verify=True, run_code=lambda blocks: "1", rounds=2
    )
    assert prm.score("p", [["a"]]).to_list() == [[0.5]]
    assert len(policy.asked) == 4  # the analysis, two rounds, the forced verdict
    assert policy.asked[-1].prefill == (
        "<analyze>\nLet's analyze the Paragraph 1 step by step: Hm.\n</analyze>\n"
        "<output>\n**Judgement**: $\\boxed"
    )


def test_genprm_without_a_verdict_has_none_unless_a_score_is_given_for_it() -> None:
    def script(request: TextRequest) -> GeneratedText:
        return said("unclear", stop=request.stop[0])

    with pytest.raises(InputError, match=r"none: expected .*boxed"):
        verdicts.genprm(Scripted(script), tokenizer=ChatTokenizer()).score("p", [["a"]])
    authors = verdicts.genprm(Scripted(script), tokenizer=ChatTokenizer(), unread=0.5)
    assert authors.score("p", [["a"]]).to_list() == [[0.5]]


def test_genprm_does_not_go_on_after_a_step_that_nobody_could_write_about() -> None:
    policy = Scripted(lambda request: ValueError("no room"))
    prm = verdicts.genprm(policy, tokenizer=ChatTokenizer())
    faults = prm.score("p", [["a", "b"]], nan="propagate").faults
    assert faults[0, 0] == "the policy failed: no room"
    assert faults[0, 1].startswith("there is no text about the step before")
    assert len(policy.asked) == 1


def test_genprm_needs_a_tokenizer() -> None:
    with pytest.raises(InputError, match="tokenizer: expected a tokenizer with a chat template"):
        verdicts.genprm(Scripted(said))


def test_genprm_judges_new_steps_of_a_session_after_the_texts_before() -> None:
    def script(request: TextRequest) -> GeneratedText:
        if request.stop == ("</analyze>\n",):
            return said("Fine.\n", stop="</analyze>\n")
        return judgement("Yes", Yes=0.6, No=0.2)

    policy = Scripted(script)
    prm = verdicts.genprm(policy, tokenizer=ChatTokenizer())
    with prm.session("p") as session:
        first = session.extend(session.roots[0], ["a"])
        policy.calls.clear()
        session.extend(first.nodes[0], ["b"])
    assert len(policy.asked) == 2
    assert "Paragraph 1 step by step: Fine." in str(policy.asked[0].prompt)
    whole = Scripted(script)
    verdicts.genprm(whole, tokenizer=ChatTokenizer()).score("p", [["a", "b"]])
    assert whole.asked[-1] == policy.asked[-1]  # seed and all


# --- code -----------------------------------------------------------------------------------


def test_code_runs_apart_with_limits() -> None:
    run = verdicts.PythonRunner(time_limit=2.0, memory_limit=1 << 29, most_output=10)
    assert run(["x = 6", "print(x * 7)"]) == "42"
    assert run(["print(1)", "print(2)"]) == "2"  # of the last block alone
    assert run(["1 / 0", "print(3)"]) == "3"
    assert run(["oops"]) == "Code execute Error: NameError: name 'oops' is not defined"[:10]
    assert run(["while True: pass"]).startswith("Code execute time out")
    assert run(["print('a' * 50)"]) == "a" * 10
    assert "42" not in run(["import os; os._exit(3)"])
    assert run(["x = bytearray(1 << 30)"]).startswith("Code execu")


# --- ThinkPRM, PRO-STEP, StepWiser, Likert ----------------------------------------------------


def test_pro_step_reads_the_digit_of_its_label() -> None:
    policy = Scripted(
        lambda request: said("[REASONING]\nok\n[/REASONING]\nLabel: ", "1", **{"1": 0.7, "0": 0.1})
    )
    scores = verdicts.pro_step(policy).score("Who?", [["<think>a</think>", "<answer>b</answer>"]])
    assert scores.to_list() == [[pytest.approx(7 / 8)] * 2]
    assert user(policy.asked[1]) == (
        "Question: Who?\n\nPrevious Steps:\n## Step 1\n<think>a</think>\n\n"
        "Current Step to Evaluate:\n## Step 2\n<answer>b</answer>\n\n"
        "Task: Evaluate the quality of the Current Step. Explain your reasoning in [REASONING] "
        "tags, then provide a label (1=good, 0=bad)."
    )
    assert "Previous Steps" not in user(policy.asked[0])


def test_stepwiser_judges_chunk_by_chunk() -> None:
    policy = Scripted(
        lambda request: said("So ", "\\boxed{", "Negative", "}", at=2, Negative=0.75, Hm=0.25)
    )
    prm = verdicts.stepwiser(policy, prompt="{problem} | {previous} | {step}")
    assert prm.score("p", [["a", "b"]]).to_list() == [[pytest.approx(0.25)] * 2]
    assert [user(request) for request in policy.asked] == ["p |  | a", "p | a | b"]
    assert "the prompt" in prm.recipe.unverified
    strict = Scripted(lambda request: said("?"))
    for lacking in ("problem", "previous", "step"):
        shown = " ".join(f"{{{x}}}" for x in ("problem", "previous", "step") if x != lacking)
        with pytest.raises(InputError, match=rf"prompt with the placeholder \{{{lacking}\}}"):
            verdicts.stepwiser(strict, prompt=shown)


STRAYS = [
    (partial(verdicts.prompted, prompt="{problem}{stpe}{step}"), "did you mean {step}?"),
    (partial(verdicts.prompted, prompt="{problem}{step}{solution}"), "other braces are text"),
    (partial(verdicts.capo, prompt="{problem}{solution}{step}"), "no placeholder but {problem}"),
    (partial(verdicts.spark, prompt="{problem}{solution}", critique="{verification}{steps}"), "{s"),
    (partial(verdicts.likert, prompt="{problem}{step}{question}"), "got {question}, which would"),
]


@pytest.mark.parametrize(("make", "message"), STRAYS)
def test_a_placeholder_that_nobody_fills_in_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        make(Scripted(lambda request: said("?")))


@pytest.mark.parametrize("prompt", ["Step: {step}", "Problem: {problem}"])
def test_a_judge_of_your_own_is_shown_problem_and_step(prompt: str) -> None:
    with pytest.raises(InputError, match=r"prompt: expected a prompt with the placeholder \{"):
        verdicts.prompted(Scripted(lambda request: said("?")), prompt=prompt)
    shown = prompt + r"{problem}{previous}{number}{step} \boxed{} \frac{a}{b}"
    assert verdicts.prompted(Scripted(lambda request: said("?")), prompt=shown)


@pytest.mark.parametrize(
    "options",
    [{"by": "word"}, {"cut_off": "guess"}, {"scope": "trace"}],
)
def test_a_choice_that_there_is_not_is_refused(options: dict[str, Any]) -> None:
    [name] = options
    with pytest.raises(InputError, match=f"{name}: expected"):
        verdicts.likert(
            Scripted(lambda request: said("?")), prompt="{problem}{step}", asked="?", **options
        )


@pytest.mark.parametrize("by", ["text", "probability"])
@pytest.mark.parametrize(
    ("pieces", "cut", "score"),
    [
        (["<think>\\boxed{No}</think>", "\\boxed{", "Yes", "}"], False, 1.0),
        (["<think>", "\\boxed{", "No", "} or", " so"], True, None),
        (["<think>", "\\boxed{", "No", "}", " but"], False, None),
        (["I think \\boxed{", "No", "}, but wait"], True, None),  # no final word
        (["So \\boxed{", "No", "}"], True, None),  # cut right behind it: it may have gone on
        (["So \\boxed{", "No", "}", " or \\boxed{", "Yes", "}."], False, 1.0),
    ],
)
def test_what_is_thought_on_the_way_is_no_verdict(by, pieces, cut, score) -> None:
    tokens = tuple(
        Token(piece, -0.1, ((piece, -0.1), ({"Yes": "No"}.get(piece, "Yes"), -60.0)))
        for piece in pieces
    )
    text = GeneratedText("".join(pieces), cut, None, tokens, len(pieces))
    prm = verdicts.prompted(Scripted(lambda _: text), prompt="{problem}|{step}", by=by)
    [value] = prm.score("p", [["a"]], nan="propagate").values
    assert value == pytest.approx(score) if score is not None else np.isnan(value)


def test_thinkprm_stops_at_steps_that_are_not_there() -> None:
    policy = Scripted(
        lambda request: (
            said(" yes", **{" yes": 0.9, " no": 0.1})
            if request.max_tokens == 1
            else said("Step 1: fine.\n", stop=request.stop[-1])
        )
    )
    verdicts.think_prm(policy).score("p", [["a", "b"]])
    ends = ("Is the solution correct?", "</think>")
    assert [r.stop for r in policy.calls[0]] == [(*ends, "Step 2:"), (*ends, "Step 3:")]
    loose = verdicts.think_prm(policy, numbered=False)
    loose.score("p", [["a"]])
    assert policy.calls[2][0].stop == ends


def test_a_policy_that_has_no_hash_serves_an_event_loop() -> None:
    policy = Scripted(lambda request: said("\\boxed{", "Yes", "}", at=1, Yes=0.8, No=0.2))
    prm = verdicts.prompted(policy, prompt="{problem}|{step}")
    scores = asyncio.run(prm.ascore("p", [["a"]]))
    assert scores.values[0] == pytest.approx(0.8)


def test_likert_takes_the_expectation_over_the_grades() -> None:
    grades = {"1": 0.1, "2": 0.0001, "3": 0.2, "4": 0.4, "5": 0.1}
    total = sum(grades.values())
    expected = sum(int(grade) * p for grade, p in grades.items()) / total
    policy = Scripted(lambda request: said("<score>", "4", "</score>", at=1, **grades))
    prm = verdicts.likert(policy, prompt="{problem}: {step}")
    scores = prm.score("p", [["a", "b"], "c"])
    assert scores.to_list() == [[pytest.approx(expected)], [pytest.approx(expected)]]
    assert [user(request) for request in policy.asked] == ["p: a\n\nb", "p: c"]
    assert prm.recipe.score_range == (1.0, 5.0)


def test_budget_forcing_asks_a_reasoning_that_was_cut_off() -> None:
    def script(request: TextRequest) -> GeneratedText:
        if request.max_tokens == 1:
            return said("2", **{"1": 0.25, "2": 0.75})
        return said("I think", cut=True)

    prompt = "{problem} {step}"
    options = {"scale": (1, 2), "asked": "</think><score>"}
    policy = Scripted(script)
    forced = verdicts.likert(policy, prompt=prompt, cut_off="ask", **options)
    scores = forced.score("p", ["a"])
    assert scores.to_list() == [[pytest.approx(1.75)]]
    assert scores.verdicts[0].truncated == 1
    assert policy.asked[-1].prefill == "I think</think><score>"
    with pytest.raises(InputError, match="finish_reason length"):
        verdicts.likert(policy, prompt=prompt, **options).score("p", ["a"])


def test_a_tool_answers_between_the_tokens_of_a_verdict() -> None:
    def script(request: TextRequest) -> GeneratedText:
        if "<result>4</result>" in request.prefill:
            return said(" so ", "\\boxed{", "Yes", "}", at=2, Yes=0.9, No=0.1)
        return said("<calc>2 + 2", stop="</calc>")

    def answer(written: str) -> str:
        question = re.findall(r"<calc>(.*?)</calc>", written)[-1]
        return f"<result>{sum(map(int, question.split(' + ')))}</result>"

    policy = Scripted(script)
    tool = verdicts.Tool(("</calc>",), answer, rounds=2)
    prm = verdicts.prompted(policy, prompt="{problem}|{step}", tool=tool)
    scores = prm.score("p", [["2 + 2 = 4"]])
    assert scores.values[0] == pytest.approx(0.9)
    assert scores.verdicts[0].texts[0].startswith("<calc>2 + 2</calc><result>4</result> so ")
    endless = Scripted(lambda request: said("<calc>1 + 1", stop="</calc>"))
    with pytest.raises(InputError, match="no verdict within 2 calls of the tool"):
        verdicts.prompted(endless, prompt="{problem}|{step}", tool=tool).score("p", [["a"]])
    broken = verdicts.Tool(("</calc>",), lambda written: str(1 / 0))
    with pytest.raises(InputError, match="the tool failed: ZeroDivisionError"):
        verdicts.prompted(endless, prompt="{problem}|{step}", tool=broken).score("p", [["a"]])


# --- Dyve -----------------------------------------------------------------------------------


def test_dyve_thinks_only_where_its_fast_verdict_is_unsure() -> None:
    def script(request: TextRequest) -> GeneratedText:
        if request.max_tokens > 1:
            return said("I checked it. The answer is -")
        if user(request) == "b":
            return said("+", **{"+": 0.5, "-": 0.3})
        return said(" +", **{" +": 0.9, "-": 0.02})

    policy = Scripted(script)
    scores = verdicts.dyve(policy, unsure=(0.1, 0.9)).score("p", [["a", "b", "c"]])
    fast = pytest.approx(0.9 / 0.92)
    assert scores.to_list() == [[fast, 0.0, fast]]
    first, second = policy.calls
    assert [len(first), len(second)] == [3, 1]
    assert first[2].prompt == (
        Turn("user", "p\n\na"),
        Turn("assistant", "+"),
        Turn("user", "b"),
        Turn("assistant", "+"),
        Turn("user", "c"),
    )
    assert second[0].prompt == (
        Turn(
            "user",
            "Problem: p\n\nStep: a\n\nIs this step correct? You must answer with '+' for correct "
            "or '-' for incorrect in the end of your response.",
        ),
        Turn("assistant", "<think>\n\n</think> +"),
        Turn(
            "user",
            "Step: b\n\nIs this step correct? You must answer with '+' for correct or -' for "
            "incorrect in the end of your response.",
        ),
    )
    never = verdicts.dyve(Scripted(script), unsure=(1.0, 1.0)).score("p", [["a", "b"]])
    assert never.values[1] == pytest.approx(0.5 / 0.8)
    silent = Scripted(
        lambda r: said("Hm.") if r.max_tokens > 1 else said("+", **{"+": 0.5, "-": 0.5})
    )
    with pytest.raises(InputError, match=r"'\+' or '-' at the end"):
        verdicts.dyve(silent, unsure=(0.1, 0.9)).score("p", [["a"]])


# --- natural programs -------------------------------------------------------------------------

PROGRAM = """\
#3. (by #1 #2) Step 1: Add.
1 + 2 = 3

#4. (by #3) Step 2: So 3."""


def test_a_natural_program_is_verified_by_its_premises_alone() -> None:
    policy = Scripted(lambda request: said('It holds.\nSo the answer is "yes".'))
    prm = verdicts.natural_program(policy)
    scores = prm.score("#1. She has 1.\n#2. He has 2.", [PROGRAM])
    assert scores.to_list() == [[1.0, 1.0]]
    assert user(policy.asked[0]) == (
        'Here is some information:\n"She has 1.\nHe has 2."\n\nBased on the given information, '
        'here is a reasoning process:\n"Add.\n1 + 2 = 3"\n\nDouble-check the reasoning process, '
        'let\'s analyze its correctness, and end with "yes" or "no".\n\nAnswer:\n'
        "Let's think step by step without any assumptions.\n"
    )
    assert '"Add.\n1 + 2 = 3"' in user(policy.asked[1])
    assert "She has" not in user(policy.asked[1])
    with pytest.raises(InputError, match="#7, which is not there"):
        prm.score("#1. a", ["#2. (by #7) Step 1: b"])


@pytest.mark.parametrize(
    ("cited", "expected"),
    [
        ("#1 #3", [1, 3]),
        ("#1-#3", [1, 2, 3]),
        ("#1 - #3", [1, 2, 3]),
        ("#1-3", [1, 2, 3]),  # as the authors read it
        ("#4 #1-#3", [4, 1, 2, 3]),
        ("#1, #2 and #4", [1, 2, 4]),
        ("#2 and the rule of 5", [2]),
        # Labels that cannot be told from other numbers.
        ("#1, 2", None),
        ("#1 and 2", None),
        ("#3-#1", None),
        ("2", None),
    ],
)
def test_which_premises_a_step_cites(cited: str, expected: list[int] | None) -> None:
    problem = "\n".join(f"#{number}. fact {number}" for number in range(1, 5))
    steps = [f"#5. (by {cited}) Step 1: so"]
    if expected is None:
        with pytest.raises(InputError, match=r"premises: expected a step that begins as"):
            cited_premises(problem, steps)
    else:
        facts = [f"fact {number}" for number in expected]
        assert cited_premises(problem, steps) == facts


@pytest.mark.parametrize(
    ("end", "score"),
    [
        ('So the answer is "yes".', 1.0),
        ("The check passes.", 1.0),
        ('The answer is "no".', 0.0),
        ("It is incorrect.", 0.0),
        ("No, I mean yes.", 1.0),
        ("Yes, the reasoning is correct, and there are no errors.", 1.0),
        ("The line passes through (0, 0), so no.", 0.0),
        ("It fails to be wrong: yes", 1.0),
        ("There are no errors.", None),
        ("Yes, but it is incorrect in the end.", None),
        ("Is it yes or no? I cannot determine that, yes or no, here.", None),
        ("I have nothing to say.", None),  # the authors count it as yes
    ],
)
def test_what_the_last_line_of_a_verification_says(end: str, score: float | None) -> None:
    prm = verdicts.natural_program(
        Scripted(lambda _: said("Hm.\n", end)), premises=lambda p, s: [p]
    )
    values = prm.score("p", [["a"]], nan="propagate").values
    assert values[0] == score if score is not None else np.isnan(values[0])


def test_unanimity_then_plurality() -> None:
    script = iter([1, 1, 0, 1, 1, 1, 1, 0])
    policy = Scripted(lambda _: said("yes." if next(script) else "no."))
    prm = verdicts.natural_program(policy, premises=lambda p, s: [])
    scores = prm.score("p", [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]])
    # Candidates 1 and 3 have a step that fails; the majority of the others says 0.
    elected = verdicts.elect_verified(scores, [0, 1, 0, 1])
    assert (elected.answer_id.tolist(), elected.winner.tolist()) == ([0], [0])
    none = verdicts.elect_verified(scores, [0, 1, 0, 1], threshold=1.0)
    assert none.winner.tolist() == [-1]
    every = verdicts.elect_verified(scores, [1, 1, 0, 1], threshold=1.0, none_verified="plurality")
    assert every.answer_id.tolist() == [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer_ids": [0.7]}, "answer_ids: expected one class per candidate .* got float64"),
        ({"answer_ids": [0, 1]}, r"answer_ids: .* got int64 \[2\]"),
        ({"threshold": math.nan}, "threshold: expected a finite number"),
        ({"none_verified": "all"}, 'none_verified: expected "none" or "plurality"'),
    ],
)
def test_an_election_of_nobody_by_mistake(change: dict, message: str) -> None:
    prm = verdicts.natural_program(Scripted(lambda _: said("yes.")), premises=lambda p, s: [])
    options = {"answer_ids": [0], **change}
    with pytest.raises(InputError, match=f"elect_verified: {message}"):
        verdicts.elect_verified(prm.score("p", [["a"]]), **options)


# --- SPARK, CAPO, GM-PRM ------------------------------------------------------------------------

VERIFIED = "Step 1: fine.\nIt is \\boxed{correct}.\nStep 2: no.\nIt is \\boxed{%s}."


def test_spark_votes_step_by_step() -> None:
    words = iter(["correct", "incorrect", "incorrect", "incorrect"])
    policy = Scripted(lambda _: said(f"<think>\\boxed{{wrong}}</think>{VERIFIED % next(words)}"))
    scores = verdicts.spark(policy, prompt=WHOLE, votes=4).score("p", [["a", "b"]])
    assert scores.to_list() == [[1.0, 0.25]]
    assert user(policy.asked[0]) == "p\n\nStep 1: a\n\nStep 2: b\n\nJudge."
    assert len(policy.calls) == 1  # all votes in one batch


def test_spark_lets_a_critique_and_a_merge_have_the_last_word() -> None:
    def script(request: TextRequest) -> GeneratedText:
        name = user(request).split()[0]
        return said(VERIFIED % ("incorrect" if name == "merge" else "correct") + f" [{name}]")

    policy = Scripted(script)
    prm = verdicts.spark(
        policy,
        prompt="verify {problem} {solution}",
        critique="criticise {verification}",
        merge="merge {verification} and {critique}",
        votes=2,
    )
    assert prm.score("p", [["a", "b"]]).to_list() == [[1.0, 0.0]]
    assert [len(call) for call in policy.calls] == [2, 2, 2]
    assert user(policy.asked[-1]).count("[verify]") == 1
    assert user(policy.asked[-1]).count("[criticise]") == 1


def test_a_step_that_a_verification_leaves_out_has_no_verdict() -> None:
    policy = Scripted(lambda _: said("Step 1: \\boxed{correct}"))
    prm = verdicts.spark(policy, prompt=WHOLE, votes=1)
    scores = prm.score("p", [["a", "b"]], nan="propagate")
    assert np.isnan(scores.values).tolist() == [False, True]
    assert "a verdict about step 2" in scores.faults[0, 1]
    with pytest.raises(InputError, match=r"solutions\[0\]\[1\]"):
        prm.score("p", [["a", "b"]])


@pytest.mark.parametrize(
    ("voting", "expected"),
    [
        ("average", [1.0, 0.25, 0.5, 0.75]),
        ("majority", [1.0, 0.0, 1.0, 1.0]),
        ("intersection", [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_capo_names_the_wrong_steps(voting: str, expected: list[float]) -> None:
    boxes = iter(["2, 3", "none", "2", "Step 2, Step 3, Step 4"])
    policy = Scripted(lambda _: said(f"So \\boxed{{{next(boxes)}}}"))
    prm = verdicts.capo(policy, prompt=WHOLE, voting=voting)
    assert prm.score("p", [["a", "b", "c", "d"]]).to_list() == [expected]


@pytest.mark.parametrize("text", ["I see none.", "\\boxed{9}", "\\boxed{the second}"])
def test_capo_without_numbers_of_its_steps_gives_no_verdict(text: str) -> None:
    prm = verdicts.capo(Scripted(lambda _: said(text)), prompt=WHOLE, votes=1)
    with pytest.raises(InputError, match="a verdict for every step; got none"):
        prm.score("p", [["a", "b"]])


def test_gm_prm_returns_the_first_wrong_step_as_it_should_be() -> None:
    text = (
        "Step 1: \\boxed{correct}\nStep 2: \\boxed{incorrect}\nCorrected step 2: 1 + 1 = 2\n\nDone."
    )
    policy = Scripted(lambda _: said(text))
    scores = verdicts.gm_prm(policy, prompt=WHOLE).score("p", [["a", "b", "c"]])
    assert scores.to_list() == [[1.0, 0.0, 0.0]]
    assert [verdict.correction for verdict in scores.verdicts] == [None, "1 + 1 = 2", None]
    open_ = verdicts.gm_prm(policy, prompt=WHOLE, after_wrong=None)
    assert np.isnan(open_.score("p", [["a", "b", "c"]], nan="propagate").values[2])


# --- what they have in common ---------------------------------------------------------------------

ALL = {
    "genprm": lambda policy: verdicts.genprm(policy, tokenizer=ChatTokenizer()),
    "thinkprm": verdicts.think_prm,
    "r-prm": verdicts.r_prm,
    "pro-step": verdicts.pro_step,
    "stepwiser": lambda policy: verdicts.stepwiser(policy, prompt="{problem}|{previous}|{step}"),
    "dyve": lambda policy: verdicts.dyve(policy, unsure=(0.1, 0.9)),
    "natural-program": lambda p: verdicts.natural_program(p, premises=lambda q, s: []),
    "likert": lambda policy: verdicts.likert(policy, prompt="{problem}{step}"),
    "spark": lambda policy: verdicts.spark(policy, prompt=WHOLE),
    "capo": lambda policy: verdicts.capo(policy, prompt=WHOLE),
    "gm-prm": lambda policy: verdicts.gm_prm(policy, prompt=WHOLE),
}


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_scored_by_guess(name: str) -> None:
    """A verifier that says nothing of use, is cut, or fails: NaN and a reason in every family."""
    for text in (said("Well."), said("Well", cut=True), ValueError("no room")):
        prm = ALL[name](Scripted(lambda _, text=text: text))
        scores = prm.score("p", [["a", "b"]], nan="propagate")
        assert np.isnan(scores.values).all()
        assert len(scores.faults) == len(scores.values) > 0
        asks_again = {"r-prm", "thinkprm", "dyve", "genprm"}  # and reads another text
        if isinstance(text, GeneratedText) and text.truncated and name not in asks_again:
            assert all("finish_reason length" in fault for fault in scores.faults.values())


@pytest.mark.parametrize("name", ALL)
def test_every_family_describes_itself(name: str) -> None:
    recipe = ALL[name](Scripted(said)).recipe
    assert recipe.name == name
    assert recipe.source
    assert (recipe.confidence == "author") or recipe.unverified
    with pytest.raises(InputError, match="which writes its verdicts"):
        recipe.encode(None, [], [])


@pytest.mark.parametrize("name", ALL)
def test_what_is_no_policy_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="policy: expected a policy that writes texts"):
        ALL[name](lambda requests: [])
