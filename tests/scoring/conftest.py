"""One tiny checkpoint of every kind, and a mixed set of solutions."""

from __future__ import annotations

import models
import pytest
import torch

torch.set_num_threads(2)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Build each checkpoint once: tiny(kind) -> TinyPrm."""
    built = {}

    def build(kind: str) -> models.TinyPrm:
        if kind not in built:
            built[kind] = models.BUILDERS[kind](tmp_path_factory.mktemp(kind))
        return built[kind]

    return build


@pytest.fixture(scope="session")
def loaded(tiny):
    """Load each checkpoint once, with the recipe named."""
    import stepscore
    from stepscore.recipes import recipe_by_name

    kept = {}

    def load(kind: str) -> stepscore.ProcessRewardModel:
        if kind not in kept:
            parameters = {"separator": "\n\n"} if kind == "trl-blank-line" else {}
            recipe = recipe_by_name(tiny(kind).recipe, **parameters)
            kept[kind] = stepscore.load(tiny(kind).folder, recipe=recipe)
        return kept[kind]

    return load


PROBLEMS = [
    "How many eggs does she sell per day?",
    "What is half of 10 + 6?",
    "Find the value of x if x - 5 = 7. The answer is a number.",
]
STEPS = [
    "We add 3 and 4.",
    "The sum is 7.",
    "So the answer is 7",
    "She sells 16 - 3 - 4 = 9 eggs. That is 9 eggs per day, because a duck lays eggs.",
    "Therefore, the total is 12.",
]


@pytest.fixture
def mixed() -> tuple[list[str], list[list[str]]]:
    """23 traces of 1 to 9 steps over three problems."""
    problems, solutions = [], []
    for index in range(23):
        problems.append(PROBLEMS[index % 3])
        count = 1 + (5 * index) % 9
        solutions.append([STEPS[(index + 2 * k + k * k) % 5] for k in range(count)])
    return problems, solutions
