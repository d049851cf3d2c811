"""Heads in a file of their own, beside the weights of the language model.

``reward_head.pt``, ``verifier.pth``, ``LN.pt``, ``score_module.pt`` are what ``torch.save`` made of
a head's ``state_dict()``; of such a pickle nothing is executed. Their tensors get the file's name
in front, so that ``0.weight`` of ``score_module.pt`` is ``score_module.0.weight``: under that name
a converted checkpoint has it among its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from stepscore.errors import InputError
from stepscore.recipes import Recipe
from stepscore.recipes.head import side_prefix
from stepscore.scoring.checkpoint.adapter import AdaptedCheckpoint
from stepscore.scoring.checkpoint.folder import Checkpoint, fetch
from stepscore.scoring.checkpoint.quantisation import head_numbers
from stepscore.scoring.checkpoint.stored_tensors import StoredTensors, stored_tensors


def with_side_files(
    checkpoint: Checkpoint, recipe: Recipe, *, show_progress: bool = False
) -> Checkpoint:
    """Give a checkpoint with the tensors of the files beside it that a recipe's head is read from.

    They are looked for beside an adapter, then in the folder of the weights, and fetched from the
    repository that these come from. A converted checkpoint has them among its weights.

    Raises:
        ValueError: a file that is not there, that is no pickle of tensors by name, or that holds
            tensors which the head has no use for; a tensor there and among the weights.
    """
    for file in recipe.head.files:
        wanted = {
            name for layer in recipe.head.layers if layer.file == file for name in layer.names
        }
        among_weights = wanted & checkpoint.shapes.keys()
        path = _find(checkpoint, file, show_progress, needed=among_weights != wanted)
        if path is None:
            continue
        if among_weights:
            raise InputError(
                "every tensor of the head once",
                got=f"{', '.join(sorted(among_weights))} among the weights of {checkpoint.name}, "
                f"and {file} beside them",
                advice="remove the one that is out of date",
                where="load",
            )
        stored = stored_tensors(path)
        names = {f"{side_prefix(file)}{key}": key for key in stored.shapes}
        _check_used(path, names, wanted, recipe)
        checkpoint = _with_tensors(checkpoint, path, stored, names)
    return checkpoint


def _find(checkpoint: Checkpoint, file: str, show_progress: bool, *, needed: bool) -> Path | None:
    folders = _folders(checkpoint)
    for folder, name, revision in folders:
        if needed and revision is not None and not (folder / file).is_file():
            fetch(name, revision, file, show_progress=show_progress)
        if (folder / file).is_file():
            return folder / file
    if not needed:
        return None
    beside = sorted(
        path.name
        for folder, _, _ in folders
        for path in folder.glob("*")
        if path.suffix in (".pt", ".pth", ".bin", ".safetensors")
    )
    raise InputError(
        f"the file {file} beside the weights, which holds the head",
        got=f"{', '.join(beside[:8]) or 'no weights'} in {checkpoint.name}",
        advice=f"put {file} of the published checkpoint into the folder, or pass the recipe that "
        "the weights were trained with",
        argument="model",
        where="load",
    )


def _folders(checkpoint: Checkpoint) -> list[tuple[Path, str, str | None]]:
    """Give the folders, and the repositories that they are snapshots of."""
    if not isinstance(checkpoint, AdaptedCheckpoint):
        return [(checkpoint.folder, checkpoint.name, checkpoint.revision)]
    base = checkpoint.base
    return [
        (checkpoint.adapter_folder, checkpoint.name, checkpoint.revision),
        (base.folder, base.name, base.revision),
    ]


def _check_used(path: Path, names: Mapping[str, str], wanted: set[str], recipe: Recipe) -> None:
    unread = sorted(key for name, key in names.items() if name not in wanted)
    if unread:
        missing = sorted(name for name in wanted if name not in names)
        lacks = f", and none of {', '.join(missing[:5])}" if missing else ""
        raise InputError(
            f"the head of the recipe {recipe.name!r} and nothing else in {path}",
            got=f"{', '.join(unread[:5])}{', ...' if unread[5:] else ''}, which it has no use "
            f"for{lacks}",
            advice="use the file that was published with these weights, or the recipe that it "
            "belongs to",
            where="load",
        )


def _with_tensors(
    checkpoint: Checkpoint, path: Path, stored: StoredTensors, names: Mapping[str, str]
) -> Checkpoint:
    files = {**checkpoint.files, **dict.fromkeys(names, path)}
    if isinstance(checkpoint, AdaptedCheckpoint):
        # Beside an adapter's base they are read as heads of the adapter's own are.
        heads: dict[str, torch.Tensor] = {
            name: head_numbers(stored.tensor(key), name, checkpoint.name)
            for name, key in names.items()
        }
        return replace(checkpoint, files=files, heads={**checkpoint.heads, **heads})
    return replace(
        checkpoint,
        files=files,
        wrapped={**checkpoint.wrapped, **names},
        stored={**checkpoint.stored, path: stored},
    )
