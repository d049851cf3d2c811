"""Measure the lab on held-out problems: ``python -m stepscore.lab.evaluate``.

For N of 1, 4, 16 and 64 samples per problem: how often some sample is right (pass), how often the
most frequent answer is right (majority), how often the answer with the largest sum of PRM scores
is right (vote), and how often the sample with the best PRM score is right (best-of-N). Then how
well the PRM tells right steps from wrong ones, and right solutions from wrong ones (area under
the ROC curve). Intervals are 95 % bootstrap intervals over problems.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stepscore
from stepscore.lab import tasks
from stepscore.ops.aggregate import Aggregation
from stepscore.ragged import offsets_of

Float = NDArray[np.float64]
Report = Callable[[str], None]

SIZES = (1, 4, 16, 64)
AGGREGATIONS: tuple[Aggregation, ...] = ("min", "prod", "last")
RESAMPLES = 2_000


@dataclass(frozen=True)
class Samples:
    """Sampled solutions of held-out problems, judged and scored."""

    correct: NDArray[np.bool_]  # [problems, n]
    answers: NDArray[np.int64]  # [problems, n]; equal within a problem = same answer; -1 = none
    scores: dict[str, Float]  # aggregation -> [problems, n]
    step_scores: Float  # [steps]
    step_labels: NDArray[np.bool_]  # [steps]
    step_problems: NDArray[np.int64]  # [steps], the problem of every step


def draw(
    problems: Sequence[str],
    n: int,
    *,
    seed: int,
    policy: Path | None = None,
    prm: Path | None = None,
) -> Samples:
    """Sample ``n`` solutions per problem at temperature 1, score every step, judge everything.

    Args:
        problems: problem texts.
        n: solutions per problem.
        seed: of the sampling.
        policy: folder of a policy; None takes the shipped one.
        prm: folder of a PRM; None takes the shipped one.
    """
    from stepscore.lab.policy import SHIPPED, load_policy

    texts = load_policy(policy or SHIPPED).sample(problems, n, seed=seed)
    repeated = [problem for problem in problems for _ in range(n)]
    solutions = [text for row in texts for text in row]
    traces = [tasks.split_steps(solution) for solution in solutions]
    values, offsets = _score(repeated, traces, "lab" if prm is None else str(prm))
    reduced = stepscore.aggregate(values, offsets, list(AGGREGATIONS), empty=0.0)
    labels = [tasks.check_steps(*pair) for pair in zip(repeated, traces, strict=True)]
    correct = [tasks.is_correct(*pair) for pair in zip(repeated, solutions, strict=True)]
    return Samples(
        correct=np.array(correct).reshape(-1, n),
        answers=np.array([_answer_ids(row) for row in texts]),
        scores={
            how: reduced[:, column].reshape(-1, n).astype(np.float64)
            for column, how in enumerate(AGGREGATIONS)
        },
        step_scores=values.astype(np.float64),
        step_labels=np.array([label for row in labels for label in row], dtype=bool),
        step_problems=np.repeat(np.arange(len(repeated)) // n, np.diff(offsets)),
    )


def measure(samples: Samples) -> dict[str, Float]:
    """Give every measured quantity per problem: name -> ``[problems]``, to be averaged."""
    measured: dict[str, Float] = {}
    for n in _sizes(samples):
        correct = samples.correct[:, :n]
        measured[f"pass@{n}"] = correct.any(1).astype(float)
        for how in AGGREGATIONS:
            offsets = np.arange(0, correct.size + 1, n)
            winner = stepscore.vote(
                samples.answers[:, :n].ravel(),
                samples.scores[how][:, :n].ravel(),
                offsets,
                ["majority", "weighted", "best_of_n"],
            ).winner
            right = np.where(winner >= 0, correct.ravel()[winner], False).astype(float)
            measured[f"majority@{n}"] = right[:, 0]
            measured[f"vote_{how}@{n}"] = right[:, 1]
            measured[f"best_of_n_{how}@{n}"] = right[:, 2]
    # The mean over all samples estimates the same as the first sample alone, with less noise.
    measured["pass@1"] = samples.correct.mean(1)
    return measured


def interval(values: Float, seed: int = 0) -> tuple[float, float, float]:
    """Give the mean of ``[problems]`` values and its 95 % bootstrap interval over problems."""
    counts = _resamples(len(values), seed)
    low, high = np.quantile(counts @ values / len(values), (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def auroc_interval(
    scores: Float,
    labels: NDArray[np.bool_],
    problems: NDArray[np.int64],
    seed: int = 0,
) -> tuple[float, float, float]:
    """Give the area under the ROC curve and its 95 % bootstrap interval over problems.

    Ties count one half. A resampled problem brings all its elements with it.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    labels, problems = labels[order], problems[order]

    def area(weights: Float) -> float:
        right = np.add.reduceat(weights * labels, starts)
        wrong = np.add.reduceat(weights * ~labels, starts)
        below = np.cumsum(wrong) - wrong / 2
        return float(right @ below / (right.sum() * wrong.sum()))

    counts = _resamples(int(problems.max()) + 1, seed)[: RESAMPLES // 4]
    areas = [area(row[problems]) for row in counts]
    low, high = np.quantile(areas, (0.025, 0.975))
    return area(np.ones(len(scores))), float(low), float(high)


def summarise(samples: Samples) -> dict[str, dict[str, float]]:
    """Give every figure of the table with its interval: name -> mean, low, high."""
    figures = {}
    measured = measure(samples)
    largest = _sizes(samples)[-1]
    for how in AGGREGATIONS:
        gain = measured[f"vote_{how}@{largest}"] - measured[f"majority@{largest}"]
        measured[f"vote_{how}_minus_majority@{largest}"] = gain
    for name, values in measured.items():
        figures[name] = interval(values)
    figures["step_auroc"] = auroc_interval(
        samples.step_scores, samples.step_labels, samples.step_problems
    )
    owners = np.repeat(np.arange(samples.correct.shape[0]), samples.correct.shape[1])
    for how in AGGREGATIONS:
        figures[f"solution_auroc_{how}"] = auroc_interval(
            samples.scores[how].ravel(), samples.correct.ravel(), owners
        )
    return {
        name: dict(zip(("mean", "low", "high"), figure, strict=True))
        for name, figure in figures.items()
    }


def pool(parts: Sequence[Samples]) -> Samples:
    """Put the problems of several evaluation seeds together."""
    before = offsets_of(len(part.correct) for part in parts[:-1])
    return Samples(
        correct=np.concatenate([part.correct for part in parts]),
        answers=np.concatenate([part.answers for part in parts]),
        scores={how: np.concatenate([part.scores[how] for part in parts]) for how in AGGREGATIONS},
        step_scores=np.concatenate([part.step_scores for part in parts]),
        step_labels=np.concatenate([part.step_labels for part in parts]),
        step_problems=np.concatenate(
            [part.step_problems + shift for part, shift in zip(parts, before, strict=True)]
        ),
    )


def table(figures: dict[str, dict[str, float]]) -> str:
    """Write the figures, in per cent, as a Markdown table."""
    names = dict.fromkeys(name.partition("@")[0] for name in figures if "@" in name)
    sizes = [n for n in SIZES if f"pass@{n}" in figures]
    lines = ["| % | " + " | ".join(f"@{n}" for n in sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
    for name in names:
        cells = [_cell(figures.get(f"{name}@{n}")) for n in sizes]
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    for name, figure in figures.items():
        if "auroc" in name:
            lines.append(f"| {name.replace('_', ' ')} | {_cell(figure, digits=2)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m stepscore.lab.evaluate", description=__doc__)
    parser.add_argument("--problems", type=int, default=500, help="held-out problems per seed")
    parser.add_argument("--samples", type=int, default=64, help="solutions per problem")
    parser.add_argument("--seeds", type=int, default=3, help="evaluation seeds 1, 2, ...")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--policy", type=Path, help="folder of a policy; default: the shipped one")
    parser.add_argument("--prm", type=Path, help="folder of a PRM; default: the shipped one")
    parser.add_argument("--out", type=Path, default=Path("lab_evaluation.json"))
    options = parser.parse_args(arguments)

    import torch

    torch.set_num_threads(options.threads)
    parts, report = [], {}
    for seed in range(1, options.seeds + 1):
        started = time.monotonic()
        problems = tasks.generate(options.problems, seed=seed, split="eval")
        part = draw(problems, options.samples, seed=seed, policy=options.policy, prm=options.prm)
        parts.append(part)
        report[f"seed {seed}"] = summarise(part)
        print(f"\nevaluation seed {seed}, {time.monotonic() - started:.0f} s")
        print(table(report[f"seed {seed}"]), flush=True)
    report["all seeds"] = summarise(pool(parts))
    print(f"\nall {options.seeds} evaluation seeds together")
    print(table(report["all seeds"]))
    _write_whole(options.out, {"problems": options.problems, "samples": options.samples, **report})
    print(f"\nwritten to {options.out}")


def _score(
    problems: Sequence[str], traces: Sequence[Sequence[str]], prm: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Score every step; `score` refuses a trace without steps, which has no scores here."""
    offsets = offsets_of(map(len, traces))
    filled = [index for index, steps in enumerate(traces) if steps]
    scores = stepscore.load(prm).score(
        [problems[index] for index in filled], [traces[index] for index in filled]
    )
    return scores.values, offsets


def _sizes(samples: Samples) -> list[int]:
    return [n for n in SIZES if n <= samples.correct.shape[1]]


def _answer_ids(solutions: Sequence[str]) -> list[int]:
    """Number the answers of one problem as they are first seen; -1 where there is none."""
    known: dict[str, int] = {}
    answers = [tasks.answer(solution) for solution in solutions]
    return [-1 if answer is None else known.setdefault(answer, len(known)) for answer in answers]


def _resamples(problems: int, seed: int) -> Float:
    """How often each problem is drawn, per resample: ``[RESAMPLES, problems]``."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(problems, np.full(problems, 1 / problems), RESAMPLES).astype(float)


def _cell(figure: dict[str, float] | None, digits: int = 1) -> str:
    if figure is None:
        return ""
    mean, low, high = (f"{100 * figure[key]:.{digits}f}" for key in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def _write_whole(path: Path, content: dict[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(part, path)


if __name__ == "__main__":
    main()
