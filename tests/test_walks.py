"""Pages that are followed as a reader follows them: what they show is what comes out."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_blocks import WALKED, Block, assert_shown, blocks_of, inside

import stepscore
from stepscore.cli.main import main

# To standard error, with what differs from run to run.
_REMARK = re.compile(r"^((?:loading|checking) .* \.\.\.|[\d.]+ s, [\d,.]+ .*/s.*)\n", re.MULTILINE)
_SHELL = ("", "sh")


class Walk:
    """A reader with a folder, a Python and a shell.

    Args:
        capsys: what has been printed.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._client: Any = None
        self._server: Any = None

    def follow(self, block: Block) -> tuple[str, int]:
        """Do what a block says; gives what it prints, and the exit code of its last command."""
        code = 0
        printed = []
        if block.language == "python":
            exec(block.compiled(), self._names)
        else:
            for statement in statements(block.code):
                output, code = self._type(statement)
                printed.append(output)
        shown = self._capsys.readouterr()
        return "".join(printed) + shown.out + _REMARK.sub("", shown.err), code

    def _type(self, statement: str) -> tuple[str, int]:
        if statement.startswith("curl "):
            return self._ask(shlex.split(statement)), 0
        if not statement.startswith("stepscore "):
            done = subprocess.run(
                ["bash", "-euc", statement], capture_output=True, text=True, timeout=60, check=True
            )
            return done.stdout, 0
        command = shlex.split(statement, comments=True)[1:]
        if command[0] == "serve":
            return self._serve(command), 0
        try:
            code = main(command)
        except SystemExit as stop:  # of the parser of arguments
            code = int(stop.code or 0)
        shown = self._capsys.readouterr()
        return shown.out + _REMARK.sub("", shown.err), code

    def _serve(self, command: list[str]) -> str:
        """The server of `stepscore serve MODEL`, for the requests that follow."""
        testclient = pytest.importorskip("fastapi.testclient")
        from stepscore.server import create_app

        self._client = testclient.TestClient(create_app(stepscore.load(command[1])))
        self._server = self._client.__enter__()
        return ""

    def _ask(self, words: list[str]) -> str:
        """Post what curl would, with the header that it would send."""
        parser = argparse.ArgumentParser()
        parser.add_argument("-s", action="store_true")
        parser.add_argument("-H", default="Content-Type: application/x-www-form-urlencoded")
        parser.add_argument("-d")
        parser.add_argument("url")
        request = parser.parse_args(words[1:])
        assert request.url.startswith("localhost:8000/")
        name, _, value = request.H.partition(": ")
        path = request.url.removeprefix("localhost:8000")
        answer = self._server.post(path, content=request.d, headers={name: value})
        assert answer.status_code == 200, answer.text
        return f"{answer.text}\n"

    def close(self) -> None:
        if self._server is not None:
            self._client.__exit__(None, None, None)


def statements(code: str) -> Iterator[str]:
    """The commands of stepscore and curl one by one, and what stands between them as a whole."""
    others: list[str] = []
    for line in code.replace("\\\n", " ").splitlines():
        if line.startswith(("stepscore ", "curl ")):
            if others:
                yield "\n".join(others)
                others = []
            yield line
        else:
            others.append(line)
    if others:
        yield "\n".join(others)


@pytest.mark.filterwarnings("default::UserWarning")  # as for a reader
@pytest.mark.parametrize("page", WALKED, ids=inside)
def test_a_page_can_be_followed(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    blocks = [block for block in blocks_of(page) if not block.not_run]
    walk = Walk(capsys)
    output = ""
    try:
        for block, behind in zip(blocks, [*blocks[1:], None], strict=True):
            if block.language == "text":
                assert_shown(block.code, output, block)
            elif block.language in (*_SHELL, "python"):
                output, code = walk.follow(block)
                shows = behind.code if behind and behind.language == "text" else ""
                wanted = 2 if ": error: " in shows else 0
                assert code == wanted, f"{block}: exit code {code}: {output}"
    finally:
        walk.close()


def test_every_page_shows_something() -> None:
    for page in WALKED:
        languages = {block.language for block in blocks_of(page) if not block.not_run}
        assert languages & {"python", *_SHELL}, page


@pytest.mark.parametrize(
    ("written", "got"),
    [
        ("a\n0.984 x", "a\n0.985 x\n"),
        ("took ... s", "took 3.25 s"),
        ("step ....................", "step ...................."),
        ("60.7   97.0", "60.6   97.0"),
    ],
)
def test_what_may_be_shown_otherwise(written: str, got: str) -> None:
    assert_shown(written, got)


@pytest.mark.parametrize(
    ("written", "got"),
    [
        ("0.984", "0.994"),
        ("12 of 16", "13 of 16"),
        ("a ... c", "a b"),
        ("step ....", "step ......"),
        ("one line", "one line\nand another"),
        ("60.7", "62.0"),
    ],
)
def test_what_may_not(written: str, got: str) -> None:
    with pytest.raises(pytest.fail.Exception):
        assert_shown(written, got)
