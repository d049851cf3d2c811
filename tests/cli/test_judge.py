"""``stepscore judge`` against a server that says which of two is better."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fake_model import read

from stepscore.cli import judge
from stepscore.cli.main import main
from stepscore.scoring.generative import JUDGES
from stepscore.scoring.pairs import FAMILIES, TOURNAMENTS

RECORD = {
    "id": 1,
    "problem": "What is 6 * 7?",
    "candidates": ["The answer is 40.", "6 * 7 = 42, so the answer is 42.", "The answer is 4."],
    "answer": "42",
}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Prefers the longer response, in the format of RM-R1."""
    for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.bodies.append(body)  # type: ignore[attr-defined]
            shown = body["messages"][-1]["content"]
            first = shown.split("Chatbot A's Response]\n")[1]
            second = shown.split("Chatbot B's Response]\n")[1]
            better = "A" if len(first) > len(second) else "B"
            text = f"<answer>[[{better}]]</answer>"
            choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"choices": [choice]}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.bodies = []  # type: ignore[attr-defined]
    server.url = f"http://127.0.0.1:{server.server_port}/v1"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def command(served: Any, tmp_path: Path, *more: str) -> list[str]:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(RECORD) + "\n")
    out = str(tmp_path / "out.jsonl")
    policy = ["--policy", served.url, "--policy-model", "judge"]
    return ["judge", str(source), "-o", out, "--judge", "rm-r1-distilled", *policy, *more]


@pytest.mark.parametrize("how", ["win_rate", "knockout"])
def test_a_file_is_judged(
    served: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    more = ("--how", how, "--max-tokens", "77", "--seed", "3")
    assert main(command(served, tmp_path, *more)) == 0
    (line,) = read(tmp_path / "out.jsonl")
    assert [c["rank"] for c in line["stepscore"]["candidates"]][1] == 1
    assert line["stepscore"]["votes"]["best_of_n"]["score"]["answer"] == "42"
    assert line["stepscore"]["provenance"]["judge"]["how"] == how
    assert {body["max_tokens"] for body in served.bodies} == {77}
    matches = 2 if how == "knockout" else 3
    assert len(served.bodies) == 2 * matches
    assert f"{matches} matches by {2 * matches} verdicts." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--votes", "3"], "--votes: expected 1, .* got 3; .* --temperature 0.7"),
        (["--budget", "1"], "expected at least 2 matches, .* got 1; pass more"),
        (["--policy", "lab"], "--policy-model: expected a --policy that is a URL"),
    ],
)
def test_what_does_not_fit_is_said_in_flags(
    served: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert main(command(served, tmp_path, *more)) == 2
    assert not (tmp_path / "out.jsonl").exists()
    assert not served.bodies
    assert re.search(message, capsys.readouterr().err)


def test_a_miniature_writes_no_verdicts(
    served: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = command(served, tmp_path)
    del line[line.index("--policy") : line.index("--policy") + 4]
    assert main([*line, "--policy", "lab"]) == 2
    assert "--policy: expected a policy that writes texts; got lab" in capsys.readouterr().err


def test_the_names_are_those_of_the_library() -> None:
    assert sorted(judge._JUDGES) == sorted(FAMILIES)
    assert sorted(judge._JUDGES + judge._PROMPTED) == sorted(JUDGES)
    assert len(TOURNAMENTS) == len(set(TOURNAMENTS)) == 7
