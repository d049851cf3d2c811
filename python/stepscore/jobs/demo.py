"""A live demonstration: the built-in policy solves held-out problems, the built-in PRM judges."""

from __future__ import annotations

import json
import time
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
from stepscore.report.table import counted
from stepscore.report.votes_svg import ChosenAnswer, SampledAnswer, votes_svg
from stepscore.voting.columns import UNSTATED_AGGREGATION

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

_BAR_WIDTH = 20
_VOTERS = "The majority", "The PRM's vote"


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
    summary = _summary(demo)
    return [
        f"The built-in policy has tried {len(demo.records):,} held-out problems, "
        f"{summary.counts.each} times each ({demo.sampling_seconds:.1f} s).",
        f"The built-in PRM has scored every step of every try ({demo.scoring_seconds:.1f} s).",
        "",
        *_show_problem(demo, choose_problem(demo)),
        "",
        *summary.lines(),
    ]


def draw(demo: Demo) -> str:
    """Draw the problem that `show` tells in detail, as an SVG."""
    problem = choose_problem(demo)
    texts, totals = demo.voted.answers.texts, demo.scored.scores.by(UNSTATED_AGGREGATION)
    answers: dict[str, list[float]] = {}
    for place in range(*_span(demo, problem)):
        answers.setdefault(texts[place] or "none", []).append(float(totals[place]))
    sampled = [SampledAnswer(*item) for item in answers.items()]
    sampled.sort(key=lambda answer: -len(answer.scores))  # stable: ties as they were seen
    accuracy = _summary(demo).figures()["accuracy"]
    shares = {rule: accuracy[rule][UNSTATED_AGGREGATION] for rule in ("majority", "weighted")}
    return votes_svg(
        demo.records[problem].problem or "",
        demo.records[problem].answer or "",
        sampled,
        _chosen(demo, problem),
        caption="Each square is a sample of a small language model, coloured by the score that a "
        "PRM gives to its last step.",
        footer=f"Over {counted(len(demo.records), 'such problem')} the majority is right in "
        f"{100 * shares['majority']:.1f} %, the PRM's vote in {100 * shares['weighted']:.1f} %.",
    )


def choose_problem(demo: Demo) -> int:
    """Choose the problem that shows most: the majority is wrong, the PRM's vote is right.

    Among those, one whose first error has right steps before it and others behind it; then the one
    in which most samples are misled. Where there is none, the first.
    """
    best, most = 0, (False, 0)
    for problem in range(len(demo.records)):
        chosen = _chosen(demo, problem)
        if len(chosen) < 2 or chosen[0].right or not chosen[1].right:
            continue
        misled = chosen[0]
        rank = 0 < misled.first_error < len(misled.steps) - 1, misled.count
        if rank > most:
            best, most = problem, rank
    return best


def _summary(demo: Demo) -> Summary:
    scores, voted = demo.scored.scores, demo.voted
    summary = Summary(scores.columns)
    summary.add(scores, voted.answers, voted.elections, voted.grades)
    return summary


def _span(demo: Demo, problem: int) -> tuple[int, int]:
    """Where the candidates of a problem begin and end."""
    begin, end = demo.scored.scores.offsets[problem : problem + 2].tolist()
    return begin, end


def _winners(demo: Demo) -> list[tuple[int, int]]:
    """The candidates that majority and the PRM's weighted vote choose, of each problem."""
    column = demo.scored.scores.columns.index(UNSTATED_AGGREGATION)
    # The first two of the default rules.
    winners: list[tuple[int, int]] = demo.voted.elections.winner[:, :2, column, -1].tolist()
    return winners


def _chosen(demo: Demo, problem: int) -> list[ChosenAnswer]:
    """What the majority and the PRM's vote chose; one where both chose the same."""
    record, texts = demo.records[problem], demo.voted.answers.texts
    totals = demo.scored.scores.by(UNSTATED_AGGREGATION)
    chosen: dict[str, ChosenAnswer] = {}
    for voter, winner in zip(_VOTERS, _winners(demo)[problem], strict=True):
        answer = texts[winner] if winner >= 0 else None
        if answer is None or answer in chosen:
            continue
        # Of the candidates with that answer, the one that the PRM likes best.
        places = [place for place in range(*_span(demo, problem)) if texts[place] == answer]
        best = places[int(np.argmax(totals[places]))]
        begin, end = demo.scored.scores.step_offsets[best : best + 2].tolist()
        steps = demo.scored.split.get(best, [])
        sound = tasks.check_steps(record.problem or "", steps)
        chosen[answer] = ChosenAnswer(
            voter,
            answer,
            len(places),
            answer == record.answer,
            steps,
            demo.scored.scores.values[begin:end].tolist(),
            sound.index(False) if False in sound else -1,
        )
    return list(chosen.values())


def _show_problem(demo: Demo, problem: int) -> list[str]:
    record = demo.records[problem]
    begin, end = _span(demo, problem)
    lines = [f"One problem in detail:  {record.problem}   (the right answer is {record.answer})"]
    for choice in _chosen(demo, problem):
        lines += [
            "",
            f"  {choice.voter} says {choice.answer} ({choice.count} of {end - begin} samples), "
            f"which is {choice.verdict}:",
            *_show_steps(choice),
        ]
    return lines


def _show_steps(choice: ChosenAnswer) -> list[str]:
    width = max(map(len, ["step", *choice.steps])) + 3
    lines = [f"    {'step':<{width}}score"]
    for number, (step, score) in enumerate(zip(choice.steps, choice.scores, strict=True)):
        bar = ("#" * round(score * _BAR_WIDTH)).ljust(_BAR_WIDTH, ".")
        mark = "   <- the first error" if number == choice.first_error else ""
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
