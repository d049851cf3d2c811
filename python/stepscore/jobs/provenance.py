"""What stands beside a result: what it can be made again with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepscore.jobs.step_scores import PARAMETERS
from stepscore.voting.rules import Poll, objectives_of

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel


def describe(model: ProcessRewardModel, version: str) -> dict[str, Any]:
    """Give the provenance of scores: what they can be made again with."""
    return {
        "model": model.name,
        "revision": model.revision,
        "recipe": {"name": model.recipe.name, **dict(model.recipe.parameters)},
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "stepscore": version,
        "aggregation": dict(PARAMETERS),
    }


def describe_votes(poll: Poll, columns: tuple[str, ...], *, bounded: bool) -> dict[str, Any]:
    """Give what the votes depend on beside the rules, which name them."""
    found: dict[str, Any] = {}
    objectives = objectives_of(poll, columns, bounded=bounded)
    if objectives:
        found["objectives"] = list(objectives)
    if poll.verify is not None:
        found["verify"] = poll.verify
    return found
