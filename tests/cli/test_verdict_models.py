"""A generative PRM behind --recipe and --model: a server, and options that do not fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("httpx")

from fake_model import read
from text_server import Said, text_server

from stepscore.cli.main import main

Write = Callable[..., str]
RECORD = {"id": 1, "problem": "6 * 7?", "candidates": ["6 * 7 is 42", "6 * 7 is 41"]}


def test_a_file_is_scored_by_a_server(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    out = tmp_path / "out.jsonl"
    with text_server() as server:

        def script(body: dict[str, Any]) -> Said:
            if body["max_tokens"] > 1:
                return Said(["Fine."])
            p = 0.25 if "41" in body["messages"][0]["content"] else 0.75
            return Said([" Yes"], {0: {" Yes": math.log(p), " No": math.log(1 - p)}})

        server.script = script
        command = ["score", write(RECORD), "-o", str(out), "--recipe", "r-prm"]
        assert main([*command, "--model", server.url, "--served-as", "m"]) == 0
        assert server.bodies[-1]["model"] == "m"
    [line] = read(out)
    result = line["stepscore"]
    assert [c["step_scores"] for c in result["candidates"]] == [
        [pytest.approx(0.75, abs=1e-6)],
        [pytest.approx(0.25, abs=1e-6)],
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--model", "http://h/v1"],
            "--served-as: expected the name of the model at the server; got none beside --model "
            "http://h/v1; add --served-as NAME",
        ),
        (
            ["--model", "http://h/v1", "--served-as", "x", "--dtype", "float16"],
            "--dtype: expected no such option with a URL, whose server decides that; got float16",
        ),
        (["--model", "m", "--truncate"], "--truncate: expected no such option with --recipe r-prm"),
        (["--model", "m", "--coef", "1"], "--coef: expected no such option with --recipe r-prm"),
        (["--model", "lab"], "--model lab: expected a model that writes texts; got lab, which"),
        (["--model", "m", "--served-as", "x"], "--served-as: expected a --model that is a URL"),
        (["--model", "m", "--base", "x"], "--base: expected no such option with --recipe r-prm"),
        (["--model", "/no/such/folder"], "--model /no/such/folder: expected a folder or a"),
    ],
)
def test_options_that_do_not_fit(
    options: list[str],
    message: str,
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = str(tmp_path / "out.jsonl")
    assert main(["score", write(RECORD), "-o", out, "--recipe", "r-prm", *options]) != 0
    assert message in capsys.readouterr().err


def test_the_forward_of_a_generative_prm_is_not_timed(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "forward", write(RECORD), "--recipe", "r-prm", "--model", "m"]) != 0
    assert "expected a recipe that reads hidden states" in capsys.readouterr().err
