"""Problems and candidates that are chat messages, and fields inside of others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stepscore.records import Fields, Record, RecordError, parse_record

USER = {"role": "user", "content": "What is 6 * 7?"}
SYSTEM = {"role": "system", "content": "Please reason step by step."}
ANSWER = {"role": "assistant", "content": "6 * 7 = 42"}
PARTS = {"role": "assistant", "content": [{"type": "text", "text": "6 * 7"}]}


def parsed(fields: Fields | None = None, wanted: Any = "solutions", **content: Any) -> Record:
    line = json.dumps({"id": 1, "problem": "p", "candidates": ["c"], **content}).encode()
    return parse_record(line, "in.jsonl:3", fields or Fields(), wanted)


@pytest.mark.parametrize(
    "problem",
    [
        [USER],
        [SYSTEM, USER],
        [{"role": "developer", "content": "x"}, USER],
        [{"from": "human", "value": "What is 6 * 7?"}],
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is "},
                    {"type": "text", "text": "6 * 7?"},
                ],
            }
        ],
    ],
)
def test_a_problem_is_the_message_of_the_user(problem: Any) -> None:
    assert parsed(problem=problem).problem == "What is 6 * 7?"


@pytest.mark.parametrize(
    "candidate",
    [
        ANSWER,
        [ANSWER],
        {"message": ANSWER, "index": 0, "finish_reason": "stop"},
        {"message": ANSWER, "text": None},
        {"from": "gpt", "value": "6 * 7 = 42"},
        {"role": "assistant", "content": [{"type": "text", "text": "6 * 7 = 42"}]},
        {"text": "6 * 7 = 42", "message": {"role": "user", "content": "not read"}},
    ],
)
@pytest.mark.parametrize("wanted", ["solutions", "scores"])
def test_a_candidate_is_the_message_of_the_assistant(candidate: Any, wanted: str) -> None:
    assert parsed(wanted=wanted, candidates=[candidate]).candidates[0].text == "6 * 7 = 42"


def test_what_stands_beside_a_message_is_read_too() -> None:
    candidate = {"message": ANSWER, "answer": "42", "score": 0.5, "correct": True}
    (read,) = parsed(wanted="scores", candidates=[candidate]).candidates
    assert (read.text, read.answer, read.score, read.correct) == ("6 * 7 = 42", "42", 0.5, True)


def test_a_message_that_says_nothing_is_a_generation_that_failed() -> None:
    (read,) = parsed(candidates=[{"message": {"role": "assistant", "content": None}}]).candidates
    assert read.text == ""


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            {"problem": [USER, ANSWER, USER]},
            'problem: expected one message of the user, .*; got \\["user", "assistant", "user"\\]',
        ),
        ({"problem": [SYSTEM]}, 'problem: expected one message of the user.*; got \\["system"\\]'),
        (
            {"problem": [{"role": "user", "content": [{"type": "image_url"}]}]},
            r"problem\[0\]\.content: expected a text, or parts of text alone; got .*leave images",
        ),
        ({"problem": [{"user": "x"}]}, "problem: expected a text; got .*chat messages"),
        (
            {"candidates": [[USER, ANSWER]]},
            r'candidates\[0\]: expected one message of the assistant.*\["user", "assistant"\]',
        ),
        ({"candidates": ["c", {"message": USER}]}, r'candidates\[1\]\.message: .*got \["user"\]'),
        (
            {"candidates": [{**ANSWER, "content": None, "tool_calls": [{}]}]},
            r"candidates\[0\]\.content: expected a text.*; got a call of a tool; leave",
        ),
        ({"candidates": [{"message": "x"}]}, 'candidates\\[0\\]: expected "steps" or "text"'),
        ({"candidates": [["a", "b"]]}, r"candidates\[0\]: .*; got a list; .*role and content"),
    ],
)
def test_every_odd_form_is_named(content: dict[str, Any], told: str) -> None:
    with pytest.raises(RecordError, match=f"^in.jsonl:3: id 1: {told}"):
        parsed(**content)


def test_fields_inside_of_others() -> None:
    content = {
        "meta": {"question": "q"},
        "response": {"choices": [{"message": ANSWER}]},
        "output": {"samples": ["s"]},
    }
    record = parsed(Fields(problem="meta.question", candidates="output.samples"), **content)
    assert (record.problem, record.candidates[0].text) == ("q", "s")
    record = parsed(Fields(candidates="response.choices"), **content)
    assert record.candidates[0].text == "6 * 7 = 42"
    # A key that is written with the dot wins.
    named = Fields(candidates="output.samples")
    assert parsed(named, **{**content, "output.samples": ["t"]}).candidates[0].text == "t"
    with pytest.raises(
        RecordError, match=r'the field "output.text"; got "samples" in "output"; .*candidates'
    ):
        parsed(Fields(candidates="output.text"), **content)
