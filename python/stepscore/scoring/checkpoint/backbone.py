"""The backbone: a stock model of transformers without its language-model head."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from stepscore.errors import InputError
from stepscore.hub import silenced_hub
from stepscore.scoring.checkpoint.folder import WRAPPER_PREFIX, Checkpoint


def load_backbone(
    checkpoint: Checkpoint, *, dtype: torch.dtype | str, device: torch.device
) -> torch.nn.Module:
    """Load the stock backbone of a checkpoint, from safetensors, and never with random weights.

    Code that the checkpoint may name (``auto_map``) is not run.

    Raises:
        ValueError: a model type that transformers does not know, attention that is not causal,
            weights that are missing or of another shape.
    """
    model_type = checkpoint.config.get("model_type")
    _check_config(checkpoint)
    options: dict[str, Any] = {_dtype_argument(): dtype}
    if checkpoint.wrapped:
        options["key_mapping"] = {f"^{WRAPPER_PREFIX.replace('.', chr(92) + '.')}": ""}
    try:
        with silenced_hub():
            config = AutoConfig.from_pretrained(
                checkpoint.folder, trust_remote_code=False, local_files_only=True
            )
            config.__dict__.pop("auto_map", None)
            model, info = AutoModel.from_pretrained(
                checkpoint.folder,
                config=config,
                trust_remote_code=False,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
    except RuntimeError as error:
        raise InputError(
            f"weights that fit the {model_type} backbone of config.json",
            got=f"{checkpoint.name}, of which transformers says: {error}",
            advice="use the config.json and the weights of one checkpoint",
            where="load",
        ) from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise InputError(
            f"every weight of the {model_type} backbone in the checkpoint",
            got=f"{checkpoint.name}, which lacks {len(missing)}: {', '.join(missing[:5])}"
            f"{', ...' if len(missing) > 5 else ''}; they would have been random",
            advice="use a complete checkpoint",
            where="load",
        )
    backbone: torch.nn.Module = model.eval().requires_grad_(False).to(device)
    return backbone


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
