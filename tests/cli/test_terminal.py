"""Standard streams that are closed, full or gone."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_model import FakeModel

import stepscore
from stepscore.cli.main import main

Write = Callable[..., str]
RECORD = {"id": 1, "candidates": [{"answer": "1", "score": 0.5}]}


@pytest.mark.parametrize(
    ("redirection", "code", "message"),
    [
        ("> /dev/full", 1, "output: expected a stream that can be written; got No space left"),
        (">&-", 1, "output: expected a stream that can be written; got a closed one; free"),
        ("-q >&-", 0, ""),
        ("> /dev/null <&-", 0, "candidates/s"),
    ],
)
def test_closed_and_full_streams(redirection: str, code: int, message: str, write: Write) -> None:
    command = f"{sys.executable} -m stepscore.cli vote {write(RECORD)} {redirection}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_closed_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["vote", "-"]) == 2
    expected = "<stdin>: expected lines on standard input; got a closed stream"
    assert expected in capsys.readouterr().err


@pytest.mark.filterwarnings("default::UserWarning")
def test_a_warning_is_a_line_of_the_command(
    fake: FakeModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    write: Write,
    tmp_path: Path,
) -> None:
    def load(name: str, **options: object) -> FakeModel:
        warnings.warn("load: a guess was made", stacklevel=2)
        return fake

    monkeypatch.setitem(stepscore.__dict__, "load", load)
    before = warnings.showwarning
    record = {"problem": "1+1", "candidates": ["2"]}
    assert main(["score", write(record), "-o", str(tmp_path / "out"), "--model", "m"]) == 0
    assert "stepscore score: warning: load: a guess was made\n" in capsys.readouterr().err
    assert warnings.showwarning is before
