"""Tables in, tables out: the numbers of the files, row by row, of every library that is there."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import FakeModel, read

from stepscore import jobs
from stepscore.errors import InputError
from stepscore.jobs.files import Files
from stepscore.jobs.run import rerank_file, score_file, vote_file
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.records import Fields, RecordError
from stepscore.voting import VoteSettings, parse_rules

Write = Callable[..., str]
VERSION = __import__("stepscore").__version__

# Texts of which the fake model makes scores; the third candidate cannot be scored.
ROWS: list[dict[str, Any]] = [
    {
        "key": "a",
        "problem": "one",
        "candidates": ["x @0.9\nThe answer is 1. @0.4", "y @0.8\nThe answer is 2. @0.7", ""],
        "answer": "1",
        "mine": [1.5, None],
    },
    {
        "key": "b",
        "problem": "two",
        "candidates": [{"steps": ["z @0.3", "\\boxed{3} @0.6"]}, {"text": "w @0.5", "answer": "4"}],
        "answer": None,
        "mine": None,
    },
]
SETTINGS = VoteSettings(rules=tuple(parse_rules(["majority", "weighted", "borda"])))


def samples() -> list[dict[str, Any]]:
    """The candidates of all rows in rows of their own, not beside each other."""
    first, second = (
        [
            {"key": row["key"], "problem": row["problem"], "answer": row["answer"], "number": at}
            | (each if isinstance(each, dict) else {"text": each})
            for at, each in enumerate(
                # An answer of its own has the name of the known one.
                {"text": c["text"]} if isinstance(c, dict) and "text" in c else c
                for c in row["candidates"]
            )
        ]
        for row in ROWS
    )
    return [first[0], second[0], first[1], second[1], first[2]]


def in_pandas(rows: list[dict[str, Any]]) -> Any:
    return pytest.importorskip("pandas").DataFrame(rows)


def in_arrow(rows: list[dict[str, Any]]) -> Any:
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.table(in_columns(structs(rows)))


def in_datasets(rows: list[dict[str, Any]]) -> Any:
    return pytest.importorskip("datasets").Dataset.from_dict(in_columns(structs(rows)))


def in_columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row.get(name) for row in rows] for row in rows for name in row}


def structs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose candidates are all of one type, which a column of Arrow needs."""
    return [
        {
            name: [c if isinstance(c, dict) else {"text": c} for c in value]
            if name == "candidates" and value
            else value
            for name, value in row.items()
        }
        for row in rows
    ]


def back(table: Any) -> list[dict[str, Any]]:
    """Any of the tables as rows, what is missing as None."""
    if isinstance(table, list):
        return table
    if isinstance(table, dict):
        return [
            dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)
        ]
    if hasattr(table, "to_pylist"):
        return list(table.to_pylist())
    if hasattr(table, "to_dict") and hasattr(table, "iloc"):
        records = table.astype(object).where(table.notna(), None).to_dict("records")
        return [dict(record) for record in records]
    return [dict(row) for row in table]


KINDS = {
    "list": list,
    "dict": in_columns,
    "pandas": in_pandas,
    "pyarrow": in_arrow,
    "datasets": in_datasets,
}


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Callable[[list[dict[str, Any]]], Any]:
    made: Callable[[list[dict[str, Any]]], Any] = KINDS[request.param]
    return made


def of_file(result: dict[str, Any], name: str) -> Any:
    """What a column holds of a record, from the result in a file."""
    candidates = result["candidates"]
    if name in AGGREGATIONS:
        return [each["scores"][name] for each in candidates]
    return [each.get(name, 0 if name == "truncated" else None) for each in candidates]


def assert_as_in_the_file(row: dict[str, Any], result: dict[str, Any]) -> None:
    mine = {name.removeprefix("stepscore_"): v for name, v in row.items() if "stepscore_" in name}
    assert json.loads(mine.pop("provenance")) == result["provenance"]
    votes = mine.pop("votes", None)
    assert votes == result.get("votes")
    chosen = mine.pop("chosen", None)
    if "votes" in result:
        assert result["candidates"][chosen]["rank"] == 1
    assert set(AGGREGATIONS) | {"step_scores", "steps", "truncated", "skipped"} <= set(mine)
    for name, values in mine.items():
        assert plain(values) == of_file(result, name), name


