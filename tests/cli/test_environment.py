"""What the environment sets wrongly is named as such, and no record is blamed for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

WRONG = [
    ("STEPSCORE_CPU", "foo", "baseline, avx2 or avx512"),
    ("STEPSCORE_NUM_THREADS", "two", "a number from 1 to 1024"),
]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | environment,
    )


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
@pytest.mark.parametrize("command", ["vote", "rerank"])
def test_a_command_names_the_variable(
    command: str, name: str, value: str, expected: str, write: Callable[..., str], tmp_path: Path
) -> None:
    source = write({"id": 1, "problem": "1+1=?", "candidates": [{"text": "2", "score": 1}]})
    out = str(tmp_path / "out.jsonl")
    arguments = {
        "vote": [source, "--on-error", "skip"],
        "rerank": [source, "-o", out, "--model", "lab", "--on-error", "skip"],
    }
    done = run("-m", "stepscore.cli", command, *arguments[command], **{name: value})
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(
        f"stepscore {command}: error: the environment variable {name}: expected {expected}"
    )
    assert f"got '{value}'; type: unset {name}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not Path(out).exists()


def test_help_needs_no_environment() -> None:
    assert run("-m", "stepscore.cli", "vote", "--help", STEPSCORE_CPU="foo").returncode == 0


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
@pytest.mark.parametrize(
    "use", ["stepscore.load('lab')", "stepscore.jobs.files.open_files(stack, files)"]
)
def test_the_library_names_the_variable(use: str, name: str, value: str, expected: str) -> None:
    program = (
        "import contextlib, stepscore, stepscore.jobs.files\n"
        "stack, files = contextlib.ExitStack(), stepscore.jobs.files.Files('none')\n"
        f"try:\n    {use}\nexcept ValueError as error:\n    print(error)"
    )
    said = run("-c", program, **{name: value})
    assert said.stdout.startswith(f"the environment variable {name}: expected {expected}")
    assert said.stderr == ""
