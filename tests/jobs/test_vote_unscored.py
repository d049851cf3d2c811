"""Votes over files without scores, and over what a search has found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel, read

from stepscore.cli.main import main

Write = Callable[..., str]

LINES: list[dict[str, Any]] = [
    {"id": 1, "candidates": [{"answer": a} for a in "aba"], "answer": "a"},
    {"id": 2, "candidates": ["The answer is 5.", "The answer is 6."], "answer": "6"},
]


def test_files_without_scores_give_majority_and_pass_at_k(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    assert main(["vote", write(*LINES), "-o", str(out), "--prefixes", "powers"]) == 0
    table = capsys.readouterr().out
    assert table == (
        "2 problems, 5 candidates (2 to 3 each)\n"
        "\n"
        "accuracy in % (ties: share)\n"
        "  pass@1                    58.3   mean accuracy of the single candidates\n"
        "  majority                  75.0   the most frequent answer; no scores\n"
        "  pass@all                 100.0   some candidate is right: the ceiling\n"
        "\n"
        "accuracy in % of the first n candidates (ties: share)\n"
        "  n                     majority      pass@n\n"
        "  1                         50.0        50.0\n"
        "  2                         50.0       100.0\n"
        "\n"
        'The candidates carry neither "score" nor "step_scores": their answers are counted.\n'
        "Problems with a tie, which count by the share of orders in which it is right: "
        "majority 1.\n"
    )
    first, _ = (line["stepscore"] for line in read(out))
    assert first["candidates"][1] == {"answer": "b", "answer_class": 1}
    won = {"winner": 0, "answer": "a", "score": 2.0, "tied": False, "margin": 1.0}
    assert first["votes"] == {"majority": {"unscored": won}}
    assert main(["vote", str(out), "-o", str(again), "--prefixes", "powers"]) == 0
    assert capsys.readouterr().out == table
    assert again.read_bytes() == out.read_bytes()
    assert main(["vote", str(out), "--explain", "1"]) == 0
    assert "majority: a with 2 of 3 votes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rule", "weighted"], "--rule weighted: expected scores in the file, which it reads"),
        (["--how", "min"], "--how min: expected scores in the file, which it aggregates"),
        (["--rule", "pareto"], "or pass --rule majority"),
    ],
)
def test_what_reads_scores_is_refused(
    options: list[str], message: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vote", write(*LINES), *options]) == 2
    assert message in capsys.readouterr().err
    assert main(["vote", write(*LINES), "--rule", "majority"]) == 0


@pytest.mark.parametrize("scored_first", [True, False])
def test_scores_in_some_records_alone_are_refused(
    scored_first: bool, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = {"id": 3, "candidates": [{"answer": "a", "score": 0.5}]}
    lines = [scored, *LINES] if scored_first else [*LINES, scored]
    assert main(["vote", write(*lines)]) == 2
    expected = '"score" in every candidate' if scored_first else "no scores, as in the first record"
    assert expected in capsys.readouterr().err


# --- what a search has found ----------------------------------------------------------------


def trace(text: str, scores: list[float], answer: str | None, **more: Any) -> dict[str, Any]:
    steps = text.splitlines(keepends=True)
    score = scores[-1] if scores else None
    found = {"steps": steps, "step_scores": scores, "score": score, "answer": answer}
    return {**found, "complete": True, **more}


def found(number: int, *traces: dict[str, Any], **more: Any) -> dict[str, Any]:
    result = {"answer": "7", "winner": 0, "status": "done", "traces": list(traces)}
    return {"id": number, "problem": "3+4=?", "stepscore": {**result, **more}}


FOUND = [
    found(
        1,
        trace("3+4=8\n", [0.2], "8"),
        trace("3+4\n=7\n", [0.9, 0.8], "7"),
        trace("3+4=8\n", [0.3], "8"),
        trace("3+", [], None, complete=False),  # left before it was scored
    ),
    found(2, trace("3+4=7\n", [0.5], "7"), trace("3+4=", [0.9], None, complete=False)),
]


def test_vote_takes_the_traces_of_a_search(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    lines = [{**line, "answer": "7"} for line in FOUND]
    assert main(["vote", write(*lines), "-o", str(out)]) == 0
    table = capsys.readouterr().out
    assert table.startswith("2 problems, 5 candidates (2 to 3 each), 6 steps\n")
    assert "1 candidate without an answer took no part" in table
    first, second = read(out)
    assert [c["text"] for c in first["candidates"]] == ["3+4=8\n", "3+4\n=7\n", "3+4=8\n"]
    votes = first["stepscore"]["votes"]
    assert votes["majority"]["last"]["answer"] == "8"
    assert votes["best_of_n"]["last"]["answer"] == "7"
    assert first["stepscore"]["candidates"][1]["step_scores"] == [0.9, 0.8]
    assert second["stepscore"]["votes"]["best_of_n"]["last"]["answer"] == "7"
    # What is written is a file like any other.
    assert main(["vote", str(out)]) == 0
    assert capsys.readouterr().out == table


def test_a_search_without_scores_is_counted(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    traces = [trace("3+4=7", [], "7"), trace("3+4=8", [], "8"), trace("7", [], "7")]
    assert main(["vote", write({**found(1, *traces), "answer": "7"})]) == 0
    assert "majority                 100.0" in capsys.readouterr().out


def test_rerank_takes_the_traces_of_a_search(fake: FakeModel, write: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    traces = [trace("@0.2\n", [0.9], "8"), trace("@0.7\n@0.9\n", [0.1, 0.1], "7")]
    assert main(["rerank", write(found(1, *traces)), "-o", str(out), "--model", "m"]) == 0
    (line,) = read(out)
    assert line["stepscore"]["candidates"][1]["step_scores"] == pytest.approx([0.7, 0.9])
    assert line["stepscore"]["votes"]["best_of_n"]["last"]["answer"] == "7"


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"traces": [], "status": "failed"}, 'got none; its status is "failed"'),
        ({"traces": [{"steps": "x"}]}, "stepscore.traces[0]: expected an object with steps"),
        ({"traces": [{"steps": [1]}]}, "stepscore.traces[0].steps: expected a list of texts"),
        ({"traces": [trace("x", [2.0, "y"], "1")]}, "candidates[0].step_scores[1]"),  # type: ignore[list-item]
    ],
)
def test_traces_that_cannot_be_read(
    result: dict[str, Any], message: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vote", write({"id": 1, "stepscore": result})]) == 2
    assert message in capsys.readouterr().err


def test_what_the_lab_finds_is_voted_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    saved, out = str(tmp_path / "lab.jsonl"), str(tmp_path / "found.jsonl")
    assert main(["demo", "--problems", "2", "--samples", "2", "--save", saved]) == 0
    search = ["search", saved, "-o", out, "--strategy", "beam", "--policy", "lab", "--model", "lab"]
    assert main(search) == 0
    capsys.readouterr()
    assert main(["vote", out]) == 0
    assert capsys.readouterr().out.startswith("2 problems, 8 candidates (4 each)")
