"""A name or a folder -> what reads hidden states of the model, without its backbone."""

from __future__ import annotations

from pathlib import Path

from stepscore.arrays import check_environment
from stepscore.errors import InputError
from stepscore.hub import stderr_is_terminal
from stepscore.recipes.recipe_files import NamedRecipe
from stepscore.recipes.registry import check_tokenizer
from stepscore.scoring.checkpoint.adapter import AdaptedCheckpoint, open_model, with_tokenizer
from stepscore.scoring.checkpoint.backbone import skeleton
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.head import load_head as load_weights
from stepscore.scoring.checkpoint.loading import check_model, recipe_for
from stepscore.scoring.checkpoint.side_files import with_side_files
from stepscore.scoring.checkpoint.tokenizer import load_tokenizer
from stepscore.scoring.final_norm import NAMES, FinalNorm, final_norm
from stepscore.scoring.prm_head import PrmHead
from stepscore.scoring.tail import refuse_likelihood


def load_head(
    model: str | Path,
    *,
    recipe: NamedRecipe | None = None,
    revision: str | None = None,
    show_progress: bool | None = None,
) -> PrmHead:
    """Load what reads hidden states of a process reward model, and nothing else of it.

    Of the weights the head is read, and the norm behind the last layer; those of the backbone are
    not. A repository that is in no cache is downloaded as a whole, as `stepscore.load` does it.

    Args:
        model, recipe, revision, show_progress: as in `stepscore.load`.

    Raises:
        ValueError, TypeError: as in `stepscore.load`.

    Examples:
        >>> import numpy as np
        >>> import stepscore
        >>> head = stepscore.load_head("lab")
        >>> head
        PrmHead('lab', recipe='trl-prm')
        >>> problems, solutions = ["85+95-16+20+11-30=?"], [["85+95=180", "180-16=164"]]
        >>> ids = head.recipe.encode(head.tokenizer, problems, solutions)
        >>> hidden = np.ones((len(ids.token_ids), 96), np.float32)  # those of your own forward
        >>> states = hidden * head.norm.gain.astype(np.float32)
        >>> len(head.read(states, ids.token_ids, ids.offsets, step_counts=[2]).values)
        2
    """
    check_environment()
    check_model(model, "load_head")
    shown = stderr_is_terminal() if show_progress is None else show_progress
    checkpoint = open_model(model, revision=revision, show_progress=shown)
    tokenizer = load_tokenizer(with_tokenizer(checkpoint))
    chosen = recipe_for(recipe, checkpoint, tokenizer)
    refuse_likelihood("load_head", chosen)
    check_tokenizer(chosen, tokenizer)
    checkpoint = with_side_files(checkpoint, chosen, show_progress=shown)
    return PrmHead(
        name=checkpoint.name,
        revision=checkpoint.revision,
        recipe=chosen,
        tokenizer=tokenizer,
        head=load_weights(checkpoint, chosen, tokenizer),
        # The state before the last layer has no norm behind it.
        final_norm=_final_norm(checkpoint) if chosen.head.hidden_layer == -1 else None,
    )


def _final_norm(checkpoint: Checkpoint) -> FinalNorm | None:
    """Build the stock model without memory, and give its last norm the checkpoint's weights."""
    keys = {key for key in checkpoint.files if key.rpartition(".")[0].split(".")[-1] in NAMES}
    backbone = skeleton(checkpoint)
    norm = final_norm(backbone)
    if norm is None:
        return None
    name = next(name for name in NAMES if getattr(backbone, name, None) is norm.module)
    weights = {}
    for part in norm.module.state_dict():
        stored = [key for key in keys if f".{key}".endswith(f".{name}.{part}") and _is_last(key)]
        if len(stored) != 1:
            raise InputError(
                f"one tensor {name}.{part}, the norm behind the last layer",
                got=f"{', '.join(stored) or 'none'} in {checkpoint.name}",
                advice="use a complete checkpoint",
                where="load_head",
            )
        _refuse_adapted(checkpoint, f"{name}.{part}")
        weights[part] = checkpoint.tensor(stored[0])
    module = norm.module.to_empty(device="cpu").float()
    module.load_state_dict(weights)
    return FinalNorm(module.eval().requires_grad_(False))


def _refuse_adapted(checkpoint: Checkpoint, norm: str) -> None:
    """Refuse an adapter that changes the norm, with which only a backbone is merged."""
    if not isinstance(checkpoint, AdaptedCheckpoint):
        return
    changed = (*checkpoint.adapter.backbone_factors, *checkpoint.adapter.backbone_whole)
    if any(f".{key}".endswith(f".{norm}") and _is_last(key) for key in changed):
        raise InputError(
            "an adapter that leaves the norm behind the last layer as it is",
            got=f"{norm!r} in {checkpoint.name}",
            advice="save the merged model (peft's merge_and_unload) and load its head",
            where="load_head",
        )


def _is_last(key: str) -> bool:
    """Whether a tensor stands behind the layers, not in one of them, which have numbers."""
    return not any(part.isdigit() for part in key.split("."))
