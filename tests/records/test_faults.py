"""What is wrong with a record, as data."""

from __future__ import annotations

import pickle

from stepscore.errors import Argument, InputError
from stepscore.records import Record, RecordError, UniqueIds

RECORD = Record("in.jsonl:17", "{}", "a", "?", [])


def flag(argument: Argument) -> str:
    return f"--{argument.name}"


def test_the_parts_of_a_fault() -> None:
    error = RecordError(
        "a number",
        got="null",
        advice=("pass ", Argument("truncation", "steps")),
        field=("candidates", 2, "steps", 0),
        place="in.jsonl:17",
        record_id="a",
    )
    reason = "candidates[2].steps[0]: expected a number; got null; pass"
    assert str(error) == f"in.jsonl:17: id \"a\": {reason} truncation='steps'"
    assert error.reason == f"{reason} truncation='steps'"
    assert error.told(flag) == f'in.jsonl:17: id "a": {reason} --truncation'
    assert error.reason_told(flag) == f"{reason} --truncation"
    assert (error.place, error.record_id) == ("in.jsonl:17", "a")
    twin = pickle.loads(pickle.dumps(error))
    assert vars(twin) == vars(error)


def test_a_fault_of_the_whole_line() -> None:
    error = RecordError("JSON", got="a list", place="in.jsonl:1")
    assert str(error) == "in.jsonl:1: expected JSON; got a list"
    assert error.reason == "expected JSON; got a list"


def test_what_a_function_refused_is_a_fault_of_the_record_that_it_came_from() -> None:
    refused = InputError(
        "at most 128 tokens",
        got="130",
        advice=("pass ", Argument("truncation", "steps")),
        argument=Argument("solutions", index=(7,)),
        where="score",
    )
    error = RecordError.caused_by(refused, RECORD, ("candidates", 2))
    assert error.record_id == "a"
    assert str(error) == (
        'in.jsonl:17: id "a": candidates[2]: expected at most 128 tokens; got 130; pass '
        "truncation='steps'"
    )


def test_an_id_is_free_again_when_its_record_was_at_fault() -> None:
    unique = UniqueIds()
    unique.check(RECORD)
    assert unique.has("a")
    unique.forget(RecordError("x", place="in.jsonl:18", record_id="a"))
    assert unique.has("a")
    unique.forget(RecordError("x", place=RECORD.place, record_id="a"))
    assert not unique.has("a")
