"""Standard streams that are closed, full or gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

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
