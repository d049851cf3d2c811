"""The slow reading: a stock model, one sequence at a time, and a head in float64.

Nothing here is shared with the engine's forward or its head: no plan, no packing, no shared prefix,
no attention or activation of ours, and no op of the core. Only the checkpoint's files are opened by
the same code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from stepscore.errors import InputError
from stepscore.hub import silenced_hub
from stepscore.recipes import Head, Layer, Reading, Recipe, Tokenizer
from stepscore.recipes.places import Places
from stepscore.scoring.checkpoint.adapter import AdaptedCheckpoint, load_merged_backbone
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.head import head_tensors
from stepscore.scoring.checkpoint.side_files import with_side_files

Float = NDArray[np.float64]

# What is known of a head here; one that says more is not read, rather than read without it.
_KINDS = ("affine", "mlp", "lm_rows", "vocabulary")
_OF_HEAD = {"kind", "layers", "outputs", "word_ids", "hidden_layer"}
_OF_LAYER = {"weight", "bias", "gain", "shift", "file", "widening"}
_OF_RUNNING: dict[str, Callable[[Float], float]] = {
    "mean": lambda read: float(read.mean()),
    "min": lambda read: float(read.min()),
    "max": lambda read: float(read.max()),
    "last": lambda read: float(read[-1]),
}
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


Apply = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class SlowReading:
    """A model that is read token by token of one sequence.

    Attributes:
        model: a stock class of transformers.
        head: what the model gives at some tokens, in float64 -> the head's outputs.
        recipe: says what is read from them.
        full_logits: whether the model gives the logits of its whole vocabulary.
    """

    model: torch.nn.Module
    head: Apply
    recipe: Recipe
    full_logits: bool

    @torch.inference_mode()
    def read(self, token_ids: Sequence[int], positions: Sequence[int]) -> Float:
        """Give the readings at some tokens of one sequence, ``[positions, readings]``."""
        device = next(self.model.parameters()).device
        ids = torch.tensor([list(token_ids)], device=device)
        layer = self.recipe.head.hidden_layer
        given = self.model(input_ids=ids, use_cache=False, output_hidden_states=layer != -1)
        if self.full_logits:
            everywhere = given.logits
        else:
            everywhere = given.last_hidden_state if layer == -1 else given.hidden_states[layer]
        outputs = self.head(everywhere[0, list(positions)].cpu().double()).numpy()
        return np.stack([_reading(each, outputs) for each in self.recipe.token_readings], 1)

    def read_trace(self, sequences: Iterable[tuple[Sequence[int], Sequence[int]]]) -> Float:
        """Give the readings of a trace, of which each sequence is read alone."""
        values = np.concatenate([self.read(*each) for each in sequences if each[1]])
        if self.recipe.places is not None:
            values = _answers(self.recipe.places, values)
        running = self.recipe.running
        if running is not None:
            names = [reading.name for reading in self.recipe.readings]
            added = values[:, names.index(running.reading)].copy()
            for step in range(len(values)):
                reduced = _OF_RUNNING[running.how](added[: step + 1])
                values[step, 0] += running.weight * reduced
        return values


def _reading(reading: Reading, outputs: Float) -> Float:
    """Give one reading of a head's outputs, ``[positions]``."""
    terms = _ACTIVATIONS[reading.activation](outputs) * np.array(reading.weights)
    # An output that is not read may be infinite, and 0 times infinity is no number.
    value: Float = terms[:, np.flatnonzero(reading.weights)].sum(1)
    return value if reading.threshold is None else (value >= reading.threshold).astype(np.float64)


def _answers(places: Places, values: Float) -> Float:
    """Give the readings of steps that are asked several questions, one step after the other."""
    rows = []
    for asked in values.reshape(-1, len(places.questions), 2):
        refused = any(difference < 0 for difference, _ in asked[: places.gates])
        last = asked[-1, 1] if len(asked) > places.gates else 1.0
        rows.append([places.refused if refused else last, *asked[:, 1]])
    return np.array(rows)


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
    refuse_unknown(recipe)
    checkpoint = with_side_files(checkpoint, recipe)
    plain = recipe.head.reads_output_matrix and _is_plain_language_model(checkpoint)
    if plain:
        with silenced_hub():
            model = AutoModelForCausalLM.from_pretrained(
                checkpoint.folder,
                dtype=dtype,
                trust_remote_code=False,
                local_files_only=True,
            )
        model = model.eval().to(device)
    else:
        heads = head_tensors(checkpoint, recipe)
        model = load_merged_backbone(checkpoint, dtype=dtype, device=device, head=heads)
    head = _head(checkpoint, recipe, tokenizer)
    if recipe.head.reads_output_matrix and not plain:
        logits = _logits(checkpoint, recipe)
        return SlowReading(model, lambda hidden: head(logits(hidden)), recipe, False)
    return SlowReading(model, head, recipe, plain)


def _logits(checkpoint: Checkpoint, recipe: Recipe) -> Apply:
    """Give the whole output matrix as a function in float64."""
    names = head_tensors(checkpoint, recipe)
    over = {name for layer in recipe.head.layers[1:] for name in layer.names}
    key, *bias_key = [name for name in names if name not in over]
    weight = _tensor(checkpoint, key)
    bias = _tensor(checkpoint, bias_key[0]) if bias_key else None
    return lambda hidden: hidden @ weight.T + (0 if bias is None else bias)


def _head(checkpoint: Checkpoint, recipe: Recipe, tokenizer: Tokenizer) -> Apply:
    """Give the head as a function in float64: of logits, or of a hidden state."""
    head = recipe.head
    if head.kind == "lm_rows":
        assert head.word_ids is not None
        words = list(head.word_ids(tokenizer))
        return lambda logits: logits[:, words]
    if head.kind == "vocabulary":
        over = [_layer(checkpoint, layer) for layer in head.layers[1:]]
        return over[0] if over else lambda logits: logits.mean(1, keepdim=True)
    layers = [_layer(checkpoint, layer) for layer in head.layers]
    if head.kind == "affine":
        return lambda hidden: torch.cat([layer(hidden) for layer in layers], 1)

    def through_all(hidden: torch.Tensor) -> torch.Tensor:
        for number, layer in enumerate(layers):
            hidden = layer(hidden.relu() if number else hidden)
        return hidden

    return through_all


def _layer(checkpoint: Checkpoint, layer: Layer) -> Apply:
    """Give one layer, W (g x + s) + b."""
    weight = _tensor(checkpoint, layer.weight)
    bias, gain, shift = (
        None if name is None else _tensor(checkpoint, name)
        for name in (layer.bias, layer.gain, layer.shift)
    )

    def apply(given: torch.Tensor) -> torch.Tensor:
        scaled = given if gain is None else given * gain
        product = (scaled if shift is None else scaled + shift) @ weight.T
        return product if bias is None else product + bias

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


def refuse_unknown(recipe: Recipe) -> None:
    """Refuse a head that says more than is read here.

    Raises:
        ValueError: which, and what can be done instead.
    """
    head = recipe.head
    if head.likelihood is not None:
        raise InputError(
            "a recipe that is read at single tokens of a step",
            got=f"{recipe.name!r}, which adds up the log-probabilities of all of them: there is no "
            "slow reading of that",
            advice=f"`stepscore recipes show {recipe.name}` prints the exact text; hold the scores "
            "of a few traces in float32 against the authors' script",
            argument="recipe",
            where="check_model",
        )
    known = head.kind in _KINDS
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
