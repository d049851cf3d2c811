"""A model that is not loaded: the message names the option at fault."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import stepscore
from stepscore import policies
from stepscore.cli.main import main
from stepscore.errors import Argument, InputError

Write = Callable[..., str]
PROBLEM = {"id": 1, "problem": "?", "candidates": ["x = 1"]}
CASES = [
    (InputError("a folder", got="'m'", argument="model", where="load"), "--model m: expected a"),
    (
        InputError("one of a, b", got="'c'", argument="recipe", where="load"),
        "--model m: --recipe: expected one of a, b; got 'c'\n",
    ),
    (
        InputError("steps", advice=("pass ", Argument("max_length", 9)), where="load"),
        "--model m: expected steps; pass --max-length 9\n",
    ),
    (ValueError("gone"), "--model m: expected a model that can be loaded; got gone\n"),
    (KeyError("w"), "--model m: expected a model that can be loaded; got KeyError: 'w'\n"),
    (ModuleNotFoundError("No torch"), "expected torch and transformers, which run the models; got"),
]


@pytest.mark.parametrize(("error", "message"), CASES)
def test_a_prm(
    error: Exception,
    message: str,
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(name: str, **options: Any) -> Any:
        raise error

    monkeypatch.setitem(stepscore.__dict__, "load", load)
    assert main(["score", write(PROBLEM), "-o", str(tmp_path / "o"), "--model", "m"]) == 2
    assert f"stepscore score: error: {message}" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "message"), CASES)
def test_a_policy(
    error: Exception,
    message: str,
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(*arguments: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(policies.HuggingFacePolicy, "load", load)
    options = ["--policy", "m", "--strategy", "self_consistency"]
    assert main(["search", write(PROBLEM), "-o", str(tmp_path / "o"), *options]) == 2
    spoken = message.replace("--model m", "--policy m")
    assert f"stepscore search: error: {spoken}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--policy", "http://x"],
            "the name of the model at the server; got none beside --policy http://x; add "
            "--policy-model NAME",
        ),
        (
            ["--policy", "lab", "--policy-model", "x"],
            "a --policy that is a URL beside it, and no other; got --policy lab; leave it out",
        ),
    ],
)
def test_a_name_at_a_server_belongs_to_a_url(
    options: list[str],
    message: str,
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["search", write(PROBLEM), "-o", str(tmp_path / "o"), "--strategy", "self_consistency"]
    assert main([*given, *options]) == 2
    assert f"--policy-model: expected {message}" in capsys.readouterr().err


class Failing(BaseHTTPRequestHandler):
    """Answers every request with status 500, and takes its time."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(0.4)
        self.send_error(500, "out of order")

    def log_message(self, *_: Any) -> None:
        pass


def test_the_timeout_is_that_of_an_attempt_at_a_server(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both attempts, and the wait between them, take longer than one may."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = [
        *("--policy", f"http://127.0.0.1:{server.server_port}/v1", "--policy-model", "m"),
        *("--strategy", "self_consistency", "--set", "n=2", "--timeout", "0.7", "--retries", "1"),
    ]
    try:
        assert main(["search", write(PROBLEM), "-o", str(tmp_path / "o"), *options]) == 2
    finally:
        server.shutdown()
        server.server_close()
    assert re.search(r"status 500: .*\(2 attempts\)", capsys.readouterr().err)


@pytest.mark.parametrize("command", ["serve", "doctor", "check"])
def test_a_model_that_is_a_word_of_its_own_is_told_as_one(
    command: str, tmp_path: Path, capsys: Any
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("fastapi")
    port = ["--port", "0"] if command == "serve" else []
    assert main([command, str(tmp_path), *port]) == 2
    said = capsys.readouterr().err
    assert f"stepscore {command}: error: MODEL {tmp_path}: expected a folder with a config" in said
    assert main([command, "lab", "--dtype", "float9", *port]) == 2
    assert f"stepscore {command}: error: MODEL lab: --dtype: expected" in capsys.readouterr().err
    if command != "doctor":
        assert main([command, "http://x", "--recipe", "r-prm", *port]) == 2
        assert "got none beside MODEL http://x; add --served-as" in capsys.readouterr().err
