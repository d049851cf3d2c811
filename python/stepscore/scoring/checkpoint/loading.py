"""A name or a folder -> a process reward model."""

from __future__ import annotations

import math
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch

from stepscore.arrays import check_environment
from stepscore.errors import Argument, InputError, InputTypeError
from stepscore.hub import stderr_is_terminal
from stepscore.recipes import Evidence, Recipe, Tokenizer, detect, recipe_by_name
from stepscore.recipes.config_sizes import positions
from stepscore.scoring.arguments import addressed
from stepscore.scoring.checkpoint.adapter import (
    AdapterUse,
    home,
    load_merged_backbone,
    loaded_weights,
    open_model,
    with_tokenizer,
)
from stepscore.scoring.checkpoint.backbone import stock_config
from stepscore.scoring.checkpoint.causality import check_causal
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.head import head_tensors, load_head
from stepscore.scoring.checkpoint.placing import DeviceMap, check_placing
from stepscore.scoring.checkpoint.tokenizer import load_tokenizer
from stepscore.scoring.forward.feed_forward import replace_activations
from stepscore.scoring.forward.linear import pack_linear_layers
from stepscore.scoring.forward.memory import free_memory, token_bytes
from stepscore.scoring.forward.number_format import overflows
from stepscore.scoring.forward.placement import input_device
from stepscore.scoring.forward.sharing import (
    Sharing,
    forward_costs,
    rope_switch_length,
    share_prefixes,
)
from stepscore.scoring.model import ProcessRewardModel

# Tokens of a batch, padding included. On a CPU 512 to 4,096 tokens were about equally fast in the
# case `candidates` of benchmarks/bench_forward.py, and 256 slower. On a GPU a batch should keep the
# device busy; 16,384 tokens of a 7B model need about 2 GB beside its weights.
CPU_TOKEN_BUDGET = 1024
GPU_TOKEN_BUDGET = 16384


def load(
    model: str | Path,
    *,
    recipe: str | Recipe | None = None,
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
) -> ProcessRewardModel:
    """Load a process reward model.

    The backbone is a stock transformers class, and no code of a checkpoint is run; the head's
    weights are found by name and checked by shape; the tokenizer is checked against the recipe.
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
        recipe: a name of `stepscore.recipes.recipe_names`, or a Recipe such as
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
    checkpoint = open_model(
        model,
        base=base,
        adapter=adapter,
        revision=revision,
        show_progress=stderr_is_terminal() if show_progress is None else show_progress,
    )
    tokenizer = load_tokenizer(with_tokenizer(checkpoint))
    chosen = recipe_for(recipe, checkpoint, tokenizer)
    length = _max_length(max_length, checkpoint, chosen)
    # The cheap checks come before the weights are read.
    chosen.check_tokenizer(tokenizer)
    head = load_head(checkpoint, chosen, tokenizer)
    backbone = load_merged_backbone(
        checkpoint,
        dtype=number_format,
        device=where,
        head=head_tensors(checkpoint, chosen),
        placing=placing,
    )
    where = input_device(backbone)
    costs = forward_costs(backbone)
    pack_linear_layers(backbone)
    replace_activations(backbone)
    sharing = _sharing(backbone, checkpoint, share)
    return ProcessRewardModel(
        name=checkpoint.name,
        revision=checkpoint.revision,
        recipe=chosen,
        tokenizer=tokenizer,
        backbone=backbone,
        head=head,
        max_length=length,
        token_budget=_token_budget(token_budget, where),
        costs=costs if sharing.shared else None,
        rope_switch_length=rope_switch_length(checkpoint.config),
        # A plan keeps the tokens of one trace, and what its branches have in common, at a time.
        cache_limit=free_memory(where) // 4 // token_bytes(backbone) if sharing.shared else None,
        show_progress=show_progress,
        sharing=sharing,
        weights=loaded_weights(checkpoint, backbone),
        load_again=(
            partial(
                load,
                base=base,
                adapter=adapter,
                device_map=device_map,
                offload_folder=offload_folder,
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


def _sharing(backbone: torch.nn.Module, checkpoint: Checkpoint, share: bool) -> Sharing:
    """Decide whether prefixes are shared; what is not compared for that must be causal anyway."""
    sharing = share_prefixes(backbone, checkpoint.config, wanted=share)
    if not share:
        check_causal(backbone, checkpoint.name)
        return sharing
    if not math.isfinite(sharing.error or 0.0) and overflows(backbone):
        warnings.warn(
            f"load: {checkpoint.name} gives NaN for tokens of its vocabulary in "
            f"{_name_of(backbone)}, and scores that are no numbers are refused; "
            f"{_advice_against_nan(backbone)}",
            stacklevel=3,
        )
    elif not sharing.shared:
        check_causal(backbone, checkpoint.name)
        warnings.warn(
            f"load: {checkpoint.name} forwards every trace whole, without sharing prefixes: "
            f"{sharing.reason}; its scores are right, and take longer; pass share=False where "
            "that is meant",
            stacklevel=3,
        )
    return sharing


def _name_of(backbone: torch.nn.Module) -> str:
    return str(next(backbone.parameters()).dtype).removeprefix("torch.")


def _advice_against_nan(backbone: torch.nn.Module) -> str:
    if _name_of(backbone) == "float16":
        return "float16 ends at 65504: pass dtype='bfloat16' or dtype='float32'"
    return "its weights may be damaged, or may not belong to its config.json"


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
        return CPU_TOKEN_BUDGET if device.type == "cpu" else GPU_TOKEN_BUDGET
    return _positive("token_budget", token_budget)


def _max_length(max_length: int | None, checkpoint: Checkpoint, recipe: Recipe) -> int | None:
    most = positions(checkpoint.config, recipe.length_key)
    stated = f"{recipe.length_key} in config.json"
    if most is None:  # the model is built with the default of its class
        config = stock_config(checkpoint)
        most = positions(config.to_dict(), recipe.length_key)
        stated = f"the default of {type(config).__name__}"
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


def recipe_for(recipe: str | Recipe | None, checkpoint: Checkpoint, tokenizer: Tokenizer) -> Recipe:
    """Give the recipe that was asked for, or that of a checkpoint.

    Raises:
        ValueError: a name that there is not, or a recipe that cannot be detected.
        TypeError: neither a name nor a recipe.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, str):
        try:
            return recipe_by_name(recipe)
        except InputError as fault:
            raise addressed(fault, "load", Argument("recipe")) from None
    if recipe is not None:
        raise InputTypeError(
            "a name, or a value of the class Recipe",
            got=type(recipe).__name__,
            advice="pass one of these",
            argument="recipe",
            where="load",
        )
    return detect(
        Evidence(checkpoint.name, checkpoint.config, checkpoint.shapes, tokenizer, home(checkpoint))
    )
