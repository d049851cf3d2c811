"""A name or a folder -> a process reward model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from stepscore.arrays import check_environment
from stepscore.errors import Argument, InputError, InputTypeError
from stepscore.hub import stderr_is_terminal
from stepscore.recipes import Evidence, Recipe, Tokenizer, detect, recipe_by_name, recipe_from
from stepscore.recipes.config_sizes import positions
from stepscore.recipes.recipe_files import NamedRecipe, is_recipe_file
from stepscore.recipes.registry import check_tokenizer
from stepscore.scoring.arguments import addressed
from stepscore.scoring.checkpoint.adapter import (
    AdapterUse,
    home,
    load_merged_backbone,
    open_model,
    with_tokenizer,
)
from stepscore.scoring.checkpoint.backbone import stock_config
from stepscore.scoring.checkpoint.depth import end_where_read
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.head import head_tensors, load_head
from stepscore.scoring.checkpoint.placing import DeviceMap, check_placing
from stepscore.scoring.checkpoint.prepared import default_token_budget, prepared
from stepscore.scoring.checkpoint.side_files import with_side_files
from stepscore.scoring.checkpoint.tokenizer import load_tokenizer
from stepscore.scoring.forward.placement import input_device
from stepscore.scoring.likelihood.loading import (
    load_output_matrix,
    load_reference,
    open_reference,
    reference_length,
    sharing_of_both,
    weights_of_both,
)
from stepscore.scoring.model import ProcessRewardModel


def load(
    model: str | Path,
    *,
    recipe: NamedRecipe | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    max_length: int | None = None,
    token_budget: int | None = None,
    share: bool = True,
    show_progress: bool | None = None,
    base: str | Path | None = None,
    adapter: AdapterUse = "auto",
    device_map: DeviceMap | None = None,
    offload_folder: str | Path | None = None,
    reference_device: str | torch.device | None = None,
) -> ProcessRewardModel:
    """Load a process reward model.

    The backbone is a stock transformers class, and no code of a checkpoint is run; the head's
    weights are found by name, also in a file of their own beside the others, and checked by shape;
    the tokenizer is checked against the recipe.
    Weights are safetensors or, where there are none, pickles of ``torch.save`` of which nothing is
    executed; in one file or in shards. Every tensor is read by backbone or head, or refused.

    A folder that peft saved (LoRA and its like) holds no model but an adapter: it is merged into
    its base, in float32, and rounded once to the number format; heads in ``modules_to_save`` are
    read. Quantised weights are loaded as transformers loads them, and `ProcessRewardModel.weights`
    says so. Encoders, which see what follows a step, are refused.

    Args:
        model: a local folder, a Hugging Face repository (found in the cache or downloaded, as
            HF_HOME, HF_HUB_OFFLINE and HF_TOKEN say), or ``"lab"`` for the built-in miniature
            model.
        recipe: a name of `stepscore.recipes.recipe_names`, a file of YAML or JSON or a mapping, as
            `stepscore.recipes.recipe_from` takes them, or a Recipe such as
            ``stepscore.recipes.trl_prm(separator="\\n\\n")``; None detects it.
        device: where the backbone runs; None takes ``cuda`` where torch can use it, else ``cpu``.
        dtype: the backbone's number format, such as ``"bfloat16"``, or ``"auto"`` for the
            checkpoint's own; None takes that on a GPU and float32 on a CPU.
        revision: branch, tag or commit of a Hugging Face repository.
        max_length: the most tokens of a trace; None takes the model's positions.
        token_budget: the most tokens of a batch, padding included; None takes 1,024 on a CPU and
            16,384 on a GPU.
        share: forward what traces have in common once, where the model allows it exactly; False
            forwards every trace whole, padded to the longest of its batch. In float32 on a CPU both
            give the same bits.
        show_progress: True or False; None shows a bar when a person watches a long run.
        base: the full weights that an adapter is merged into, a folder or a repository; None takes
            what its adapter_config.json names.
        adapter: what to do with an adapter: ``merge`` merges it into its base, ``ignore`` loads the
            full weights beside it; ``auto`` merges it, and refuses one beside full weights.
        device_map: lets accelerate place the backbone on several devices: ``"auto"`` fills GPUs,
            then the CPU's memory, then a disk; or a dict from parts, such as ``layers.0``, to
            devices or ``"disk"``.
        offload_folder: where weights that must be written again wait on a disk.
        reference_device: where the other model runs of a recipe that compares two, such as
            ``eurus-implicit-prm``, which names it; None takes the device of the first. Both are in
            memory at once, in the same number format.

    Raises:
        ValueError: no such checkpoint; weights that are missing, damaged, no numbers, or that
            nothing reads; numbers in config.json that no model has; a recipe that cannot be
            detected or does not fit the checkpoint; a tokenizer in which the recipe's tokens are
            not what they must be; an adapter of another base; an encoder; a package that is missing
            for an adapter, for quantised weights or for a device_map.
        TypeError: an argument of another type.

    Examples:
        >>> import stepscore
        >>> prm = stepscore.load("lab", max_length=64)
        >>> prm.recipe.name, prm.max_length
        ('trl-prm', 64)
    """
    check_environment()
    check_model(model, "load")
    placing = check_placing(device_map, offload_folder, device)
    where = _device(device)
    number_format = _dtype(dtype, where)
    shown = stderr_is_terminal() if show_progress is None else show_progress
    checkpoint = open_model(
        model, base=base, adapter=adapter, revision=revision, show_progress=shown
    )
    tokenizer = load_tokenizer(with_tokenizer(checkpoint))
    chosen = recipe_for(recipe, checkpoint, tokenizer)
    checkpoint = with_side_files(checkpoint, chosen, show_progress=shown)
    # The cheap checks come before the weights are read.
    check_tokenizer(chosen, tokenizer)
    head = load_head(checkpoint, chosen, tokenizer) if chosen.head.likelihood is None else None
    other = open_reference(checkpoint, chosen, tokenizer, shown)
    length = _max_length(max_length, checkpoint, chosen, other)
    backbone = load_merged_backbone(
        checkpoint,
        dtype=number_format,
        device=where,
        head=head_tensors(checkpoint, chosen),
        placing=placing,
    )
    end_where_read(backbone, chosen.head, checkpoint.name)
    where = input_device(backbone)
    ready = prepared(backbone, checkpoint, share)
    beside = where if reference_device is None else _device(reference_device)
    reference = load_reference(other, chosen, number_format, beside, share, token_budget)
    read = head or load_output_matrix(checkpoint, chosen, backbone)
    return ProcessRewardModel(
        name=checkpoint.name,
        revision=checkpoint.revision,
        recipe=chosen,
        tokenizer=tokenizer,
        backbone=backbone,
        head=read,
        max_length=length,
        token_budget=_token_budget(token_budget, where),
        costs=ready.costs,
        rope_switch_length=ready.rope_switch_length,
        cache_limit=ready.cache_limit,
        show_progress=show_progress,
        sharing=sharing_of_both(ready.sharing, read, reference),
        weights=weights_of_both(checkpoint, backbone, reference),
        reference=reference,
        load_again=(
            partial(
                load,
                base=base,
                adapter=adapter,
                device_map=device_map,
                offload_folder=offload_folder,
                reference_device=reference_device,
            ),
            checkpoint.address,
        ),
    )


def check_model(model: Any, where: str) -> None:
    """Refuse what names no model, for the function `where`.

    Raises:
        TypeError: neither a text nor a path.
    """
    if not isinstance(model, (str, Path)):
        raise InputTypeError(
            "a folder or a name",
            got=type(model).__name__,
            advice="pass a str or a Path",
            argument="model",
            where=where,
        )


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        usable = torch.device(device)
        if usable.type == "meta":
            raise RuntimeError("a meta tensor holds no numbers")
        torch.zeros(1, device=usable)
    # A torch without CUDA raises an AssertionError, a missing device a RuntimeError.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            'one that torch can use here, such as "cpu" or "cuda:0"',
            got=f"{device!r} ({error})",
            advice="leave it out to take the best one",
            argument="device",
            where="load",
        ) from error
    return usable


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype | str:
    if dtype is None:
        return torch.float32 if device.type == "cpu" else "auto"
    if dtype == "auto":
        return "auto"
    known = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if known not in (torch.float32, torch.float16, torch.bfloat16):
        raise InputError(
            "float32, float16 or bfloat16",
            got=repr(dtype),
            advice='pass one of these, "auto" for the checkpoint\'s own, or leave it out',
            argument="dtype",
            where="load",
        )
    return known


def _token_budget(token_budget: int | None, device: torch.device) -> int:
    if token_budget is None:
        return default_token_budget(device)
    return _positive("token_budget", token_budget)


def _max_length(
    max_length: int | None, checkpoint: Checkpoint, recipe: Recipe, reference: Checkpoint | None
) -> int | None:
    most = positions(checkpoint.config, recipe.length_key)
    stated = f"{recipe.length_key} in config.json"
    if most is None:  # the model is built with the default of its class
        config = stock_config(checkpoint)
        most = positions(config.to_dict(), recipe.length_key)
        stated = f"the default of {type(config).__name__}"
    most = reference_length(most, reference, recipe)
    if max_length is None:
        return most
    _positive("max_length", max_length)
    if most is not None and max_length > most:
        raise InputError(
            f"at most the model's {most} positions ({stated})",
            got=str(max_length),
            advice="pass less, or leave it out",
            argument="max_length",
            where="load",
        )
    return max_length


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputTypeError(
            "a whole number",
            got=type(value).__name__,
            advice="pass an int",
            argument=name,
            where="load",
        )
    if value < 1:
        raise InputError(
            "at least 1",
            got=str(value),
            advice="leave it out for the default",
            argument=name,
            where="load",
        )
    return value


def recipe_for(recipe: NamedRecipe | None, checkpoint: Checkpoint, tokenizer: Tokenizer) -> Recipe:
    """Give the recipe that was asked for, or that of a checkpoint.

    Raises:
        ValueError: a name that there is not, a file that holds none, or a recipe that cannot be
            detected.
        TypeError: nothing that names a recipe.
    """
    if isinstance(recipe, str) and not is_recipe_file(recipe):
        try:
            return recipe_by_name(recipe)
        except InputError as fault:
            raise addressed(fault, "load", Argument("recipe")) from None
    if recipe is not None:
        try:
            return recipe_from(recipe)
        except InputTypeError as fault:
            raise addressed(fault, "load", Argument("recipe")) from None
    return detect(
        Evidence(checkpoint.name, checkpoint.config, checkpoint.shapes, tokenizer, home(checkpoint))
    )
