"""The head's weights, from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from stepscore.errors import Argument, InputError
from stepscore.recipes import Recipe, Tokenizer
from stepscore.recipes.config_sizes import hidden_size
from stepscore.recipes.registry import head_fault
from stepscore.scoring.checkpoint.backbone import stock_config
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.quantisation import check_head
from stepscore.scoring.forward.head import HeadWeights

Layer = tuple[torch.Tensor, torch.Tensor | None]

# How the families of models call them.
_EMBEDDINGS = (".embed_tokens.weight", ".wte.weight", ".embed_in.weight", ".word_embeddings.weight")
# Gemma 2's bound, Cohere's and Granite's scale, Falcon-H1's multiplier, other bounds.
_CHANGED_LOGITS = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "lm_head_multiplier",
    "logits_soft_cap",
    "output_logit_soft_cap",
)
_CAUSAL = frozenset(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
_PASS_ANOTHER_RECIPE = ("pass the ", Argument("recipe"), " that it was trained with")


def load_head(checkpoint: Checkpoint, recipe: Recipe, tokenizer: Tokenizer) -> HeadWeights:
    """Read the head's weights from a checkpoint.

    Raises:
        ValueError: a tensor that is missing or of another shape than the recipe says; weights that
            are no numbers, or that give the same score to every step.
    """
    weights = [layer.weight for layer in recipe.head.layers]
    check_head(checkpoint.config, weights, checkpoint.files, checkpoint.name)
    if recipe.head.kind == "lm_rows":
        layers = [_word_rows(checkpoint, recipe, tokenizer)]
    else:
        fault = head_fault(recipe.head, checkpoint.shapes, _hidden_size(checkpoint))
        if fault is not None:
            raise InputError(
                f"{fault.expected}, the head of the recipe {recipe.name!r}",
                got=f"{fault.got} in {checkpoint.name}, whose architectures are "
                f"{checkpoint.config.get('architectures')}",
                advice=_PASS_ANOTHER_RECIPE,
                where="load",
            )
        layers = [
            (
                checkpoint.tensor(layer.weight),
                None if layer.bias is None else checkpoint.tensor(layer.bias),
            )
            for layer in recipe.head.layers
        ]
    names = head_tensors(checkpoint, recipe)
    _check_trained(checkpoint, layers, names)
    return HeadWeights(recipe, tuple(layers))


def head_tensors(checkpoint: Checkpoint, recipe: Recipe) -> tuple[str, ...]:
    """Give the names of the tensors that a recipe's head is read from."""
    if recipe.head.kind in ("lm_rows", "next_tokens"):
        key = _output_matrix(checkpoint, recipe)
        return tuple(name for name in (key, _bias_of(key)) if name in checkpoint.files)
    names = [name for layer in recipe.head.layers for name in (layer.weight, layer.bias)]
    return tuple(name for name in names if name is not None)


def _check_trained(checkpoint: Checkpoint, layers: Sequence[Layer], names: Sequence[str]) -> None:
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


def _word_rows(checkpoint: Checkpoint, recipe: Recipe, tokenizer: Tokenizer) -> Layer:
    """Read the rows of the output matrix that belong to the recipe's words: [words, H], [words]."""
    assert recipe.head.word_ids is not None
    check_plain_logits(checkpoint, recipe)
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
    bias = _bias_of(key)
    if bias not in checkpoint.files:
        return checkpoint.rows(key, ids), None
    if checkpoint.shapes[bias] != shape[:1]:
        raise InputError(
            f"{bias!r} of shape {list(shape[:1])}, one number for each row of {key!r}",
            got=f"{list(checkpoint.shapes[bias])} in {checkpoint.name}",
            advice="use a checkpoint that one call of save_pretrained wrote",
            where="load",
        )
    return checkpoint.rows(key, ids), checkpoint.rows(bias, ids)


def _bias_of(key: str) -> str:
    return f"{key.removesuffix('weight')}bias"


def check_plain_logits(checkpoint: Checkpoint, recipe: Recipe) -> None:
    """Refuse a family whose logits are not the output matrix times the hidden state."""
    config = stock_config(checkpoint).get_text_config()  # with what its class says by default
    for key in _CHANGED_LOGITS:
        value = getattr(config, key, None)
        if value not in (None, 1, 1.0):
            raise InputError(
                f"logits that are the output matrix times the hidden state, which the recipe "
                f"{recipe.name!r} reads",
                got=f"{key} {value!r} in config.json of {checkpoint.name}, by which they are "
                "scaled or bounded",
                advice="use a model of another family",
                where="load",
            )


def _output_matrix(checkpoint: Checkpoint, recipe: Recipe) -> str:
    [layer] = recipe.head.layers
    tied = stock_config(checkpoint).get_text_config().tie_word_embeddings
    keys = [key for key in checkpoint.files if f".{key}".endswith(_EMBEDDINGS)]
    embeddings = keys[0] if len(keys) == 1 else None
    if layer.weight in checkpoint.changed:
        return layer.weight
    if layer.weight in checkpoint.files:
        if tied and embeddings is not None and not _equal(checkpoint, layer.weight, embeddings):
            raise InputError(
                f"{layer.weight!r} equal to {embeddings!r}, as tie_word_embeddings in config.json "
                "says",
                got=f"two that differ in {checkpoint.name}",
                advice="set tie_word_embeddings to false to read the first, or remove it to read "
                "the second",
                where="load",
            )
        return layer.weight
    architectures = checkpoint.config.get("architectures") or []
    causal = any(
        name.endswith(("ForCausalLM", "LMHeadModel")) or name in _CAUSAL for name in architectures
    )
    # The embeddings of a classifier were never trained as an output matrix, tied or not.
    if causal and tied and embeddings is not None:
        return embeddings
    raise InputError(
        f"the output matrix of a causal language model, which the recipe {recipe.name!r} reads: "
        f"the tensor {layer.weight!r}, or tied embeddings",
        got=f"neither in {checkpoint.name}, whose architectures are {architectures}",
        advice=_PASS_ANOTHER_RECIPE,
        where="load",
    )


def _equal(checkpoint: Checkpoint, first: str, second: str) -> bool:
    """Compare two matrices in a few rows: training changes them all, or none."""
    shape = checkpoint.shapes[first]
    if shape != checkpoint.shapes[second]:
        return False
    some = range(0, shape[0], max(1, shape[0] // 64))
    return torch.equal(checkpoint.rows(first, some), checkpoint.rows(second, some))
