from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import FakeModel, read
from page_blocks import ROOT, assert_shown

import stepscore
from stepscore.cli.main import main
from stepscore.jobs.demo import choose_problem, draw, run_demo, show
from stepscore.lab import tasks


class ForgetfulPolicy:
    """Of every four samples one is right, two write the same wrong result, one is empty."""

    def sample(self, problems: list[str], n: int, *, seed: int) -> list[list[str]]:
        return [[self._solve(problem, index % 4) for index in range(n)] for problem in problems]

    def _solve(self, problem: str, kind: int) -> str:
        if kind == 3:
            return ""
        steps = tasks.true_steps(problem)
        if kind > 0:
            head, _, result = steps[-1].rpartition("=")
            steps[-1] = f"{head}={int(result) + 10}"
        return tasks.join_steps(steps)


@dataclass(frozen=True)
class Checker(FakeModel):
    """Scores a step by checking it."""

    def score(self, problems: list[str], solutions: list[Any], **options: Any) -> Any:
        scores = super().score(problems, solutions, **options)
        labels = [
            label
            for problem, solution in zip(problems, solutions, strict=True)
            for label in tasks.check_steps(problem, self.reader.steps_of(solution)[0])
        ]
        scores.values[:] = np.where(labels, 0.9, 0.02)
        return scores


def test_the_demo_shows_a_misled_majority() -> None:
    demo = run_demo(ForgetfulPolicy(), Checker(), problems=6, samples=8, seed=0)
    assert demo.scored.scores.offsets[-1] == 6 * 6  # without the empty samples
    shown = show(demo)
    record = demo.records[choose_problem(demo)]
    truth = int(record.answer or "")
    text = "\n".join(shown)
    assert f"the right answer is {truth})" in text
    assert f"The majority says {truth + 10} (4 of 6 samples), which is wrong:" in text
    assert f"The PRM's vote says {truth} (2 of 6 samples), which is right:" in text
    assert "0.020 ....................   <- the first error" in text
    assert "0.900 ##################.." in text
    assert "  majority                   0.0" in text
    assert max(map(len, shown)) <= 100


def test_the_demo_without_a_misled_majority_still_shows_one() -> None:
    class Perfect:
        def sample(self, problems: list[str], n: int, *, seed: int) -> list[list[str]]:
            return [[tasks.true_solution(problem)] * n for problem in problems]

    text = "\n".join(show(run_demo(Perfect(), Checker(), problems=2, samples=2, seed=0)))
    assert "(2 of 2 samples), which is right:" in text
    assert "<- the first error" not in text


def test_a_problem_that_goes_wrong_in_the_middle_is_shown_first() -> None:
    class Slipping(ForgetfulPolicy):
        """The second problem's wrong samples err in the middle, and there are fewer of them."""

        def sample(self, problems: list[str], n: int, *, seed: int) -> list[list[str]]:
            texts = super().sample(problems, n, seed=seed)
            steps = tasks.true_steps(problems[1])
            steps[2:] = [step.rpartition("=")[0] + "=7" for step in steps[2:]]
            right = tasks.true_solution(problems[1])
            texts[1] = [tasks.join_steps(steps)] * (n // 2 + 1) + [right] * (n // 2 - 1)
            texts[2] = [text or texts[2][1] for text in texts[2]]  # more are misled
            return texts

    demo = run_demo(Slipping(), Checker(), problems=3, samples=8, seed=0)
    assert choose_problem(demo) == 1


def test_the_picture_of_the_demo() -> None:
    demo = run_demo(ForgetfulPolicy(), Checker(), problems=6, samples=8, seed=0)
    record = demo.records[choose_problem(demo)]
    truth = int(record.answer or "")
    picture = draw(demo)
    assert f">{truth + 10}</text>" in picture
    assert "4 votes, scores add up to 0.08" in picture
    assert "2 votes, scores add up to 1.80" in picture
    assert f"The PRM&#x27;s vote says {truth}<" in picture
    assert "Over 6 such problems the majority is right in 0.0 %, the PRM&#x27;s vote in" in picture


def test_the_picture_in_the_documentation_is_that_of_the_demo(tmp_path: Path) -> None:
    pytest.importorskip("stepscore.lab.policy")
    drawn = tmp_path / "demo.svg"
    assert main(["demo", "--picture", str(drawn)]) == 0
    assert_shown((ROOT / "docs" / "demo.svg").read_text(), drawn.read_text(), "docs/demo.svg")


def test_demo_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = pytest.importorskip("stepscore.lab.policy")
    monkeypatch.setattr(policy, "load_policy", ForgetfulPolicy)
    monkeypatch.setitem(stepscore.__dict__, "load", lambda name, **options: Checker())
    saved, out = tmp_path / "lab.jsonl", tmp_path / "out.jsonl"
    arguments = ["demo", "--problems", "5", "--samples", "4", "--save", str(saved)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "What to type next:" in printed
    assert f"stepscore rerank {saved} -o" in printed
    assert len(read(saved)) == 5
    assert main(["rerank", str(saved), "-o", str(out), "--model", "lab"]) == 0
    table = capsys.readouterr().out
    assert table in printed
    picture = tmp_path / "demo.svg"
    assert main([*arguments[:-2], "--picture", str(picture)]) == 0
    assert picture.read_text().startswith("<svg ")
    assert main([*arguments[:-2], "--picture", str(picture)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_the_lab_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = pytest.importorskip("stepscore.lab.policy")
    if not (policy.SHIPPED / "model.safetensors").is_file():
        pytest.skip(f"the lab's weights are not in {policy.SHIPPED}")
    saved, out = tmp_path / "lab.jsonl", tmp_path / "out.jsonl"
    arguments = ["demo", "--problems", "20", "--samples", "8", "--save", str(saved)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "One problem in detail:" in printed
    assert main(["rerank", str(saved), "-o", str(out), "--model", "lab"]) == 0
    table = capsys.readouterr().out
    assert table in printed
    for line in read(out):
        for text, candidate in zip(
            line["candidates"], line["stepscore"]["candidates"], strict=True
        ):
            assert candidate["steps"] == tasks.split_steps(text["text"])
            assert len(candidate["step_scores"]) == len(candidate["steps"])
            assert all(0 <= score <= 1 for score in candidate["step_scores"])
            assert candidate["answer"] == tasks.answer(text["text"])
        assert line["stepscore"]["provenance"]["model"] == "lab"
