"""The slow reading: a stock model, one sequence at a time, and a head in float64.

Nothing here is shared with the engine's forward or its head: no plan, no packing, no shared prefix,
no attention or activation of ours, and no op of the core. Only the checkpoint's files are opened by
the same code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from stepscore.errors import InputError
from stepscore.hub import silenced_hub
from stepscore.recipes import Head, Layer, Reading, Recipe, Tokenizer
from stepscore.scoring.checkpoint.adapter import AdaptedCheckpoint, load_merged_backbone
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.head import head_tensors

Float = NDArray[np.float64]

# What is known of a head here; one that says more is not read, rather than read without it.
_OF_HEAD = {"kind", "layers", "outputs", "word_ids"}
_OF_LAYER = {"weight", "bias"}
_ACTIVATIONS: dict[str, Callable[[Float], Float]] = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "softmax": lambda z: (
        np.exp(z - z.max(1, keepdims=True))
        / np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)
    ),
    "tanh": np.tanh,
    "softplus": lambda z: np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0.0),
}


@dataclass(frozen=True, eq=False)
class SlowReading:
    """A model that is read token by token of one sequence.

    Attributes:
        model: a stock class of transformers.
        head: what the model gives, ``[tokens, ...]`` in float64 -> the head's outputs.
        readings: of the recipe.
        full_logits: whether the model gives the logits of its whole vocabulary.
    """

    model: torch.nn.Module
    head: Callable[[torch.Tensor], torch.Tensor]
    readings: tuple[Reading, ...]
    full_logits: bool

    @torch.inference_mode()
    def read(self, token_ids: Sequence[int], positions: Sequence[int]) -> Float:
        """Give the readings at some tokens of one sequence, ``[positions, readings]``."""
        device = next(self.model.parameters()).device
        ids = torch.tensor([list(token_ids)], device=device)
        given = self.model(input_ids=ids, use_cache=False)
        everywhere = given.logits if self.full_logits else given.last_hidden_state
        rows = everywhere[0, list(positions)].cpu().double()
        outputs = self.head(rows).numpy()
        columns = [
            (_ACTIVATIONS[reading.activation](outputs) * np.array(reading.weights)).sum(1)
            for reading in self.readings
        ]
        return np.stack(columns, 1)


def load_slow_reading(
    checkpoint: Checkpoint,
    recipe: Recipe,
    tokenizer: Tokenizer,
    *,
    dtype: torch.dtype | str,
    device: torch.device,
) -> SlowReading:
    """Load a checkpoint apart from the engine.

    Args:
        checkpoint: where its files are.
        recipe: what is read; its words are looked up in `tokenizer`.
        tokenizer: the checkpoint's own.
        dtype: the model's number format.
        device: where it runs.

    Raises:
        ValueError: a head that is not known here; weights that cannot be loaded.
    """
    _refuse_unknown(recipe)
    if recipe.head.kind == "lm_rows" and _is_plain_language_model(checkpoint):
        assert recipe.head.word_ids is not None
        words = list(recipe.head.word_ids(tokenizer))
        with silenced_hub():
            model = AutoModelForCausalLM.from_pretrained(
                checkpoint.folder,
                dtype=dtype,
                trust_remote_code=False,
                local_files_only=True,
            )
        model = model.eval().to(device)
        return SlowReading(model, lambda logits: logits[:, words], recipe.readings, True)
    heads = head_tensors(checkpoint, recipe)
    body = load_merged_backbone(checkpoint, dtype=dtype, device=device, head=heads)
    return SlowReading(body, _head(checkpoint, recipe, tokenizer), recipe.readings, False)


def _head(
    checkpoint: Checkpoint, recipe: Recipe, tokenizer: Tokenizer
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Give the head as a function in float64."""
    matrices: list[tuple[torch.Tensor, torch.Tensor | None]]
    if recipe.head.kind == "lm_rows":
        assert recipe.head.word_ids is not None
        rows = list(recipe.head.word_ids(tokenizer))
        key, *bias_key = head_tensors(checkpoint, recipe)
        bias_rows = _tensor(checkpoint, bias_key[0])[rows] if bias_key else None
        matrices = [(_tensor(checkpoint, key)[rows], bias_rows)]
    else:
        matrices = [
            (
                _tensor(checkpoint, layer.weight),
                None if layer.bias is None else _tensor(checkpoint, layer.bias),
            )
            for layer in recipe.head.layers
        ]

    def apply(hidden: torch.Tensor) -> torch.Tensor:
        for number, (weight, bias) in enumerate(matrices):
            hidden = (hidden.relu() if number else hidden) @ weight.T
            hidden = hidden if bias is None else hidden + bias
        return hidden

    return apply


def _tensor(checkpoint: Checkpoint, key: str) -> torch.Tensor:
    """Read one tensor as float64, with the library of its file alone."""
    path = checkpoint.files[key]
    if path.suffix != ".safetensors" or key in checkpoint.changed:
        return checkpoint.tensor(key).double()
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensor: torch.Tensor = file.get_tensor(checkpoint.wrapped.get(key, key))
    return tensor.double()


def _is_plain_language_model(checkpoint: Checkpoint) -> bool:
    """Whether transformers itself can load the model with its output matrix."""
    architectures = checkpoint.config.get("architectures") or []
    causal = any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures)
    return causal and not checkpoint.wrapped and not isinstance(checkpoint, AdaptedCheckpoint)


def _refuse_unknown(recipe: Recipe) -> None:
    """Refuse a head that says more than is read here."""
    head = recipe.head
    known = head.kind in ("affine", "mlp", "lm_rows")
    unknown = [*([] if known else [str(head.kind)]), *_beyond(head, _OF_HEAD)]
    for layer in head.layers:
        unknown += _beyond(layer, _OF_LAYER)
    if unknown:
        raise InputError(
            "a head of linear layers, or rows of the output matrix",
            got=f"that of {recipe.name!r}, with {', '.join(unknown)}",
            advice="the slow reading does not know it",
            where="check_model",
        )


def _beyond(value: Head | Layer, known: set[str]) -> list[str]:
    """Name the fields that are set, and not known here."""
    return [
        field.name
        for field in dataclasses.fields(value)
        if field.name not in known and getattr(value, field.name) != _default(field)
    ]


def _default(field: Any) -> Any:
    return None if field.default is dataclasses.MISSING else field.default
