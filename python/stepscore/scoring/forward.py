"""The backbone: a stock model without its language-model head, and its hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from stepscore.scoring.checkpoint import WRAPPER_PREFIX, Checkpoint
from stepscore.scoring.quiet import quiet

# Any id of the vocabulary does: nothing that is read can see a token to its right.
_FILL = 0


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
    if model_type not in CONFIG_MAPPING:
        raise ValueError(
            f"load: model_type must be one that transformers {transformers.__version__} knows; "
            f"config.json of {checkpoint.name} says {model_type!r}; upgrade transformers (code "
            "inside a checkpoint is never run)"
        )
    if checkpoint.config.get("is_causal", True) is False:
        raise ValueError(
            "load: a step is scored by what stands before it, so the backbone must be causal; "
            f"config.json of {checkpoint.name} says is_causal false; use a causal checkpoint"
        )
    options: dict[str, Any] = {_dtype_argument(): dtype}
    if checkpoint.wrapped:
        options["key_mapping"] = {f"^{WRAPPER_PREFIX.replace('.', chr(92) + '.')}": ""}
    try:
        with quiet():
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
        raise ValueError(
            f"load: the weights of {checkpoint.name} must fit the {model_type} backbone of its "
            f"config.json; transformers says: {error}; use the config.json and the weights of one "
            "checkpoint"
        ) from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(
            f"load: the checkpoint must hold every weight of its {model_type} backbone; "
            f"{checkpoint.name} lacks {len(missing)}: "
            f"{', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}; they would have been "
            "random; use a complete checkpoint"
        )
    backbone: torch.nn.Module = model.eval().requires_grad_(False).to(device)
    return backbone


def _dtype_argument() -> str:
    """The name that transformers has for it: torch_dtype before 4.56."""
    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    return "dtype" if (major, minor) >= (4, 56) else "torch_dtype"


def pad_right(rows: Sequence[NDArray[np.int32]]) -> NDArray[np.int64]:
    """Stack traces of different lengths: ``[rows, longest]``, filled up on the right."""
    padded = np.full((len(rows), max(len(row) for row in rows)), _FILL, dtype=np.int64)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return padded


@torch.inference_mode()
def last_hidden_state(backbone: torch.nn.Module, token_ids: NDArray[np.int64]) -> torch.Tensor:
    """Give the hidden states after the final norm: ``[rows, longest, H]`` on the backbone's device.

    No attention mask is passed. Attention is causal and the padding stands on the right, so that no
    token that is read can see it; a mask would change nothing but the cost, because with one the
    attention kernels need the ``[rows, 1, longest, longest]`` matrix of it.
    """
    device = next(backbone.parameters()).device
    rows = backbone.get_input_embeddings().num_embeddings  # type: ignore[operator]
    # On a GPU the lookup itself would end the process's CUDA context.
    if token_ids.size and token_ids.max() >= rows:
        raise ValueError(
            f"score: every token must have one of the model's {rows} embeddings; got the id "
            f"{token_ids.max()}; use the tokenizer that was published with the checkpoint"
        )
    batch = torch.from_numpy(token_ids).to(device)
    hidden: torch.Tensor = backbone(input_ids=batch, use_cache=False).last_hidden_state
    return hidden
