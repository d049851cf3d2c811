"""Answers whose keys differ, decided by math-verify or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import read

from stepscore import verifier
from stepscore.cli.main import main
from stepscore.verifier import pool

Write = Callable[..., str]

STAND_IN = """
import time
from dataclasses import dataclass, field

@dataclass
class Normalization:
    units: bool = True

@dataclass
class LatexExtractionConfig:
    normalization_config: Normalization = field(default_factory=Normalization)

class Read:
    free_symbols = ("x", "y")
    def __init__(self, text):
        self.text = text
    def has(self, *what):
        return False

def parse(text, configs, extraction_mode, parsing_timeout):
    if "h_1" in text:
        time.sleep(1000)
    return [Read(text)]

def verify(gold, target, timeout_seconds):
    return sorted(gold.text) == sorted(target.text)
"""
SYMPY = """
true = false = nan = zoo = object()
class Expr: pass
class core:
    class relational:
        class Relational: pass
def preorder_traversal(found):
    return []
"""


def record(*answers: str, **more: Any) -> dict[str, Any]:
    return {"id": 1, "candidates": [{"answer": a, "score": 0.5} for a in answers], **more}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = tmp_path / "modules"
    about = folder / "math_verify-0.0.dist-info"
    about.mkdir(parents=True)
    (folder / "math_verify.py").write_text(STAND_IN)
    (folder / "sympy.py").write_text(SYMPY)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: math-verify\nVersion: 0.0\n")
    monkeypatch.syspath_prepend(str(folder))
    pool._kill_idle()
    yield folder
    pool._kill_idle()


def test_keys_alone_unless_asked(
    stand_in: Path, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(record("x+1", "y", "1+x", answer="1+x"))
    keys, both = tmp_path / "keys", tmp_path / "both"
    assert main(["vote", source, "-o", str(keys)]) == 0
    # Three answers tie, of which one is right.
    assert "majority                  33.3" in capsys.readouterr().out
    assert main(["vote", source, "-o", str(both), "--verify", "math-verify"]) == 0
    assert "majority                 100.0" in capsys.readouterr().out
    (before,), (after,) = read(keys), read(both)

    def classes(line: dict[str, Any]) -> list[int]:
        return [candidate["answer_class"] for candidate in line["stepscore"]["candidates"]]

    assert classes(before) == [0, 1, 2]
    assert classes(after) == [0, 1, 0]
    assert after["stepscore"]["votes"]["majority"]["score"]["score"] == 2
    assert after["stepscore"]["provenance"]["verify"] == "math-verify"
    assert "verify" not in before["stepscore"]["provenance"]


def test_the_known_answer_is_compared_so_too(
    stand_in: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(record("x+1", "y", answer="1+x"))
    assert main(["vote", source, "--verify", "none"]) == 0
    assert "pass@1                     0.0" in capsys.readouterr().out
    assert main(["vote", source, "--verify", "math-verify"]) == 0
    assert "pass@1                    50.0" in capsys.readouterr().out


def test_explain_says_how_classes_were_merged(
    stand_in: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(record("x+1", "y", "1+x"))
    assert main(["vote", source, "--explain", "1", "--verify", "math-verify"]) == 0
    printed = capsys.readouterr().out
    assert "3 candidates, 3 with an answer, 2 different answers" in printed
    rows = [line.split() for line in printed.splitlines()]
    assert ["=", "1+x", "2,", "by", "math-verify"] in rows


def test_what_is_undecided_is_counted(
    stand_in: Path, write: Write, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    original = pool.MathVerify
    monkeypatch.setattr(
        verifier, "MathVerify", lambda timeout, budget, cache: original(0.5, budget, cache)
    )
    source = write(record("x+1", "h_1", "1+x"))
    arguments = ["vote", source, "--verify", "math-verify"]
    assert main(arguments) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "math-verify gave no verdict in time on 1 of the answers or pairs of answers" in text
    assert main([*arguments, "--explain", "1"]) == 0
    assert "  no verdict of math-verify in time on h_1\n" in capsys.readouterr().out


def test_without_it_the_message_says_what_to_install(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verifier, "installed", lambda: False)
    assert main(["vote", write(record("1")), "--verify", "math-verify"]) == 2
    assert capsys.readouterr().err == (
        "stepscore vote: error: --verify math-verify: expected that package; got none that is "
        'installed; type: pip install "stepscore[math]"\n'
    )


def test_one_that_does_not_start_is_no_traceback(
    stand_in: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    (stand_in / "math_verify.py").write_text("import nothing_of_this_name")
    source = write(record("x+1", "1+x"))
    assert main(["vote", source, "--verify", "math-verify"]) == 2
    message = capsys.readouterr().err
    assert (
        "--verify math-verify: expected it to compare answers; got the process of math-verify did"
        in message
    )


def test_the_real_one(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("math_verify")
    source = write(record("x+1", "y", "1+x", answer="1+x"))
    assert main(["vote", source, "--verify", "math-verify"]) == 0
    assert "majority                 100.0" in capsys.readouterr().out
