"""A live demonstration: the built-in policy solves held-out problems, the built-in PRM judges."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from stepscore.files.jsonl import WholeFile
from stepscore.jobs.step_scores import Scored, score_with_model
from stepscore.lab import tasks
from stepscore.records.records import Candidate, Record, RecordError
from stepscore.report.summary import Summary
from stepscore.voting.columns import UNSTATED_AGGREGATION
from stepscore.voting.votes import Voted, vote_on

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

_BAR_WIDTH = 20


class Policy(Protocol):
    """Samples solutions of problems."""

    def sample(self, problems: list[str], n: int, *, seed: int) -> list[list[str]]:
        """Give n solutions of every problem."""
        ...


@dataclass(frozen=True)
class Demo:
    """What one run of the demonstration found.

    Attributes:
        records: problems, samples and true answers.
        scored: the samples' step scores.
        voted: answers and winners.
        sampling_seconds: how long the policy took.
        scoring_seconds: how long the PRM took.
    """

    records: list[Record]
    scored: Scored
    voted: Voted
    sampling_seconds: float
    scoring_seconds: float


def run_demo(
    policy: Policy, model: ProcessRewardModel, *, problems: int, samples: int, seed: int
) -> Demo:
    """Sample, score and vote on held-out problems.

    Args:
        policy: solves them.
        model: scores every step.
        problems: how many.
        samples: solutions per problem.
        seed: of the problems and the samples.
    """
    texts = tasks.generate(problems, seed=seed, split="eval")
    started = time.monotonic()
    solutions = policy.sample(texts, samples, seed=seed)
    sampled = time.monotonic()
    records = [
        _record(index, problem, own)
        for index, (problem, own) in enumerate(zip(texts, solutions, strict=True))
    ]
    # A sample that ended at once has no step to score.
    kept = [record for record in records if record.candidates]
    (scored,) = score_with_model(kept, model, "error", _raise)
    finished = time.monotonic()
    return Demo(kept, scored, vote_on(scored), sampled - started, finished - sampled)


def save(demo: Demo, file: WholeFile) -> None:
    """Write the samples as an input of ``stepscore rerank``."""
    with file as out:
        for record in demo.records:
            line = {
                "id": record.id,
                "problem": record.problem,
                "candidates": [{"text": candidate.text} for candidate in record.candidates],
                "answer": record.answer,
            }
            out.write(json.dumps(line) + "\n")


def show(demo: Demo) -> list[str]:
    """Tell a newcomer what happened: one problem in detail, then the table."""
    summary = Summary(demo.scored.columns)
    summary.add(demo.scored, demo.voted)
    return [
        f"The built-in policy has tried {len(demo.records):,} held-out problems, "
        f"{summary.counts.each} times each ({demo.sampling_seconds:.1f} s).",
        f"The built-in PRM has scored every step of every try ({demo.scoring_seconds:.1f} s).",
        "",
        *_show_problem(demo, choose_problem(demo)),
        "",
        *summary.lines(),
    ]


def choose_problem(demo: Demo) -> int:
    """Choose the problem that shows most: the majority is wrong, the PRM's vote is right.

    Among those, the one in which most samples are misled. Where there is none, the first.
    """
    column = demo.scored.columns.index(UNSTATED_AGGREGATION)
    best, most = 0, 0
    for problem, record in enumerate(demo.records):
        majority, weighted = demo.voted.winner[problem, :2, column]
        if majority < 0 or weighted < 0:
            continue
        misled = demo.voted.answers[majority] != record.answer
        rescued = demo.voted.answers[weighted] == record.answer
        votes = int(demo.voted.score[problem, 0, column])  # majority is the first default rule
        if misled and rescued and votes > most:
            best, most = problem, votes
    return best


def _show_problem(demo: Demo, problem: int) -> list[str]:
    record = demo.records[problem]
    begin, end = demo.scored.offsets[problem : problem + 2].tolist()
    column = demo.scored.columns.index(UNSTATED_AGGREGATION)
    answers = Counter(demo.voted.answers[begin:end])
    majority, weighted = demo.voted.winner[problem, :2, column].tolist()
    lines = [f"One problem in detail:  {record.problem}   (the right answer is {record.answer})"]
    shown: set[str | None] = set()
    for who, winner in (("The majority says", majority), ("The PRM's vote says", weighted)):
        answer = demo.voted.answers[winner]
        if winner < 0 or answer in shown:
            continue
        shown.add(answer)
        # Of the candidates with that answer, the one that the PRM likes best.
        own = [place for place in range(begin, end) if demo.voted.answers[place] == answer]
        best = own[int(np.argmax(demo.scored.totals[own, column]))]
        verdict = "right" if answer == record.answer else "wrong"
        lines += [
            "",
            f"  {who} {answer} ({answers[answer]} of {end - begin} samples), which is {verdict}:",
            *_show_steps(demo, record, best),
        ]
    return lines


def _show_steps(demo: Demo, record: Record, candidate: int) -> list[str]:
    steps = demo.scored.split[candidate] or []
    sound = tasks.check_steps(record.problem or "", steps)
    first_error = sound.index(False) if False in sound else -1
    width = max(map(len, ["step", *steps])) + 3
    lines = [f"    {'step':<{width}}score"]
    for number, (step, score) in enumerate(
        zip(steps, demo.scored.step_scores[candidate] or [], strict=True)
    ):
        bar = ("#" * round(score * _BAR_WIDTH)).ljust(_BAR_WIDTH, ".")
        mark = "   <- the first error" if number == first_error else ""
        lines.append(f"    {step:<{width}}{score:.3f} {bar}{mark}")
    return lines


def _record(index: int, problem: str, solutions: list[str]) -> Record:
    return Record(
        place=f"problem {index}",
        line="{}",
        id=f"lab-{index}",
        problem=problem,
        candidates=[Candidate(text=text) for text in solutions if tasks.split_steps(text)],
        answer=tasks.answer(tasks.true_solution(problem)),
    )


def _raise(error: RecordError) -> None:
    raise error
