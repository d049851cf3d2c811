"""Votes on a file that an earlier run has written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel, read

import stepscore
from stepscore.cli.main import main
from stepscore.recipes import math_shepherd

Write = Callable[..., str]


def results(path: Path) -> list[dict[str, Any]]:
    return [line["stepscore"] for line in read(path)]


def run(command: str, source: object, out: Path, *options: str) -> Path:
    assert main([command, str(source), "-o", str(out), "-q", *options]) == 0
    return out


def test_the_scores_of_the_model_count_before_older_ones(
    fake: FakeModel, write: Write, tmp_path: Path
) -> None:
    candidates = [{"text": "A: 1 @0.2", "score": 9}, {"text": "A: 2 @0.7", "score": 1}]
    source = write({"id": 1, "problem": "?", "candidates": candidates})
    ranked = run("rerank", source, tmp_path / "ranked", "--model", "m")
    once = run("vote", ranked, tmp_path / "once")
    twice = run("vote", once, tmp_path / "twice")
    (model,), (first,), (second,) = map(results, (ranked, once, twice))
    assert first["votes"] == model["votes"]
    assert first["votes"]["best_of_n"]["last"]["winner"] == 1
    assert first["provenance"]["scored_by"] == model["provenance"]
    assert second == first


def test_a_vote_on_own_scores_can_be_repeated(write: Write, tmp_path: Path) -> None:
    candidates = [{"answer": "1", "score": 3, "step_scores": [0.5, 0.1]}]
    once = run("vote", write({"id": 1, "candidates": candidates}), tmp_path / "once")
    twice = run("vote", once, tmp_path / "twice")
    assert twice.read_bytes() == once.read_bytes()


def test_rerank_and_vote_agree_on_texts_with_tags(
    monkeypatch: pytest.MonkeyPatch, write: Write, tmp_path: Path
) -> None:
    model = FakeModel(recipe=math_shepherd())
    monkeypatch.setitem(stepscore.__dict__, "load", lambda name, **options: model)
    texts = ["Step 1: 2 + 2 = 4 ки\nStep 2: The answer is: 4 ки", "The answer is: 5 ки"]
    source = write({"id": 1, "problem": "?", "candidates": texts, "answer": "$4$"})
    ranked = run("rerank", source, tmp_path / "ranked", "--model", "m")
    voted = run("vote", ranked, tmp_path / "voted")
    (left,), (right,) = results(ranked), results(voted)
    assert [candidate["answer"] for candidate in right["candidates"]] == ["4", "5"]
    assert "steps" in right["candidates"][0]
    assert right["candidates"] == left["candidates"]
    assert right["votes"] == left["votes"]


def test_the_earlier_aggregation_ranks_again(fake: FakeModel, write: Write, tmp_path: Path) -> None:
    source = write({"id": 1, "problem": "?", "candidates": ["a @0.1\nA: 1 @0.9", "A: 2 @0.5"]})
    ranked = run("rerank", source, tmp_path / "ranked", "--model", "m", "--how", "min")
    (result,) = results(run("vote", ranked, tmp_path / "voted"))
    assert result["provenance"]["how"] == "min"
    assert [candidate["rank"] for candidate in result["candidates"]] == [2, 1]
    (result,) = results(run("vote", ranked, tmp_path / "last", "--how", "last"))
    assert result["provenance"]["how"] == "last"


def test_nothing_is_scored(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = {"steps": ["x" * 300, "A: 1"]}
    source = write({"id": 1, "problem": "?", "candidates": [long], "answer": "1"})
    arguments = ["rerank", source, "-o", str(tmp_path / "out"), "--model", "m", "--truncate"]
    assert main(arguments) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["min", "100.0", "-", "-"] in rows


def test_integral_floats_are_whole_numbers(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    candidates = [{"answer": "356", "score": 1}, {"answer": 356.0, "score": 1}]
    assert main(["vote", write({"id": 1, "candidates": candidates, "answer": 356.0})]) == 0
    assert "pass@1                   100.0" in capsys.readouterr().out


def test_negative_scores_are_counted(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    candidates = [{"answer": "a", "score": score} for score in (-1.5, -2, 3)]
    assert main(["vote", write({"id": 1, "candidates": candidates, "answer": "a"})]) == 0
    table = " ".join(capsys.readouterr().out.split())
    assert "Weighted sums of negative scores punish support" in table
    assert "Negative are 2 of 3 scores (score); use best_of_n there" in table