def plain(value: Any) -> Any:
    if isinstance(value, list | np.ndarray):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


@pytest.fixture
def scored_file(fake: FakeModel, write: Write, tmp_path: Path) -> list[dict[str, Any]]:
    out = tmp_path / "scored.jsonl"
    score_file(Files(write(*ROWS), str(out)), lambda: fake, version=VERSION)
    return [line["stepscore"] for line in read(out)]


@pytest.fixture
def ranked_file(fake: FakeModel, write: Write, tmp_path: Path) -> list[dict[str, Any]]:
    out = tmp_path / "ranked.jsonl"
    files = Files(write(*ROWS), str(out))
    rerank_file(files, lambda: fake, how="min", settings=SETTINGS, version=VERSION)
    return [line["stepscore"] for line in read(out)]


def test_score_gives_the_numbers_of_the_file(
    fake: FakeModel, make: Callable[..., Any], scored_file: list[dict[str, Any]]
) -> None:
    table = make(ROWS)
    found = jobs.score(table, fake)
    assert type(found) is type(table)
    for row, result in zip(back(found), scored_file, strict=True):
        assert_as_in_the_file(row, result)


def test_rerank_gives_the_numbers_of_the_file_and_keeps_the_columns(
    fake: FakeModel, make: Callable[..., Any], ranked_file: list[dict[str, Any]]
) -> None:
    table = make(ROWS)
    found = jobs.rerank(table, fake, how="min", settings=SETTINGS)
    assert type(found) is type(table)
    for row, before, result in zip(back(found), back(table), ranked_file, strict=True):
        assert {name: plain(row[name]) for name in before} == {
            name: plain(value) for name, value in before.items()
        }
        assert list(row)[: len(before)] == list(before)
        assert_as_in_the_file(row, result)


def test_a_row_per_sample_gets_its_own_results(fake: FakeModel, make: Callable[..., Any]) -> None:
    table = make(samples())
    found = back(jobs.rerank(table, fake, how="min", settings=SETTINGS, group_by="key"))
    rows = [
        {
            **row,
            "candidates": [
                {n: v for n, v in c.items() if n != "answer"} if isinstance(c, dict) else c
                for c in row["candidates"]
            ],
        }
        for row in ROWS
    ]
    problems = {row["key"]: row for row in jobs.rerank(rows, fake, how="min", settings=SETTINGS)}
    assert [row["number"] for row in found] == [0, 0, 1, 1, 2]
    for row in found:
        problem, at = problems[row["key"]], row["number"]
        for name in ("step_scores", "min", "last", "rank", "answer", "answer_class", "skipped"):
            name = f"stepscore_{name}"
            assert plain(row[name]) == plain(problem[name][at]), name
        assert row["stepscore_chosen"] == (problem["stepscore_chosen"] == at)
        for rule, columns in problem["stepscore_votes"].items():
            for name, vote in columns.items():
                winner = None if vote is None else vote["winner"]
                assert row["stepscore_votes"][rule][name] == (winner == at)


def test_votes_again_without_a_model(
    fake: FakeModel, make: Callable[..., Any], write: Write, tmp_path: Path
) -> None:
    scored, out = jobs.score(make(ROWS), fake), tmp_path / "voted.jsonl"
    in_file = str(tmp_path / "scored.jsonl")
    score_file(Files(write(*ROWS), in_file), lambda: fake, version=VERSION)
    files = Files(in_file, str(out))
    vote_file(files, how="min", settings=SETTINGS, version=VERSION)
    found = jobs.vote(scored, how="min", settings=SETTINGS)
    for row, line in zip(back(found), read(out), strict=True):
        assert_as_in_the_file(row, line["stepscore"])
    per_sample = jobs.rerank(make(samples()), fake, how="min", group_by="key")
    again = jobs.vote(per_sample, group_by="key")
    for one, other in zip(back(per_sample), back(again), strict=True):
        for name in ("rank", "chosen", "answer", "votes", "min", "step_scores"):
            assert plain(one[f"stepscore_{name}"]) == plain(other[f"stepscore_{name}"]), name


