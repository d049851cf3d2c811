"""What the lab's PRM is trained on: solutions, with a label for every token."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import Qwen2ForTokenClassification

from stepscore.lab.mistakes import flawed_steps, misconceived_steps
from stepscore.lab.policy import LabPolicy
from stepscore.lab.prm import IGNORED, Layout, lay_out, read_steps
from stepscore.lab.recipe import Recipe
from stepscore.lab.tasks import check_steps, generate, join_steps, split_steps, true_steps

LONGEST_ROW = 100


@dataclass(frozen=True)
class Row:
    """One training row of the PRM: a laid-out solution, a label per step and a label per token.

    A token's label says whether the text is right up to there: at a newline that is the step's
    own label. Steps alone are too few to learn from; only they are ever read.
    """

    layout: Layout
    labels: list[bool]
    token_labels: list[int]


def written_rows(recipe: Recipe, seed: int, rng: random.Random) -> dict[str, Row]:
    """A right, a misconceived and several flawed solutions of each of many problems."""
    rows: dict[str, Row] = {}
    for problem in generate(recipe.written_problems, seed=4 * seed + 1, split="train"):
        _add(rows, problem, true_steps(problem))
        _add(rows, problem, misconceived_steps(problem, recipe.misconception, rng))
        for _ in range(recipe.written_flawed):
            _add(rows, problem, flawed_steps(problem, rng))
    return rows


def sampled_rows(recipe: Recipe, sampler: LabPolicy, seed: int) -> dict[str, Row]:
    """Solutions that the policy samples, at several temperatures."""
    rows: dict[str, Row] = {}
    counts = [count for count, _, _ in recipe.first_samples]
    problems = generate(sum(counts), seed=4 * seed + 2, split="train")
    for count, n, temperature in recipe.first_samples:
        chosen, problems = problems[:count], problems[count:]
        solutions = sampler.sample(chosen, n, temperature=temperature, seed=seed)
        for problem, texts in zip(chosen, solutions, strict=True):
            for text in texts:
                _add(rows, problem, split_steps(text))
    return rows


def mined_rows(
    recipe: Recipe,
    sampler: LabPolicy,
    model: Qwen2ForTokenClassification,
    seed: int,
    number: int,
) -> dict[str, Row]:
    """Keep, of many new samples, the wrong ones scored highest and the right ones scored lowest."""
    mined: dict[str, Row] = {}
    fresh = 4 * seed + 3 + 1_000_000 * number  # no round meets another's problems
    problems = generate(recipe.mined_problems, seed=fresh, split="train")
    samples = sampler.sample(problems, recipe.mined_samples, seed=seed)
    for problem, texts in zip(problems, samples, strict=True):
        rows: dict[str, Row] = {}
        for text in texts:
            _add(rows, problem, split_steps(text))
        scores = read_steps(model, [row.layout for row in rows.values()])
        ranked = sorted(zip(rows, scores, strict=True), key=lambda pair: -min(pair[1]))
        keys = [key for key, _ in ranked]
        wrong = [key for key in keys if not rows[key].labels[-1]][: recipe.mined_kept]
        right = [key for key in keys if rows[key].labels[-1]][-2:]
        mined |= {key: rows[key] for key in wrong + right}
    return mined


def _add(rows: dict[str, Row], problem: str, steps: Sequence[str]) -> None:
    """Add a solution once, unless it has no steps or is far longer than a right one."""
    layout = lay_out(problem, steps)
    if steps and len(layout.ids) <= LONGEST_ROW:
        labels = token_labels(problem, layout)
        rows[problem + join_steps(steps)] = Row(layout, check_steps(problem, steps), labels)


def token_labels(problem: str, layout: Layout) -> list[int]:
    """Label every token of a solution by whether the text up to it begins the true solution."""
    truth = lay_out(problem, true_steps(problem)).ids
    same = 0
    for token, right in zip(layout.ids, truth, strict=False):
        if token != right:
            break
        same += 1
    start = len(problem)
    return [IGNORED] * start + [int(at < same) for at in range(start, len(layout.ids))]


def right_share(rows: dict[str, Row]) -> float:
    """How many of the steps are right."""
    labels = [label for row in rows.values() for label in row.labels]
    return sum(labels) / len(labels)
