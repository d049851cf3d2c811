"""A live demonstration: the built-in policy solves held-out problems, the built-in PRM judges."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from stepscore.files import WholeFile
from stepscore.jobs.model_scores import score_with_model
from stepscore.jobs.scored import ScoredRecords
from stepscore.jobs.skips import raise_fault
from stepscore.jobs.votes import VotedRecords, vote_on
from stepscore.lab import tasks
from stepscore.records import Candidate, Record
from stepscore.report.summary import Summary
from stepscore.voting.columns import UNSTATED_AGGREGATION

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
    scored: ScoredRecords
    voted: VotedRecords
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
        _record(index, problem, tries)
        for index, (problem, tries) in enumerate(zip(texts, solutions, strict=True))
    ]
    # A sample that ended at once has no step to score.
    kept = [record for record in records if record.candidates]
    (scored,) = score_with_model(kept, model, "error", raise_fault)
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
    scores, voted = demo.scored.scores, demo.voted
    summary = Summary(scores.columns)
    summary.add(scores, voted.answers, voted.elections, voted.grades)
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
    answers = demo.voted.answers.texts
    winners = _winners(demo)
    column = demo.scored.scores.columns.index(UNSTATED_AGGREGATION)
    best, most = 0, 0
    for problem, record in enumerate(demo.records):
        majority, weighted = winners[problem]
        if majority < 0 or weighted < 0:
            continue
        misled = answers[majority] != record.answer
        rescued = answers[weighted] == record.answer
        votes = int(demo.voted.elections.score[problem, 0, column, -1])
        if misled and rescued and votes > most:
            best, most = problem, votes
    return best


def _winners(demo: Demo) -> list[tuple[int, int]]:
    """The candidates that majority and the PRM's weighted vote choose, of each problem."""
    column = demo.scored.scores.columns.index(UNSTATED_AGGREGATION)
    # The first two of the default rules.
    winners: list[tuple[int, int]] = demo.voted.elections.winner[:, :2, column, -1].tolist()
    return winners


def _show_problem(demo: Demo, problem: int) -> list[str]:
    record, texts = demo.records[problem], demo.voted.answers.texts
    begin, end = demo.scored.scores.offsets[problem : problem + 2].tolist()
    totals = demo.scored.scores.by(UNSTATED_AGGREGATION)
    counts = Counter(texts[begin:end])
    majority, weighted = _winners(demo)[problem]
    lines = [f"One problem in detail:  {record.problem}   (the right answer is {record.answer})"]
    shown: set[str | None] = set()
    for who, winner in (("The majority says", majority), ("The PRM's vote says", weighted)):
        answer = texts[winner]
        if winner < 0 or answer in shown:
            continue
        shown.add(answer)
        # Of the candidates with that answer, the one that the PRM likes best.
        places = [place for place in range(begin, end) if texts[place] == answer]
        best = places[int(np.argmax(totals[places]))]
        verdict = "right" if answer == record.answer else "wrong"
        lines += [
            "",
            f"  {who} {answer} ({counts[answer]} of {end - begin} samples), which is {verdict}:",
            *_show_steps(demo, record, best),
        ]
    return lines


def _show_steps(demo: Demo, record: Record, candidate: int) -> list[str]:
    steps = demo.scored.split.get(candidate, [])
    begin, end = demo.scored.scores.step_offsets[candidate : candidate + 2].tolist()
    sound = tasks.check_steps(record.problem or "", steps)
    wrong = sound.index(False) if False in sound else -1
    width = max(map(len, ["step", *steps])) + 3
    lines = [f"    {'step':<{width}}score"]
    for number, (step, score) in enumerate(
        zip(steps, demo.scored.scores.values[begin:end].tolist(), strict=True)
    ):
        bar = ("#" * round(score * _BAR_WIDTH)).ljust(_BAR_WIDTH, ".")
        mark = "   <- the first error" if number == wrong else ""
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
