"""The backbone: a stock model of transformers without its language-model head."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from stepscore.errors import InputError
from stepscore.hub import silenced_hub
from stepscore.scoring.checkpoint.accounting import (
    check_accounted,
    check_numbers,
    is_computed,
)
from stepscore.scoring.checkpoint.causality import refuse_encoder
from stepscore.scoring.checkpoint.config_check import unbuildable
from stepscore.scoring.checkpoint.folder import ADAPTER_CONFIG, WRAPPER_PREFIXES, Checkpoint
from stepscore.scoring.checkpoint.placing import Placing
from stepscore.scoring.checkpoint.quantisation import (
    cannot_load,
    check_number_formats,
    quantised,
)
from stepscore.scoring.forward.engine import out_of_memory


def load_backbone(
    checkpoint: Checkpoint,
    *,
    dtype: torch.dtype | str,
    device: torch.device,
    head: Collection[str] = (),
    placing: Placing | None = None,
) -> torch.nn.Module:
    """Load the stock backbone of a checkpoint, and never with random weights.

    Code that the checkpoint may name (``auto_map``) is not run. Of a model that also sees, this is
    the part that reads tokens.

    Args:
        checkpoint: where its files are.
        dtype: its number format; ``"auto"`` for the checkpoint's own.
        device: where it runs, if nothing places its parts.
        head: the tensors of the checkpoint that the head was read from.
        placing: where accelerate is to put its parts.

    Raises:
        ValueError: a model type that transformers does not know, attention that is not causal,
            a config.json of which no model can be built, weights that are missing, of another
            shape, no numbers, or that nothing reads, quantised ones that cannot be loaded here.
    """
    config = stock_config(checkpoint)
    formats = {
        key: number_format
        for tensors in checkpoint.stored.values()
        for key, number_format in tensors.number_formats.items()
        if not is_computed(key)
    }
    check_number_formats(checkpoint.config, formats, checkpoint.name)
    options: dict[str, Any] = {_dtype_argument(): dtype}
    if any(stored.startswith(WRAPPER_PREFIXES) for stored in checkpoint.wrapped.values()):
        options["key_mapping"] = {f"^{re.escape(prefix)}": "" for prefix in WRAPPER_PREFIXES}
    is_quantised = quantised(checkpoint.config) is not None
    if placing is not None:
        options |= placing.options(_empty_model(config))
    elif is_quantised:  # codes stay where they are put
        options["device_map"] = {"": device}
    pickled = any(path.name.startswith("pytorch_model") for path in checkpoint.files.values())
    try:
        with silenced_hub(), _without_adapter(checkpoint.folder) as folder:
            model, info = AutoModel.from_pretrained(
                folder,
                config=config,
                trust_remote_code=False,
                local_files_only=True,
                use_safetensors=not pickled,
                weights_only=True,
                output_loading_info=True,
                # Else transformers says in a table of its log which those are.
                ignore_mismatched_sizes=True,
                **options,
            )
    except (ImportError, RuntimeError, ValueError, OSError) as error:
        if out_of_memory(error):
            raise
        if is_quantised:
            raise cannot_load(checkpoint.config, checkpoint.name, error) from error
        if not isinstance(error, RuntimeError):
            raise
        raise InputError(
            f"weights that fit the {config.model_type} backbone of config.json",
            got=f"{checkpoint.name}, of which transformers says: {error}",
            advice="use the config.json and the weights of one checkpoint",
            where="load",
        ) from error
    check_accounted(checkpoint, model, info, head)
    if model.dtype == torch.float64:  # of "auto"; nothing here computes in it
        model = model.float()
    backbone: torch.nn.Module = _language_model(model.eval().requires_grad_(False))
    if "device_map" not in options:
        backbone = backbone.to(device)
    check_numbers(checkpoint, backbone)
    return backbone


def skeleton(checkpoint: Checkpoint) -> torch.nn.Module:
    """Give the backbone of a checkpoint without numbers.

    Raises:
        ValueError: as `load_backbone`, for its config.json.
    """
    backbone: torch.nn.Module = _language_model(_empty_model(stock_config(checkpoint)))
    return backbone


def _empty_model(config: Any) -> Any:
    with torch.device("meta"), silenced_hub():
        return AutoModel.from_config(config, trust_remote_code=False)


def stock_config(checkpoint: Checkpoint) -> Any:
    """Give the configuration that transformers makes of a config.json.

    It is made once of a checkpoint that is loaded; every caller may change the copy that it gets.

    Raises:
        ValueError: a model type that transformers does not know, attention that is not causal, a
            config.json of which no model can be built.
    """
    _check_config(checkpoint)
    config = copy.deepcopy(_built_config(checkpoint.folder, json.dumps(checkpoint.config)))
    refuse_encoder(config, checkpoint.name)
    return config


@lru_cache(maxsize=4)
def _built_config(folder: Path, _content: str) -> Any:
    """Make a configuration, and a model of it: as long as config.json has this content."""
    try:
        with silenced_hub():
            config = AutoConfig.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
        config.__dict__.pop("auto_map", None)
        # It would name other weights than those that the head is read from.
        config.__dict__.pop("transformers_weights", None)
        # The attention is chosen here; one that config.json asks for need not be installed.
        config._attn_implementation = None
        _empty_model(copy.deepcopy(config))
    # An unknown name is a KeyError of one family and an AttributeError of another.
    except Exception as error:
        raise unbuildable(folder / "config.json", error) from error
    return config


def _language_model(model: Any) -> Any:
    """Give the part of a model that reads tokens: what also sees has it beside what sees."""
    if model.config.get_text_config() is model.config:
        return model
    decoder = model.get_decoder()
    names = [name for name, module in model.named_modules() if module is decoder]
    places = getattr(model, "hf_device_map", None)
    if places is not None and names:
        prefix = f"{names[0]}."
        inside = {
            name.removeprefix(prefix): place
            for name, place in places.items()
            if name.startswith(prefix)
        }
        decoder.hf_device_map = inside or {"": places.get(names[0], places.get(""))}
    return decoder


@contextmanager
def _without_adapter(folder: Path) -> Iterator[Path]:
    """Show the files of a folder without an adapter's.

    With peft at hand transformers would load an adapter that it finds beside the weights.
    """
    if not (folder / ADAPTER_CONFIG).is_file():
        yield folder
        return
    with TemporaryDirectory() as shown:
        for path in folder.resolve().iterdir():
            if path.name != ADAPTER_CONFIG:
                (Path(shown) / path.name).symlink_to(path.resolve())
        yield Path(shown)


def _check_config(checkpoint: Checkpoint) -> None:
    model_type = checkpoint.config.get("model_type")
    if model_type not in CONFIG_MAPPING:
        raise InputError(
            f"a model_type in config.json that transformers {transformers.__version__} knows",
            got=f"{model_type!r} in {checkpoint.name}",
            advice="upgrade transformers (code inside a checkpoint is never run)",
            where="load",
        )
    if checkpoint.config.get("is_causal", True) is False:
        raise InputError(
            "a causal backbone, because a step is scored by what stands before it",
            got=f"is_causal false in config.json of {checkpoint.name}",
            advice="use a causal checkpoint",
            where="load",
        )


def _dtype_argument() -> str:
    """The name that transformers has for it: torch_dtype before 4.56."""
    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    return "dtype" if (major, minor) >= (4, 56) else "torch_dtype"