def test_vote_on_scores_of_the_callers(make: Callable[..., Any]) -> None:
    rows = [
        {"question": 7, "score": 0.5, "text": "\\boxed{1}", "answer": "2"},
        {"question": 8, "score": 0.1, "text": "\\boxed{1}", "answer": "1"},
        {"question": 7, "score": 0.25, "text": "\\boxed{2}", "answer": "2"},
    ]
    found = back(jobs.vote(make(rows), group_by="question"))
    assert [row["stepscore_score"] for row in found] == [0.5, 0.1, 0.25]
    assert [row["stepscore_rank"] for row in found] == [1, 1, 2]
    assert [row["stepscore_chosen"] for row in found] == [True, True, False]
    assert [row["stepscore_answer"] for row in found] == ["1", "1", "2"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"problem": None}, "table: row 1: .*: problem: expected a text; got null"),
        ({"candidates": None}, "table: row 1: .*: candidates: expected a list of at least one"),
        ({"candidates": []}, "table: row 1: .*: candidates: expected a list of at least one"),
    ],
)
def test_what_is_missing_is_an_error_of_its_row_and_column(
    fake: FakeModel, make: Callable[..., Any], change: dict[str, Any], told: str
) -> None:
    table = make([ROWS[0], {**ROWS[1], **change}])
    with pytest.raises(RecordError, match=told):
        jobs.rerank(table, fake)
    found = back(jobs.rerank(table, fake, on_error="skip"))
    assert found[1]["stepscore_rank"] is None
    assert found[1]["stepscore_error"].startswith("table: row 1: ")
    assert found[0]["stepscore_error"] is None
    assert found[0]["stepscore_rank"] == [2, 1, None]


def test_an_error_names_the_row_of_a_sample(fake: FakeModel) -> None:
    rows = samples()
    rows[3] = {**rows[3], "text": None}  # the second of its problem
    with pytest.raises(RecordError, match='table: row 3: expected the field "candidates", or a'):
        jobs.score(rows, fake, group_by="key")
    rows[3] = {**rows[3], "text": "w", "score": "much"}
    with pytest.raises(RecordError, match='table: row 3: id "b": score: expected a finite number'):
        jobs.score(rows, fake, group_by="key")
    rows = [row if row.get("text") else {**row, "text": "x"} for row in samples()]
    rows[3]["text"] = "forbidden"
    with pytest.raises(RecordError, match=r'row 3: id "b": steps\[0\]: .*forbidden'):
        jobs.score(rows, fake, group_by="key", on_bad="error")
    found = jobs.score(rows, fake, group_by="key", on_bad="error", on_error="skip")
    # What has no results is left out together: a vote over a part would be another vote.
    assert [row["stepscore_min"] is None for row in found] == [False, True, False, True, False]


def test_rows_of_one_problem_must_agree(fake: FakeModel) -> None:
    rows = samples()
    rows[3] = {**rows[3], "problem": "another"}
    with pytest.raises(RecordError, match='row 3: problem: expected what table: row 1 has, "two"'):
        jobs.rerank(rows, fake, group_by="key")


