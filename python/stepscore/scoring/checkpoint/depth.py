"""A backbone that ends before its last layer, for heads that read the hidden state there."""

from __future__ import annotations

from typing import Any

import torch

from stepscore.errors import InputError
from stepscore.recipes.head import Head
from stepscore.scoring.final_norm import NAMES
from stepscore.scoring.forward.placement import input_device

# Enough tokens that attention has something to add up.
_PROBE = 8


@torch.no_grad()
def end_where_read(backbone: torch.nn.Module, head: Head, name: str) -> None:
    """Take off what a head does not read: for ``hidden_layer`` -2 the last layer and the norm.

    What comes out then is ``hidden_states[-2]`` of the whole model, which is compared on a few
    tokens: a family that is built in another way is refused.

    Args:
        backbone: a stock model, whole; it is changed.
        head: says which hidden state is read.
        name: of the checkpoint.

    Raises:
        ValueError: a backbone whose layers or whose norm are not found, or that gives something
            else then.
    """
    if head.hidden_layer == -1:
        return
    layers = _layers(backbone)
    norm = next((each for each in NAMES if hasattr(backbone, each)), None)
    if layers is None or len(layers) < 2 or norm is None:
        raise _not_cut(backbone, name, "no list of at least two layers with a norm behind it")
    tokens = torch.arange(_PROBE, device=input_device(backbone))[None] + 1
    whole: Any = backbone
    expected = whole(input_ids=tokens, use_cache=False, output_hidden_states=True).hidden_states[-2]
    del layers[-1]
    setattr(backbone, norm, torch.nn.Identity())
    config: Any = backbone.config
    config.num_hidden_layers = len(layers)
    if getattr(config, "layer_types", None):
        config.layer_types = list(config.layer_types[: len(layers)])
    got = whole(input_ids=tokens, use_cache=False).last_hidden_state
    if not torch.equal(expected.to(got.device), got):
        raise _not_cut(backbone, name, "a model that gives another one without its last layer")


def _layers(backbone: torch.nn.Module) -> torch.nn.ModuleList | None:
    """Find the list of the layers, which is a part of the model itself."""
    depth = getattr(backbone.config, "num_hidden_layers", None)
    for part in backbone.children():
        if isinstance(part, torch.nn.ModuleList) and len(part) == depth:
            return part
    return None


def _not_cut(backbone: torch.nn.Module, name: str, got: str) -> InputError:
    return InputError(
        "a backbone whose hidden state before the last layer can be read, hidden_states[-2]",
        got=f"{got}: {type(backbone).__name__} of {name}",
        advice="use a model of another family, such as Qwen2 or Llama",
        where="load",
    )
