"""The head's weights, from a checkpoint."""

from __future__ import annotations

from typing import Any

from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from stepscore.errors import Argument, InputError
from stepscore.recipes import Recipe, Tokenizer
from stepscore.recipes.config_sizes import hidden_size
from stepscore.recipes.registry import head_fault
from stepscore.scoring.checkpoint.backbone import stock_config
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.quantisation import check_head
from stepscore.scoring.forward.head import HeadWeights, Layers

# How the families of models call them.
_EMBEDDINGS = (".embed_tokens.weight", ".wte.weight", ".embed_in.weight", ".word_embeddings.weight")
_CHANGES_LOGITS = (
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
        ValueError: a tensor that is missing or of another shape than the recipe says.
    """
    weights = [layer.weight for layer in recipe.head.layers]
    check_head(checkpoint.config, weights, checkpoint.files, checkpoint.name)
    if recipe.head.kind == "lm_rows":
        return HeadWeights(recipe, _word_rows(checkpoint, recipe, tokenizer))
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


def _word_rows(checkpoint: Checkpoint, recipe: Recipe, tokenizer: Tokenizer) -> Layers:
    """Read the rows of the output matrix that belong to the recipe's words: [words, H]."""
    assert recipe.head.word_ids is not None
    config = stock_config(checkpoint).get_text_config()
    _refuse_changed_logits(checkpoint, config)
    key = _output_matrix(checkpoint, recipe, tied=bool(config.tie_word_embeddings))
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
    [layer] = recipe.head.layers
    bias_key = layer.weight.replace("weight", "bias")
    bias = checkpoint.tensor(bias_key)[list(ids)] if bias_key in checkpoint.files else None
    return ((checkpoint.rows(key, ids), bias),)


def _refuse_changed_logits(checkpoint: Checkpoint, config: Any) -> None:
    """Refuse a model that does not leave its logits as the output matrix gives them."""
    for name in _CHANGES_LOGITS:
        value = getattr(config, name, None)
        if isinstance(value, (int, float)) and value != 1:
            raise InputError(
                "a language model whose logits are its output matrix times its hidden states",
                got=f"{checkpoint.name}, whose logits are changed by {name} = {value}",
                advice=_PASS_ANOTHER_RECIPE,
                where="load",
            )


def _output_matrix(checkpoint: Checkpoint, recipe: Recipe, *, tied: bool) -> str:
    [layer] = recipe.head.layers
    if layer.weight in checkpoint.files:
        return layer.weight
    architectures = checkpoint.config.get("architectures") or []
    causal = any(
        name.endswith(("ForCausalLM", "LMHeadModel")) or name in _CAUSAL for name in architectures
    )
    # The embeddings of a classifier were never trained as an output matrix, tied or not.
    if causal and tied:
        keys = [key for key in checkpoint.files if f".{key}".endswith(_EMBEDDINGS)]
        if len(keys) == 1:
            return keys[0]
    raise InputError(
        f"the output matrix of a causal language model, which the recipe {recipe.name!r} reads: "
        f"the tensor {layer.weight!r}, or tied embeddings",
        got=f"neither in {checkpoint.name}, whose architectures are {architectures}",
        advice=_PASS_ANOTHER_RECIPE,
        where="load",
    )
