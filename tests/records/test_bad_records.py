"""Every bad input is an error with four parts: place, id, what was expected and got, what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel, read

from stepscore.cli.main import main

Write = Callable[..., str]


def solution(**changes: Any) -> dict[str, Any]:
    """A good input of score and rerank, with changes; None takes a field out."""
    record = {"id": "bad", "problem": "?", "candidates": ["x = 1"], **changes}
    return {name: value for name, value in record.items() if value is not ...}


def scored(*candidates: Any, **changes: Any) -> dict[str, Any]:
    """A good input of vote, with changes."""
    return solution(candidates=list(candidates) or [{"answer": "1", "score": 0.5}], **changes)


def steps(*scores: Any) -> dict[str, Any]:
    return scored({"answer": "1", "step_scores": list(scores)})


# (line, what the message must say after its place)
UNREADABLE = [
    (b'{"id": "bad", "problem"', "expected one JSON object per line; got Expecting ':' delimiter"),
    (b"[1, 2]", "expected one JSON object per line; got a list; write"),
    (b'{"id": NaN}', "id: expected a text or a whole number; got NaN"),
    (b'{"id": Infinity}', "got Infinity, which JSON does not have (write null)"),
    (
        b'{"id": "bad", "problem": "?", "candidates": [{"text": "a", "text": "b"}]}',
        'got the key "text" twice in one object in ',
    ),
    (b'{"id": "bad", "id": "good"}', 'got the key "id" twice in one object in '),
    (b'{"id": "b\xff"}', "expected UTF-8 text; got byte 0xff at byte 10 of the line; save"),
    (b"[" * 100_000, "brackets nested too deeply"),
    (b'{"id": "\\ud800"}', "got half of a surrogate pair (\\ud800 to \\udfff); repair"),
    (b"\x00\x01", "expected one JSON object per line"),
]
UNSCORABLE = [
    (solution(id=1.5), "id: expected a text or a whole number; got 1.5; give"),
    (solution(id=True), "id: expected a text or a whole number; got true; give"),
    (solution(id=""), 'id: expected a text or a whole number; got ""; give'),
    (solution(id="good"), "expected an id that no other record has; got that of "),
    (solution(problem=...), 'expected the field "problem"; got "id", "candidates"; name'),
    (solution(id=..., problem=...), 'id 2: expected the field "problem"; got "candidates"; name'),
    (solution(id=..., candidates=...), 'expected the field "candidates"; got "problem"; name'),
    (solution(problem=["?"]), 'problem: expected a text; got ["?"]; write'),
    (solution(candidates=...), 'expected the field "candidates"; got "id", "problem"; name'),
    (solution(candidates=[]), "candidates: expected a list of at least one candidate; got []"),
    (solution(candidates="x"), 'candidates: expected a list of at least one candidate; got "x"'),
    (solution(candidates=[3]), "candidates[0]: expected a text or an object; got a number; write"),
    (solution(candidates=["a", " "]), "candidates[1]: expected at least one step; got"),
    (solution(candidates=[{}]), 'candidates[0]: expected "steps" or "text"; got neither'),
    (solution(candidates=[{"text": 1}]), "candidates[0].text: expected a text; got 1; write it so"),
    (
        solution(candidates=[{"steps": "a"}]),
        'candidates[0].steps: expected a list of texts; got "a"',
    ),
    (solution(candidates=[{"steps": []}]), "candidates[0]: expected at least one step; got"),
    (solution(candidates=[{"steps": ["a", 2]}]), "candidates[0].steps[1]: expected a text; got 2"),
    (
        solution(candidates=[{"steps": ["a", "\n"]}]),
        r"candidates[0].steps[1]: expected a step with text; got '\n'; leave",
    ),
    (
        solution(candidates=["a = 1", {"steps": ["a", "forbidden"]}]),
        r"candidates[1].steps[1]: expected a step without forbidden words",
    ),
    (
        solution(candidates=["x" * 500]),
        "candidates[0]: expected no more tokens, with the problem, than the model's 200 positions",
    ),
    (
        solution(candidates=["a", "strange"]),
        "expected text that the model's tokenizer can encode; got Missing [UNK] token; leave",
    ),
    (
        solution(candidates=[{"text": "a", "answer": []}]),
        "candidates[0].answer: expected a text or",
    ),
    (solution(candidates=[{"text": "a", "correct": 2}]), "candidates[0].correct: expected true or"),
    (solution(candidates=[{"text": "a", "correct": "1"}]), "candidates[0].correct: expected true"),
    (solution(answer=["1", "2"]), 'answer: expected a text or a number; got ["1", "2"]; write'),
    (solution(answer=[["1"]]), 'answer: expected a text or a number; got ["1"]; write'),
    (
        solution(stepscore={}),
        "stepscore: expected no such field yet, because the result is written to it; got",
    ),
]
UNVOTABLE = [
    (scored({"answer": "1"}), '"score" in every candidate, as in the first record; got candidates'),
    (scored({"score": 1}, "text"), 'candidates[1]: expected "score" or "step_scores"'),
    (scored({"score": "1"}), 'candidates[0].score: expected a finite number; got "1"; write'),
    (scored({"score": True}), "candidates[0].score: expected a finite number; got true"),
    (scored({"score": 10**400}), "candidates[0].score: expected a finite number; got 1000"),
    (
        b'{"id": "bad", "candidates": [{"score": NaN}]}',
        "candidates[0].score: expected a finite number; got NaN",
    ),
    (
        b'{"id": "bad", "candidates": [{"score": 1, "step_scores": [0.5, NaN]}]}',
        "candidates[0].step_scores[1]: expected a finite number; got NaN",
    ),
    (b'{"id": "bad", "candidates": [{"score": -Infinity}]}', "got -Infinity, which JSON does"),
    (
        b'{"id": "bad", "candidates": [{"score": 1e999}]}',
        "candidates[0].score: expected a finite number; got Infinity; write",
    ),
    (scored({"step_scores": [0.5]}), 'expected "score" in every candidate, as in the first record'),
    (scored({"score": 1}, {"step_scores": [1]}), 'expected "score" in every candidate, as in'),
    (scored(stepscore={}), None),
]
UNEQUAL = [
    (steps(), "candidates[0].step_scores: expected a list of at least one number; got []"),
    (steps(0.5, None), "candidates[0].step_scores[1]: expected a finite number; got null"),
    (steps(0.5, "x"), 'candidates[0].step_scores[1]: expected a finite number; got "x"'),
    (
        b'{"id": "bad", "candidates": [{"step_scores": [0.5, 1e999]}]}',
        "candidates[0].step_scores[1]: expected a finite number; got Infinity",
    ),
    (
        scored({"steps": ["a", "b"], "step_scores": [0.5]}),
        "candidates[0]: expected one score per step; got 2 steps and 1 step_scores; write",
    ),
    (steps(0.5, 1.5), "expected step scores in [0, 1], as in the first record; got one outside"),
    (scored({"score": 0.5}), 'expected "step_scores" in every candidate, as in the first record'),
    (solution(stepscore={}), "stepscore: expected the scores of the 1 candidates"),
    (
        solution(stepscore={"candidates": [{}, {}]}),
        "stepscore: expected the scores of the 1 candidates, as an earlier run writes them; got 2",
    ),
    (
        solution(stepscore={"candidates": [{"steps": ["a", "b"], "step_scores": [0.5]}]}),
        "stepscore.candidates[0]: expected one score per step",
    ),
    (solution(stepscore={"candidates": [{}]}), '"step_scores" in every candidate, as in the first'),
]


def run(
    command: str, bad: Any, good: dict[str, Any], write: Write, tmp_path: Path, *options: str
) -> tuple[int, Path]:
    after = {**good, "id": "after"}
    source = write({**good, "id": "good"}, bad, after)
    out = tmp_path / "out.jsonl"
    model = [] if command == "vote" else ["--model", "m", "--on-bad-candidate", "error"]
    return main([command, source, "-o", str(out), *model, *options]), out


@pytest.mark.parametrize(
    ("command", "good", "bad", "message"),
    [("rerank", solution(), *case) for case in UNREADABLE + UNSCORABLE]
    + [("score", solution(), *case) for case in UNSCORABLE]
    + [("vote", scored(), *case) for case in UNREADABLE + UNVOTABLE]
    + [("vote", steps(0.2, 0.5), *case) for case in UNEQUAL],
)
def test_a_bad_record_stops_or_is_skipped(
    command: str,
    good: dict[str, Any],
    bad: Any,
    message: str | None,
    fake: FakeModel,
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out = run(command, bad, good, write, tmp_path)
    printed = capsys.readouterr()
    if message is None:  # not bad after all
        assert code == 0
        return
    place = f"stepscore {command}: error: {tmp_path / 'in.jsonl'}:2: "
    assert code == 2
    assert printed.out == ""
    *before, told = printed.err.splitlines()
    kept = [line for line in before if line != "loading the PRM m ..."]  # on a slow machine
    assert told.startswith(place)
    assert message in told
    # A known id ends the chunk before it, and what is finished is kept.
    assert kept in ([], [f"1 candidate is kept in {out}.shards; type the same command to go on"])
    left = ["in.jsonl", *(["out.jsonl.shards"] if kept else [])]
    assert sorted(path.name for path in tmp_path.iterdir()) == left

    code, out = run(command, bad, good, write, tmp_path, "--on-error", "skip")
    printed = capsys.readouterr()
    assert code == 0
    assert "skipped 1 record:\n" in printed.err
    assert message in printed.err
    assert [line["id"] for line in read(out)] == ["good", "after"]
    assert printed.out.startswith("2 problems")


def test_the_id_stands_in_the_message(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("vote", scored({"score": "x"}), scored(), write, tmp_path)
    assert 'in.jsonl:2: id "bad": candidates[0].score: expected' in capsys.readouterr().err


def test_a_duplicate_id_names_the_first(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("vote", scored(id="good"), scored(), write, tmp_path)
    message = 'id "good": expected an id that no other record has; got that of '
    assert f"{message}{tmp_path / 'in.jsonl'}:1;" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file(
    content: bytes, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vote", write(content), "-o", str(tmp_path / "out")]) == 2
    assert "expected at least one record; got an empty file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vote", str(tmp_path / "none")]) == 2
    assert "expected an existing file; got none; check the path" in capsys.readouterr().err


def test_nothing_but_bad_records(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "skipped"
    options = ["-o", str(tmp_path / "out"), "--on-error", "skip", "--skipped", str(log)]
    assert main(["vote", write("x", "y"), *options]) == 2
    message = capsys.readouterr().err
    assert "expected at least one record that can be processed; got none" in message
    assert "skipped 2 records:" in message
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_many_skips_are_listed_in_a_file(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "skipped"
    source = write(scored(), *["x"] * 30)
    assert main(["vote", source, "--on-error", "skip", "--skipped", str(log)]) == 0
    message = capsys.readouterr().err
    assert message.count("in.jsonl:") == 20
    assert "... and 10 more; --skipped lists all" in message
    lines = read(log)
    assert len(lines) == 30
    assert lines[0]["place"] == f"{source}:2"
    assert lines[0]["id"] is None
    assert "expected one JSON object per line" in lines[0]["reason"]


def test_an_existing_output_is_kept(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    source = write(scored())
    assert main(["vote", source, "-o", str(out)]) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    assert out.read_text() == "old"
    assert main(["vote", source, "-o", str(out), "--overwrite"]) == 0
    assert len(read(out)) == 1


def test_one_file_cannot_stand_in_two_places(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, link, out = write(scored()), tmp_path / "link", str(tmp_path / "out")
    link.symlink_to(source)
    before = sorted(tmp_path.iterdir())
    skip = ["--on-error", "skip", "--overwrite", "--skipped"]
    for arguments, message in (
        (["vote", source, "-o", str(link), "--overwrite"], "-o: expected another file than IN"),
        (["vote", source, *skip, source], "--skipped: expected another file than IN"),
        (["vote", source, "-o", out, *skip, out], "--skipped: expected another file than -o"),
        (["convert", "gsm8k", source, "-o", source, "--overwrite"], "-o: expected another file"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
        assert sorted(tmp_path.iterdir()) == before


def test_standard_output_is_no_output_file(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    source = write(scored())
    monkeypatch.chdir(tmp_path)
    assert main(["vote", source, "-o", "-"]) == 2
    assert "pass a name such as out.jsonl" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_field_names_are_distinct(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vote", write(scored()), "--result-field", "id"]) == 2
    assert (
        '--result-field: expected a name that no other field has; got "id", the name of --id-field'
        in capsys.readouterr().err
    )


def test_a_bad_record_does_not_take_its_id(fake: FakeModel, write: Write, tmp_path: Path) -> None:
    source = write(
        solution(id=1, candidates=["x" * 500]),  # the model finds out
        "no JSON",
        solution(id=1, candidates=["a = 2"]),
        solution(id=1, candidates=["a = 3"]),
        solution(id=2, candidates=["x" * 500]),
        "no JSON",
    )
    out, log = tmp_path / "out", tmp_path / "log"
    options = ["--model", "m", "--on-error", "skip", "--skipped", str(log)]
    options += ["--on-bad-candidate", "error"]
    assert main(["score", source, "-o", str(out), *options]) == 0
    assert [line["candidates"] for line in read(out)] == [["a = 2"]]
    assert [line["place"].rpartition(":")[2] for line in read(log)] == ["1", "2", "4", "5", "6"]


def test_a_record_of_another_layout_does_not_take_its_id(write: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lines = [scored(id=1), scored({"step_scores": [1]}, id=2), scored(id=2)]
    assert main(["vote", write(*lines), "-o", str(out), "--on-error", "skip"]) == 0
    assert [line["id"] for line in read(out)] == [1, 2]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    assert main(["vote", write(scored()), "-o", str(folder / "out")]) == 2
    assert "check the folder's permissions" in capsys.readouterr().err
