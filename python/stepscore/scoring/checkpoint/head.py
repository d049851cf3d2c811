"""The head's weights, from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from stepscore.errors import Argument, InputError
from stepscore.recipes import Recipe, Tokenizer
from stepscore.recipes.config_sizes import hidden_size
from stepscore.recipes.fitting_head import fitting_call
from stepscore.recipes.head import Layer, head_fault
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.output_matrix import (
    LoadedLayer,
    folded,
    output_matrix_names,
    word_rows,
)
from stepscore.scoring.checkpoint.quantisation import check_head
from stepscore.scoring.forward.head import HeadWeights


def load_head(checkpoint: Checkpoint, recipe: Recipe, tokenizer: Tokenizer) -> HeadWeights:
    """Read the head's weights from a checkpoint, with the files beside it that they stand in.

    Layers with a gain and a shift, several layers of one hidden state, and a layer over all logits
    become one matrix ``[outputs, H]``; the sums are in float64.

    Raises:
        ValueError: a tensor that is missing or of another shape than the recipe says; weights that
            are no numbers, or that give the same score to every step.
    """
    head = recipe.head
    weights = [layer.weight for layer in head.layers]
    check_head(checkpoint.config, weights, checkpoint.files, checkpoint.name)
    size = _hidden_size(checkpoint)
    fault = head_fault(head, checkpoint.shapes, size)
    if fault is not None:
        other = fitting_call(recipe, checkpoint.shapes, size)
        advice: tuple[str | Argument, ...] = (
            ("pass the ", Argument("recipe"), " that it was trained with")
            if other is None
            else ("pass ", Argument("recipe", other), ", whose head is that of the checkpoint")
        )
        raise InputError(
            f"{fault.expected}, the head of the recipe {recipe.name!r}",
            got=f"{fault.got} in {checkpoint.name}, whose architectures are "
            f"{checkpoint.config.get('architectures')}",
            advice=advice,
            where="load",
        )
    if head.kind == "lm_rows":
        layers = [word_rows(checkpoint, recipe, tokenizer, size)]
    elif head.kind == "vocabulary":
        over_logits = [_scaled(checkpoint, layer) for layer in head.layers[1:]]
        layers = [folded(checkpoint, recipe, over_logits[0] if over_logits else None, size)]
    else:
        layers = [_scaled(checkpoint, layer) for layer in head.layers]
        if head.kind == "affine":
            layers = [_stacked(layers)]
    _check_trained(checkpoint, layers, head_tensors(checkpoint, recipe))
    return HeadWeights(recipe, tuple(layers))


def head_tensors(checkpoint: Checkpoint, recipe: Recipe) -> tuple[str, ...]:
    """Give the names of the tensors that a recipe's head is read from."""
    layers = recipe.head.layers
    if recipe.head.reads_output_matrix:
        names = output_matrix_names(checkpoint, recipe)
        return (*names, *(name for layer in layers[1:] for name in layer.names))
    return tuple(name for layer in layers for name in layer.names)


def _scaled(checkpoint: Checkpoint, layer: Layer) -> LoadedLayer:
    """Read a layer; W (g x + s) + b is (g W) x + (s W 1 + b)."""
    weight = checkpoint.tensor(layer.weight)
    bias = None if layer.bias is None else checkpoint.tensor(layer.bias)
    if layer.gain is None and layer.shift is None:
        return weight, bias
    gain, shift = (
        neutral if name is None else float(checkpoint.tensor(name))
        for name, neutral in ((layer.gain, 1.0), (layer.shift, 0.0))
    )
    wide = weight.double()
    added = shift * wide.sum(1)
    return (gain * wide).float(), (added if bias is None else added + bias.double()).float()


def _stacked(layers: Sequence[LoadedLayer]) -> LoadedLayer:
    """Put the rows of layers that read the same hidden state below each other."""
    if len(layers) == 1:
        return layers[0]
    weight = torch.cat([weight for weight, _ in layers])
    if all(bias is None for _, bias in layers):
        return weight, None
    none = [torch.zeros(len(weight)) if bias is None else bias for weight, bias in layers]
    return weight, torch.cat(none)


def _check_trained(
    checkpoint: Checkpoint, layers: Sequence[LoadedLayer], names: Sequence[str]
) -> None:
    for tensor in (tensor for layer in layers for tensor in layer if tensor is not None):
        if not bool(tensor.isfinite().all()):
            raise InputError(
                f"numbers in the head ({', '.join(names)})",
                got=f"NaN or infinity in {checkpoint.name}",
                advice="use another copy, or an earlier checkpoint of the training",
                where="load",
            )
    last = layers[-1][0]
    # Rows that are equal, or a single row of zeros: no hidden state could change the score.
    constant = not bool((last - last[:1] if len(last) > 1 else last).any())
    if constant or any(not bool(weight.any()) for weight, _ in layers):
        raise InputError(
            f"a trained head ({', '.join(names)})",
            got=f"weights in {checkpoint.name} that give every step the same score: "
            f"{'zeros' if not bool(last.any()) or not constant else 'equal rows'}",
            advice="use a checkpoint whose head was trained and saved",
            where="load",
        )


def _hidden_size(checkpoint: Checkpoint) -> int:
    size = hidden_size(checkpoint.config)
    if size is None:
        raise InputError(
            "a whole number as hidden_size (n_embd, d_model) in config.json",
            got=f"{checkpoint.config.get('hidden_size')!r} in {checkpoint.name}",
            advice="use the config.json of a language model",
            where="load",
        )
    return size
