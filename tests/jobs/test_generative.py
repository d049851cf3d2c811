"""A generative PRM in the jobs over files: what it cannot judge is kept, counted and explained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("torch")

from fake_model import read

from stepscore.errors import InputError
from stepscore.jobs.files import Files
from stepscore.jobs.provenance import describe
from stepscore.jobs.run import rerank_file, score_file
from stepscore.jobs.search import Models, SearchPlan, search_file
from stepscore.policies.requests import Continuation, ExpandRequest
from stepscore.policies.texts import GeneratedText, TextRequest, Token
from stepscore.scoring import verdicts
from stepscore.search.scorers import PrmScorer

RECORD = {
    "id": "p1",
    "problem": "What is 6 * 7?",
    "candidates": [
        "6 * 7 is 42\n\nThe answer is 42.",
        {"steps": ["6 * 7 is 40", "The answer is 40."]},
        {"steps": ["A riddle", "The answer is 42."]},
    ],
    "answer": "42",
}


@dataclass
class Judge:
    """Likes what does not say 40, and says nothing about riddles."""

    name: str = "judge"
    down: bool = False
    asked: list[TextRequest] = field(default_factory=list)

    def generate(self, requests: Sequence[TextRequest]) -> list[GeneratedText | Exception]:
        self.asked += requests
        return [self._answer(str(request.prompt)) for request in requests]

    def check_logprobs(self, count: int, prompt: object) -> None:
        pass

    def _answer(self, prompt: str) -> GeneratedText | Exception:
        if self.down:
            return RuntimeError("the judge is down")
        if "riddle" in prompt:
            return GeneratedText("Hm, let me", truncated=True, token_count=3)
        yes = 0.25 if "40" in prompt else 0.75
        top = (("Yes", math.log(yes)), ("No", math.log(1 - yes)))
        tokens = (Token("\\boxed{", -0.1), Token("Yes", math.log(yes), top), Token("}", -0.1))
        return GeneratedText("\\boxed{Yes}", False, None, tokens, 3)


def model(policy: Judge) -> verdicts.GenerativeRewardModel:
    return verdicts.prompted(policy, prompt="{problem}|{step}")


def test_files_are_scored_and_ranked(write: Callable[..., str], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    report = rerank_file(
        Files(write(RECORD), str(out)), lambda: model(Judge()), how="min", version="0"
    )
    [line] = read(out)
    result = line["stepscore"]
    assert [c["step_scores"] for c in result["candidates"]] == [
        [0.75, 0.75],
        [0.25, 0.25],
        None,
    ]
    assert "finish_reason length" in result["candidates"][2]["skipped"]
    assert result["votes"]["weighted"]["min"]["answer"] == "42"
    assert report.count == 3


def test_a_whole_solution_is_one_step_of_a_file(write: Callable[..., str], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    policy = Judge()
    prm = verdicts.likert(
        policy, prompt="{problem} {step}", scale=(0, 1), pattern=r"\\boxed\{(.*)\}", by="text"
    )
    with pytest.raises(InputError):  # a Yes is none of the grades
        prm.score("p", ["a"])
    assert prm.reader.steps_of("a\n\nb")[0] == ["a\n\nb"]
    kept = score_file(Files(write(RECORD), str(out)), lambda: prm, version="0")
    assert kept.count == 3


def test_a_missing_verdict_is_the_fault_of_its_record_with_its_own_reason(
    write: Callable[..., str], tmp_path: Path
) -> None:
    fine = {**RECORD, "id": "p0", "candidates": RECORD["candidates"][:2]}
    files = Files(write(fine, RECORD), str(tmp_path / "out.jsonl"))
    with pytest.raises(InputError) as raised:
        score_file(files, lambda: model(Judge()), on_bad="error", version="0")
    message = str(raised.value)
    assert 'id "p1"' in message
    assert "step 0 of candidate 2" in message
    assert "cut off at 3 tokens (finish_reason length)" in message
    assert "overflow" not in message
    assert "on_bad='keep'" in message


@dataclass
class Steps:
    """Continues by a step, and is interrupted at a call."""

    interrupted_at: int | None = None
    calls: int = 0

    def __call__(self, requests: Sequence[ExpandRequest]) -> list[list[Continuation]]:
        self.calls += 1
        if self.calls == self.interrupted_at:
            raise KeyboardInterrupt
        return [
            [Continuation(f"{len(r.steps)}\n", 1, -0.1, len(r.steps) == 2) for _ in r.seeds]
            for r in requests
        ]


def test_a_search_goes_on_with_the_same_judge_and_with_no_other(
    write: Callable[..., str], tmp_path: Path
) -> None:
    source, out = write({"id": 1, "problem": "p"}), str(tmp_path / "out.jsonl")

    def run(words: tuple[str, str], at: int | None = None) -> tuple[int, int]:
        judge, steps = Judge(), Steps(at)
        prm = verdicts.prompted(judge, prompt="{problem}|{step}", words=words)
        models = Models(steps, PrmScorer(prm), {"prm": describe(prm, "0")})
        plan = SearchPlan("beam", {"n": "4"})
        with suppress(KeyboardInterrupt):
            search_file(Files(source, out, overwrite=True), plan, lambda: models, version="0")
        return steps.calls, len(judge.asked)

    run(("Yes", "No"), at=3)
    assert (tmp_path / "out.jsonl.journal").exists()
    # The opposite judge finds nothing of its own, and asks for all.
    assert run(("No", "Yes"), at=3)[1] > 0
    resumed = run(("Yes", "No"))
    assert resumed[0] == 1
    told = read(Path(out))[0]["stepscore"]["provenance"]["prm"]["recipe"]
    assert told["words"] == "('Yes', 'No')"
    assert len(told["judge"]) == 16


def test_a_judge_that_is_down_stops_the_file(write: Callable[..., str], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(InputError, match="the judge is down"):
        score_file(Files(write(RECORD), str(out)), lambda: model(Judge(down=True)), version="0")
    assert not out.exists()
