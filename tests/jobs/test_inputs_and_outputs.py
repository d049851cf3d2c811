"""Jobs over many inputs, in every form, in equal parts, and into a folder of parts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel, read

from stepscore.cli.main import main
from stepscore.files import LineReader, WholeFile, folder
from stepscore.jobs import work

Write = Callable[..., str]


def rows(begin: int, end: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"p{number}",
            "candidates": [
                {"text": f"so it is {number % 3}", "step_scores": [0.5, number % 7 / 7]},
                {"answer": "2", "step_scores": [0.25]},
            ],
            "answer": "2",
        }
        for number in range(begin, end)
    ]


def put(path: Path, content: list[dict[str, Any]]) -> str:
    with WholeFile(str(path)) as out:
        for row in content:
            out.write(json.dumps(row) + "\n")
    return str(path)


def results(path: Path) -> list[Any]:
    with LineReader(str(path)) as lines:
        return [json.loads(line)["stepscore"] for _, line in lines]


@pytest.fixture
def plain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    """The output of one plain file, and its table."""
    source, out = put(tmp_path / "in.jsonl", rows(0, 30)), tmp_path / "out.jsonl"
    assert main(["vote", source, "-o", str(out)]) == 0
    return out, capsys.readouterr().out


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_every_form_is_the_same_file(
    ending: str, plain: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip({".jsonl.zst": "zstandard", ".parquet": "pyarrow"}.get(ending, "gzip"))
    out, table = plain
    source = put(tmp_path / f"in{ending}", rows(0, 30))
    assert main(["vote", source, "-o", str(tmp_path / f"out{ending}")]) == 0
    assert capsys.readouterr().out == table
    if ending != ".parquet":
        assert results(tmp_path / f"out{ending}") == results(out)
        return
    # A table tells nothing that is null from nothing at all; and it can be voted on again.
    found = results(tmp_path / "out.parquet")
    assert [line["votes"]["majority"]["last"]["answer"] for line in found] == [
        line["votes"]["majority"]["last"]["answer"] for line in results(out)
    ]
    assert main(["vote", str(tmp_path / "out.parquet")]) == 0
    assert capsys.readouterr().out == table


def test_a_row_of_a_table_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    content = rows(0, 5)
    content[3]["candidates"] = []
    source = put(tmp_path / "in.parquet", content)
    assert main(["vote", source]) == 2
    assert f'{source}: row 4: id "p3": candidates: expected a list' in capsys.readouterr().err
    assert main(["vote", source, "--on-error", "skip"]) == 0
    assert f'  {source}: row 4: id "p3"' in capsys.readouterr().err


def test_many_files_are_one(
    plain: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = plain
    for name, (begin, end) in {"a-1.jsonl": (0, 4), "a-2.jsonl.gz": (4, 20)}.items():
        put(tmp_path / name, rows(begin, end))
    last = put(tmp_path / "b.jsonl", rows(20, 30))
    many = str(tmp_path / "many.jsonl")
    assert main(["vote", str(tmp_path / "a-*"), last, "-o", many, "--chunk-size", "7"]) == 0
    assert capsys.readouterr().out == table
    assert Path(many).read_bytes() == out.read_bytes()
    # Ids are unique over all of them, and a file is read once.
    again = put(tmp_path / "c.jsonl", rows(19, 21))
    assert main(["vote", last, again]) == 2
    told = capsys.readouterr().err
    assert f'{again}:2: id "p20": expected an id that no other record has' in told
    assert f"got that of {last}:1" in told
    assert main(["vote", last, last]) == 2
    assert f"IN: expected every file once; got {last} twice" in capsys.readouterr().err


def test_a_file_under_two_names_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gathered rows have no ids that would tell."""
    lines = [{"q": "a", "answer": "1", "score": 0.5}, {"q": "a", "answer": "2", "score": 0.25}]
    source = put(tmp_path / "in.jsonl", lines)
    (tmp_path / "link.jsonl").symlink_to("in.jsonl")
    os.link(source, tmp_path / "hard.jsonl")
    for other in ("link.jsonl", "hard.jsonl", "../" + tmp_path.name + "/in.jsonl"):
        name = f"{tmp_path}/{other}"
        assert main(["vote", source, name, "--group-by", "q"]) == 2
        told = capsys.readouterr().err
        assert f"IN: expected every file once; got {name}, which is {source}" in told
    assert main(["vote", f"{tmp_path}/*.jsonl", "--group-by", "q"]) == 2


