"""Which files of a folder hold its weights, and which file holds each tensor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stepscore.errors import InputError
from stepscore.scoring.checkpoint.stored_tensors import (
    StoredTensors,
    refuse_pointer,
    stored_tensors,
)

_FETCH_AGAIN = "fetch the checkpoint again"
# What holds weights in another form than those that are read, by suffix.
_OTHER_FORMS = (".gguf", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".safetensors")


class WeightFormat(NamedTuple):
    """How the files of a format are called."""

    single: str
    listing: str


# In the order in which transformers looks for them.
SAFETENSORS = WeightFormat("model.safetensors", "model.safetensors.index.json")
PICKLED = WeightFormat("pytorch_model.bin", "pytorch_model.bin.index.json")


class Weights(NamedTuple):
    """The weights of a folder.

    Attributes:
        file_of: the file of every tensor, by the name it is stored under.
        stored: what each of these files holds.
    """

    file_of: Mapping[str, Path]
    stored: Mapping[Path, StoredTensors]


def find_weights(name: str, folder: Path) -> Weights:
    """Find the weights of a folder: safetensors, else what ``torch.save`` wrote.

    Every file is opened, so that a damaged one, and an index that says what is not so, are refused
    before anything is computed.

    Args:
        name: what the checkpoint was asked for by.
        folder: where its files stand.

    Raises:
        ValueError: no weights, two sets of them, a file that is missing or damaged, an index that
            does not fit its files.
    """
    for form in (SAFETENSORS, PICKLED):
        single, index = folder / form.single, folder / form.listing
        if index.is_file():
            weight_map = _weight_map(index)
            if single.is_file() and set(weight_map.values()) != {single.name}:
                raise InputError(
                    f"weights in {single.name}, or in the shards of {index.name}, in {folder}",
                    got="both",
                    advice="remove those that are out of date",
                    where="load",
                )
            return _shards(index, weight_map)
        if single.is_file():
            stored = stored_tensors(single)
            return Weights(dict.fromkeys(stored.shapes, single), {single: stored})
    others = sorted(path.name for path in folder.glob("*") if path.suffix in _OTHER_FORMS)
    gguf = any(other.endswith(".gguf") for other in others)
    raise InputError(
        f"weights as {SAFETENSORS.single} or {PICKLED.single}, or as shards with an index",
        got=f"{', '.join(others[:8]) or 'none'}{', ...' if len(others) > 8 else ''} in {name}",
        advice="a GGUF file holds rounded weights and no head of a PRM: pass the checkpoint that "
        "it was made from"
        if gguf
        else "pass the folder that save_pretrained wrote",
        where="load",
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: a file that holds none.
    """
    refuse_pointer(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"JSON in {path}", got=str(error), advice=_FETCH_AGAIN, where="load"
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"a JSON object in {path}",
            got=type(content).__name__,
            advice=_FETCH_AGAIN,
            where="load",
        )
    return content


def _shards(index: Path, weight_map: Mapping[str, str]) -> Weights:
    """Open the shards of an index, and compare what they hold with what it says."""
    folder = index.parent
    absent = [file for file in sorted(set(weight_map.values())) if not (folder / file).is_file()]
    if absent:
        raise InputError(
            f"every shard that {index.name} names in {folder}",
            got=f"none of {', '.join(absent)}",
            advice=_FETCH_AGAIN,
            where="load",
        )
    stored = {folder / file: stored_tensors(folder / file) for file in set(weight_map.values())}
    held: dict[str, list[str]] = {}
    for path, tensors in sorted(stored.items()):
        for key in tensors.shapes:
            held.setdefault(key, []).append(path.name)
    faults = [
        f"{key!r} in {' and '.join(held.get(key, ())) or 'no shard'}, of which the index says "
        f"{weight_map.get(key, 'nothing')}"
        for key in sorted({*held, *weight_map})
        if held.get(key) != [weight_map.get(key)]
    ]
    if faults:
        raise InputError(
            f"the tensors where {index.name} says, each once, in {folder}",
            got=f"{'; '.join(faults[:3])}{f'; and {len(faults) - 3} more' if faults[3:] else ''}",
            advice="use the index and the shards of one checkpoint",
            where="load",
        )
    return Weights({key: folder / file for key, file in weight_map.items()}, stored)


def _weight_map(index: Path) -> Mapping[str, str]:
    content = read_json(index)
    weight_map = content.get("weight_map")
    # transformers reads both entries.
    if not isinstance(weight_map, dict) or "metadata" not in content:
        raise InputError(
            f'"weight_map" and "metadata" in {index}, as save_pretrained writes them',
            got=f"{sorted(content)}",
            advice=_FETCH_AGAIN,
            where="load",
        )
    for key, file in weight_map.items():
        if not isinstance(file, str) or Path(file).name != file:
            raise InputError(
                f'the name of a file beside it for every tensor of "weight_map" in {index}',
                got=f"{file!r} for {key!r}",
                advice=_FETCH_AGAIN,
                where="load",
            )
    return weight_map
