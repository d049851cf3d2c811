from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import FakeModel, read, step_score

import stepscore
from stepscore.cli.main import main
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.progress import Progress

Write = Callable[..., str]

RECORD = {
    "id": "p1",
    "problem": "What is 6 * 7?",
    "candidates": [
        "2 * 20 = 40 @0.9\nThe answer is 40. @0.2",
        {"steps": ["6 * 7 = 42 @0.8", "The answer is 42. @0.7"], "generator": "b"},
        {"text": "guess @0.1", "answer": " 40 "},
        {"text": "nothing @0.95", "answer": ""},
    ],
    "answer": 42,
    "mine": {"kept": [1.5]},
}


def many(problems: int = 30) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "id": index,
            "problem": f"problem {index}",
            "candidates": [
                "\n".join(f"step {rng.integers(99)}" for _ in range(rng.integers(1, 5)))
                + f"\nA: {rng.integers(3)}"
                for _ in range(rng.integers(1, 6))
            ],
            "answer": "1",
        }
        for index in range(problems)
    ]


def test_rerank_writes_scores_ranks_answers_and_votes(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write(RECORD), tmp_path / "out.jsonl"
    assert main(["rerank", source, "-o", str(out), "--model", "m", "--how", "min"]) == 0
    (line,) = read(out)
    result = line.pop("stepscore")
    assert line == RECORD

    candidates = result["candidates"]
    assert candidates[0]["steps"] == ["2 * 20 = 40 @0.9", "The answer is 40. @0.2"]
    assert "steps" not in candidates[1]
    assert candidates[1]["step_scores"] == [float(np.float32(0.8)), float(np.float32(0.7))]
    assert list(candidates[1]["scores"]) == list(AGGREGATIONS)
    assert candidates[1]["scores"]["prod"] == pytest.approx(0.56)
    assert [c["rank"] for c in candidates] == [3, 2, 4, 1]
    assert [c["answer"] for c in candidates] == ["40", "42", "40", None]
    assert [c["answer_class"] for c in candidates] == [0, 1, 0, -1]

    assert set(result["votes"]) == {"majority", "weighted", "best_of_n"}
    majority = {"winner": 0, "answer": "40", "score": 2.0, "tied": False, "margin": 1.0}
    assert result["votes"]["majority"] == dict.fromkeys(AGGREGATIONS, majority)
    best = result["votes"]["best_of_n"]["min"]
    assert best["winner"] == 1  # the higher one has no answer
    assert best["score"] == pytest.approx(0.7)
    assert result["provenance"] == {
        "model": "fake",
        "revision": "abc123",
        "recipe": {"name": "trl-prm", "separator": "\n"},
        "dtype": "float32",
        "device": "cpu",
        "stepscore": stepscore.__version__,
        "aggregation": {"softmin_temperature": 0.1, "odds_clip": 1e-7},
        "how": "min",
    }
    printed = capsys.readouterr()
    assert "accuracy in %" in printed.out
    assert "1 candidate without an answer took no part." in printed.out
    assert max(map(len, printed.out.splitlines())) <= 100
    assert "candidates/s" in printed.err


def test_the_record_is_kept_letter_by_letter(fake: FakeModel, write: Write, tmp_path: Path) -> None:
    line = '{"id":1,  "big": 12345678901234567890123, "f": 1.50, "problem": "\\u00e9é", '
    line += '"candidates": ["a = 1"] }'
    out = tmp_path / "out.jsonl"
    assert main(["score", write(line), "-o", str(out), "--model", "m"]) == 0
    assert out.read_text(encoding="utf-8").startswith(line[:-2] + ', "stepscore": {')


def test_every_aggregation_is_the_one_of_the_package(
    fake: FakeModel, write: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["score", write(*many()), "-o", str(out), "--model", "m", "-q"]) == 0
    for line in read(out):
        assert set(line["stepscore"]) == {"candidates", "provenance"}
        for text, candidate in zip(
            line["candidates"], line["stepscore"]["candidates"], strict=True
        ):
            scores = np.array([step_score(step) for step in text.split("\n")], dtype=np.float64)
            assert candidate["step_scores"] == scores.tolist()
            expected = stepscore.aggregate(scores, [0, len(scores)], AGGREGATIONS, clip=1e-7)
            assert list(candidate["scores"].values()) == expected[0].tolist()


def test_order_is_kept_and_chunks_do_not_matter(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(*many())
    outputs, tables = [], []
    for size in ("1", "7", "100000"):
        out = tmp_path / f"out{size}.jsonl"
        assert main(["rerank", source, "-o", str(out), "--model", "m", "--chunk-size", size]) == 0
        outputs.append(out.read_bytes())
        tables.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]
    assert tables[0] == tables[1] == tables[2]
    assert [line["id"] for line in read(tmp_path / "out1.jsonl")] == list(range(30))


def test_rerank_is_score_and_then_vote(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(*many())
    one, scored, two = (str(tmp_path / name) for name in ("one", "scored", "two"))
    assert main(["rerank", source, "-o", one, "--model", "m"]) == 0
    table = capsys.readouterr().out
    assert main(["score", source, "-o", scored, "--model", "m", "-q"]) == 0
    capsys.readouterr()
    assert main(["vote", scored, "-o", two]) == 0
    assert capsys.readouterr().out == table
    for rerank, score, vote in zip(read(one), read(scored), read(two), strict=True):
        assert vote["stepscore"]["votes"] == rerank["stepscore"]["votes"]
        for left, right in zip(
            vote["stepscore"]["candidates"], rerank["stepscore"]["candidates"], strict=True
        ):
            assert left == right
        assert vote["stepscore"]["provenance"]["scored_by"] == score["stepscore"]["provenance"]


def test_fields_can_be_named(fake: FakeModel, write: Write, tmp_path: Path) -> None:
    record = {"uid": 7, "q": "?", "samples": ["x = 1"], "gold": "1", "stepscore": "mine"}
    out = tmp_path / "out.jsonl"
    names = ["--id-field", "uid", "--problem-field", "q", "--candidates-field", "samples"]
    names += ["--answer-field", "gold", "--result-field", "result"]
    assert main(["rerank", write(record), "-o", str(out), "--model", "m", *names]) == 0
    (line,) = read(out)
    assert line.pop("result")["candidates"][0]["answer"] == "1"
    assert line == record


def test_truncation_is_asked_for_counted_and_written_as_null(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = {"steps": ["a" * 150, "b" * 60, "A: 1"]}
    record = {"id": 1, "problem": "?", "candidates": [long, "A: 2", "A: 1"], "answer": "1"}
    out = tmp_path / "out.jsonl"
    arguments = ["rerank", write(record), "-o", str(out), "--model", "m"]
    assert main([*arguments, "--on-bad-candidate", "error"]) == 2
    message = capsys.readouterr().err
    assert (
        "id 1: candidates[0]: expected no more tokens, with the problem, than the model's 200"
        in message
    )
    assert "pass --truncate" in message
    assert main([*arguments, "--truncate"]) == 0
    result = read(out)[0]["stepscore"]
    assert result["candidates"][0]["step_scores"][1:] == [None, None]
    assert result["candidates"][0]["truncated"] == 2
    assert set(result["candidates"][0]["scores"].values()) == {None}
    assert result["candidates"][0]["rank"] == 3
    assert result["votes"]["majority"]["min"]["winner"] == 0  # it still counts as an answer
    assert result["votes"]["best_of_n"]["min"]["winner"] in (1, 2)
    assert "2 steps of 1 candidate did not fit" in capsys.readouterr().out
    assert main(["vote", str(out), "-q"]) == 0


def test_a_fault_inside_a_chunk_is_found(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = many()
    records[11]["candidates"].append({"steps": ["fine", "forbidden"]})
    records[20]["candidates"] = ["x" * 500]
    source, out, clean = write(*records), tmp_path / "out.jsonl", tmp_path / "clean.jsonl"
    error = ["--on-bad-candidate", "error"]
    assert main(["rerank", source, "-o", str(out), "--model", "m", *error]) == 2
    message = capsys.readouterr().err
    last = len(records[11]["candidates"]) - 1
    assert f"in.jsonl:12: id 11: candidates[{last}].steps[1]: expected a step without" in message
    assert not out.exists()

    skipped = tmp_path / "skipped.jsonl"
    skip = [*error, "--on-error", "skip", "--skipped", str(skipped)]
    assert main(["rerank", source, "-o", str(out), "--model", "m", *skip]) == 0
    printed = capsys.readouterr()
    assert "skipped 2 records:" in printed.err
    assert "28 problems" in printed.out
    assert [line["id"] for line in read(skipped)] == [11, 20]
    del records[20], records[11]
    source = write(*records, name="clean_in.jsonl")
    assert main(["rerank", source, "-o", str(clean), "--model", "m"]) == 0
    assert out.read_bytes() == clean.read_bytes()


def test_no_record_goes_through_the_model_twice(
    fake: FakeModel, write: Write, tmp_path: Path
) -> None:
    records = many()
    records[11]["candidates"] = ["x" * 500]
    out = tmp_path / "out.jsonl"
    arguments = ["score", write(*records), "-o", str(out), "--model", "m", "--on-error", "skip"]
    assert main([*arguments, "--on-bad-candidate", "error"]) == 0
    assert sum(fake.calls) == sum(len(r["candidates"]) for r in records) - 1


def test_a_model_that_fails_is_no_traceback(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {"id": 1, "problem": "?", "candidates": ["crash"]}
    out = tmp_path / "out.jsonl"
    assert main(["score", write(record), "-o", str(out), "--model", "m"]) == 2
    assert "CUDA out of memory; if memory ran out, pass a smaller" in capsys.readouterr().err
    assert not out.exists()


def test_an_unexpected_error_leaves_no_output_and_what_was_finished(
    fake: FakeModel, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(*many())
    before = set(tmp_path.iterdir())
    calls = []

    def break_in_the_middle(*arguments: object, **options: object) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            raise ZeroDivisionError
        return original(*arguments, **options)

    from stepscore.jobs import work

    original = work.vote_on
    monkeypatch.setattr(work, "vote_on", break_in_the_middle)
    out = str(tmp_path / "out.jsonl")
    with pytest.raises(ZeroDivisionError):
        main(["rerank", source, "-o", out, "--model", "m", "--chunk-size", "5"])
    assert set(tmp_path.iterdir()) == {*before, Path(f"{out}.shards")}
    main(["rerank", source, "-o", out, "--model", "m", "--chunk-size", "5", "--restart"])
    assert set(tmp_path.iterdir()) == {*before, Path(out)}


def test_load_gets_the_options(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def load(name: str, **options: Any) -> FakeModel:
        seen.update(options, name=name)
        return FakeModel()

    monkeypatch.setitem(stepscore.__dict__, "load", load)
    source = write({"id": 1, "problem": "?", "candidates": ["a = 1"]})
    options = ["--recipe", "trl-prm", "--separator", r"\n\n", "--device", "cpu"]
    options += ["--dtype", "bfloat16", "--revision", "r", "--max-length", "9"]
    options += ["--token-budget", "10", "--base", "b", "--adapter", "merge"]
    options += ["--device-map", "auto", "--offload-folder", "f"]
    out = str(tmp_path / "o")
    assert main(["score", source, "-o", out, "--model", "m", *options]) == 0
    assert seen.pop("recipe").separator == "\n\n"
    numbering = ["--recipe", "math-shepherd", "--numbering", "never", "--overwrite"]
    assert main(["score", source, "-o", out, "--model", "m", *options[4:], *numbering]) == 0
    assert seen.pop("recipe").parameters == (("numbering", "never"),)
    assert seen == {
        "name": "m",
        "device": "cpu",
        "dtype": "bfloat16",
        "revision": "r",
        "max_length": 9,
        "token_budget": 10,
        "base": "b",
        "adapter": "merge",
        "device_map": "auto",
        "offload_folder": "f",
    }


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("load: no such folder"), "load: no such folder"),
        (OSError("gone"), "OSError: gone"),
        (AssertionError("Torch not compiled"), "AssertionError: Torch not compiled"),
    ],
)
def test_a_model_that_cannot_be_loaded(
    error: Exception,
    message: str,
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(name: str, **options: Any) -> FakeModel:
        raise error

    monkeypatch.setitem(stepscore.__dict__, "load", load)
    source = write({"id": 1, "problem": "?", "candidates": ["a = 1"]})
    assert main(["score", source, "-o", str(tmp_path / "o"), "--model", "m"]) == 2
    assert (
        f"error: --model m: expected a model that can be loaded; got {message}\n"
        in capsys.readouterr().err
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_without_torch_the_message_says_what_to_install(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def load(name: str, **options: Any) -> FakeModel:
        raise ModuleNotFoundError("No module named 'torch'")

    monkeypatch.setitem(stepscore.__dict__, "load", load)
    source = write({"id": 1, "problem": "?", "candidates": ["a = 1"]})
    assert main(["score", source, "-o", str(tmp_path / "o"), "--model", "m"]) == 2
    assert 'pip install "stepscore[hf]"' in capsys.readouterr().err


def test_help_version_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "examples:" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"stepscore {stepscore.__version__}\n"
    for command in ("demo", "score", "rerank", "vote", "convert"):
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0
        printed = capsys.readouterr().out
        assert "examples:" in printed
        assert max(map(len, printed.splitlines())) <= 100


def test_vote_and_convert_need_numpy_alone(write: Write) -> None:
    source = write({"id": 1, "candidates": [{"answer": "1", "score": 1}]})
    program = f"""
import sys
import stepscore.cli.main
assert stepscore.cli.main.main(["vote", {source!r}, "-q"]) == 0
heavy = {{"torch", "transformers", "tokenizers", "tqdm", "stepscore.scoring"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_progress_shows_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("stepscore.progress._SECONDS_BETWEEN", 0.0)
    for stream, expected in ((Terminal(), True), (io.StringIO(), False)):
        with Progress("vote", 100, stream) as progress:
            progress.update(10, 50)
        assert progress.count == 10
        assert ("vote  50% [############............] 10 candidates" in stream.getvalue()) is (
            expected
        )
    endless = Terminal()
    with Progress("vote", None, endless) as progress:
        progress.update(1234, 0)
    assert "vote: 1,234 candidates, " in endless.getvalue()


def test_module_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stepscore.cli", "--version"], capture_output=True, text=True
    )
    assert done.stdout.startswith("stepscore ")
    json.dumps(done.stderr)
