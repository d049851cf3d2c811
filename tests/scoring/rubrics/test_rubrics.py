"""Rubrics and checklists, against shares reckoned by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepscore.errors import InputError
from stepscore.policies.texts import GeneratedText, TextRequest, Token
from stepscore.scoring.rubrics import rubric, share, web_shepherd

Writer = Callable[[str, TextRequest], str | Exception | GeneratedText]


def tokenised(text: str, likely: dict[str, dict[str, float]] | None = None) -> GeneratedText:
    """Words with their blank before them as tokens; the likeliest where a word is among `likely`.

    Args:
        text: what is written.
        likely: the last word that begins so -> the probabilities of the tokens in its place.
    """
    pieces = re.findall(r" ?[A-Za-z]+| ?\d|\s|[^\sA-Za-z\d]", text)
    assert "".join(pieces) == text
    tokens = [Token(piece, math.log(0.9), ((piece, math.log(0.9)),)) for piece in pieces]
    for place, top in (likely or {}).items():
        at = max(i for i, piece in enumerate(pieces) if text_before(pieces, i).endswith(place))
        entries = sorted(((t, math.log(p)) for t, p in top.items()), key=lambda each: -each[1])
        said = dict(entries)[pieces[at]]
        tokens[at] = Token(pieces[at], said, tuple(entries))
    return GeneratedText(text, tokens=tuple(tokens), token_count=len(tokens))


def text_before(pieces: Sequence[str], at: int) -> str:
    return "".join(pieces[:at])


class Scripted:
    """A policy that a function writes for: the user's turn -> its text."""

    name = "scripted"

    def __init__(self, write: Writer) -> None:
        self.write = write
        self.calls: list[list[TextRequest]] = []
        self.checked: list[int] = []

    def generate(self, requests: Sequence[TextRequest]) -> list[GeneratedText | Exception]:
        self.calls.append(list(requests))
        return [self._answer(request) for request in requests]

    def _answer(self, request: TextRequest) -> GeneratedText | Exception:
        given = self.write(request.prompt[-1].content, request)  # type: ignore[union-attr]
        return GeneratedText(given) if isinstance(given, str) else given

    def check_logprobs(self, count: int, prompt: Any) -> None:
        self.checked.append(count)


# --- shares ---------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-5, 5)), min_size=1))
def test_a_share_lies_between_none_and_all(pairs: list[tuple[float, float]]) -> None:
    answers, weights = zip(*[*pairs, (0.5, 1.0)], strict=True)
    positive = sum(w for w in weights if w > 0)
    expected = np.clip(np.dot(answers, weights) / positive, 0, 1)
    assert share(answers, weights) == pytest.approx(expected, abs=1e-12)
    # Whoever does all that is wanted and nothing else has all of it.
    assert share([float(w > 0) for w in weights], weights) == pytest.approx(1)


def test_shares_reckoned_by_hand() -> None:
    assert share([1, 0, 1], [5, 3, -2]) == 3 / 8
    assert share([0, 0, 1], [5, 3, -2]) == 0  # not -2/8
    assert share([1, 0.5, 0], [1, 1, 1]) == 0.5


@pytest.mark.parametrize("answers", [[math.nan, 1], [7, 1], [-1, 1], [1], [1, 1, 1]])
def test_answers_that_are_none_have_no_share(answers: list[float]) -> None:
    """The greater of 0 and NaN is 0."""
    with pytest.raises(InputError, match=r"share: answers: expected 2 answers in \[0, 1\]"):
        share(answers, [1, 1])


@pytest.mark.parametrize("weights", [[-1, 0], [math.nan, 1], [math.inf, 1]])
def test_points_of_which_none_can_be_had(weights: list[float]) -> None:
    with pytest.raises(InputError, match="share: weights: expected finite points, some of them"):
        share([1, 1], weights)


def test_an_answer_that_cannot_be_read_takes_the_one_before_it_back() -> None:
    texts = ['{"criteria_met": true} No: {"criteria_met": "partly"}', '{"criteria_met": true}']
    prm = rubric(Scripted(lambda *_: texts.pop(0)), criteria=CRITERIA[:1], prompt=PROMPT)
    scores = prm.score("p", ["a", "b"], nan="propagate")
    assert [math.isnan(value) for value in scores.values] == [True, False]


# --- Web-Shepherd ---------------------------------------------------------------------------

