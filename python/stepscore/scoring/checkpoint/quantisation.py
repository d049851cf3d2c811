"""Quantised checkpoints: how they are recognised, what loads them, and what must not be quantised.

A layer's quantised weight is a tensor of codes beside scales. transformers knows the formats of
backbones, where the package of the format is installed; the head is read here and must be numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING

from stepscore.errors import InputError
from stepscore.recipes.config_sizes import language_config

# What transformers asks for by format; of another one its own message says it.
_PACKAGES = {
    "bitsandbytes": "bitsandbytes accelerate",
    "gptq": "gptqmodel optimum accelerate",
    "awq": "gptqmodel accelerate",
    "fp8": "accelerate",
    "compressed-tensors": "compressed-tensors accelerate",
    "hqq": "hqq accelerate",
    "torchao": "torchao accelerate",
}
_NUMBERS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
# As safetensors and as torch call them.
_STORED_NUMBERS = ("F64", "F32", "F16", "BF16", "float64", "float32", "float16", "bfloat16")


def quantised(config: Mapping[str, Any]) -> str | None:
    """Say how a checkpoint is quantised, from its config.json; None for one that is not."""
    entry = _entry(config)
    if entry is None:
        return None
    bits = entry.get("bits") or entry.get("num_bits")
    if entry.get("load_in_4bit") or entry.get("_load_in_4bit"):
        bits = 4
    elif entry.get("load_in_8bit") or entry.get("_load_in_8bit"):
        bits = 8
    return _method(entry) + (f", {bits} bits" if bits else "")


def cannot_load(config: Mapping[str, Any], name: str, error: Exception) -> InputError:
    """Give the error for a quantised checkpoint that transformers refuses."""
    method = _method(_entry(config) or {})
    packages = _PACKAGES.get(method)
    install = (
        f"pip install {packages}, where this device can run it"
        if packages
        else "upgrade transformers"
    )
    return InputError(
        f"what transformers needs to load weights quantised with {method}",
        got=f"{name} ({quantised(config)}), of which it says: {error}",
        advice=f"{install}; or load the checkpoint that it was quantised from",
        where="load",
    )


def check_number_formats(
    config: Mapping[str, Any], number_formats: Mapping[str, str], name: str
) -> None:
    """Refuse codes that nothing explains: they would be taken for numbers.

    Args:
        config: the checkpoint's config.json.
        number_formats: that of every tensor that a layer may read.
        name: of the checkpoint.

    Raises:
        ValueError: a weight of whole numbers, or of 8-bit or smaller floats, without an entry of
            config.json that says how it is quantised; an entry that transformers does not know.
    """
    entry = _entry(config)
    if entry is not None:
        method = _method(entry)
        # It has bitsandbytes twice, as bitsandbytes_4bit and bitsandbytes_8bit.
        if not any(f"{known}_".startswith(f"{method}_") for known in AUTO_QUANTIZER_MAPPING):
            known = f"it knows {', '.join(sorted(AUTO_QUANTIZER_MAPPING))}"
            raise cannot_load(config, name, ValueError(known))
        return
    for key, number_format in sorted(number_formats.items()):
        if number_format not in _STORED_NUMBERS:
            raise InputError(
                "weights as float32, float16 or bfloat16, or a quantization_config in config.json "
                "that says how to read them",
                got=f"{key!r} as {number_format} in {name}",
                advice="use the config.json that was published with the weights",
                where="load",
            )


def check_head(
    config: Mapping[str, Any], layers: Iterable[str], keys: Iterable[str], name: str
) -> None:
    """Refuse a head that was quantised with its backbone: it is read here, as numbers.

    Args:
        config: the checkpoint's config.json.
        layers: the names of the head's weights.
        keys: the names of all tensors.
        name: of the checkpoint.

    Raises:
        ValueError: scales or codes stand beside a weight of the head, or in its place.
    """
    if _entry(config) is None:
        return
    names = list(keys)
    for weight in layers:
        module = weight.removesuffix("weight")
        plain = (weight, f"{module}bias")
        beside = sorted(key for key in names if key.startswith(module) and key not in plain)
        if beside:
            raise _quantised_head(beside[0], "scales or codes", name)


def head_numbers(tensor: torch.Tensor, key: str, name: str) -> torch.Tensor:
    """Give a tensor of a head as float32.

    Raises:
        ValueError: it holds the codes of a quantised layer.
    """
    if tensor.dtype not in _NUMBERS:
        raise _quantised_head(key, str(tensor.dtype).removeprefix("torch."), name)
    return tensor.float()


def _quantised_head(key: str, what: str, name: str) -> InputError:
    return InputError(
        "the head as float32, float16 or bfloat16",
        got=f"{key!r} ({what}) in {name}: it was quantised with the backbone",
        advice="quantise the model without its head (llm_int8_skip_modules of bitsandbytes, "
        "modules_to_not_convert of others), or load the checkpoint that it was quantised from",
        where="load",
    )


def _entry(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for part in (config, language_config(config)):
        for key in ("quantization_config", "compression_config"):
            entry = part.get(key)
            if isinstance(entry, Mapping):
                return entry
    return None


def _method(entry: Mapping[str, Any]) -> str:
    method = entry.get("quant_method")
    if isinstance(method, str):
        return method
    # bitsandbytes' entries were once written without it.
    return "bitsandbytes" if "load_in_8bit" in entry or "load_in_4bit" in entry else "unknown"
