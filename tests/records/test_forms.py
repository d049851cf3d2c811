"""A file that holds records in another form says what it is, and what to type mends it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import read

from stepscore.cli.main import main

RECORDS = [
    {"id": 1, "candidates": [{"answer": "1", "score": 0.5}]},
    {"id": 2, "candidates": [{"answer": "1", "score": 0.5}]},
]
Run = Callable[[str], tuple[int, str]]


@pytest.fixture
def vote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Run:
    """Vote over a file of that content."""
    monkeypatch.chdir(tmp_path)

    def run(text: str) -> tuple[int, str]:
        Path("in.json").write_bytes(text.encode())
        code = main(["vote", "in.json", "--on-error", "skip"])
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (json.dumps(RECORDS, indent=2), "JSON over several lines"),
        ("\n".join(json.dumps(r, indent=2) for r in RECORDS), "JSON over several lines"),
        ("[" + ",\n".join(map(json.dumps, RECORDS)) + "]", "JSON over several lines"),
        (json.dumps(RECORDS), "one JSON list"),
        ("\r".join(map(json.dumps, RECORDS)), "lines that end in a carriage return alone"),
        ("\r".join(map(json.dumps, RECORDS)) + "\r", "lines that end in a carriage return alone"),
    ],
)
def test_json_in_another_form(text: str, what: str, vote: Run) -> None:
    code, said = vote(text)
    assert code == 2
    assert f"in.json: expected JSONL, one JSON object per line; got {what}; type: " in said
    command = said.strip().rpartition("type: ")[2]
    if command.startswith("stepscore "):
        assert main(command.split()[1:]) == 0
    else:
        subprocess.run(command, shell=True, check=True)
    assert read(Path("in.jsonl")) == RECORDS
    assert main(["vote", "in.jsonl"]) == 0


@pytest.mark.parametrize("sign", [",", "\t", ";"])
def test_a_table(sign: str, vote: Run) -> None:
    code, said = vote(sign.join(["id", "problem", '"answer"']) + f"\n1{sign}a{sign}2\n")
    assert code == 2
    assert "got a table with the columns id, problem, answer; type: python -c" in said
    command = said.strip().rpartition("type: ")[2]
    subprocess.run(command, shell=True, check=True)
    assert read(Path("in.jsonl")) == [{"id": "1", "problem": "a", "answer": "2"}]


@pytest.mark.parametrize(
    "first", ['{"id": 1, "candidates": nothing}', "17", '"a"', "a line of words", '{"id": 1']
)
def test_a_first_line_that_is_just_broken_is_skipped(first: str, vote: Run) -> None:
    code, said = vote(first + "\n" + json.dumps(RECORDS[1]))
    assert code == 0
    assert "in.json:1: expected one JSON object per line; got " in said