ITEMS = ["Find the page of the shop", "Sort by price", "Buy the first"]
ANSWERS = (
    "REASON: Checklist 1: No, not yet. It looks fine.\nCHECKLIST EVALUATION:\n"
    "Checklist 1: Yes\nChecklist 2: In Progress\nChecklist 3: No\n"
)
LIKELY = {
    "\nChecklist 1:": {" Yes": 0.6, " In": 0.2, " No": 0.1},
    "Checklist 2:": {" In": 0.5, " Yes": 0.25, " No": 0.25},
    "Checklist 3:": {" No": 0.8, " Yes": 0.1, " In": 0.1},
}
STEPS = ["THOUGHT: I look.\nACTION: click('1')", "THOUGHT: I sort.\nACTION: click('2')"]


def shepherd(write: Writer, **options: Any) -> Any:
    return web_shepherd(
        Scripted(write),
        checklist=lambda problem: ITEMS,
        state=lambda problem, steps: f"### Current URL\nhttp://shop/{len(steps)}\n",
        **options,
    )


def test_the_share_of_a_checklist_is_read_at_its_answers() -> None:
    prm = shepherd(lambda *_: tokenised(ANSWERS, LIKELY))
    scores = prm.score("Buy it.", [STEPS])
    items = [(0.6 + 0.1) / 0.9, 0.25 + 0.25, 0.1 + 0.05]
    np.testing.assert_allclose(scores.values, [np.mean(items)] * 2, rtol=1e-6)
    assert prm.policy.checked == [20]
    assert scores.recipe.unverified
    by_text = shepherd(lambda *_: ANSWERS, by="text")
    np.testing.assert_allclose(by_text.score("Buy it.", [STEPS]).values, [0.5, 0.5])
    assert by_text.policy.checked == []


def test_what_web_shepherd_is_shown() -> None:
    prm = shepherd(lambda *_: ANSWERS, by="text")
    prm.score("Buy {it}.", [STEPS])
    requests = [request for call in prm.policy.calls for request in call]
    last = next(r for r in requests if "/2" in r.prompt[-1].content)
    assert last.prompt[0] == ("system", "")  # the authors send it empty, and not none
    _, shown = last.prompt[-1].content.split("# Given Information\n")
    assert shown == (
        "## User Instruction\nBuy {it}.\n## Trajectory\n" + STEPS[0] + "\n"
        "## Current State\n### Current URL\nhttp://shop/2\n"
        "## Checklist\nChecklist 1: Find the page of the shop\nChecklist 2: Sort by price\n"
        "Checklist 3: Buy the first\n## Agent's Response\n" + STEPS[1] + "\n\n"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("It looks fine.", "CHECKLIST EVALUATION"),
        ("CHECKLIST EVALUATION:\nChecklist 1: Yes\nChecklist 2: Yes\n", r"each of 3 .* \[1, 2\]"),
        (ANSWERS + "Checklist 4: Yes\n", r"\[1, 2, 3, 4\]"),
        (ANSWERS + "Checklist 3: Yes\n", r"\[1, 2, 3, 3\]"),
        (ANSWERS.replace("3: No", "3: Note"), r"\[1, 2\]"),
        (ANSWERS.replace("3: No", "3: Perhaps"), r"\[1, 2\]"),
    ],
)
def test_another_checklist_than_the_one_asked_for_is_no_verdict(text: str, reason: str) -> None:
    for by in ("text", "probability"):
        prm = shepherd(lambda *_: tokenised(text), by=by)
        scores = prm.score("Buy it.", [STEPS[:1]], nan="propagate")
        assert np.isnan(scores.values).all()
        assert re.search(reason, scores.faults[0, 0])
    with pytest.raises(InputError, match="a verdict for every step"):
        prm.score("Buy it.", [STEPS[:1]])


def test_twelve_items_are_not_two() -> None:
    """Item 1 is not read at item 12."""
    items = [f"item {n}" for n in range(1, 13)]
    lines = [f"Checklist {n}: {'Yes' if n > 9 else 'No'}\n" for n in range(1, 13)]
    text = "CHECKLIST EVALUATION:\n" + "".join(lines)
    prm = web_shepherd(
        Scripted(lambda *_: text), checklist=lambda _: items, state=lambda *_: "", by="text"
    )
    np.testing.assert_allclose(prm.score("p", [["s"]]).values, [3 / 12])


def test_a_checklist_that_is_none_is_refused() -> None:
    for items in ([], "Find the page", [1]):
        prm = web_shepherd(
            Scripted(lambda *_: ANSWERS),
            checklist=lambda _, items=items: items,  # type: ignore[misc]
            state=lambda *_: "",
            by="text",
        )
        with pytest.raises(InputError, match="checklist: expected a list of texts"):
            prm.score("p", [["s"]])


# --- rubrics --------------------------------------------------------------------------------

PROMPT = "P: {problem}\nS: {solution}\nC: {criterion}"
CRITERIA = [("adds", 5.0), ("checks", 3.0), ("guesses", -2.0)]


