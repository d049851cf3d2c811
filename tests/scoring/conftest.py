"""One tiny checkpoint of every kind, and a mixed set of solutions."""

from __future__ import annotations

import models
import pytest


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


@pytest.fixture
def mixed() -> tuple[list[str], list[list[str]]]:
    """23 traces of 1 to 9 steps over three problems."""
    problems, solutions = [], []
    for index in range(23):
        problems.append(models.PROBLEMS[index % 3])
        count = 1 + (5 * index) % 9
        solutions.append([models.STEPS[(index + 2 * k + k * k) % 5] for k in range(count)])
    return problems, solutions
