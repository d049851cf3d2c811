"""An adapter's tensors, and how they are merged into full weights.

peft does the arithmetic, in float32 and layer by layer, whatever the number formats of the base and
of the result are; the result is rounded once. Every tensor of the adapter must find its place.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from stepscore.errors import Argument, InputError
from stepscore.scoring.checkpoint.quantisation import head_numbers

Tensors = dict[str, torch.Tensor]

# What peft writes in front of the names of the model that was trained, and inside them.
_FRONT, _INSIDE = "base_model.model.", ("base_layer.", "modules_to_save.")
_TOKEN_FACTORS = "trainable_tokens_"


@dataclass(frozen=True, eq=False)
class AdapterTensors:
    """The tensors of an adapter, by their names in the model that was trained.

    Factors are merged; whole tensors replace what stands in their place.

    Attributes:
        name: what the adapter was asked for by.
        base: what it is merged into.
        config: peft's own.
        path: of the backbone in the model that was trained, such as ``model``.
    """

    name: str
    base: str
    config: Any
    path: str
    backbone_factors: Tensors = field(repr=False)
    backbone_whole: Tensors = field(repr=False)
    head_factors: Tensors = field(repr=False)
    head_whole: Tensors = field(repr=False)

    def misfit(self, got: str) -> InputError:
        """Give the error for an adapter that was trained on another base."""
        return InputError(
            f"an adapter for {self.base}, to which every one of its tensors fits",
            got=f"{self.name}, of which {got}",
            advice=("pass the ", Argument("base"), " that it was trained on"),
            where="load",
        )


def adapter_tensors(
    name: str, folder: Path, base: str, skeleton: torch.nn.Module
) -> AdapterTensors:
    """Read an adapter's files.

    Args:
        name: what the adapter was asked for by.
        folder: where its files stand.
        base: what it is merged into.
        skeleton: the base's backbone without numbers.

    Raises:
        ValueError: no weights, a kind of adapter that cannot be merged, parts at several places.
    """
    from peft import PeftConfig, load_peft_weights
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING

    try:
        with _quiet():
            config = PeftConfig.from_pretrained(str(folder))
            saved = load_peft_weights(str(folder), device="cpu")
    except Exception as error:  # what peft raises for files that it cannot read is not documented
        raise InputError(
            "an adapter that peft can read",
            got=f"{name} ({type(error).__name__}: {error})",
            advice="fetch the adapter again, or upgrade peft",
            where="load",
        ) from error
    mark = PEFT_TYPE_TO_PREFIX_MAPPING.get(config.peft_type)
    if mark is None or config.is_prompt_learning:
        raise InputError(
            "an adapter that can be merged into weights, such as LoRA's",
            got=f"{config.peft_type} in {name}",
            advice="load a model whose weights were trained",
            where="load",
        )
    parts = {part for part, _ in skeleton.named_children()}
    groups: dict[tuple[bool, bool], Tensors] = {
        (is_head, is_factor): {} for is_head in (False, True) for is_factor in (False, True)
    }
    paths = set()
    for key, tensor in saved.items():
        path = key.removeprefix(_FRONT)
        is_factor = mark in path or _TOKEN_FACTORS in path
        for inside in () if is_factor else _INSIDE:
            path = path.replace(inside, "")
        levels = path.split(".")
        place = next((at for at, level in enumerate(levels) if level in parts), None)
        if place is not None:
            paths.add(".".join(levels[:place]))
        groups[place is None, is_factor][path] = tensor
    if not groups[False, True] and not groups[True, True]:
        raise _not_saved(name, mark, saved)
    if len(paths) > 1:
        raise InputError(
            "the backbone at one place in the model that the adapter was trained on",
            got=f"{sorted(paths)} in {name}",
            advice="save the merged model (peft's merge_and_unload) and load that",
            where="load",
        )
    return AdapterTensors(
        name=name,
        base=base,
        config=config,
        path=next(iter(paths), ""),
        backbone_factors=groups[False, True],
        backbone_whole=groups[False, False],
        head_factors=groups[True, True],
        head_whole=groups[True, False],
    )


def _not_saved(name: str, mark: str, saved: Mapping[str, torch.Tensor]) -> InputError:
    return InputError(
        f"factors ({mark}...) in the adapter's weights",
        got=f"none in {name}, which holds {', '.join(sorted(saved)[:3]) or 'no tensor'}: what was "
        "trained was not saved",
        advice="save the adapter again from the training, or use another checkpoint of it",
        where="load",
    )


@torch.no_grad()
def merge_into_backbone(
    adapter: AdapterTensors, backbone: torch.nn.Module, dtype: torch.dtype
) -> None:
    """Merge what the adapter holds of the backbone, and round it to a number format.

    Raises:
        ValueError: a tensor that does not fit.
    """
    front = f"{adapter.path}." if adapter.path else ""
    places = dict(backbone.named_parameters())
    embeddings = backbone.get_input_embeddings()  # type: ignore[operator]
    for key, tensor in adapter.backbone_whole.items():
        name = key.removeprefix(front)
        if name not in places:
            raise adapter.misfit(f"{key!r} has no place in its {type(backbone).__name__}")
        if places[name] is embeddings.weight and len(tensor) != len(places[name]):
            # The vocabulary was made longer or shorter before training.
            backbone.resize_token_embeddings(len(tensor), mean_resizing=False)  # type: ignore[operator]
            embeddings = backbone.get_input_embeddings()  # type: ignore[operator]
            places = dict(backbone.named_parameters())
        if places[name].shape != tensor.shape:
            raise adapter.misfit(f"{key!r} is {list(tensor.shape)}, not {list(places[name].shape)}")
        places[name].data = tensor.to(places[name])
    if adapter.backbone_factors:
        _merge(adapter, {adapter.path: backbone}, adapter.backbone_factors, dtype)
    loaded = backbone.dtype
    for parameter in backbone.parameters():
        if parameter.dtype == loaded:
            parameter.data = parameter.data.to(dtype)


@torch.no_grad()
def merged_heads(adapter: AdapterTensors, base: Any) -> Tensors:
    """Give the tensors outside the backbone that the adapter changes, as float32.

    Args:
        adapter: the adapter.
        base: the checkpoint of the base.
    """
    heads = {
        key: head_numbers(tensor, key, adapter.name) for key, tensor in adapter.head_whole.items()
    }
    _check_saved(adapter, base.files)
    mark = _mark(adapter)
    layers = {}
    for key in adapter.head_factors:
        path = key[: key.index(mark)].rstrip(".")
        weight, bias = (
            heads.get(name, base.tensor(name) if name in base.files else None)
            for name in (f"{path}.weight", f"{path}.bias")
        )
        if weight is None:
            raise adapter.misfit(f"{key!r} belongs to a head {path!r} that {adapter.base} lacks")
        layers[path] = layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
        layer.weight.data = weight
        if bias is not None:
            layer.bias.data = bias
    if layers:
        _merge(adapter, layers, adapter.head_factors, torch.float32)
    for path, layer in layers.items():
        heads |= {f"{path}.{name}": tensor.data for name, tensor in layer.named_parameters()}
    return heads


def _check_saved(adapter: AdapterTensors, base: Iterable[str]) -> None:
    """Refuse an adapter without the parts that were trained whole: the base's are others."""
    whole = [key.split(".") for key in (*adapter.backbone_whole, *adapter.head_whole)]
    in_base = {level for key in base for level in key.split(".")}
    for part in getattr(adapter.config, "modules_to_save", None) or ():
        last = str(part).split(".")[-1]
        if last in in_base and not any(last in levels for levels in whole):
            raise InputError(
                f"{part!r} in the adapter's weights, as modules_to_save of its config says",
                got=f"none in {adapter.name}, and that of {adapter.base} was not trained with it",
                advice="save the adapter again from the training, or use another checkpoint of it",
                where="load",
            )


