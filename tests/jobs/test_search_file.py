"""``stepscore search``: problems in; answers, traces, scores, costs and trees out."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import read

import stepscore
from stepscore.cli import models as cli_models
from stepscore.cli.main import main
from stepscore.errors import InputError
from stepscore.files import shards
from stepscore.jobs.search import Models, judge_of
from stepscore.jobs.search_parameters import parse_parameters
from stepscore.policies.requests import Continuation, ExpandRequest
from stepscore.search.requests import ScoreRequest

Write = Callable[..., str]

RECORDS = [
    {"id": "a", "problem": "1+1", "answer": 2, "candidates": "not looked at", "mine": [1.50]},
    {"id": 7, "problem": "2+3", "answer": "5"},
    {"id": "c", "problem": "4+5"},
]


def sum_of(problem: str) -> int:
    return sum(map(int, problem.split("+")))


class Adder:
    """Writes a line, then an answer: right for odd seeds, one too many for even ones."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.failing: set[str] = set()
        self.finished: list[str] = []

    def __call__(self, requests: Sequence[ExpandRequest]) -> list[list[Continuation] | Exception]:
        self.calls.append(len(requests))
        return [
            RuntimeError("out of order")
            if request.problem in self.failing
            else [self.write(request, seed) for seed in request.seeds]
            for request in requests
        ]

    def write(self, request: ExpandRequest, seed: int) -> Continuation:
        answer = f"The answer is {sum_of(request.problem) + 1 - seed % 2}.\n"
        first = f"We add ({seed % 7})\n"
        if request.mode == "rollout":
            return Continuation(first + answer, 9, -1.0, True)
        if request.steps:
            return Continuation(answer, 5, -0.5, True)
        return Continuation(first, 4, -0.5, False)


def right(requests: Sequence[ScoreRequest]) -> list[float]:
    """High where the last number is the sum."""
    return [
        0.9 if f" {sum_of(request.problem)}." in request.steps[-1] else 0.2 for request in requests
    ]


@pytest.fixture
def adder(monkeypatch: pytest.MonkeyPatch) -> Adder:
    policy = Adder()
    models = Models(policy, right, {"policy": "adder"}, policy.finished.extend)
    monkeypatch.setattr(cli_models, "load_models", lambda arguments: models)
    return policy


def run(source: str, out: Path, *more: str) -> int:
    given = ["search", source, "-o", str(out), "--policy", "p", "--model", "m", *more]
    return main(given if "--strategy" in more else [*given, "--strategy", "beam"])


