"""Candidates of a file compared two by two: scores, ranks and votes, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_model import read

from stepscore.errors import InputError
from stepscore.jobs.files import Files
from stepscore.jobs.run import judge_file, vote_file
from stepscore.policies.texts import GeneratedText, TextRequest
from stepscore.scoring.pairs import PairwiseJudge, pair_verifier

Write = Callable[..., str]
FAMILY = pair_verifier(
    "table", prompt="{problem}|{first}|{second}", verdict="<(.)>", points={"1": 1, "2": 0}
)


class Longer:
    """Prefers the longer one; says nothing of one that holds "mute", fails at "crash"."""

    name = "longer"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def generate(self, requests: Sequence[TextRequest]) -> list[GeneratedText | Exception]:
        self.calls.append(len(requests))
        return [self.answer(request) for request in requests]

    def answer(self, request: TextRequest) -> GeneratedText:
        _, first, second = request.prompt[-1].content.split("|")  # type: ignore[union-attr]
        if "crash" in first + second:
            raise RuntimeError("out of memory")
        if "mute" in first + second:
            return GeneratedText("...")
        return GeneratedText("<1>" if len(first) > len(second) else "<2>")

    def check_logprobs(self, count: int, prompt: Any) -> None:
        raise AssertionError("not needed")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(*records: dict[str, Any]) -> str:
        path = tmp_path / "in.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return str(path)

    return to_file


def judged(source: str, out: Path, policy: Any = None, **options: Any) -> Any:
    files = {name: options.pop(name) for name in ("on_error", "chunk_size") if name in options}
    return judge_file(
        Files(source, str(out), overwrite=True, **files),
        lambda: PairwiseJudge(policy or Longer(), FAMILY, **options),
        version="9",
    )


RECORDS = [
    {
        "id": "a",
        "problem": "p",
        "candidates": ["The answer is 7.", {"steps": ["So it is:", "The answer is 8."]}, "is 7"],
        "answer": "8",
    },
    {"id": "b", "problem": "q", "candidates": ["The answer is 3."], "answer": "3"},
]


def test_scores_ranks_and_votes_are_written(write: Write, tmp_path: Path) -> None:
    out, policy = tmp_path / "out.jsonl", Longer()
    report = judged(write(*RECORDS), out, policy)
    assert policy.calls == [6]  # all problems in one batch; one alone meets nobody
    first, second = read(out)
    results = first["stepscore"]["candidates"]
    assert [result["scores"] for result in results] == [{"score": 0.5}, {"score": 1}, {"score": 0}]
    assert [result["rank"] for result in results] == [2, 1, 3]
    assert first["stepscore"]["votes"]["best_of_n"]["score"]["winner"] == 1
    assert first["stepscore"]["votes"]["majority"]["score"]["answer"] == "7"
    assert second["stepscore"]["candidates"][0]["scores"] == {"score": 0.5}
    assert second["stepscore"]["votes"]["best_of_n"]["score"]["answer"] == "3"
    provenance = first["stepscore"]["provenance"]
    assert provenance["model"] == "longer"
    assert provenance["judge"]["name"] == "table"
    assert provenance["judge"]["how"] == "win_rate"
    assert provenance["judge"]["prompt"] == FAMILY.fingerprint
    assert provenance["how"] == "score"
    assert "3 matches by 6 verdicts." in report.table


def test_a_later_vote_reads_the_scores_of_a_judge(write: Write, tmp_path: Path) -> None:
    """Also where candidates carry older ones, where one has none, and where a vote came between."""
    out, again, third = (tmp_path / f"{n}.jsonl" for n in range(3))
    own = {
        **RECORDS[0],
        "id": "c",
        "candidates": [
            {"text": "The answer is 7.", "score": 9},
            {"text": "mute, The answer is 8.", "score": 8},
            {"text": "is 7", "score": 7},
        ],
    }
    judged(write(own, *RECORDS), out)
    vote_file(Files(str(out), str(again)), version="9")
    vote_file(Files(str(again), str(third)), version="9")
    for first, second, last in zip(read(out), read(again), read(third), strict=True):
        votes = first["stepscore"]["votes"]
        assert second["stepscore"]["votes"] == last["stepscore"]["votes"] == votes
        scores, later = ([c["scores"] for c in line["stepscore"]["candidates"]] for line in (
            first, last,
        ))  # fmt: skip
        assert scores == later
        assert last["stepscore"]["provenance"]["scored_by"] == first["stepscore"]["provenance"]


def test_a_candidate_of_whom_nothing_was_decided_takes_no_part(
    write: Write, tmp_path: Path
) -> None:
    record = {**RECORDS[0], "candidates": ["The answer is 7.", "mute, The answer is 8, it is", "1"]}
    out = tmp_path / "out.jsonl"
    report = judged(write(record), out)
    (line,) = read(out)
    results = line["stepscore"]["candidates"]
    assert results[1]["scores"] == {"score": None}
    assert results[1]["rank"] is None
    assert "no match with it was decided: expected a text with" in results[1]["skipped"]
    assert [result["scores"]["score"] for result in (results[0], results[2])] == [1, 0]
    assert line["stepscore"]["votes"]["best_of_n"]["score"]["winner"] == 0
    told = " ".join(report.table)
    assert "4 verdicts did not come, which leaves 2 matches undecided" in told
    assert "in.jsonl:1" in told
    assert all(len(text) <= 100 for text in report.table)


def test_a_problem_without_any_verdict_stops_nobody_else(write: Write, tmp_path: Path) -> None:
    mute = {"id": "c", "problem": "r", "candidates": ["mute 1", "mute 2"], "answer": "1"}
    out = tmp_path / "out.jsonl"
    judged(write(mute, *RECORDS), out)
    first, second, _ = read(out)
    assert all("skipped" in result for result in first["stepscore"]["candidates"])
    assert first["stepscore"]["votes"]["majority"]["score"] is None
    assert second["stepscore"]["candidates"][1]["rank"] == 1


@pytest.mark.parametrize("how", ["knockout", "elo"])
def test_chunks_do_not_move_a_score(write: Write, tmp_path: Path, how: str) -> None:
    records = [
        {"id": n, "problem": f"p{n}", "candidates": ["x" * (1 + (m * 3 + n) % 5) for m in range(5)]}
        for n in range(6)
    ]
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    judged(write(*records), whole, how=how)
    judged(write(*records), parts, how=how, chunk_size=1)
    assert whole.read_text() == parts.read_text()


def test_a_record_that_cannot_be_shown_is_the_fault_of_its_line(
    write: Write, tmp_path: Path
) -> None:
    out, policy = tmp_path / "out.jsonl", Longer()
    bad = {"id": "d", "problem": "r", "candidates": ["fine", " \n"], "answer": "1"}
    with pytest.raises(InputError, match=r"in.jsonl:2: .*candidates\[1\].*with a text"):
        judged(write(RECORDS[0], bad), out, policy)
    assert not policy.calls
    assert not out.exists()
    report = judged(write(RECORDS[0], bad), out, policy, on_error="skip")
    assert len(read(out)) == 1
    assert "skipped 1 record:" in report.skipped
    with pytest.raises(InputError, match=r"in.jsonl:1: .*at least 2 matches.*got 1"):
        judged(write(RECORDS[0]), out, budget=1)


def test_a_policy_that_fails_leaves_no_output(write: Write, tmp_path: Path) -> None:
    crash = {**RECORDS[0], "candidates": ["crash 1", "crash 2"]}
    out = tmp_path / "out.jsonl"
    with pytest.raises(InputError, match=r"the model to compare the records from here.*memory"):
        judged(write(crash), out)
    assert not out.exists()
