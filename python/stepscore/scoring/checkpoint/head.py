"""The head's weights, from a checkpoint."""

from __future__ import annotations

import torch

from stepscore.errors import Argument, InputError
from stepscore.recipes import Recipe, Tokenizer
from stepscore.recipes.config_sizes import hidden_size
from stepscore.recipes.registry import head_fault
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.forward.head import HeadWeights

_EMBEDDINGS = ("model.embed_tokens.weight", "embed_tokens.weight")
_PASS_ANOTHER_RECIPE = ("pass the ", Argument("recipe"), " that it was trained with")


def load_head(checkpoint: Checkpoint, recipe: Recipe, tokenizer: Tokenizer) -> HeadWeights:
    """Read the head's weights from a checkpoint.

    Raises:
        ValueError: a tensor that is missing or of another shape than the recipe says.
    """
    if recipe.head.kind == "lm_rows":
        return HeadWeights(recipe, ((_word_rows(checkpoint, recipe, tokenizer), None),))
    fault = head_fault(recipe.head, checkpoint.shapes, _hidden_size(checkpoint))
    if fault is not None:
        raise InputError(
            f"{fault.expected}, the head of the recipe {recipe.name!r}",
            got=f"{fault.got} in {checkpoint.name}, whose architectures are "
            f"{checkpoint.config.get('architectures')}",
            advice=_PASS_ANOTHER_RECIPE,
            where="load",
        )
    layers = []
    for layer in recipe.head.layers:
        bias = None if layer.bias is None else checkpoint.tensor(layer.bias)
        layers.append((checkpoint.tensor(layer.weight), bias))
    return HeadWeights(recipe, tuple(layers))


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


def _word_rows(checkpoint: Checkpoint, recipe: Recipe, tokenizer: Tokenizer) -> torch.Tensor:
    """Read the rows of the output matrix that belong to the recipe's words: [words, H]."""
    assert recipe.head.word_ids is not None
    key = _output_matrix(checkpoint, recipe)
    ids = recipe.head.word_ids(tokenizer)
    shape = checkpoint.shapes[key]
    if len(shape) != 2 or shape[1] != _hidden_size(checkpoint) or shape[0] <= max(ids):
        raise InputError(
            f"{key!r} to have more than {max(ids)} rows (the ids of the recipe's words are "
            f"{list(ids)}) and {_hidden_size(checkpoint)} columns",
            got=f"{list(shape)} in {checkpoint.name}",
            advice="use the tokenizer and the weights of one checkpoint",
            where="load",
        )
    return checkpoint.rows(key, ids)


def _output_matrix(checkpoint: Checkpoint, recipe: Recipe) -> str:
    [layer] = recipe.head.layers
    if layer.weight in checkpoint.files:
        return layer.weight
    architectures = checkpoint.config.get("architectures") or []
    causal = any(name.endswith("ForCausalLM") for name in architectures)
    # The embeddings of a classifier were never trained as an output matrix, tied or not.
    if causal and checkpoint.config.get("tie_word_embeddings", False):
        for key in _EMBEDDINGS:
            if key in checkpoint.files:
                return key
    raise InputError(
        f"the output matrix of a causal language model, which the recipe {recipe.name!r} reads: "
        f"the tensor {layer.weight!r}, or tied embeddings",
        got=f"neither in {checkpoint.name}, whose architectures are {architectures}",
        advice=_PASS_ANOTHER_RECIPE,
        where="load",
    )
