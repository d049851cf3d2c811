"""Errors as data: the same facts in the words of Python, or of whoever stands above."""

from __future__ import annotations

import copy
import pickle

import pytest

from stepscore.errors import Argument, InputError, InputTypeError, as_argument


def shout(argument: Argument) -> str:
    return argument.name.upper()


def test_all_parts() -> None:
    error = InputError(
        "a new file",
        got="an old one",
        advice=("pass ", Argument("overwrite", True), " to replace it"),
        argument="target",
        where="out.jsonl",
    )
    message = "out.jsonl: target: expected a new file; got an old one; pass overwrite=True to"
    assert str(error) == f"{message} replace it"
    message = "out.jsonl: TARGET: expected a new file; got an old one; pass OVERWRITE to"
    assert error.told(shout) == f"{message} replace it"
    assert error.clauses(shout) == message.partition("TARGET: ")[2] + " replace it"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("a number"), "expected a number"),
        (InputError("a number", got="'x'"), "expected a number; got 'x'"),
        (InputError("a number", advice="leave it out"), "expected a number; leave it out"),
        (InputError("a number", argument="n"), "n: expected a number"),
        (InputError("a number", where="f"), "f: expected a number"),
        (InputError("a number", advice=Argument("n", 3)), "expected a number; n=3"),
        (
            InputError(("as many as ", Argument("n")), got=("3 in ", Argument("m"))),
            "expected as many as n; got 3 in m",
        ),
    ],
)
def test_a_part_that_is_missing_leaves_no_trace(error: InputError, message: str) -> None:
    assert str(error) == message


@pytest.mark.parametrize(
    ("argument", "spelled"),
    [
        (Argument("how"), "how"),
        (Argument("overwrite", True), "overwrite=True"),
        (Argument("truncation", "steps"), "truncation='steps'"),
        (Argument("fields.id"), "fields.id"),
        (Argument("solutions", index=(7, 2)), "solutions[7][2]"),
    ],
)
def test_an_argument_as_python_spells_it(argument: Argument, spelled: str) -> None:
    assert as_argument(argument) == spelled


def test_the_same_facts_of_another_place() -> None:
    error = InputTypeError("a text", got="3", argument=Argument("solutions", index=(7,)), where="f")
    moved = error.at(where="in.jsonl:2", argument=Argument("candidates", index=(1,)))
    assert str(moved) == "in.jsonl:2: candidates[1]: expected a text; got 3"
    assert type(moved) is InputTypeError
    assert str(error) == "f: solutions[7]: expected a text; got 3"
    assert str(error.at(where="")) == "solutions[7]: expected a text; got 3"
    assert str(error.at(argument="texts")) == "f: texts: expected a text; got 3"


def test_it_travels_between_processes() -> None:
    error = InputTypeError("a text", got="3", advice=("pass ", Argument("how", "min")), where="f")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), error.at(where="f")):
        assert type(twin) is InputTypeError
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_it_is_what_python_expects() -> None:
    assert issubclass(InputError, ValueError)
    assert issubclass(InputTypeError, TypeError)
    assert issubclass(InputTypeError, InputError)
