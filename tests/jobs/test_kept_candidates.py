"""A candidate that cannot be scored keeps its place, takes no part and is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import FakeModel, read

from stepscore.cli.main import main
from stepscore.ops.aggregate import AGGREGATIONS

Write = Callable[..., str]
CASE = [
    {"id": 1, "problem": "?", "candidates": ["a @0.2\nA: 18 @0.3", "b @0.5\nA: 19 @0.4"]},
    {"id": 2, "problem": "?", "candidates": ["a\nA: 41 @0.1", ""]},
    {
        "id": 3,
        "problem": "?",
        "candidates": [{"steps": []}, "A: 42 @0.6", {"steps": ["forbidden"]}],
    },
    {"id": 4, "problem": "?", "candidates": ["x" * 500, {"text": " \n", "answer": "7"}]},
    {"id": 5, "problem": "?", "candidates": ["A: 3 @0.5", {"steps": ["a", " "]}, "A: 3 @0.9"]},
]
ANSWERS = ["18", "41", "42", "7", "3"]
KEPT = {2: {1: "at least one step"}, 3: {0: "at least one step", 2: "forbidden"}}
KEPT |= {4: {0: "200 positions", 1: "at least one step"}, 5: {1: "a step with text"}}
RULES = ["majority", "weighted", "best_of_n", "borda", "softmax_weighted:temperature=.1"]


def case() -> list[dict[str, Any]]:
    return [
        {**record, "answer": answer, "candidates": list(record["candidates"])}
        for record, answer in zip(CASE, ANSWERS, strict=True)
    ]


def without_kept() -> list[dict[str, Any]]:
    records = case()
    for record in records:
        gone = KEPT.get(record["id"], {})
        record["candidates"] = [c for i, c in enumerate(record["candidates"]) if i not in gone]
    return [record for record in records if record["candidates"]]


def votes_by_answer(line: dict[str, Any]) -> dict[str, Any]:
    return {
        rule: {
            column: vote and {name: vote[name] for name in ("answer", "score", "tied", "margin")}
            for column, vote in by_column.items()
        }
        for rule, by_column in line["stepscore"]["votes"].items()
    }


@pytest.mark.parametrize("command", ["rerank", "score"])
@pytest.mark.parametrize("chunk_size", ["512", "1"])
def test_it_keeps_its_place_without_scores_and_has_no_part(
    command: str, chunk_size: str, fake: FakeModel, write: Write, tmp_path: Path, capsys: Any
) -> None:
    out, alone = tmp_path / "out.jsonl", tmp_path / "alone.jsonl"
    options = ["--model", "m", "--chunk-size", chunk_size]
    if command == "rerank":
        options += [word for rule in RULES for word in ("--rule", rule)]
    assert main([command, write(*case()), "-o", str(out), *options]) == 0
    printed = capsys.readouterr().out
    assert "6 candidates of 4 problems could not be scored and took no part; the first:" in printed
    assert "in.jsonl:2: candidates[1]: expected at least" in printed.replace("\n", " ")
    assert max(map(len, printed.splitlines())) <= 100
    source = write(*without_kept(), name="alone_in.jsonl")
    assert main([command, source, "-o", str(alone), *options, "-q"]) == 0
    others = {line["id"]: line for line in read(alone)}
    for line, record in zip(read(out), case(), strict=True):
        results = line.pop("stepscore") if command == "score" else line["stepscore"]
        candidates = results["candidates"]
        assert len(candidates) == len(record["candidates"])
        kept = KEPT.get(line["id"], {})
        for place, reason in kept.items():
            candidate = candidates[place]
            assert candidate["skipped"].startswith(f"candidates[{place}]")
            assert reason in candidate["skipped"]
            assert candidate["step_scores"] is None
            assert candidate["scores"] == dict.fromkeys(AGGREGATIONS)
            if command == "rerank":
                assert (candidate["rank"], candidate["answer"]) == (None, None)
                assert candidate["answer_class"] == -1
        rest = [c for place, c in enumerate(candidates) if place not in kept]
        if not rest:
            continue
        expected = others[line["id"]]
        assert rest == expected["stepscore"]["candidates"]
        if command == "rerank":
            assert votes_by_answer(line) == votes_by_answer(expected)
            for by_column in results["votes"].values():
                assert not {vote["winner"] for vote in by_column.values() if vote} & set(kept)


def test_a_problem_of_which_nothing_is_left_has_no_winner(
    fake: FakeModel, write: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["rerank", write(*case()), "-o", str(out), "--model", "m"]) == 0
    votes = read(out)[3]["stepscore"]["votes"]
    assert {vote for rule in votes.values() for vote in map(str, rule.values())} == {"None"}
    assert main(["rerank", write(case()[3]), "-o", str(out), "--model", "m", "--overwrite"]) == 0
    assert main(["vote", str(out), "-q"]) == 0


def test_a_vote_on_what_was_written_gives_the_same(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: Any
) -> None:
    out, scored, again, third = (tmp_path / f"{n}.jsonl" for n in range(4))
    assert main(["rerank", write(*case()), "-o", str(out), "--model", "m", "--how", "min"]) == 0
    first = capsys.readouterr().out
    assert main(["score", write(*case()), "-o", str(scored), "--model", "m", "-q"]) == 0
    assert main(["vote", str(scored), "-o", str(again), "--how", "min"]) == 0
    assert capsys.readouterr().out.replace("1.jsonl", "in.jsonl") == first
    assert main(["vote", str(again), "-o", str(third), "--how", "min"]) == 0
    for one, two, three in zip(read(out), read(again), read(third), strict=True):
        assert one["stepscore"]["candidates"] == two["stepscore"]["candidates"]
        assert one["stepscore"]["votes"] == two["stepscore"]["votes"] == three["stepscore"]["votes"]
        assert two["stepscore"]["candidates"] == three["stepscore"]["candidates"]


@pytest.mark.parametrize("empty", [None, {"text": None}, {"text": ""}, {"text": None, "steps": []}])
def test_a_generation_that_failed_is_empty(
    empty: Any, fake: FakeModel, write: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    record = {"id": 1, "problem": "?", "candidates": [empty, "A: 1"]}
    assert main(["rerank", write(record), "-o", str(out), "--model", "m"]) == 0
    failed, good = read(out)[0]["stepscore"]["candidates"]
    assert "at least one step" in failed["skipped"]
    assert (failed["rank"], good["rank"]) == (None, 1)


def test_a_problem_is_explained_with_it(fake: FakeModel, write: Write, capsys: Any) -> None:
    assert main(["rerank", write(*case()), "--model", "m", "--explain", "3"]) == 0
    shown = capsys.readouterr().out
    assert "42" in shown
    error = ["--on-bad-candidate", "error"]
    assert main(["rerank", write(*case()), "--model", "m", "--explain", "3", *error]) == 2
    assert "candidates[0]: expected at least one step" in capsys.readouterr().err


def test_error_makes_it_the_fault_of_its_record(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "out.jsonl"
    arguments = ["rerank", write(*case()), "-o", str(out), "--model", "m"]
    assert main([*arguments, "--on-bad-candidate", "error"]) == 2
    assert "in.jsonl:2: id 2: candidates[1]: expected at least one" in capsys.readouterr().err
    skip = ["--on-bad-candidate", "error", "--on-error", "skip"]
    assert main([*arguments, *skip]) == 0
    assert [line["id"] for line in read(out)] == [1]


def test_a_score_that_is_no_number_is_the_fault_of_its_record(
    fake: FakeModel, write: Write, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "out.jsonl"
    records = [{"id": n, "problem": "?", "candidates": [f"A: {n}", "A: 2"]} for n in range(6)]
    records[4]["candidates"][1] = "A: 9 @nan"
    records[2]["candidates"][0] = "b @inf\nA: 9"
    arguments = ["score", write(*records), "-o", str(out), "--model", "m"]
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert "in.jsonl:3: id 2: expected a finite score for every step; got NaN" in message
    assert "pass --dtype bfloat16 or --dtype float32" in message
    fake.calls.clear()
    assert main([*arguments, "--on-error", "skip"]) == 0
    assert [line["id"] for line in read(out)] == [0, 1, 3, 5]
    assert fake.calls == [12, 8], "the others are scored once more, and no more than that"


@pytest.mark.parametrize("special_tokens", ["strip_end", "error"])
def test_what_ends_a_candidate_is_removed_before_its_answer_is_read(
    special_tokens: str, write: Write, tmp_path: Path, capsys: Any
) -> None:
    pytest.importorskip("torch")
    out, plain = tmp_path / "out.jsonl", tmp_path / "plain.jsonl"
    steps = ["85+95=180", "180-16=164"]
    texts = ["85+95=180\n180-16=164", "85+95=180\n180-16=154"]
    problem = {"id": 1, "problem": "85+95-16=?", "answer": "164"}
    ended = [
        texts[0] + "<eos>",
        texts[1] + "\n<eos>\n<pad><pad>",
        {"steps": [*steps[:1], "180-16=164<eos>"]},
    ]
    options = ["--model", "lab", "--how", "min"]
    source = write({**problem, "candidates": [*texts, {"steps": steps}]}, name="plain_in.jsonl")
    assert main(["rerank", source, "-o", str(plain), *options]) == 0
    capsys.readouterr()
    given = [*options, "--special-tokens", special_tokens]
    assert main(["rerank", write({**problem, "candidates": ended}), "-o", str(out), *given]) == 0
    printed = capsys.readouterr().out
    found, expected = (read(path)[0]["stepscore"]["candidates"] for path in (out, plain))
    if special_tokens == "error":
        assert "3 candidates of 1 problem could not be scored" in printed
        assert "pass --special-tokens strip_end" in found[0]["skipped"]
        return
    assert "were removed at the end of 3 candidates." in printed
    assert found[2].pop("steps") == steps
    assert found == expected
    assert [c["answer"] for c in found] == ["164", "154", "164"]
    assert np.isfinite(list(found[0]["scores"].values())).all()
