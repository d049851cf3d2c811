"""Rows of one sample each, gathered into problems."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel, read

from stepscore.cli.main import main
from stepscore.records import Fields, RecordError, gather_rows, parse_record

Write = Callable[..., str]


def stop(fault: RecordError) -> None:
    raise fault


def gathered(
    *rows: Any, by: str = "id", fields: Fields | None = None
) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """The records, their places, and what was refused."""
    lines = ((f"in:{n}", json.dumps(row).encode()) for n, row in enumerate(rows, 1))
    faults: list[str] = []
    records = list(
        gather_rows(lines, by, fields or Fields(), lambda fault: faults.append(str(fault)))
    )
    return [json.loads(line) for _, line in records], [place for place, _ in records], faults


def test_rows_of_a_problem_need_not_be_neighbours() -> None:
    a, b, c, d = {"text": "a", "score": 1}, "b", {"answer": "c"}, {"text": "d"}
    records, places, faults = gathered(
        {"id": 1, "problem": "?", "candidates": [a], "answer": "x"},
        {"id": 2, "problem": "!", "candidates": [b, c]},
        {"id": 1, "problem": "?", "candidates": d, "answer": "x"},
        {"id": 2, "problem": "!", "candidates": []},
    )
    assert records == [
        {"id": 1, "problem": "?", "candidates": [a, d], "answer": "x"},
        {"id": 2, "problem": "!", "candidates": [b, c]},
    ]
    assert places == ["in:1", "in:2"]
    assert not faults


def test_a_sample_may_stand_in_the_row_itself() -> None:
    records, _, faults = gathered(
        {"id": "s1", "problem": "?", "text": "so 5", "score": 0.5, "answer": 5, "seed": 0},
        {"id": "s2", "problem": "?", "steps": ["5"], "correct": True, "answer": 5, "seed": 1},
        by="problem",
    )
    # The rows have ids of their own, so that the problem is known by what they share.
    assert records == [
        {
            "id": "?",
            "problem": "?",
            "answer": 5,
            "candidates": [
                {"id": "s1", "text": "so 5", "score": 0.5, "seed": 0},
                {"id": "s2", "steps": ["5"], "correct": True, "seed": 1},
            ],
        }
    ]
    assert not faults


def test_an_id_that_all_rows_share_is_kept() -> None:
    rows = [{"id": 7, "problem": "?", "candidates": ["a"]}] * 2
    assert gathered(*rows, by="problem")[0][0]["id"] == 7
    without = [{"uid": 3, "candidates": ["a"]}] * 2
    assert gathered(*without, by="uid")[0][0]["id"] == 3


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"candidates": ["a"]}, "in:2: id: expected a text or a whole number"),
        ({"id": None, "candidates": ["a"]}, "got null"),
        (
            {"id": 1.5, "candidates": ["a"]},
            "got 1.5; name a field that every row has with",
        ),
        ({"id": 1, "problem": "?"}, 'in:2: expected the field "candidates", or a sample'),
        ([1], "in:2: expected one JSON object per line; got a list"),
        (
            {"id": 1, "candidates": ["\ud800"]},
            "in:2: expected one JSON object per line; got 'utf-8'",
        ),
    ],
)
def test_a_row_that_cannot_be_read_is_one_fault(row: Any, message: str) -> None:
    good = {"id": 1, "candidates": ["a"]}
    records, _, faults = gathered(good, row, good)
    assert records == [{"id": 1, "candidates": ["a", "a"]}]
    (fault,) = faults
    assert message in fault


@pytest.mark.parametrize("field", ["problem", "answer"])
def test_rows_that_contradict_each_other_are_named(field: str) -> None:
    first = {"id": 1, "problem": "?", "answer": "5", "candidates": ["a"]}
    _, _, (fault,) = gathered(first, {**first, field: "other"})
    assert f"in:2: {field}: expected what in:1 has" in fault
    assert 'got "other"' in fault


def test_what_a_fault_raises_stops() -> None:
    with pytest.raises(RecordError, match="in:1"):
        list(gather_rows(iter([("in:1", b"{")]), "id", Fields(), stop))


def test_every_command_over_candidates_gathers(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"id": n, "problem": f"{n % 2}?", "text": f"@{n / 10}", "answer": "1"} for n in range(1, 5)
    ]
    source = write(*rows)
    out, voted = str(tmp_path / "out"), str(tmp_path / "voted")
    for command in ("score", "rerank"):
        arguments = [command, source, "-o", out, "--overwrite", "--model", "m"]
        assert main([*arguments, "--group-by", "problem"]) == 0
        lines = read(out)
        assert [line["id"] for line in lines] == ["1?", "0?"]
        assert [c["text"] for line in lines for c in line["candidates"]] == [
            "@0.1", "@0.3", "@0.2", "@0.4",
        ]  # fmt: skip
    capsys.readouterr()
    scored = [{**row, "score": 0.5} for row in rows]
    assert main(["vote", write(*scored), "-o", voted, "--group-by", "problem"]) == 0
    assert capsys.readouterr().out.startswith("2 problems, 4 candidates (2 each)\n")
    assert len(read(voted)) == 2
    assert main(["vote", write(*scored), "--group-by", "problem", "--explain", "0?"]) == 0
    assert "problem 0?" in capsys.readouterr().out


def test_rows_with_one_id_are_told_how_they_are_gathered(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": 1, "candidates": [{"answer": a, "score": 1}], "answer": "a"} for a in "ab"]
    assert main(["vote", write(*rows)]) == 2
    advice = "if every line is one sample, gather them with --group-by FIELD"
    assert advice in capsys.readouterr().err
    assert main(["vote", write(*rows), "--group-by", "id"]) == 0
    assert capsys.readouterr().out.startswith("1 problem, 2 candidates (2 each)\n")


def test_fields_inside_of_others_gather_rows() -> None:
    rows = [
        {"meta": {"key": "a", "question": "p", "number": 0}, "response": {"text": "x"}},
        {"meta": {"key": "b", "question": "q", "number": 1}, "response": {"text": "y"}},
        {"meta": {"key": "a", "question": "p", "number": 2}, "response": {"text": "z"}},
    ]
    lines = ((f"in:{at}", json.dumps(row).encode()) for at, row in enumerate(rows, 1))
    fields = Fields(problem="meta.question", candidates="response.text")
    records = [
        parse_record(line, place, fields, "solutions")
        for place, line in gather_rows(lines, "meta.key", fields, stop)
    ]
    assert [record.problem for record in records] == ["p", "q"]
    assert [[c.text for c in record.candidates] for record in records] == [["x", "z"], ["y"]]
    rows[2]["meta"]["question"] = "another"
    lines = ((f"in:{at}", json.dumps(row).encode()) for at, row in enumerate(rows, 1))
    with pytest.raises(RecordError, match=r'in:3: meta.question: expected what in:1 has, "p"'):
        list(gather_rows(lines, "meta.key", fields, stop))


def test_samples_keep_what_a_way_leads_through() -> None:
    rows = [
        {"meta": {"key": 1, "question": "p", "number": number}, "text": f"x{number}"}
        for number in range(2)
    ]
    lines = ((f"in:{at}", json.dumps(row).encode()) for at, row in enumerate(rows, 1))
    fields = Fields(problem="meta.question")
    ((_, line),) = gather_rows(lines, "meta.key", fields, stop)
    record = json.loads(line)
    assert record["id"] == 1
    assert [each["meta"]["number"] for each in record["candidates"]] == [0, 1]
    assert parse_record(line, "in:1", fields, "solutions").problem == "p"
