"""What stands beside a result: what it can be made again with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepscore.voting import VoteSettings, objectives_of
from stepscore.voting.columns import AGGREGATION_PARAMETERS

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel


def describe(model: ProcessRewardModel, version: str) -> dict[str, Any]:
    """Give the provenance of scores: what they can be made again with."""
    described: dict[str, Any] = {
        "model": model.name,
        "revision": model.revision,
        "recipe": {"name": model.recipe.name, **dict(model.recipe.parameters), **_described(model)},
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        **model.weights.as_json(),
        "stepscore": version,
        "aggregation": dict(AGGREGATION_PARAMETERS),
    }
    # What is forwarded together was chosen by them, which outside of float32 moves a score.
    if model.costs is not None and model.costs.rates is not None:
        described["machine_rates"] = model.costs.rates.as_json()
    return described


def _described(model: ProcessRewardModel) -> dict[str, Any]:
    """A user's own recipe as a whole: no name tells how it reads."""
    if model.recipe.description is None:
        return {}
    return {"description": model.recipe.as_config()["recipe"]}


def describe_votes(
    settings: VoteSettings, columns: tuple[str, ...], *, bounded: bool
) -> dict[str, Any]:
    """Give what the votes depend on beside the rules, which name them."""
    described: dict[str, Any] = {}
    objectives = objectives_of(settings, columns, bounded=bounded)
    if objectives:
        described["objectives"] = list(objectives)
    if settings.verify is not None:
        described["verify"] = settings.verify
    return described
