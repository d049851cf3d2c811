"""The backbone: a stock model of transformers without its language-model head."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from stepscore.errors import InputError
from stepscore.hub import silenced_hub
from stepscore.scoring.checkpoint.accounting import check_accounted, check_numbers
from stepscore.scoring.checkpoint.config_check import unbuildable
from stepscore.scoring.checkpoint.folder import WRAPPER_PREFIX, Checkpoint
from stepscore.scoring.forward.engine import out_of_memory


def load_backbone(
    checkpoint: Checkpoint,
    *,
    dtype: torch.dtype | str,
    device: torch.device,
    head: Collection[str] = (),
) -> torch.nn.Module:
    """Load the stock backbone of a checkpoint, and never with random weights.

    Code that the checkpoint may name (``auto_map``) is not run.

    Args:
        checkpoint: the checkpoint.
        dtype: the number format, or ``"auto"`` for the checkpoint's own.
        device: where it goes.
        head: the tensors of the checkpoint that the head was read from.

    Raises:
        ValueError: a model type that transformers does not know, attention that is not causal,
            a config.json of which no model can be built, weights that are missing, of another
            shape, no numbers, or that nothing reads.
    """
    _check_config(checkpoint)
    config = _stock_config(checkpoint)
    options: dict[str, Any] = {_dtype_argument(): dtype}
    if checkpoint.wrapped:
        options["key_mapping"] = {f"^{WRAPPER_PREFIX.replace('.', chr(92) + '.')}": ""}
    pickled = any(path.suffix == ".bin" for path in checkpoint.files.values())
    try:
        with silenced_hub():
            model, info = AutoModel.from_pretrained(
                checkpoint.folder,
                config=config,
                trust_remote_code=False,
                local_files_only=True,
                use_safetensors=not pickled,
                weights_only=True,
                output_loading_info=True,
                # Else transformers says in a table of its log which those are.
                ignore_mismatched_sizes=True,
                **options,
            )
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        raise InputError(
            f"weights that fit the {config.model_type} backbone of config.json",
            got=f"{checkpoint.name}, of which transformers says: {error}",
            advice="use the config.json and the weights of one checkpoint",
            where="load",
        ) from error
    check_accounted(checkpoint, model, info, head)
    backbone: torch.nn.Module = model.eval().requires_grad_(False).to(device)
    check_numbers(checkpoint, backbone)
    return backbone


def _stock_config(checkpoint: Checkpoint) -> Any:
    """Read config.json as transformers does, and build a model without weights by it."""
    try:
        with silenced_hub():
            config = AutoConfig.from_pretrained(
                checkpoint.folder, trust_remote_code=False, local_files_only=True
            )
            config.__dict__.pop("auto_map", None)
            # It would name other weights than those that the head is read from.
            config.__dict__.pop("transformers_weights", None)
            with torch.device("meta"):
                AutoModel.from_config(copy.deepcopy(config), trust_remote_code=False)
    # An unknown name is a KeyError of one family and an AttributeError of another.
    except Exception as error:
        raise unbuildable(checkpoint.folder / "config.json", error) from error
    return config


def _check_config(checkpoint: Checkpoint) -> None:
    model_type = checkpoint.config.get("model_type")
    if model_type not in CONFIG_MAPPING:
        raise InputError(
            f"a model_type in config.json that transformers {transformers.__version__} knows",
            got=f"{model_type!r} in {checkpoint.name}",
            advice="upgrade transformers (code inside a checkpoint is never run)",
            where="load",
        )
    if checkpoint.config.get("is_causal", True) is False:
        raise InputError(
            "a causal backbone, because a step is scored by what stands before it",
            got=f"is_causal false in config.json of {checkpoint.name}",
            advice="use a causal checkpoint",
            where="load",
        )


def _dtype_argument() -> str:
    """The name that transformers has for it: torch_dtype before 4.56."""
    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    return "dtype" if (major, minor) >= (4, 56) else "torch_dtype"
