"""An argument of the library, as the command line spells it."""

from __future__ import annotations

import pytest

from stepscore.cli.spelling import flag_of
from stepscore.errors import Argument, InputError


@pytest.mark.parametrize(
    ("argument", "flag"),
    [
        (Argument("source"), "IN"),
        (Argument("target"), "-o"),
        (Argument("folder", "my-prm"), "FOLDER my-prm"),
        (Argument("overwrite", True), "--overwrite"),
        (Argument("truncation"), "--truncate"),
        (Argument("truncation", "steps"), "--truncate"),
        (Argument("bounded"), "--score-range"),
        (Argument("bounded", False), "--score-range any"),
        (Argument("bounded", True), "--score-range probability"),
        (Argument("fields.id"), "--id-field"),
        (Argument("fields.result", "scores"), "--result-field scores"),
        (Argument("rule", "borda:power=2"), "--rule borda:power=2"),
        (Argument("rules"), "--rule"),
        (Argument("objectives", ("min", "last")), "--objectives min,last"),
        (Argument("parameters.n"), "--set n"),
        (Argument("parameters.n", 16), "--set n=16"),
        (Argument("trees.a:1", "x.html"), "--tree a:1:x.html"),
        (Argument("dtype", "float32"), "--dtype float32"),
        (Argument("separator", ""), "--separator ''"),
        (Argument("token_budget"), "--token-budget"),
        (Argument("max_step_tokens", 64), "--max-step-tokens 64"),
        (Argument("retries", 0), "--retries 0"),
        (Argument("how"), "--how"),
        (Argument("anything.new"), "--anything-new"),
    ],
    ids=lambda value: value.name if isinstance(value, Argument) else value,
)
def test_flag_of(argument: Argument, flag: str) -> None:
    assert flag_of(argument) == flag


def test_a_message_in_flags() -> None:
    error = InputError(
        ("another file than ", Argument("source")),
        got="in.jsonl",
        advice=("pass ", Argument("overwrite", True)),
        argument="target",
    )
    assert error.told(flag_of) == (
        "-o: expected another file than IN; got in.jsonl; pass --overwrite"
    )