@pytest.mark.parametrize("parts", [1, 3, 7, 30])
def test_the_outputs_of_equal_parts_are_that_of_the_whole(
    parts: int, plain: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = plain
    joined = b""
    for part in range(1, parts + 1):
        name = tmp_path / f"{part}.jsonl"
        command = ["vote", str(tmp_path / "in.jsonl"), "-o", str(name), "--shard"]
        assert main([*command, f"{part}/{parts}"]) == 0
        joined += name.read_bytes()
    assert joined == out.read_bytes()
    (tmp_path / "joined.jsonl").write_bytes(joined)
    capsys.readouterr()
    assert main(["vote", str(tmp_path / "joined.jsonl")]) == 0
    assert capsys.readouterr().out == table


def test_equal_parts_of_gathered_rows(tmp_path: Path) -> None:
    lines = [
        {"q": f"q{number % 5}", "answer": "1", "text": f"so {number % 2}", "score": 0.5}
        for number in range(20)
    ]
    source = put(tmp_path / "in.jsonl", lines)
    ids = []
    for part in (1, 2):
        out = tmp_path / f"{part}.jsonl"
        command = ["vote", source, "-o", str(out), "--group-by", "q", "--shard", f"{part}/2"]
        assert main(command) == 0
        ids.append([line["id"] for line in read(out)])
    assert ids == [["q0", "q1"], ["q2", "q3", "q4"]]


def test_a_part_of_a_pipe_and_one_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("0/3", "4/3", "3", "a/b", "1/0"):
        with pytest.raises(SystemExit):
            main(["vote", "in.jsonl", "--shard", text])
        assert f"must be I/N with I from 1 to N, as 3/8; got '{text}'" in capsys.readouterr().err
    put(tmp_path / "in.jsonl", rows(0, 3))
    assert main(["vote", str(tmp_path / "in.jsonl"), "--shard", "1/4"]) == 2
    assert "--shard: expected no more parts than records; got 4 parts of 3" in (
        capsys.readouterr().err
    )
    assert main(["vote", "-", "--shard", "1/2"]) == 2
    assert "--shard: expected files on a disk" in capsys.readouterr().err


def in_parts(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """Write an output again, as a folder of a few parts; give it, and the command."""
    monkeypatch.setattr(folder, "PART_BYTES", len(out.read_bytes()) // 3)
    parts = tmp_path / "parts"
    command = ["vote", str(tmp_path / "in.jsonl"), "-o", f"{parts}/", "--chunk-size", "4"]
    assert main(command) == 0
    return parts, command


def test_a_folder_of_parts(
    plain: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, table = plain
    parts, command = in_parts(out, tmp_path, monkeypatch)
    assert capsys.readouterr().out == table
    names = [f"part-{number:05}.jsonl" for number in range(4)]
    assert sorted(path.name for path in parts.iterdir()) == ["manifest.json", *names[:-1]] or (
        sorted(path.name for path in parts.iterdir()) == ["manifest.json", *names]
    )
    manifest = json.loads((parts / "manifest.json").read_text())
    assert manifest["job"]["command"] == "vote"
    assert sum(part["records"] for part in manifest["parts"]) == 30
    assert sum(part["candidates"] for part in manifest["parts"]) == 60
    joined = b"".join((parts / part["name"]).read_bytes() for part in manifest["parts"])
    assert joined == out.read_bytes()
    # It is an input as it stands, and is not written over.
    assert main(["vote", str(parts)]) == 0
    assert capsys.readouterr().out == table
    assert main(command) == 2
    assert "a folder without an output yet; got one with a manifest.json" in capsys.readouterr().err
    # Of a longer output nothing is left.
    put(tmp_path / "short.jsonl", rows(0, 2))
    again = ["vote", str(tmp_path / "short.jsonl"), "-o", str(parts), "--overwrite"]
    assert main(again) == 0
    assert sorted(path.name for path in parts.iterdir()) == ["manifest.json", names[0]]
    # Nor are the files of others mixed with it, nor a folder read that is not whole.
    (parts / "notes.txt").write_text("mine")
    assert main(again) == 2
    assert "got one that holds notes.txt" in capsys.readouterr().err
    (parts / "manifest.json").unlink()
    assert main(["vote", str(parts)]) == 2
    told = capsys.readouterr().err
    assert "got a folder, which holds notes.txt, part-00000.jsonl" in told
    assert f"a pattern in quotes: '{parts}/*.txt'" in told
    (parts / "notes.txt").unlink()
    assert main(["vote", str(parts)]) == 2
    assert f"a pattern in quotes: '{parts}/*.jsonl'" in capsys.readouterr().err
    (parts / ".shards").mkdir()
    assert main(["vote", str(parts)]) == 2
    assert "got one that a run is writing, or had not finished" in capsys.readouterr().err


def test_a_folder_that_lacks_a_part_is_no_input(
    plain: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, table = plain
    parts, command = in_parts(out, tmp_path, monkeypatch)
    part = parts / "part-00001.jsonl"
    lines = part.read_bytes().splitlines(keepends=True)
    size = sum(map(len, lines))
    for there in (lines[:-1], None):
        part.unlink()
        if there is not None:
            part.write_bytes(b"".join(there))
        got = "none" if there is None else f"{len(b''.join(there)):,} bytes"
        assert main(["vote", str(parts)]) == 2
        told = capsys.readouterr().err
        assert f"{part}: expected a part of {size:,} bytes, as manifest.json" in told
        assert f"says; got {got}; copy the folder again" in told
    # Written again, it is whole; one that is there beside those of the manifest is none of them.
    assert main([*command, "--overwrite"]) == 0
    capsys.readouterr()
    (parts / "part-00009.jsonl").write_bytes(b"".join(lines))
    assert main(["vote", str(parts)]) == 0
    assert capsys.readouterr().out == table


def test_a_folder_is_not_written_over_while_it_is_read(
    plain: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = tmp_path / "parts"
    assert main(["vote", str(tmp_path / "in.jsonl"), "-o", f"{parts}/"]) == 0
    capsys.readouterr()
    (tmp_path / "link").symlink_to(parts)
    for source in (str(parts), str(parts / "part-00000.jsonl"), str(tmp_path / "link")):
        assert main(["vote", source, "-o", str(parts), "--overwrite"]) == 2
        told = capsys.readouterr().err
        assert f"-o: expected another folder than that of the input; got {parts}" in told
    assert sorted(path.name for path in parts.iterdir()) == ["manifest.json", "part-00000.jsonl"]


def test_a_folder_that_is_stopped_goes_on(
    plain: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, _ = plain
    calls, votes = [], work.vote_on

    def stops(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return votes(*arguments, **options)

    monkeypatch.setattr(work, "vote_on", stops)
    parts = tmp_path / "parts"
    command = ["vote", str(tmp_path / "in.jsonl"), "-o", f"{parts}/", "--chunk-size", "4"]
    assert main(command) == 130
    told = capsys.readouterr().err
    assert f"20 candidates are kept in {parts}/.shards; type the same command to go on" in told
    assert "stopped; no output was written" in told
    assert [path.name for path in parts.iterdir()] == [".shards"]
    assert main(command) == 0
    assert "goes on behind 20 candidates (" in capsys.readouterr().err
    assert (parts / "part-00000.jsonl").read_bytes() == out.read_bytes()


def test_a_summary_has_the_figures_of_the_table(
    fake: FakeModel, write: Write, tmp_path: Path
) -> None:
    content: list[dict[str, Any]] = [
        {
            "id": 1,
            "problem": "?",
            "candidates": ["The answer is 2. @0.9", "The answer is 3. @0.2"],
            "answer": "2",
        },
        {
            "id": 2,
            "problem": "1+2",
            "candidates": ["The answer is 2. @0.9", "The answer is 3. @0.2"],
            "answer": "3",
        },
        {"id": 3, "problem": "1+3", "candidates": [], "answer": "4"},
    ]
    path = tmp_path / "summary.json"
    source, out = write(*content), str(tmp_path / "out.jsonl")
    command = ["rerank", source, "-o", out, "--model", "m", "--summary", str(path)]
    assert main([*command, "--on-error", "skip", "--prefixes", "1,2"]) == 0
    summary = json.loads(path.read_text())
    assert summary["input"] == [source]
    assert summary["output"] == out
    assert (summary["problems"], summary["candidates"], summary["skipped_records"]) == (2, 4, 1)
    assert summary["accuracy"]["best_of_n"]["last"] == 0.5
    assert summary["accuracy"]["majority"]["min"] == 0.5
    assert (summary["mean_accuracy"], summary["some_right"]) == (0.5, 1.0)
    assert summary["prefixes"]["accuracy"]["majority"] == {"1": 0.5, "2": 0.5}
    assert summary["provenance"]["model"] == "fake"
    assert summary["candidates_without_scores"] == 0
    assert 0 <= summary["seconds"] <= summary["seconds_with_loading"] + 0.001

    for row in content:
        del row["answer"]
    write(*content[:2])
    assert main(["vote", out, "--summary", out]) == 2
    path.unlink()
    Path(out).unlink()
    assert main(["score", source, "-o", out, "--model", "m", "--summary", str(path)]) == 0
    assert json.loads(path.read_text())["steps"] == 4
    path.unlink()
    assert main(["vote", out, "--summary", str(path)]) == 0
    agreement = json.loads(path.read_text())["agreement"]
    assert agreement["best_of_n = weighted"]["last"] == 1.0
