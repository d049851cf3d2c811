"""Every tensor of a checkpoint is used or accounted for.

A tensor that nothing reads says that config.json and the weights do not belong together: of a
model of five layers and a config of one, four would be left out in silence.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch

from stepscore.errors import InputError
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.quantisation import quantised

# What checkpoints carry and no backbone reads: buffers that are computed from config.json, ...
_COMPUTED = re.compile(
    r"rotary_emb\.(inv_freq|original_inv_freq|cos_cached|sin_cached)$"
    r"|(^|\.)(attn|attention)\.(masked_)?bias$"
    r"|(^|\.)position_ids$"
)
# ... and the output matrix of a language model, of which a recipe reads rows or nothing.
_OUTPUT_MATRIX = re.compile(r"^lm_head\.(weight|bias)$|^embed_out\.weight$")
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_COUNTS_OF_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_MOST = 5
_ONE_CHECKPOINT = "use the config.json and the weights of one checkpoint"
_NUMBERS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def is_computed(name: str) -> bool:
    """Say whether a tensor is a buffer that models compute for themselves, and store by habit."""
    return _COMPUTED.search(name) is not None


def check_accounted(
    checkpoint: Checkpoint,
    backbone: torch.nn.Module,
    loading: Mapping[str, Any],
    head: Collection[str],
) -> None:
    """Compare what a checkpoint holds with what was read of it.

    Args:
        checkpoint: the checkpoint.
        backbone: as transformers loaded it.
        loading: what transformers says of that: ``missing_keys``, ``unexpected_keys`` and
            ``mismatched_keys`` (name, stored shape, the model's shape).
        head: the tensors that the head was read from.

    Raises:
        ValueError: tensors that are missing, of another shape, there twice, or that nobody reads.
    """
    model_type = checkpoint.config.get("model_type")
    mismatched = sorted(loading.get("mismatched_keys") or ())
    if mismatched:
        raise InputError(
            f"weights that fit the {model_type} backbone of config.json",
            got=_listed(
                f"{name!r} of shape {list(stored)} for {list(expected)}"
                for name, stored, expected in mismatched
            )
            + f" in {checkpoint.name}",
            advice=_ONE_CHECKPOINT,
            where="load",
        )
    missing = sorted(loading["missing_keys"])
    if missing:
        raise InputError(
            f"every weight of the {model_type} backbone in the checkpoint",
            got=f"{checkpoint.name}, which lacks {len(missing)}: {_listed(missing)}; they would "
            f"have been random{_layers(checkpoint)}",
            advice="use a complete checkpoint",
            where="load",
        )
    _check_once(checkpoint, str(getattr(backbone, "base_model_prefix", "")))
    unread = sorted(
        name
        for name in loading["unexpected_keys"]
        if name not in head and not is_computed(name) and not _OUTPUT_MATRIX.search(name)
    )
    if quantised(checkpoint.config) is not None:
        unread = [name for name in unread if not _explains_codes(name, backbone)]
    if unread:
        raise InputError(
            f"a use for every tensor in the {model_type} backbone of config.json or in the "
            "recipe's head",
            got=f"{len(unread)} in {checkpoint.name} that nothing reads: {_listed(unread)}"
            f"{_layers(checkpoint)}",
            advice="use the config.json and the recipe that belong to these weights, or save the "
            "checkpoint without these tensors",
            where="load",
        )


def check_numbers(checkpoint: Checkpoint, backbone: torch.nn.Module) -> None:
    """Refuse weights that are no numbers, in the format that they were loaded in.

    Raises:
        ValueError: NaN or infinity in a weight.
    """
    ends: dict[torch.device, list[torch.Tensor]] = {}
    names: dict[torch.device, list[str]] = {}
    for name, weight in backbone.named_parameters():
        if weight.dtype in _NUMBERS and weight.device.type != "meta" and weight.numel():
            # NaN is the least and the greatest of what it stands in; one reading, no memory.
            least_and_greatest = torch.stack(torch.aminmax(weight.detach()))
            ends.setdefault(weight.device, []).append(least_and_greatest.double())
            names.setdefault(weight.device, []).append(name)
    wrong = [
        names[device][index]
        for device, found in ends.items()
        for index in (~torch.stack(found).isfinite()).any(dim=1).nonzero()[:, 0].tolist()
    ]
    if not wrong:
        return
    weights = [backbone.get_parameter(name) for name in wrong]
    overflow = all(
        weight.dtype == torch.float16 and not bool(weight.isnan().any()) for weight in weights
    )
    raise InputError(
        "numbers in every weight",
        got=f"NaN or infinity in {len(wrong)} of {checkpoint.name}: {_listed(wrong)}",
        advice="float16 ends at 65504: load it in bfloat16 or float32"
        if overflow
        else "the weights are damaged: use another copy or an earlier checkpoint of the training",
        where="load",
    )


def _explains_codes(name: str, backbone: torch.nn.Module) -> bool:
    """Say whether a tensor may be a scale of a quantised layer, which the format's loader reads.

    It stands in a part that the backbone has; a layer too many and another head do not.
    """
    layer = _LAYER.search(name)
    if layer is None and not name.endswith((".weight", ".bias")):
        return True
    part = layer[0].strip(".") if layer else name.split(".")[-2]
    return any(f".{path}".endswith(f".{part}") for path, _ in backbone.named_modules())


def _check_once(checkpoint: Checkpoint, prefix: str) -> None:
    """Refuse a tensor under its name in the backbone and under its name in the whole model."""
    twice = sorted(name for name in checkpoint.files if f"{prefix}.{name}" in checkpoint.files)
    if prefix and twice:
        raise InputError(
            "every tensor once",
            got=f"{len(twice)} with and without {prefix + '.'!r} in front in {checkpoint.name}: "
            f"{_listed(twice)}",
            advice="use a checkpoint that one call of save_pretrained wrote",
            where="load",
        )


def _layers(checkpoint: Checkpoint) -> str:
    """Say how many layers config.json states and how many there are, where the two differ."""
    text = checkpoint.config.get("text_config")
    config = text if isinstance(text, Mapping) else checkpoint.config
    stated = next((config[name] for name in _COUNTS_OF_LAYERS if name in config), None)
    numbers = [int(match[1]) for name in checkpoint.files if (match := _LAYER.search(name))]
    there = max(numbers, default=-1) + 1
    if stated is None or not there or stated == there:
        return ""
    return f"; config.json states {stated} layers, and the weights hold {there}"


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:_MOST]) + (", ..." if len(every) > _MOST else "")
