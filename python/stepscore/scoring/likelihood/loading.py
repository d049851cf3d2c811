"""The output matrix of a language model, and the other model of a log-ratio."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from stepscore.errors import Argument, InputError
from stepscore.recipes import Recipe, Tokenizer
from stepscore.recipes.config_sizes import positions
from stepscore.scoring.arguments import addressed
from stepscore.scoring.checkpoint.adapter import (
    load_merged_backbone,
    loaded_weights,
    open_model,
    with_tokenizer,
)
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.head import head_tensors
from stepscore.scoring.checkpoint.output_matrix import check_plain_logits, is_embeddings
from stepscore.scoring.checkpoint.prepared import default_token_budget, prepared
from stepscore.scoring.checkpoint.tokenizer import load_tokenizer
from stepscore.scoring.forward.engine import Engine
from stepscore.scoring.forward.fixed_bits import MOVES_BY
from stepscore.scoring.forward.head import HeadWeights
from stepscore.scoring.forward.placement import input_device
from stepscore.scoring.forward.sharing import Sharing
from stepscore.scoring.likelihood.engine import ReferenceModel
from stepscore.scoring.likelihood.likelihood_head import LikelihoodHead
from stepscore.scoring.likelihood.output_products import rows_move
from stepscore.scoring.loaded_weights import LoadedWeights

_REFERENCE = Argument("reference")


def open_reference(
    checkpoint: Checkpoint, recipe: Recipe, tokenizer: Tokenizer, show_progress: bool
) -> Checkpoint | None:
    """Find the reference of a recipe that has one, and compare it with the model.

    Args:
        checkpoint, tokenizer: of the model.
        recipe: names the reference.
        show_progress: of a download.

    Raises:
        ValueError: a model or a reference whose logits are not its output matrix times the hidden
            state; no such reference; one whose vocabulary is another.
    """
    if recipe.head.likelihood is None:
        return None
    _check_matrix(checkpoint, recipe)
    name = recipe.head.likelihood.reference
    if name is None:
        return None
    try:
        reference = open_model(name, show_progress=show_progress)
        _check_matrix(reference, recipe)
        other = load_tokenizer(with_tokenizer(reference))
    except InputError as fault:
        raise addressed(fault, "load", _REFERENCE) from fault.__cause__
    _check_vocabulary(tokenizer, other, checkpoint.name, name)
    return reference


def load_reference(
    reference: Checkpoint | None,
    recipe: Recipe,
    dtype: torch.dtype | str,
    device: torch.device,
    share: bool,
    token_budget: int | None,
) -> ReferenceModel | None:
    """Load what `open_reference` has found, as the model itself is loaded."""
    if reference is None:
        return None
    backbone = load_merged_backbone(
        reference, dtype=dtype, device=device, head=head_tensors(reference, recipe)
    )
    ready = prepared(backbone, reference, share, stacklevel=4)
    head = load_output_matrix(reference, recipe, backbone)
    engine = Engine(
        backbone,
        head,
        default_token_budget(device) if token_budget is None else token_budget,
        ready.costs,
        ready.rope_switch_length,
        ready.cache_limit,
    )
    sharing = sharing_of_both(ready.sharing, head, None)
    return ReferenceModel(reference.name, reference.revision, engine, sharing)


def load_output_matrix(
    checkpoint: Checkpoint, recipe: Recipe, backbone: torch.nn.Module
) -> LikelihoodHead:
    """Read the output matrix: the embeddings of the backbone where the two are tied.

    Raises:
        ValueError: numbers that are none, fewer rows than the model has embeddings.
    """
    key, *bias = head_tensors(checkpoint, recipe)
    embeddings: torch.Tensor = backbone.get_input_embeddings().weight  # type: ignore[operator]
    dtype = embeddings.dtype if embeddings.is_floating_point() else torch.float32
    device = input_device(backbone)
    if device.type not in ("cpu", "cuda"):  # one without float64: the rows that are read come here
        device = torch.device("cpu")
    if is_embeddings(key) and embeddings.device == device:
        weight = embeddings.detach()
    else:
        weight = checkpoint.tensor(key).to(device, dtype)
    if len(weight) < len(embeddings):
        raise InputError(
            f"{key!r} with a row for each of the {len(embeddings)} embeddings",
            got=f"{list(weight.shape)} in {checkpoint.name}",
            advice="use a checkpoint that one call of save_pretrained wrote",
            where="load",
        )
    if not bool(weight.isfinite().all()):
        raise InputError(
            f"numbers in the output matrix ({key})",
            got=f"NaN or infinity in {checkpoint.name}",
            advice="use another copy, or another dtype",
            where="load",
        )
    added = checkpoint.tensor(bias[0]).to(device, dtype) if bias else None
    return LikelihoodHead(recipe, weight, added)


def reference_length(most: int | None, reference: Checkpoint | None, recipe: Recipe) -> int | None:
    """Give the most tokens that both models take."""
    other = None if reference is None else positions(reference.config, recipe.length_key)
    return min((each for each in (most, other) if each is not None), default=None)


def sharing_of_both(
    sharing: Sharing, head: HeadWeights | LikelihoodHead, reference: ReferenceModel | None
) -> Sharing:
    """Say how scores move that come from output matrices and from two models: as any of these."""
    if sharing.moves is not None:
        return sharing
    if isinstance(head, LikelihoodHead) and rows_move(head.weight):
        by = MOVES_BY[torch.float32]
        sharing = replace(sharing, moves=f"by about {by}: the rows of its output matrix move here")
    elif reference is not None and reference.sharing.moves is not None:
        sharing = replace(sharing, moves=f"{reference.sharing.moves} (its reference)")
    return sharing


def weights_of_both(
    checkpoint: Checkpoint, backbone: torch.nn.Module, reference: ReferenceModel | None
) -> LoadedWeights:
    """Say what the weights of a model are, and which other model it is compared with."""
    address = None if reference is None else reference.address
    return replace(loaded_weights(checkpoint, backbone), reference=address)


def _check_matrix(checkpoint: Checkpoint, recipe: Recipe) -> None:
    """Refuse, by the headers alone, what has no plain output matrix."""
    check_plain_logits(checkpoint, recipe)
    key, *_ = head_tensors(checkpoint, recipe)
    shape = checkpoint.shapes[key]
    if len(shape) != 2:
        raise InputError(
            f"{key!r} of shape [V, H]",
            got=f"{list(shape)} in {checkpoint.name}",
            advice="use a checkpoint that one call of save_pretrained wrote",
            where="load",
        )


def _check_vocabulary(first: Any, second: Any, model: str, reference: str) -> None:
    """Refuse a reference in which a token of the model has another id, or none."""
    ids, others = first.get_vocab(), second.get_vocab()
    differing = sorted(
        (token for token, index in ids.items() if others.get(token, index) != index),
        key=ids.__getitem__,
    )
    texts = ["Step 1: 12 + 30 = 42.\n\nStep 2: so x = 42.", "\\frac{1}{2}\n", "naïve ки\t2025"]
    options = {"add_special_tokens": False}
    if not differing and all(
        first(text, **options)["input_ids"] == second(text, **options)["input_ids"]
        for text in texts
    ):
        return
    got = (
        f"{differing[0]!r} as {ids[differing[0]]} in {model} and as {others[differing[0]]} in "
        f"{reference}"
        if differing
        else f"other token ids for the same text in {model} and in {reference}"
    )
    raise InputError(
        "a reference with the model's own vocabulary, because both read the same token ids",
        got=got,
        advice="pass the model that it was trained from, or one of that family",
        argument=_REFERENCE,
        where="load",
    )