def _mark(adapter: AdapterTensors) -> str:
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING

    return str(PEFT_TYPE_TO_PREFIX_MAPPING[adapter.config.peft_type])


def _merge(
    adapter: AdapterTensors,
    modules: Mapping[str, torch.nn.Module],
    factors: Tensors,
    dtype: torch.dtype,
) -> None:
    """Merge factors into modules, which stand at their paths in the model that was trained."""
    from dataclasses import replace

    from peft import inject_adapter_in_model, set_peft_model_state_dict
    from peft.tuners.tuners_utils import BaseTunerLayer

    # By these paths peft finds what an adapter is for, and its rank and scale.
    trained = _nested(modules)
    config = (
        replace(adapter.config, modules_to_save=None)
        if hasattr(adapter.config, "modules_to_save")
        else adapter.config
    )
    try:
        with _quiet():
            inject_adapter_in_model(config, trained)
            layers = [m for m in trained.modules() if isinstance(m, BaseTunerLayer)]
            for layer in layers:
                _factors_as_float32(layer)
            result = set_peft_model_state_dict(trained, factors)
    except Exception as error:  # an entry of another type raises what computes with it
        raise adapter.misfit(f"peft says: {error}") from error
    mark = _mark(adapter)
    missing = sorted(key for key in result.missing_keys if mark in key or _TOKEN_FACTORS in key)
    for keys, what in ((result.unexpected_keys, "have no place"), (missing, "are not there")):
        if keys:
            raise adapter.misfit(f"{len(keys)} tensors {what}: {', '.join(sorted(keys)[:3])}")
    bases = [layer.get_base_layer() for layer in layers]
    for layer, base, next_base in zip(layers, bases, [*bases[1:], None], strict=True):
        layer.float()
        try:
            layer.merge(safe_merge=True)
        except (ValueError, RuntimeError) as error:  # numbers that are not finite, above all
            raise InputError(
                "an adapter that peft can merge",
                got=f"{adapter.name}, of which peft says: {error}",
                advice="use a model whose weights were trained, or an adapter without that",
                where="load",
            ) from error
        if base is not next_base:  # experts have an adapter for each of their matrices
            base.to(dtype)
    _take_out(trained, BaseTunerLayer)


def _factors_as_float32(layer: Any) -> None:
    """Make room for the factors as they were saved, where the base is in another format."""
    for name in layer.adapter_layer_names:
        part = getattr(layer, name, None)
        if isinstance(part, torch.nn.Module):
            part.float()


def _nested(modules: Mapping[str, torch.nn.Module]) -> torch.nn.Module:
    """Put modules at their paths below an empty one."""
    if list(modules) == [""]:
        return modules[""]
    root = torch.nn.Module()
    for path, module in modules.items():
        *above, name = path.split(".")
        parent = root
        for level in above:
            if level not in dict(parent.named_children()):
                parent.add_module(level, torch.nn.Module())
            parent = parent.get_submodule(level)
        parent.add_module(name, module)
    return root


def _take_out(module: torch.nn.Module, tuner_layer: type[Any]) -> None:
    """Put every layer that was merged back in its place."""
    for name, child in list(module.named_children()):
        if hasattr(child, "unload_and_optionally_merge_module"):
            setattr(module, name, child.unload_and_optionally_merge_module(False, False, None))  # type: ignore[operator]
        elif isinstance(child, tuner_layer):
            setattr(module, name, child.get_base_layer())
        else:
            _take_out(child, tuner_layer)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep peft's remarks back: what matters of them is checked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