@pytest.mark.parametrize(
    ("table", "options", "told"),
    [
        ([{"question": "?"}], {}, "table: expected the column 'candidates'; got 'question'; name"),
        ([{"text": "?"}], {"group_by": "id"}, "the column 'id'; got 'text'; name it with group_by"),
        ("rows", {}, "score: table: expected a pandas DataFrame, .*; got str"),
        ({"a": [1], "b": []}, {}, "columns of one length; got 1 in 'a', 0 in 'b'"),
        ([], {}, "the column 'candidates'; got a table without columns"),
        ({"problem": [], "candidates": []}, {}, "at least one record; got an empty table"),
        ([{"candidates": ["a"], "problem": 1}], {}, "row 0: .*problem: expected a text; got 1"),
        (
            [{"candidates": ["a"], "problem": "p", "answer": math.inf}],
            {},
            "table: row 0: answer: expected finite numbers; got infinity",
        ),
        ([{"candidates": [{1, 2}], "problem": "p"}], {}, "row 0: candidates: expected texts, nu"),
        ([{"candidates": ["a"], "stepscore_steps": 0}], {}, "no such column yet.*fields.result"),
        ([{"candidates": ["a"], "problem": "p"}], {"devices": ["cpu"]}, "name or the folder of a"),
        ([{"candidates": ["a"], "problem": "p"}], {"dtype": "float32"}, "stepscore.load"),
    ],
)
def test_every_error_says_what_to_do(
    fake: FakeModel, table: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        jobs.score(table, fake, **options)


def test_ids_are_those_of_a_file(fake: FakeModel) -> None:
    rows = [{"id": "a", "problem": "p", "candidates": ["x"]} for _ in range(2)]
    with pytest.raises(RecordError, match=r'row 1: id "a": expected an id that no other.*row 0'):
        jobs.score(rows, fake)
    assert len(jobs.score([{**row, "id": at} for at, row in enumerate(rows)], fake)) == 2


def test_pandas_keeps_its_index_and_has_types_for_what_is_missing(fake: FakeModel) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(samples()).set_index(pandas.Index([5, 3, 9, 1, 7]))
    frame["known"] = [1.0, math.nan, 1.0, math.nan, 1.0]
    fields = Fields(answer="known")
    found = jobs.rerank(frame, fake, group_by="key", fields=fields)
    assert found.index.tolist() == [5, 3, 9, 1, 7]
    assert found["stepscore_min"].dtype == "float64"
    assert found["stepscore_rank"].dtype == "Int64"
    assert found["stepscore_chosen"].dtype == "boolean"
    assert found["stepscore_min"].isna().tolist() == [False, False, False, False, True]
    assert found["stepscore_rank"].isna().tolist() == [False, False, False, False, True]
    assert "stepscore_min" not in frame  # what was passed stays as it was
    # What comes back from a file holds arrays.
    frame["candidates"] = [np.array([text], dtype=object) for text in ["a", "b", "c", "d", "e"]]
    frame["problem"] = "p"
    assert len(jobs.score(frame[["problem", "candidates"]], fake)) == 5


def test_arrow_has_types_that_do_not_depend_on_the_values(fake: FakeModel) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = in_arrow(ROWS).replace_schema_metadata({"mine": "kept"})
    one = jobs.rerank(table.slice(0, 1), fake, settings=SETTINGS)
    other = jobs.rerank(table.slice(1, 1), fake, settings=SETTINGS)
    assert one.schema == other.schema
    assert one.schema.metadata == {b"mine": b"kept"}
    assert one.schema.field("stepscore_step_scores").type == pyarrow.list_(
        pyarrow.list_(pyarrow.float64())
    )
    batch = table.to_batches()[0]
    assert type(jobs.score(batch, fake)) is type(batch)


def test_messages_and_ways_into_structs(fake: FakeModel, make: Callable[..., Any]) -> None:
    rows = [
        {
            "meta": {"question": [{"role": "user", "content": f"problem {number}"}]},
            "response": {
                "choices": [
                    {"message": {"role": "assistant", "content": f"a @0.{number}"}},
                    {"message": {"role": "assistant", "content": "b @0.5"}},
                ]
            },
        }
        for number in (1, 9)
    ]
    fields = Fields(problem="meta.question", candidates="response.choices")
    found = back(jobs.rerank(make(rows), fake, fields=fields))
    assert [row["stepscore_rank"] for row in found] == [[2, 1], [1, 2]]
    sampled = [
        {"prompt": row["meta"]["question"], "key": at % 2, "completion": [choice["message"]]}
        for at, row in enumerate(rows * 2)
        for choice in row["response"]["choices"][:1]
    ]
    fields = Fields(problem="prompt", candidates="completion")
    found = back(jobs.score(make(sampled), fake, fields=fields, group_by="key"))
    assert [plain(row["stepscore_step_scores"]) for row in found] == [
        pytest.approx([score]) for score in (0.1, 0.9, 0.1, 0.9)
    ]
