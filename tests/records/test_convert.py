from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import read

from stepscore.cli.main import main

Write = Callable[..., str]

GSM8K = {
    "question": "?",
    "ground_truth": "1 + 1 = <<1+1=2>>2\nA: 2",
    "6b": {"solution": "1 + 1 = 3\nA: 3", "is_correct": False},
    "175b": {"solution": "A: 2", "is_correct": True},
}
QWEN = {
    "idx": 5,
    "question": "?",
    "gt": "2",
    "code": ["so 2", "so 3"],
    "pred": ["2", "3"],
    "score": [True, False],
    "pred_score": [[1.5], [-2.0]],
}
REWARDMATH = [{"problem": "?", "solution_reference": ["h", "g"], "score": [[0.5, 0.4], [0.1]]}]


@pytest.mark.parametrize(
    ("layout", "line", "expected"),
    [
        (
            "gsm8k",
            GSM8K,
            {
                "id": "gsm8k-0",
                "problem": "?",
                "candidates": [
                    {"steps": ["1 + 1 = 3", "A: 3"], "generator": "6b", "correct": False},
                    {"steps": ["A: 2"], "generator": "175b", "correct": True},
                ],
                "answer": "2",
            },
        ),
        (
            "qwen_rm_maj",
            QWEN,
            {
                "id": 5,
                "problem": "?",
                "candidates": [
                    {"text": "so 2", "answer": "2", "score": 1.5, "correct": True},
                    {"text": "so 3", "answer": "3", "score": -2.0, "correct": False},
                ],
                "answer": "2",
            },
        ),
        (
            "rewardmath",
            REWARDMATH,
            {
                "id": "rewardmath-0",
                "problem": "?",
                "candidates": [
                    {"step_scores": [0.5, 0.4], "generator": "h", "correct": True},
                    {"step_scores": [0.1], "generator": "g", "correct": False},
                ],
            },
        ),
    ],
)
def test_convert(
    layout: str, line: Any, expected: dict[str, Any], write: Write, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["convert", layout, write(line), "-o", str(out)]) == 0
    assert read(out) == [expected]
    assert "1 problems, 2 candidates, 1 of them right" in capsys.readouterr().out
    assert main(["convert", layout, write(line), "-o", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layout", "line", "message"),
    [
        ("gsm8k", "{", "in.jsonl:1: expected a JSON object in UTF-8; got"),
        ("gsm8k", [1], "in.jsonl:1: expected a JSON object; got [1]"),
        ("gsm8k", {"question": "?"}, "expected solutions such as 6b_finetuning"),
        ("gsm8k", {**GSM8K, "ground_truth": 2}, "ground_truth: expected a text; got 2"),
        ("gsm8k", {**GSM8K, "6b": {"solution": "x"}}, "6b.is_correct: expected true or false"),
        ("gsm8k", QWEN, "expected solutions such as"),
        ("gsm8k", b"\xff", "in.jsonl:1: expected a JSON object in UTF-8"),
        ("gsm8k", "", "expected at least one problem; got none"),
        (
            "qwen_rm_maj",
            {**QWEN, "pred": ["2"]},
            "expected lists of one length in code, pred, score, pred_score; got [2, 1, 2, 2]",
        ),
        ("qwen_rm_maj", {**QWEN, "pred_score": [1, 2]}, "pred_score: expected a list of one score"),
        ("qwen_rm_maj", {k: v for k, v in QWEN.items() if k != "idx"}, "idx: expected the number"),
        (
            "qwen_rm_maj",
            json.dumps(QWEN).replace("1.5", "1e999"),
            "problem 5: expected finite numbers; got an infinite one",
        ),
        ("rewardmath", "[", "expected a JSON list of problems; got Expecting value"),
        ("rewardmath", {"a": 1}, "expected a JSON list of problems"),
        ("rewardmath", [1], "in.jsonl, problem 0: expected an object; got 1"),
        (
            "rewardmath",
            [{**REWARDMATH[0], "score": [[1]]}],
            "expected lists of one length in solution_reference, score; got [2, 1]",
        ),
        ("rewardmath", "", "expected at least one problem; got none"),
    ],
)
def test_another_layout_is_an_error(
    layout: str, line: Any, message: str, write: Write, tmp_path: Path, capsys: Any
) -> None:
    assert main(["convert", layout, write(line), "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]