def test_the_result_stands_behind_the_record(
    adder: Adder, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    assert run(write(*RECORDS), out, "--set", "n=8", "--seed", "3", "--temperature", "0.5") == 0
    lines = read(out)
    assert [line.pop("id") for line in lines] == ["a", 7, "c"]
    assert lines[0]["candidates"] == "not looked at"
    for line, record in zip(lines, RECORDS, strict=True):
        result = line["stepscore"]
        assert set(result) == {
            "answer", "text", "winner", "status", "traces", "costs", "provenance",
        }  # fmt: skip
        assert result["answer"] == str(sum_of(str(record["problem"])))
        assert result["status"] == "done"
        winner = result["traces"][result["winner"]]
        assert winner["answer"] == result["answer"]
        assert "".join(winner["steps"]) == result["text"]
        assert winner["step_scores"] == [0.2, 0.9]
        assert (winner["score"], winner["worth"], winner["complete"]) == (0.9, 0.9, True)
        assert result["costs"]["samples"] == 16
        assert result["costs"]["tokens"] == 8 * 4 + 8 * 5
        assert result["provenance"] == {
            "policy": "adder",
            "strategy": "beam",
            "parameters": {"n": 8},
            "seed": 3,
            "temperature": 0.5,
            "stop": [],
            "stepscore": stepscore.__version__,
        }
    printed = capsys.readouterr()
    assert printed.out.splitlines()[:3] == [
        "beam(n=8)",
        "3 problems, 3 with an answer",
        "accuracy 100.0% (2 of 2 with a known answer)",
    ]
    assert "per problem: 16.0 samples, 72.0 generated tokens" in printed.out
    assert "calls: policy 2, scorer 2" in printed.out
    assert "problems/s; written to" in printed.err
    assert not (tmp_path / "out.jsonl.journal").exists()


def test_known_answers_are_read_as_they_are_kept(
    adder: Adder, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *_ = RECORDS
    boxed = {**first, "answer": f"\\boxed{{{sum_of(str(first['problem']))}}}"}
    prose = {**second, "answer": "We add the apples first, then all the pears."}
    out = tmp_path / "out.jsonl"
    assert run(write(boxed, prose), out, "--set", "n=8", "--seed", "3") == 0
    printed = capsys.readouterr().out
    assert "accuracy 100.0% (1 of 1 with a known answer)" in printed
    assert "1 known answer could not be understood: write the answer alone" in printed


def test_the_record_is_kept_letter_by_letter(adder: Adder, write: Write, tmp_path: Path) -> None:
    line = '{"id":1,  "big": 12345678901234567890123, "problem": "1+1" }'
    assert run(write(line), tmp_path / "out.jsonl") == 0
    text = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert text.startswith(line[:-2] + ', "stepscore": {"answer": "2"')


def test_chunks_do_not_matter(adder: Adder, write: Write, tmp_path: Path) -> None:
    source = write(*({"id": n, "problem": f"{n}+{n}"} for n in range(11)))

    def found(*more: str) -> list[Any]:
        out = tmp_path / f"out{len(more)}.jsonl"
        assert run(source, out, "-q", *more) == 0
        results = [line["stepscore"] for line in read(out)]
        for result in results:
            del result["costs"]["seconds"]
        return results

    assert found() == found("--chunk-size", "4")
    assert adder.finished == 2 * [f"{n}+{n}" for n in range(11)]


def test_a_request_that_fails_marks_its_problem_alone(
    adder: Adder, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(*RECORDS)
    assert run(source, tmp_path / "good.jsonl") == 0
    adder.failing = {"2+3"}
    assert run(source, tmp_path / "out.jsonl") == 0
    good, found = read(tmp_path / "good.jsonl"), read(tmp_path / "out.jsonl")
    reason = "failed: the policy raised RuntimeError: out of order"
    assert found[1]["stepscore"]["status"] == reason
    assert found[1]["stepscore"]["winner"] is None
    why = f"{reason}; there is no trace"
    assert found[1]["stepscore"]["no_answer"] == why
    assert "no_answer" not in found[0]["stepscore"]
    printed = capsys.readouterr().out
    assert "1 without an answer:\n" in printed
    assert f"  id 7: {why}\n" in printed
    for own, other in zip(found, good, strict=True):
        if own["id"] != 7:
            del own["stepscore"]["costs"], other["stepscore"]["costs"]
            assert own == other


def test_models_that_never_answer_are_an_error(
    adder: Adder, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adder.failing = {"1+1", "2+3", "4+5"}
    assert run(write(*RECORDS), tmp_path / "out.jsonl") == 2
    assert "got no trace of any of 3 problems; the first failed: the policy raised" in (
        capsys.readouterr().err
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_search_that_was_stopped_goes_on_where_it_was(
    adder: Adder, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], most: int
) -> None:
    source = write(*RECORDS)
    arguments = ("-q", "--chunk-size", "2", "--set", "n=4")
    assert run(source, tmp_path / "whole.jsonl", *arguments) == 0
    calls = list(adder.calls)
    assert len(calls) == 4  # two chunks of two steps
    adder.calls.clear()
    work = adder.write

    def stop(*given: Any) -> Continuation:
        if len(adder.calls) > most:
            raise KeyboardInterrupt
        return work(*given)

    adder.write = stop  # type: ignore[method-assign]
    assert run(source, tmp_path / "out.jsonl", *arguments) == 130
    assert not (tmp_path / "out.jsonl").exists()
    said = capsys.readouterr().err
    # The first two calls are all of the first chunk.
    kept = "2 problems are kept in {}.shards" if most == 2 else "answers are kept in {}.journal"
    assert f"{kept.format(tmp_path / 'out.jsonl')}; type the same command" in said
    assert "stopped; no output was written" in said
    adder.write, done = work, adder.calls[:most]  # type: ignore[method-assign]
    adder.calls.clear()
    assert run(source, tmp_path / "out.jsonl", *arguments) == 0
    assert done + adder.calls == calls  # nothing was asked twice
    whole, found = read(tmp_path / "whole.jsonl"), read(tmp_path / "out.jsonl")
    for line in (*whole, *found):
        del line["stepscore"]["costs"]["seconds"]
    assert found == whole
    assert not (tmp_path / "out.jsonl.journal").exists()


def test_restart_forgets_and_leaves_the_files_of_others(
    adder: Adder, write: Write, tmp_path: Path
) -> None:
    out, folder = tmp_path / "out.jsonl", tmp_path / "out.jsonl.journal"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "01234567-00000.jsonl").write_text("old")
    assert run(write(*RECORDS), out, "--restart") == 0
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_tree_is_written_as_a_page(adder: Adder, write: Write, tmp_path: Path) -> None:
    page = tmp_path / "tree.html"
    out = tmp_path / "out.jsonl"
    assert run(write(*RECORDS), out, "--set", "n=8", "--tree", f"7:{page}") == 0
    text = page.read_text(encoding="utf-8")
    assert "<h1>2+3</h1>" in text
    assert "The answer is 5." in text
    assert text.count('class="chosen"') == 3  # root, line, answer
    assert "<dt>known answer</dt><dd>5</dd>" in text


def test_a_config_is_overridden_by_the_command_line(
    adder: Adder, write: Write, tmp_path: Path
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        "strategy: best_of_n\nset: {n: 6, how: min}\npolicy: p\nmodel: m\nseed: 5\n"
        "stop: ['\\n']\nquiet: true\noverwrite: false\nmax_tokens: 50\n"
    )
    out = tmp_path / "out.jsonl"
    source = write(*RECORDS)
    given = ["search", source, "-o", str(out), "--config", str(config), "--set", "n=3"]
    assert main(given) == 0
    provenance = read(out)[0]["stepscore"]["provenance"]
    assert provenance["parameters"] == {"n": 3, "how": "min"}
    assert provenance["strategy"] == "best_of_n"
    assert (provenance["seed"], provenance["stop"], provenance["max_tokens"]) == (5, ["\n"], 50)
    assert len(read(out)[0]["stepscore"]["traces"]) == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--strategy", "baem"), "--strategy: expected one of best_of_n, self_consistency,"),
        (("--set", "wdth=3"), "a parameter of beam: n=4, m=4, depth=40, how=last"),
        (("--set", "n=many"), '--set n=many: expected int; got "many"'),
        (("--set", "n"), "--set n: expected NAME=VALUE"),
        (
            ("--strategy", "feynman_kac"),
            "--set: expected potential (str), which feynman_kac has no",
        ),
        (("--set", "n=5"), "--set n: expected a multiple of m=4, and both at least 1; got 5"),
        (
            ("--tree", "nobody:x.html"),
            '--tree nobody:x.html: expected the id of a record; got "nobody"',
        ),
        (("--tree", "x.html"), "--tree x.html: expected ID:FILE.html"),
        (("--rule", "mayority"), "--rule mayority: expected one of majority, weighted,"),
        (("--truncate",), "--truncate: expected a score for every step"),
        (
            ("--config", "/nowhere.yaml"),
            "--config /nowhere.yaml: expected a file of YAML or JSON in UTF-8; got No such file",
        ),
    ],
)
def test_bad_arguments_are_named(
    adder: Adder,
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    message: str,
) -> None:
    assert run(write(*RECORDS), tmp_path / "out.jsonl", *more) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize("seed", ["-1", "1.5", str(2**63), "x"])
def test_a_bad_seed_is_named(capsys: pytest.CaptureFixture[str], seed: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["search", "in.jsonl", "-o", "out.jsonl", f"--seed={seed}"])
    assert "argument --seed: must be a whole number from 0 to 2^63 - 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (("http://localhost:1/v1",), "--policy http://localhost:1/v1; add --policy-model NAME"),
        (("lab", "--policy-model", "m"), "got --policy lab; leave it out"),
        (("http://me:secret@host", "--policy-model", "m"), "url must hold no user name"),
        (("/nowhere/at-all",), "--policy /nowhere/at-all: "),
    ],
)
def test_a_policy_that_cannot_be_had_is_named(
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    policy: tuple[str, ...],
    message: str,
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    out = str(tmp_path / "out.jsonl")
    given = ["search", write(*RECORDS), "-o", out, "--strategy", "self_consistency"]
    assert main([*given, "--policy", *policy]) == 2
    assert message in capsys.readouterr().err


def test_a_strategy_of_two_scorers_is_for_python(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["search", write(*RECORDS), "-o", str(tmp_path / "out.jsonl"), "--model", "lab"]
    assert main([*given, "--strategy", "outcome_beam", "--policy", "/nowhere"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("stepscore search: error: --strategy: expected a strategy of one scorer")


def test_a_strategy_that_needs_a_scorer_says_so(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out.jsonl")
    # No model of that name can be loaded, and none is.
    given = ["search", write(*RECORDS), "-o", out, "--strategy", "beam", "--policy", "/nowhere"]
    assert main(given) == 2
    told = capsys.readouterr().err
    assert told.startswith("stepscore search: error: --model: expected a model")
    assert told.endswith("; pass --model\n")
    assert "type the same command" not in told
    assert not list(tmp_path.glob("out.jsonl*"))


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("3", "", "names of options with their values; got int"),
        ("- a\n- b\n", "", "names of options with their values; got list"),
        ("seed: 1\na: [", ":2", "YAML; got "),
        (b"\xff", "", "a file of YAML or JSON in UTF-8; got "),
        ("seed: 1\nseed: 2\n", "", "every field once; got 'seed' twice"),
        ("a: &a [1]\nset: [*a, *a]\n", ":2", "no aliases of YAML; got *a"),
    ],
)
def test_a_bad_config_is_named(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | bytes,
    line: str,
    message: str,
) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["search", "in.jsonl", f"--config={path}"]) == 2
    assert f"--config {path}{line}: expected {message}" in capsys.readouterr().err


def test_bad_records_stop_or_are_listed(
    adder: Adder, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(*RECORDS, {"id": 9}, {"id": "a", "problem": "1+2"}, '{"id"')
    assert run(source, tmp_path / "out.jsonl") == 2
    assert 'in.jsonl:4: id 9: expected the field "problem"' in capsys.readouterr().err
    skipped = tmp_path / "skipped.jsonl"
    more = ("--on-error", "skip", "--skipped", str(skipped))
    assert run(source, tmp_path / "out.jsonl", *more) == 0
    assert [line["id"] for line in read(skipped)] == [9, "a", None]
    assert len(read(tmp_path / "out.jsonl")) == 3
    more = (*more, "--overwrite", "--chunk-size", "1")  # the last of them come after all chunks
    assert run(source, tmp_path / "out.jsonl", *more) == 0
    assert [line["id"] for line in read(skipped)] == [9, "a", None]


def test_a_fault_costs_no_model_where_the_file_can_be_read_first(
    adder: Adder, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(*RECORDS, {"id": 9})
    assert run(source, tmp_path / "out.jsonl", "--chunk-size", "1") == 2
    assert "in.jsonl:4: id 9" in capsys.readouterr().err
    assert not adder.calls
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


class Pipe(io.TextIOWrapper):
    """Standard input that nobody can read twice."""

    def __init__(self, *records: Any) -> None:
        self.content = io.BytesIO("".join(json.dumps(line) + "\n" for line in records).encode())
        super().__init__(self.content)


def test_a_pipe_is_searched_as_it_comes(
    adder: Adder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = Pipe(*RECORDS)
    monkeypatch.setattr(sys, "stdin", pipe)
    places = []
    work = adder.write

    def note(*given: Any) -> Continuation:
        places.append(pipe.content.tell())
        return work(*given)

    adder.write = note  # type: ignore[method-assign]
    assert run("-", tmp_path / "out.jsonl", "--chunk-size", "1") == 0
    assert [line["id"] for line in read(tmp_path / "out.jsonl")] == ["a", 7, "c"]
    ends = np.cumsum([len(json.dumps(line)) + 1 for line in RECORDS]).tolist()
    assert sorted(set(places)) == ends


def test_a_tree_that_never_comes_leaves_no_output(
    adder: Adder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys, "stdin", Pipe(*RECORDS))
    out, page = tmp_path / "out.jsonl", tmp_path / "x.html"
    assert run("-", out, "--tree", f"nobody:{page}") == 2
    assert f"--tree nobody:{page}: expected the id of a record" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl.journal"]
    calls = list(adder.calls)
    monkeypatch.setattr(sys, "stdin", Pipe(*RECORDS))
    assert run("-", out) == 0  # what the models have said is not lost
    assert adder.calls == calls


def test_the_rule_is_read_with_its_parameters(adder: Adder, write: Write, tmp_path: Path) -> None:
    rule = "softmax_weighted:temperature=0.1"
    out = tmp_path / "out.jsonl"
    assert run(write(*RECORDS), out, "--rule", rule, "--set", "n=8") == 0
    for line, record in zip(read(out), RECORDS, strict=True):
        assert line["stepscore"]["provenance"]["rule"] == rule
        assert line["stepscore"]["answer"] == str(sum_of(str(record["problem"])))


def test_another_rule_never_takes_the_answers_of_an_earlier_run(
    adder: Adder, write: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    work = adder.write

    def stop(*given: Any) -> Continuation:
        if len(adder.calls) > 1:
            raise KeyboardInterrupt
        return work(*given)

    adder.write = stop  # type: ignore[method-assign]
    assert run(write(*RECORDS), out, "-q") == 130
    adder.write = work  # type: ignore[method-assign]
    adder.calls.clear()
    assert run(write(*RECORDS), out, "-q", "--rule", "borda") == 0
    assert len(adder.calls) == 2  # both steps, asked again


def test_parameters_are_read_by_the_signature() -> None:
    given = {"samples_of_mode": "4,2,1", "good": "1", "mode": "2"}
    assert parse_parameters("pats", given) == {
        "samples_of_mode": (4, 2, 1),
        "good": 1.0,
        "mode": 2,
    }
    assert parse_parameters("self_consistency", {"threshold": "none", "stop_rule": "x"}) == {
        "threshold": None,
        "stop_rule": "x",
    }
    assert parse_parameters("mcts", {"select": "uct", "c": "0.5", "unvisited": "first"}) == {
        "select": "uct",
        "c": 0.5,
        "unvisited": "first",
    }
    with pytest.raises(InputError, match="expected float"):
        parse_parameters("rebase", {"balance": "nan"})


def test_the_judge_knows_the_known_answers() -> None:
    from stepscore.records import Record

    records = [
        Record("f:1", "{}", 1, "1+1", [], "2"),
        Record("f:2", "{}", 2, "1+2", [], None),
    ]
    judge = judge_of(records)
    traces = [["We add.\n", "The answer is 2.0."], ["The answer is 3."], ["no"]]
    assert judge([ScoreRequest("1+1", steps, 1, 0) for steps in traces]) == [True, False, False]
    with pytest.raises(ValueError, match="id 2: expected a known answer"):
        judge([ScoreRequest("1+2", ["3"], 1, 0)])


def lab(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *sys.flags.no_site * ["-S"], "-m", "stepscore.cli", "search", *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def test_the_lab_from_the_shell_killed_and_taken_up_again(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from stepscore import lab as world

    problems = world.generate(30, seed=2, split="eval")
    source = tmp_path / "in.jsonl"
    source.write_text(
        "".join(
            json.dumps(
                {"id": n, "problem": problem, "answer": world.answer(world.true_solution(problem))}
            )
            + "\n"
            for n, problem in enumerate(problems)
        )
    )
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    rest = ("--policy", "lab", "--model", "lab", "--strategy", "beam", "--set", "n=8")
    rest = (*rest, "--chunk-size", "10")
    done = lab(str(source), "-o", str(whole), *rest)
    printed, complaints = done.communicate(timeout=240)
    assert done.returncode == 0, complaints
    assert float(printed.split("accuracy ")[1].split("%")[0]) > 80  # a single sample has about 55

    killed = lab(str(source), "-o", str(out), *rest)
    shard = tmp_path / "out.jsonl.shards" / "00000.chunks"
    deadline = time.monotonic() + 240  # of a machine that others use too
    try:
        while not (shard.is_file() and list(shards._chunks_in(shard))):
            assert time.monotonic() < deadline
            assert killed.poll() is None
            time.sleep(0.01)
    finally:
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
    assert not out.exists()
    again = lab(str(source), "-o", str(out), *rest)
    _, complaints = again.communicate(timeout=240)
    assert again.returncode == 0, complaints
    assert "goes on behind 10 problems (" in complaints or "goes on behind 20" in complaints
    first, second = read(whole), read(out)
    for line in (*first, *second):
        del line["stepscore"]["costs"]["seconds"]
    assert first == second


def test_finished_problems_are_kept_with_their_trees(
    adder: Adder, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out, page = write(*RECORDS), tmp_path / "out.jsonl", tmp_path / "a.html"
    arguments = ("--chunk-size", "1", "--set", "n=4")
    shown = (*arguments, "--tree", f"a:{page}")
    assert run(source, tmp_path / "whole.jsonl", *arguments) == 0
    table = capsys.readouterr().out
    calls = list(adder.calls)
    adder.calls.clear()

    def stop(request: ExpandRequest, seed: int) -> Continuation:
        if request.problem == "4+5":
            raise KeyboardInterrupt
        return Adder.write(adder, request, seed)

    adder.write = stop  # type: ignore[method-assign]
    assert run(source, out, *shown) == 130
    assert f"2 problems are kept in {out}.shards; type the same command" in capsys.readouterr().err
    assert not page.exists()
    del adder.write
    adder.calls.pop()
    assert run(source, out, *arguments, "--set", "m=2") == 2
    assert "job.parameters.m 2" in capsys.readouterr().err
    assert run(source, out, *shown) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("goes on behind 2 problems (")
    assert adder.calls == calls
    assert "PRM tokens" in page.read_text()
    whole, found = read(tmp_path / "whole.jsonl"), read(out)
    for line in (*whole, *found):
        del line["stepscore"]["costs"]["seconds"]
    assert found == whole
    assert printed.out.splitlines()[:3] == table.splitlines()[:3]
    assert {path.name for path in tmp_path.iterdir()} == {
        "in.jsonl", "out.jsonl", "whole.jsonl", "a.html"
    }  # fmt: skip


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_equal_parts_with_their_figures(
    parts: int, adder: Adder, write: Write, tmp_path: Path
) -> None:
    whole, figures = tmp_path / "whole.jsonl", tmp_path / "figures.json"
    command = ["search", write(*RECORDS), "--policy", "p", "--model", "m", "--strategy", "beam"]
    assert main([*command, "-o", str(whole), "--summary", str(figures)]) == 0
    of_all = json.loads(figures.read_text())
    assert (of_all["command"], of_all["output"], of_all["problems"]) == (
        "search", str(whole), 3
    )  # fmt: skip
    assert of_all["with_known_answer"] == 2
    assert of_all["problems_in_these_seconds"] == 3
    assert of_all["provenance"]["strategy"] == "beam"
    joined, problems = [], 0
    for part in range(1, parts + 1):
        out, figures = tmp_path / f"{part}.jsonl", tmp_path / f"{part}.json"
        more = ["-o", str(out), "--summary", str(figures), "--shard", f"{part}/{parts}"]
        assert main([*command, *more]) == 0
        joined += read(out)
        problems += json.loads(figures.read_text())["problems"]
    assert problems == 3
    expected = read(whole)
    for line in (*joined, *expected):
        del line["stepscore"]["costs"]["seconds"]
    assert joined == expected


def test_a_part_of_more_than_there_is(
    adder: Adder, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["search", write(*RECORDS), "--policy", "p", "--model", "m", "--strategy", "beam"]
    assert main([*command, "-o", str(tmp_path / "out.jsonl"), "--shard", "1/4"]) == 2
    assert "--shard: expected no more parts than records; got 4 parts of 3" in (
        capsys.readouterr().err
    )
    assert adder.calls == []


def test_no_retries_are_none(adder: Adder, write: Write, tmp_path: Path) -> None:
    adder.failing = {"1+1"}
    assert run(write(*RECORDS), tmp_path / "out.jsonl", "--retries", "0", "--set", "n=4") == 0
    assert len(adder.calls) == 2  # the first call is not repeated, not for that problem either
    with pytest.raises(SystemExit):
        run("in.jsonl", tmp_path / "out.jsonl", "--retries", "-1")


def test_a_search_needs_a_file_beside_which_its_journal_stands(
    adder: Adder, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write(*RECORDS), Path("/dev/stdout")) == 2
    assert "-o /dev/stdout: expected the name of a file" in capsys.readouterr().err
    assert adder.calls == []
