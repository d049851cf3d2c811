"""What a record may leave out, or say in another way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel, read

from stepscore.cli.main import main
from stepscore.records import Fields, Record, RecordError, parse_record
from stepscore.records.record import field_in

Write = Callable[..., str]


def parsed(line: Any, wanted: Any = "scores", **fields: str) -> Record:
    raw = line if isinstance(line, str) else json.dumps(line)
    return parse_record(raw.encode(), "in.jsonl:7", Fields(**fields), wanted)


SCORED = {"candidates": [{"answer": "2", "score": 1}]}


def test_fields_inside_of_fields() -> None:
    line = {
        "meta": {"uid": "u"},
        "doc": {"question": "1+1=?", "gold": {"value": 2}},
        "runs": [{"texts": ["so 2"]}, {"texts": ["so 3", "so 4"]}],
    }
    fields = {
        "id": "meta.uid",
        "problem": "doc.question",
        "answer": "doc.gold.value",
        "candidates": "runs.1.texts",
    }
    record = parsed(line, "solutions", **fields)
    assert (record.id, record.problem, record.answer) == ("u", "1+1=?", "2")
    assert [candidate.text for candidate in record.candidates] == ["so 3", "so 4"]
    assert json.loads(record.line) == line


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.b", (True, "the field of that name")),
        ("a.c", (True, 3)),
        ("list.0", (True, 5)),
        ("list.1.x", (True, None)),
        ("list.2", (False, None)),
        ("list.-1", (False, None)),
        ("a.c.d", (False, None)),
        ("a.", (False, None)),
        ("none.at.all", (False, None)),
    ],
)
def test_the_way_to_a_field(name: str, found: tuple[bool, Any]) -> None:
    content = {
        "a.b": "the field of that name",
        "a": {"b": 2, "c": 3},
        "list": [5, {"x": None}],
    }
    assert field_in(content, name) == found


@pytest.mark.parametrize(
    ("doc", "got"),
    [
        (..., '"id", "candidates"'),
        ({}, 'an empty object in "doc"'),
        ({"text": "?", "n": 1}, '"text", "n" in "doc"'),
        (None, 'null in "doc"'),
        ([{"question": "?"}], 'a list in "doc"'),
        ("?", 'a text in "doc"'),
    ],
)
def test_a_way_that_leads_nowhere_says_what_stands_where_it_ends(doc: object, got: str) -> None:
    record = {"id": 1, **SCORED} | ({} if doc is ... else {"doc": doc})
    with pytest.raises(RecordError, match=rf'expected the field "doc.question"; got {got}; name'):
        parsed(record, "problems", problem="doc.question")


def test_the_number_of_a_line_is_an_id(write: Write, tmp_path: Path) -> None:
    record = parsed({"a": 1, **SCORED})
    assert record.id == 7
    assert json.loads(record.line) == {"id": 7, "a": 1, **SCORED}
    assert parsed("{  " + json.dumps(SCORED)[1:]).line.startswith('{"id": 7, "candidates"')
    # An id by another name was asked for, and must be there.
    with pytest.raises(RecordError, match='expected the field "uid"'):
        parsed(SCORED, id="uid")


def test_numbers_of_lines_survive_what_is_left_out(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(SCORED, {"candidates": []}, SCORED)
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    assert main(["vote", source, "-o", str(first), "--on-error", "skip"]) == 0
    assert [line["id"] for line in read(first)] == [1, 3]
    assert main(["vote", str(first), "-o", str(second)]) == 0
    assert [line["id"] for line in read(second)] == [1, 3]
    assert main(["vote", str(second), "--explain", "3"]) == 0
    assert "3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "meant"),
    [(True, True), (False, False), (1, True), (0, False), (1.0, True), (0.0, False), (None, None)],
)
def test_correct_is_also_1_or_0(said: Any, meant: bool | None) -> None:
    line = {"candidates": [{"score": 1, "correct": said}]}
    assert parsed(line).candidates[0].correct is meant


@pytest.mark.parametrize("correct", [2, -1, 0.5, "1", "true", []])
def test_correct_is_nothing_else(correct: Any) -> None:
    with pytest.raises(RecordError, match=r"candidates\[0\].correct: expected true or false"):
        parsed({"candidates": [{"score": 1, "correct": correct}]})


@pytest.mark.parametrize(
    ("answer", "read_as"), [(["18"], "18"), ([18.0], "18"), ([None], None), ("18", "18")]
)
def test_one_known_answer_in_a_list(answer: Any, read_as: str | None) -> None:
    assert parsed({**SCORED, "answer": answer}).answer == read_as


@pytest.mark.parametrize("answers", [[], ["1", "2"], [["1"]], [True]])
def test_several_known_answers_are_not_one(answers: Any) -> None:
    with pytest.raises(RecordError, match="answer: expected a text or a number"):
        parsed({**SCORED, "answer": answers})


def test_nan_that_nobody_reads(write: Write, tmp_path: Path) -> None:
    """It becomes null, so that what is written is JSON; NaN in a text stays."""
    line = '{"id": 1, "x": NaN, "y": [{"z": NaN}], "candidates": [{"score": 1, "w": NaN}]}'
    source, out = write(line, '{"id":2,"x":"NaN","candidates":[{"score":1}]}'), tmp_path / "o"
    assert main(["vote", source, "-o", str(out)]) == 0

    def refuse(name: str) -> None:
        pytest.fail(f"{name} in the output")

    written = [json.loads(text, parse_constant=refuse) for text in out.read_text().splitlines()]
    assert written[0]["x"] is None
    assert written[0]["y"] == [{"z": None}]
    assert written[0]["candidates"] == [{"score": 1, "w": None}]
    assert out.read_text().splitlines()[1].startswith('{"id":2,"x":"NaN","candidates":')


def test_nan_is_no_known_answer() -> None:
    record = parsed('{"answer": NaN, "candidates": [{"score": 1, "answer": NaN}]}')
    assert record.answer is None
    assert record.candidates[0].answer == ""


@pytest.mark.parametrize("name", ["score", "step_scores"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_no_score_that_is_no_number(name: str, number: str) -> None:
    value = number if name == "score" else f"[0.5, {number}]"
    with pytest.raises(RecordError, match=r"candidates\[0\]|which JSON does not have"):
        parsed(f'{{"candidates": [{{"{name}": {value}}}]}}')


@pytest.mark.parametrize(
    "line",
    [
        '{"id": 1, "id": 2}',
        '{"id": 1, "candidates": [{"score": 1, "score": 1}]}',
        '{"id": 1, "other": {"a": 1, "b": {"a": 2, "a": 2}}}',
        '{"id": 1, "\\u0061": 1, "a": 2}',
    ],
)
def test_a_key_stands_once_in_an_object(line: str) -> None:
    with pytest.raises(RecordError, match=r'got the key "(id|score|a)" twice in one object in'):
        parsed(line)


def test_a_record_without_an_id_is_scored(write: Write, tmp_path: Path, fake: FakeModel) -> None:
    out = tmp_path / "out.jsonl"
    source = write({"doc": {"q": "?"}, "candidates": ["x = 1"]})
    arguments = ["--problem-field", "doc.q", "--model", "m"]
    assert main(["rerank", source, "-o", str(out), *arguments]) == 0
    (record,) = read(out)
    assert record["id"] == 1
    assert record["stepscore"]["candidates"][0]["steps"] == ["x = 1"]
