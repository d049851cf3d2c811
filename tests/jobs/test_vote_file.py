from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import read
from vote_inputs import records

import stepscore
from stepscore import _core
from stepscore.cli.main import main
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.voting.columns import NEED_PROBABILITIES

Write = Callable[..., str]


def record(record_id: int, *candidates: tuple[str, float], **more: Any) -> dict[str, Any]:
    return {
        "id": record_id,
        "candidates": [{"answer": answer, "score": score} for answer, score in candidates],
        **more,
    }


def rows(table: str) -> dict[str, list[str]]:
    """The cells of the printed table by the name of their row."""
    lines = [line.split() for line in table.splitlines() if line.startswith("  ")]
    return {line[0]: line[1:] for line in lines}


THREE = [
    record(1, ("a", 0.9), ("b", 0.4), ("b", 0.4), answer="a"),  # majority b, weighted a, best a
    record(2, ("a", 0.9), ("b", 0.5), ("b", 0.5), answer="b"),  # majority b, weighted b, best a
    record(3, ("a", 0.1), ("b", 0.2), ("c", 0.3), answer="d"),
]


def test_the_table_counts_who_is_right(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vote", write(*THREE)]) == 0
    table = capsys.readouterr().out
    assert table.startswith("3 problems, 9 candidates (3 each)\n")
    cells = rows(table)
    assert cells["aggregation"] == ["majority", "weighted", "best_of_n"]
    assert cells["score"] == ["33.3", "66.7", "33.3"]
    assert cells["pass@1"][0] == "33.3"  # (1/3 + 2/3 + 0) / 3
    assert cells["majority"][0] == "33.3"
    assert cells["pass@3"][0] == "66.7"
    assert "Problems with a tie, in which the answer that came first wins: majority 1." in table


def test_flags_count_before_answers(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    flagged = record(1, ("a", 0.9), ("b", 0.4), answer="b")
    flagged["candidates"][0]["correct"] = True
    half = json.loads(json.dumps(flagged))
    flagged["candidates"][1]["correct"] = False
    assert main(["vote", write(flagged, {**half, "id": 2})]) == 0
    assert rows(capsys.readouterr().out)["score"][2] == "50.0"


def test_only_problems_with_known_answers_are_judged(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vote", write(*THREE, record(4, ("z", 1.0)))]) == 0
    table = capsys.readouterr().out
    assert "accuracy in %, over the 3 problems with known answers" in table
    assert "(1 to 3 each)" in table
    assert rows(table)["score"] == ["33.3", "66.7", "33.3"]
    assert rows(table)["pass@all"][0] == "66.7"


def test_without_known_answers_the_rules_are_compared(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = [{k: v for k, v in line.items() if k != "answer"} for line in THREE]
    assert main(["vote", write(*unknown)]) == 0
    table = capsys.readouterr().out
    assert "pass@" not in table
    assert "accuracy" not in table
    # weighted = majority in 2; best = majority in 0; best = weighted in 1 and 3
    assert rows(table)["score"] == ["33.3", "0.0", "66.7"]


def test_known_answers_are_compared_by_what_they_mean(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"id": 1, "answer": "$1,000$", "candidates": [{"answer": "1000", "score": 1}]}
    parsed = {"id": 2, "answer": "$1,000$", "candidates": [{"text": "#### 1000.", "score": 1}]}
    number = {"id": 3, "answer": 0.5, "candidates": [{"answer": "\\frac{2}{4}", "score": 1}]}
    wrong = {"id": 4, "answer": "50", "candidates": [{"answer": "0.5", "score": 1}]}
    assert main(["vote", write(given, parsed, number, wrong)]) == 0
    assert rows(capsys.readouterr().out)["score"][2] == "75.0"


def test_the_result_of_one_record(write: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = record(1, ("a", 0.9), ("", 5.0), ("b", 0.4), ("b", 0.5))
    assert main(["vote", write(line), "-o", str(out)]) == 0
    result = read(out)[0]["stepscore"]
    assert result["candidates"] == [
        {"scores": {"score": 0.9}, "rank": 2, "answer": "a", "answer_class": 0},
        {"scores": {"score": 5.0}, "rank": 1, "answer": None, "answer_class": -1},
        {"scores": {"score": 0.4}, "rank": 4, "answer": "b", "answer_class": 1},
        {"scores": {"score": 0.5}, "rank": 3, "answer": "b", "answer_class": 1},
    ]
    a = {"winner": 0, "answer": "a"}
    b = {"winner": 2, "answer": "b"}
    assert result["votes"] == {
        "majority": {"score": {**b, "score": 2.0, "tied": False, "margin": 1.0}},
        "weighted": {"score": {**a, "score": 0.9, "tied": True, "margin": 0.0}},
        "best_of_n": {"score": {**a, "score": 0.9, "tied": False, "margin": 0.4}},
    }
    assert result["provenance"]["how"] == "score"


def test_nobody_has_an_answer(write: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["vote", write(record(1, ("", 0.9), ("", 0.1))), "-o", str(out)]) == 0
    votes = read(out)[0]["stepscore"]["votes"]
    assert votes == {rule: {"score": None} for rule in ("majority", "weighted", "best_of_n")}


def test_candidates_without_texts_stand_for_themselves(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = {"id": 1, "candidates": [{"score": 1}, {"score": 3}, {"score": 2}]}
    assert main(["vote", write(line), "-o", str(out)]) == 0
    votes = read(out)[0]["stepscore"]["votes"]
    assert votes["majority"] == votes["weighted"] == {"score": None}
    best = {"winner": 1, "answer": None, "score": 3.0, "tied": False, "margin": 1.0}
    assert votes["best_of_n"] == {"score": best}
    assert "1 problem without texts or answers" in capsys.readouterr().out


def test_step_scores_and_a_score_are_twelve_rows(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidates = [{"answer": "a", "score": 7, "step_scores": [0.5, 1]}]
    out = tmp_path / "out"
    assert main(["vote", write({"id": 1, "candidates": candidates}), "-o", str(out)]) == 0
    result = read(out)[0]["stepscore"]["candidates"][0]
    assert list(result["scores"]) == [*AGGREGATIONS, "score"]
    assert result["scores"]["prod"] == 0.5
    assert result["scores"]["score"] == 7
    assert set(AGGREGATIONS) < set(rows(capsys.readouterr().out))


def test_scores_outside_the_unit_interval(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logits = [
        {"id": 1, "candidates": [{"answer": "a", "step_scores": [-1.5, 2.0]}], "answer": "a"},
        {"id": 2, "candidates": [{"answer": "a", "step_scores": [0.5, 0.25]}], "answer": "a"},
    ]
    out = tmp_path / "out"
    assert main(["vote", write(*logits), "-o", str(out)]) == 0
    for line in read(out):
        scores = line["stepscore"]["candidates"][0]["scores"]
        assert {name for name, value in scores.items() if value is None} == NEED_PROBABILITIES
        assert line["stepscore"]["votes"]["weighted"]["prod"] is None
    table = capsys.readouterr().out
    assert rows(table)["prod"] == ["100.0", "-", "-"]
    assert "The step scores are no probabilities" in table
    assert main(["vote", write(*logits), "--how", "prod"]) == 2
    assert "--how: expected step scores in [0, 1], which prod needs" in capsys.readouterr().err

    assert main(["vote", write(*reversed(logits))]) == 2
    assert "--score-range any" in capsys.readouterr().err
    assert main(["vote", write(*reversed(logits)), "--score-range", "any"]) == 0
    assert main(["vote", write(*logits), "--score-range", "probability"]) == 2
    assert "in.jsonl:1: id 1: expected step scores in [0, 1]" in capsys.readouterr().err


def test_standard_input_and_gzip(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    raw = Path(write(*THREE)).read_bytes()
    assert main(["vote", str(tmp_path / "in.jsonl")]) == 0
    table = capsys.readouterr().out
    (tmp_path / "in.gz").write_bytes(gzip.compress(raw))
    assert main(["vote", str(tmp_path / "in.gz")]) == 0
    assert capsys.readouterr().out == table
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert main(["vote", "-"]) == 0
    assert capsys.readouterr().out == table


def test_votes_are_those_of_the_package(write: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines = [
        record(index, *((f"{rng.integers(4)}", float(rng.integers(5))) for _ in range(8)))
        for index in range(200)
    ]
    out = tmp_path / "out"
    assert main(["vote", write(*lines), "-o", str(out), "-q", "--chunk-size", "50"]) == 0
    for line in read(out):
        result = line["stepscore"]
        classes = [candidate["answer_class"] for candidate in result["candidates"]]
        scores = [candidate["score"] for candidate in line["candidates"]]
        for rule, votes in result["votes"].items():
            expected = stepscore.vote(classes, np.array(scores), [0, 8], rule)
            assert votes["score"]["winner"] == expected.winner[0]
            assert votes["score"]["score"] == expected.score[0]
            assert votes["score"]["tied"] == expected.tied[0]
            margin = expected.margin[0]
            assert votes["score"]["margin"] == (margin if np.isfinite(margin) else None)


def test_the_votes_of_a_chunk_are_one_call(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    compiled = _core.vote

    def count(*arguments: Any) -> None:
        calls.append(arguments)
        compiled(*arguments)

    monkeypatch.setattr(_core, "vote", count)
    rules = [
        part
        for form in ("majority", "weighted", "best_of_n", "borda:power=2", "pareto")
        for part in ("--rule", form)
    ]
    out = str(tmp_path / "out")
    lines = records("both", seed=7, problems=20, size=4)
    arguments = ["vote", write(*lines), "-o", out, *rules, "--prefixes", "1,2,3"]
    assert main(arguments) == 0
    assert len(calls) == 1
    candidates = [len(line["candidates"]) for line in lines]
    assert main([*arguments, "--overwrite", "--chunk-size", "1"]) == 0
    assert len(calls) == 1 + len(candidates)
