"""The output matrix of a language model, which some heads are read from or multiplied with."""

from __future__ import annotations

import torch
from transformers import AutoModelForImageTextToText
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from stepscore.errors import Argument, InputError
from stepscore.hub import silenced_hub
from stepscore.recipes import Recipe, Tokenizer
from stepscore.scoring.checkpoint.backbone import stock_config
from stepscore.scoring.checkpoint.folder import Checkpoint

LoadedLayer = tuple[torch.Tensor, torch.Tensor | None]

# Rows of the output matrix that are in memory at once, in float64: 0.3 GB of a matrix of 8,192
# columns.
_BLOCK = 4096
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
# Those that also see; many of them keep the whole language model in an attribute of this name.
_SEEING = frozenset(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values())
_LANGUAGE_MODEL = "language_model."


def word_rows(
    checkpoint: Checkpoint, recipe: Recipe, tokenizer: Tokenizer, hidden_size: int
) -> LoadedLayer:
    """Read the rows of the output matrix that belong to the recipe's words: [words, H], [words]."""
    assert recipe.head.word_ids is not None
    check_plain_logits(checkpoint, recipe)
    key = _output_matrix(checkpoint, recipe)
    ids = recipe.head.word_ids(tokenizer)
    shape = checkpoint.shapes[key]
    if len(shape) != 2 or shape[1] != hidden_size or shape[0] <= max(ids):
        raise InputError(
            f"{key!r} to have more than {max(ids)} rows (the ids of the recipe's words are "
            f"{list(ids)}) and {hidden_size} columns",
            got=f"{list(shape)} in {checkpoint.name}",
            advice="use the tokenizer and the weights of one checkpoint",
            where="load",
        )
    bias = _bias(checkpoint, key)
    return checkpoint.rows(key, ids), None if bias is None else checkpoint.rows(bias, ids)


@torch.no_grad()
def folded(
    checkpoint: Checkpoint, recipe: Recipe, over_logits: LoadedLayer | None, hidden_size: int
) -> LoadedLayer:
    r"""Multiply a layer over all logits out: :math:`W = U W_{lm}`, :math:`b = U b_{lm} + c`.

    In float64, over blocks of the output matrix, which is never in memory as a whole.

    Args:
        checkpoint, recipe: whose output matrix it is.
        over_logits: :math:`U`, ``[outputs, V]``, and :math:`c`; None is the mean of all logits, of
            those rows too that no token has.
        hidden_size: H.

    Raises:
        ValueError: another number of rows than U has columns; logits that are not the output
            matrix times the hidden state.
    """
    check_plain_logits(checkpoint, recipe)
    key = _output_matrix(checkpoint, recipe)
    shape = checkpoint.shapes[key]
    rows = shape[0]
    if over_logits is None:
        over_logits = torch.full((1, rows), 1 / rows, dtype=torch.float64), None
    over, constant = over_logits[0].double(), over_logits[1]
    if shape != (over.shape[1], hidden_size):
        raise InputError(
            f"{key!r} of shape {[over.shape[1], hidden_size]}, a row for every column of "
            f"{recipe.head.layers[-1].weight!r}",
            got=f"{list(shape)} in {checkpoint.name}",
            advice="use the head and the weights of one checkpoint",
            where="load",
        )
    bias = _bias(checkpoint, key)
    weight = torch.zeros((len(over), hidden_size), dtype=torch.float64)
    added = torch.zeros(len(over), dtype=torch.float64)
    for begin in range(0, rows, _BLOCK):
        block = range(begin, min(begin + _BLOCK, rows))
        part = over[:, begin : block.stop]
        weight += part @ checkpoint.rows(key, block).double()
        if bias is not None:
            added += part @ checkpoint.rows(bias, block).double()
    if constant is not None:
        added += constant.double()
    nothing = bias is None and constant is None
    return weight.float(), None if nothing else added.float()


def output_matrix_names(checkpoint: Checkpoint, recipe: Recipe) -> tuple[str, ...]:
    """Give the names of the output matrix and of what is added to its products."""
    key = _output_matrix(checkpoint, recipe)
    return tuple(name for name in (key, _bias_of(key)) if name in checkpoint.files)


def _bias(checkpoint: Checkpoint, key: str) -> str | None:
    """Name what is added to the products of a matrix, if there is something."""
    bias = _bias_of(key)
    if bias not in checkpoint.files:
        return None
    rows = list(checkpoint.shapes[key][:1])
    if list(checkpoint.shapes[bias]) != rows:
        raise InputError(
            f"{bias!r} of shape {rows}, one number for each row of {key!r}",
            got=f"{list(checkpoint.shapes[bias])} in {checkpoint.name}",
            advice="use a checkpoint that one call of save_pretrained wrote",
            where="load",
        )
    return bias


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


def is_embeddings(key: str) -> bool:
    """Tell whether a tensor is the embeddings of a model, of whichever family."""
    return f".{key}".endswith(_EMBEDDINGS)


def _output_matrix(checkpoint: Checkpoint, recipe: Recipe) -> str:
    layer = recipe.head.layers[0]
    architectures = checkpoint.config.get("architectures") or []
    sees = any(name in _SEEING for name in architectures)
    tied = _ties(checkpoint) if sees else _says_tied(checkpoint)
    keys = [key for key in checkpoint.files if is_embeddings(key)]
    embeddings = keys[0] if len(keys) == 1 else None
    names = (layer.weight, _LANGUAGE_MODEL + layer.weight) if sees else (layer.weight,)
    if layer.weight in checkpoint.changed:
        return layer.weight
    for name in names:
        if name not in checkpoint.files:
            continue
        if tied and embeddings is not None and not _equal(checkpoint, name, embeddings):
            raise InputError(
                f"{name!r} equal to {embeddings!r}, as tie_word_embeddings in config.json says",
                got=f"two that differ in {checkpoint.name}",
                advice="set tie_word_embeddings to false to read the first, or remove it to read "
                "the second",
                where="load",
            )
        return name
    causal = any(
        name.endswith(("ForCausalLM", "LMHeadModel")) or name in _CAUSAL | _SEEING
        for name in architectures
    )
    # The embeddings of a classifier were never trained as an output matrix, tied or not.
    if causal and tied and embeddings is not None:
        return embeddings
    raise InputError(
        f"the output matrix of a causal language model, which the recipe {recipe.name!r} reads: "
        f"the tensor {layer.weight!r}, or tied embeddings",
        got=f"neither in {checkpoint.name}, whose architectures are {architectures}",
        advice=("pass the ", Argument("recipe"), " that it was trained with"),
        where="load",
    )


def _says_tied(checkpoint: Checkpoint) -> bool:
    return bool(stock_config(checkpoint).get_text_config().tie_word_embeddings)


def _ties(checkpoint: Checkpoint) -> bool:
    """Tell whether a model that also sees ties its matrices: its parts may say other things."""
    with torch.device("meta"), silenced_hub():
        model = AutoModelForImageTextToText.from_config(
            stock_config(checkpoint), trust_remote_code=False
        )
    output = model.get_output_embeddings()
    return output is not None and output.weight is model.get_input_embeddings().weight


def _equal(checkpoint: Checkpoint, first: str, second: str) -> bool:
    """Compare two matrices in a few rows: training changes them all, or none."""
    shape = checkpoint.shapes[first]
    if shape != checkpoint.shapes[second]:
        return False
    some = range(0, shape[0], max(1, shape[0] // 64))
    return torch.equal(checkpoint.rows(first, some), checkpoint.rows(second, some))
