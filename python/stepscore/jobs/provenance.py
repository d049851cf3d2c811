"""What stands beside a result: what it can be made again with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepscore.voting import VoteSettings, objectives_of
from stepscore.voting.columns import AGGREGATION_PARAMETERS

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

# The files of a folder that a model is made of, by their endings.
_OF_A_MODEL = (".json", ".safetensors", ".bin", ".model", ".txt", ".jinja", ".tiktoken")
# Of a large file so many pieces are read, evenly spread: gigabytes would take minutes.
_PIECES, _PIECE = 64, 1 << 16


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


def what_scores(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Give what of a provenance the scores of a later run must share to stand beside these.

    Args:
        provenance: of the scores; a model, or what an adapter was merged into, that is a folder
            here is known by its files.
    """
    described = {key: value for key, value in provenance.items() if key != "machine_rates"}
    folders = {key: provenance.get(key) for key in ("model", "base", "reference")}
    for key, name in folders.items():
        if isinstance(name, str) and os.path.isfile(os.path.join(name, "config.json")):
            described[f"{key}_files"] = fingerprint(Path(name))
    return described


def fingerprint(folder: Path) -> str:
    """Give a checksum of the files of a model: names, sizes, and contents, of large ones a part."""
    checksum = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        if path.suffix not in _OF_A_MODEL or not path.is_file():
            continue
        size = path.stat().st_size
        checksum.update(f"{path.relative_to(folder)} {size}\n".encode())
        with path.open("rb") as file:
            if size <= _PIECES * _PIECE:
                checksum.update(file.read())
                continue
            for piece in range(_PIECES):
                file.seek((size - _PIECE) * piece // (_PIECES - 1))
                checksum.update(file.read(_PIECE))
    return checksum.hexdigest()
