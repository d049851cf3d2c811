"""Votes over columns and over records read one by one are the same, faults included."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepscore.errors import InputError
from stepscore.jobs.files import Files, Report
from stepscore.jobs.run import vote_file
from stepscore.records import Fields, LineBlock, TableBlock

ANSWERS: list[Any] = [
    "42",
    "1/2",
    "0.5",
    " x+1\u00a0",
    "\\boxed{7}",
    "N/A",
    "",
    7,
    1.50,
    None,
    1e-7,
]


def candidate(draw: random.Random, *, steps: bool = True, score: bool = False) -> Any:
    count = draw.randint(1, 4)
    content: dict[str, Any] = {}
    if steps:
        content["step_scores"] = [draw.choice([draw.random(), 1, 0.25]) for _ in range(count)]
    if score:
        content["score"] = draw.choice([draw.gauss(0, 9), 1, -2])
    if draw.random() < 0.8:
        content["answer"] = draw.choice(ANSWERS)
    if draw.random() < 0.5:
        content["text"] = draw.choice(["So x = 3.\n#### 42", "the answer is é 😀 1/2", "", None])
    if draw.random() < 0.3:
        content["steps"] = [f"step {number}" for number in range(count)]
    if draw.random() < 0.2:
        content["correct"] = draw.choice([True, False, None])
    items = list(content.items())
    draw.shuffle(items)
    return dict(items)


def record(draw: random.Random, number: int, **scores: bool) -> dict[str, Any]:
    content = {
        "id": draw.choice([number, f"id {number}", f"é{number}"]),
        "candidates": [candidate(draw, **scores) for _ in range(draw.randint(1, 5))],
    }
    if draw.random() < 0.7:
        content["answer"] = draw.choice(ANSWERS)
    if draw.random() < 0.3:
        content["problem"] = "What?\n"
    if draw.random() < 0.3:
        content["more"] = {"of": [None, 1.5, {"it": "\\"}]}
    return content


def odd(draw: random.Random, line: bytes, number: int) -> bytes:
    """A line of a form that the compiled reader leaves alone, mostly at fault."""
    content = json.loads(line)
    kind = draw.randrange(12)
    if kind == 0:
        content["candidates"][0]["step_scores"] = [float("nan")]
    elif kind == 1:
        content["candidates"] = []
    elif kind == 2:
        del content["id"]
    elif kind == 3:
        content["id"] = draw.choice([0, 1, "id 2"])
    elif kind == 4:
        content["candidates"][-1] = {"step_scores": [7.5], "score": 7.5}
    elif kind == 5:
        content["answer"] = ["42"]
    elif kind == 6:
        content["more"] = float("nan")
    elif kind == 7:
        content["candidates"][0]["correct"] = draw.choice([1, 0.0, "yes"])
    elif kind == 8:
        content["stepscore"] = {"candidates": [{} for _ in content["candidates"]]}
    elif kind == 9:
        content["candidates"].append({"text": "alone"})
    elif kind == 10:
        return b" " + line.replace(b'"candidates"', b'"\\u0063andidates"') + b"\t"
    else:
        changed = bytearray(line)
        changed[draw.randrange(len(line))] = draw.choice(b'"\\{}[],:0-.e\xff ')
        return bytes(changed).replace(b"\n", b"") or b"?"
    return json.dumps(content).encode()


def run(path: Path, name: str, **options: Any) -> tuple[Any, bytes, str]:
    """What a vote says, writes and skips."""
    out, log = path.with_name(f"{name}.jsonl"), path.with_name(f"{name}.log")
    files = Files(
        str(path), str(out), overwrite=True, on_error="skip", skipped=str(log), chunk_size=64
    )
    try:
        report: Report = vote_file(
            Files(**{**vars(files), **options}), prefixes=(1, 2), version="test"
        )
    except InputError as error:
        return str(error), b"", ""
    return report.table, out.read_bytes() if out.exists() else b"", log.read_text()


@pytest.fixture
def both_ways(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, bytes, str]]:
    """Votes both ways, and tells what both give; the compiled reader must have read something."""

    def vote(
        path: Path, *, reads: bool | None = True, block: Any = LineBlock, **options: Any
    ) -> tuple[Any, bytes, str]:
        read = 0

        def counting(*arguments: Any) -> Any:
            nonlocal read
            columns = scan(*arguments)
            read += 0 if columns is None else len(columns)
            return columns

        with monkeypatch.context() as patch:
            scan = block.scan
            patch.setattr(block, "scan", counting)
            together = run(path, "together", **options)
            assert reads is None or (read > 0) == reads
            patch.setattr(block, "scan", lambda *arguments: None)
            alone = run(path, "alone", **options)
        assert together == alone
        return together

    return vote


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
def test_random_files(
    both_ways: Callable[..., Any], tmp_path: Path, seed: int, share: float
) -> None:
    draw = random.Random(f"{seed} {share}")
    scores = {"steps": seed % 3 != 1, "score": seed % 3 != 0}
    lines = []
    for number in range(120):
        line = json.dumps(record(draw, number, **scores), ensure_ascii=seed % 2 == 0).encode()
        lines.append(odd(draw, line, number) if number and draw.random() < share else line)
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\r\n".join(lines) + draw.choice([b"", b"\n"]))
    _, written, log = both_ways(path)
    assert written.count(b"\n") + log.count("\n") == 120
    assert log == "" or share > 0
    both_ways(path, on_error="stop", reads=None)


@pytest.mark.parametrize("seed", range(4))
def test_answers_without_scores(both_ways: Callable[..., Any], tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    path = tmp_path / "in.jsonl"
    rows = [record(draw, number, steps=False) for number in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    both_ways(path)


def test_other_names(both_ways: Callable[..., Any], tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [record(draw, number) for number in range(60)]
    for row in rows:
        row["key"], row["samples"] = row.pop("id"), row.pop("candidates")
        row["of"] = {"gold": row.pop("answer", None)}
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    both_ways(path, fields=Fields(id="key", candidates="samples"))
    nested = Fields(id="key", candidates="samples", answer="of.gold")
    both_ways(path, fields=nested, reads=False)
    # Steps under a name of a published layout pass for no solutions.
    both_ways(path, fields=Fields(id="key", candidates="steps"), reads=False)


def test_long_files_are_chunked_alike(both_ways: Callable[..., Any], tmp_path: Path) -> None:
    draw = random.Random(0)
    path = tmp_path / "in.jsonl"
    rows = [record(draw, number) for number in range(600)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for chunk_size in (50, 8192):
        both_ways(path, chunk_size=chunk_size)


@pytest.mark.parametrize("seed", range(6))
def test_rows_of_parquet(both_ways: Callable[..., Any], tmp_path: Path, seed: int) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    draw = random.Random(seed)
    scores = {"steps": seed % 3 != 1, "score": seed % 3 != 0}
    rows = []
    for number in range(400):
        row = record(draw, number, **scores)
        row["id"] = str(row["id"]) if seed % 2 else number
        row["answer"] = draw.choice(["42", " 1/2", "N/A", None])
        row |= {"problem": draw.choice(["What?", None]), "more": {"of": [None, 1.5]}}
        for item in row["candidates"]:
            item["answer"] = draw.choice(["42", "1/2 ", "", None])
        rows.append(row)
    if seed >= 3:  # among the later ones some that are at fault, or of another form
        rows[300]["candidates"][0]["step_scores"] = [float("nan")]
        rows[301]["candidates"] = []
        rows[302]["id"] = rows[0]["id"]
        rows[303]["candidates"][-1] |= {"steps": ["a"] * 9, "step_scores": [0.5], "score": 0.5}
        rows[304]["candidates"][0] |= {"step_scores": None, "score": None}
        rows[305]["candidates"][0] = None
    path = tmp_path / "in.parquet"
    table = pyarrow.Table.from_pylist(rows)
    if seed == 2:
        table = table.drop_columns(["id"])
    parquet.write_table(table, path, row_group_size=150)
    together = both_ways(path, block=TableBlock, target=None)
    # What is written is read as lines, and says the same.
    assert both_ways(path, block=LineBlock, reads=None)[0] == together[0]
    both_ways(path, block=TableBlock, target=None, on_error="stop", reads=None)


def test_messages_are_read_in_every_form_of_file(write: Callable[..., str], tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    # The first record is always read one by one: it tells which scores there are.
    rows = [
        {
            "candidates": [
                {"message": {"role": "assistant", "content": f"\\boxed{{{at % 3}}}"}, "score": 0.5},
                {"message": {"role": "assistant", "content": "\\boxed{1}"}, "score": 0.25},
            ],
            "answer": "1",
        }
        for at in range(40)
    ]
    path = tmp_path / "in.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    one, other = (
        vote_file(Files(source), version="0").table for source in (write(*rows), str(path))
    )
    assert one == other
    # Every text was read: one of two is right in each, and the better one in 13 of 40.
    assert any(line.split()[:2] == ["pass@2", "100.0"] for line in one)
    assert any(line.split()[0] == "score" and "32.5" in line for line in one if line.split())