def met(criteria: set[str]) -> Writer:
    def write(turn: str, request: TextRequest) -> str:
        criterion = turn.split("C: ")[1]
        word = "true" if criterion in criteria else "false"
        return f'{{"explanation": "...", "criteria_met": {word}}}'

    return write


def test_a_rubric_is_asked_criterion_by_criterion_in_one_batch() -> None:
    policy = Scripted(met({"adds", "guesses"}))
    prm = rubric(policy, criteria=CRITERIA, prompt=PROMPT)
    scores = prm.score("1 + 1", [["a {criterion}", "b"], ["c"]])
    # The solution is judged as one.
    assert scores.values.tolist() == [3 / 8, 3 / 8]
    assert [len(call) for call in policy.calls] == [6]
    turns = [request.prompt[-1].content for request in policy.calls[0]]  # type: ignore[union-attr]
    assert turns[0] == "P: 1 + 1\nS: a {criterion}\n\nb\nC: adds"
    best = prm.rank("1 + 1", ["x", "y"])
    assert [ranked.score for ranked in best] == [3 / 8, 3 / 8]
    only_bad = rubric(Scripted(met({"guesses"})), criteria=lambda p: CRITERIA, prompt=PROMPT)
    assert only_bad.score("p", ["x"]).values.tolist() == [0]


def test_a_rubric_by_probability() -> None:
    """0.9 against 0.1 that it is met, of each; 8 points and -2."""
    likely = {"met:": {" true": 0.72, " false": 0.08, " maybe": 0.2}}
    prm = rubric(
        Scripted(lambda *_: tokenised("met: true", likely)),
        criteria=CRITERIA,
        prompt=PROMPT,
        verdict="met: (true|false)",
        by="probability",
    )
    np.testing.assert_allclose(prm.score("p", ["x"]).values, [0.9 * 6 / 8], rtol=1e-6)


def test_votes_of_a_criterion_are_their_mean_and_most_must_come() -> None:
    texts = iter(["true", "false", "true", "true", "hm", "true", "hm", "hm", "true"])
    policy = Scripted(lambda *_: f'"criteria_met": {next(texts)}')
    prm = rubric(policy, criteria=[("a", 1), ("b", 1)], prompt=PROMPT, votes=3, temperature=1)
    np.testing.assert_allclose(prm.score("p", ["x"]).values, [(2 / 3 + 1) / 2], rtol=1e-6)
    texts = iter(["true", "true", "true", "hm", "hm", "true"])
    scores = prm.score("p", ["y"], nan="propagate")
    assert np.isnan(scores.values).all()
    assert "criterion 2 has no answer: 1 of 3 votes" in scores.faults[0, 0]


@pytest.mark.parametrize(
    "failure",
    [
        "I cannot say.",
        '"criteria_met": "perhaps"',
        GeneratedText('"criteria_met": true', truncated=True, token_count=9),
        RuntimeError("busy"),
    ],
)
def test_a_criterion_without_an_answer_is_no_share_of_the_others(failure: Any) -> None:
    def write(turn: str, request: TextRequest) -> Any:
        return failure if "checks" in turn else met({"adds"})(turn, request)

    prm = rubric(Scripted(write), criteria=CRITERIA, prompt=PROMPT)
    scores = prm.score("p", ["x"], nan="propagate")
    assert np.isnan(scores.values).all()
    assert "criterion 2" in scores.faults[0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "P: {problem} {solution}"}, r"\{criterion\} once"),
        ({"criteria": []}, "criteria, each a text"),
        ({"criteria": ["adds"]}, "criteria, each a text"),
        ({"criteria": [("adds", -1)]}, "some of them above 0"),
        ({"criteria": [("adds", math.inf)]}, "finite points"),
        ({"by": "guess"}, "by"),
        ({"votes": 0}, "votes"),
        ({"votes": 2}, "temperature above 0"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_a_rubric_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    arguments = {"criteria": CRITERIA, "prompt": PROMPT, **options}
    with pytest.raises(InputError, match=message):
        rubric(Scripted(met(set())), **arguments)


def test_provenance_tells_rubrics_apart() -> None:
    """Whatever moves a score stands beside it."""
    policy = Scripted(met(set()))
    first = {"criteria": CRITERIA, "prompt": PROMPT, "temperature": 0.5}
    changes: list[dict[str, Any]] = [
        {},
        {"prompt": PROMPT + "!"},
        {"criteria": CRITERIA[:2]},
        {"words": ("true", "no")},
        {"votes": 2},
        {"seed": 1},
        {"temperature": 0.6},
        {"by": "probability"},
        {"verdict": "(true|false)"},
    ]
    described = [rubric(policy, **{**first, **change}).recipe.parameters for change in changes]
    assert len(set(described)) == len(changes)
