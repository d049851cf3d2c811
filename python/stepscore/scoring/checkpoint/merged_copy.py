"""An adapter with its base as one checkpoint of full weights, to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from stepscore.errors import InputError
from stepscore.recipes import Recipe
from stepscore.scoring.checkpoint.accounting import is_computed
from stepscore.scoring.checkpoint.adapter import (
    AdaptedCheckpoint,
    load_merged_backbone,
    with_tokenizer,
)
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.head import head_tensors


@dataclass(frozen=True)
class MergedCheckpoint(Checkpoint):
    """Full weights of which some were merged, and stand in no file yet.

    Attributes:
        merged: these tensors, in the number formats that they are written in.
    """

    merged: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False)

    def as_stored(self, key: str) -> torch.Tensor:
        """Give one tensor, in the number format that it is written in."""
        return self.merged[key] if key in self.merged else super().as_stored(key)

    def stored_bytes(self, key: str) -> int:
        """Say how large a tensor is where it is written."""
        return self.merged[key].nbytes if key in self.merged else super().stored_bytes(key)


def merged_checkpoint(checkpoint: Checkpoint, recipe: Recipe) -> Checkpoint:
    """Give an adapter's base with the adapter merged into it; full weights as they are.

    The backbone is merged in float32 and rounded once to the base's number format, the head stays
    in float32, both as `stepscore.load` has them with ``dtype="auto"``.

    Raises:
        ValueError: a weight whose name in the base cannot be told.
    """
    if not isinstance(checkpoint, AdaptedCheckpoint):
        return checkpoint
    base = checkpoint.base
    backbone: Any = load_merged_backbone(
        checkpoint,
        dtype="auto",
        device=torch.device("cpu"),
        head=head_tensors(checkpoint, recipe),
    )
    merged = dict(checkpoint.heads)
    for name, tensor in backbone.named_parameters():
        merged[_name_in(base, name, backbone.base_model_prefix)] = tensor.detach()
    config = dict(checkpoint.config)
    rows = len(backbone.get_input_embeddings().weight)
    if "vocab_size" in config:  # the adapter may have brought more
        config["vocab_size"] = rows
    kept = {key: path for key, path in base.files.items() if not is_computed(key)}
    return MergedCheckpoint(
        name=checkpoint.name,
        folder=with_tokenizer(checkpoint).folder,
        revision=checkpoint.revision,
        config=config,
        files={**kept, **dict.fromkeys(merged, checkpoint.adapter_folder)},
        wrapped=base.wrapped,
        stored=base.stored,
        merged=merged,
    )


def _name_in(base: Checkpoint, name: str, prefix: str) -> str:
    """Give the name that a weight of the backbone has in the base."""
    for key in (name, f"{prefix}.{name}"):
        if key in base.files:
            return key
    ending = [key for key in base.files if key.endswith(f".{name}")]
    if len(ending) != 1:
        raise InputError(
            "a base in which every weight of the backbone has a place",
            got=f"{len(ending)} for {name!r} in {base.name}",
            advice="save the merged model where it was trained (peft's merge_and_unload)",
            where="convert_checkpoint",
        )
    return ending[0]
