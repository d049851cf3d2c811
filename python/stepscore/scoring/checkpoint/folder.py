"""A checkpoint on disk: its folder, its config.json, and its tensors by name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from stepscore.errors import Argument, InputError
from stepscore.hub import silenced_hub
from stepscore.scoring.checkpoint.quantisation import head_numbers

LAB = Path(__file__).parents[2] / "lab" / "weights" / "prm"

# Weights as safetensors only, and no Python: remote code is never even downloaded.
_PATTERNS = ["*.json", "model*.safetensors", "adapter_model*", "*.model", "merges.txt", "vocab.txt"]
_REPOSITORY = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
# Skywork's wrapper keeps its backbone in an attribute of this name.
WRAPPER_PREFIX = "pretrained_model."
# What peft writes for an adapter, which is no model of its own.
ADAPTER_CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint.

    Attributes:
        name: what it was asked for by.
        folder: where its files stand.
        revision: the commit of a Hugging Face repository; None for a local folder.
        config: its config.json.
        files: the safetensors file of every tensor; a wrapper's prefix is removed from the names.
        wrapped: the stored name of every tensor from whose name the prefix was removed.
    """

    name: str
    folder: Path
    revision: str | None
    config: Mapping[str, Any]
    files: Mapping[str, Path]
    wrapped: Mapping[str, str]

    @property
    def address(self) -> str:
        """What finds it from any working directory: a folder's whole path, else its name."""
        is_folder = self.revision is None and self.folder != LAB
        return str(self.folder.resolve()) if is_folder else self.name

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every tensor, from the files' headers alone."""
        shapes: dict[str, tuple[int, ...]] = {}
        for path in sorted(set(self.files.values())):
            with safe_open(path, framework="pt") as file:
                for stored in file.keys():  # noqa: SIM118 - a safetensors file is no mapping
                    shapes[stored.removeprefix(WRAPPER_PREFIX)] = tuple(
                        file.get_slice(stored).get_shape()
                    )
        return shapes

    def tensor(self, key: str) -> torch.Tensor:
        """Read one tensor, as float32."""
        with safe_open(self.files[key], framework="pt") as file:
            return head_numbers(file.get_tensor(self._stored(key)), key, self.name)

    def rows(self, key: str, rows: Sequence[int]) -> torch.Tensor:
        """Read some rows of a matrix, as float32, and no other row."""
        with safe_open(self.files[key], framework="pt") as file:
            matrix = file.get_slice(self._stored(key))
            found = torch.cat([matrix[row : row + 1] for row in rows])
        return head_numbers(found, key, self.name)

    def _stored(self, key: str) -> str:
        return self.wrapped.get(key, key)


def open_checkpoint(
    model: str | Path, *, revision: str | None = None, show_progress: bool = False
) -> Checkpoint:
    """Find a checkpoint: the built-in ``"lab"``, a folder, or a Hugging Face repository.

    Raises:
        ValueError: no such folder or repository, no config.json, no safetensors weights.
    """
    name = str(model)
    folder, commit = locate(name, revision, show_progress)
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise InputError(
            "a folder with a config.json",
            got=f"{folder}, which has none",
            advice="pass the folder that save_pretrained wrote, or the name of a Hugging Face "
            "repository",
            argument="model",
            where="load",
        )
    config = read_json(config_file)
    stored = _weight_files(name, folder)
    names = {key.removeprefix(WRAPPER_PREFIX): key for key in stored}
    return Checkpoint(
        name=name,
        folder=folder,
        revision=commit,
        config=config,
        files={key: stored[original] for key, original in names.items()},
        wrapped={key: original for key, original in names.items() if key != original},
    )


def locate(name: str, revision: str | None, show_progress: bool) -> tuple[Path, str | None]:
    """Give the folder of a name, and the commit of a Hugging Face repository."""
    if name == "lab":
        return LAB, None
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        if revision is not None:
            raise InputError(
                "none for a folder: a revision belongs to a Hugging Face repository",
                got=f"{revision!r} with the folder {name}",
                advice="leave it out",
                argument="revision",
                where="load",
            )
        return folder, None
    if not _REPOSITORY.fullmatch(name):
        raise InputError(
            'a folder, the name of a Hugging Face repository, or "lab"',
            got=f"{name!r}, and there is no such folder",
            advice="check the path",
            argument="model",
            where="load",
        )
    return _download(name, revision, show_progress)


def _download(name: str, revision: str | None, show_progress: bool) -> tuple[Path, str | None]:
    from huggingface_hub import snapshot_download

    try:
        with silenced_hub(progress=show_progress):
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=_PATTERNS))
    # Offline, unknown, gated and unreachable repositories raise many classes, all of them OSError;
    # a name that the hub does not allow raises a ValueError.
    except (OSError, ValueError) as error:
        at = "" if revision is None else f" at revision {revision!r}"
        raise InputError(
            "a folder or a Hugging Face repository",
            got=f"{name!r}{at}, which is no folder, and no repository that can be fetched "
            f"({type(error).__name__}: {error})",
            advice="check the name, and HF_HOME, HF_HUB_OFFLINE and HF_TOKEN",
            argument="model",
            where="load",
        ) from error
    # A snapshot's folder is named after its commit.
    return folder, folder.name


def _weight_files(name: str, folder: Path) -> dict[str, Path]:
    """Give the file of every tensor."""
    index = folder / "model.safetensors.index.json"
    single = folder / "model.safetensors"
    if index.is_file():
        files = {key: folder / file for key, file in _weight_map(index).items()}
        absent = sorted({path.name for path in files.values() if not path.is_file()})
        if absent:
            raise InputError(
                f"every shard that {index.name} names in {folder}",
                got=f"none of {', '.join(absent)}",
                advice="fetch the checkpoint again",
                where="load",
            )
        return files
    if single.is_file():
        with safe_open(single, framework="pt") as file:
            return dict.fromkeys(file.keys(), single)
    others = sorted(
        path.name for path in folder.glob("*") if path.suffix in (".bin", ".pt", ".pth")
    )
    raise InputError(
        "weights as safetensors (model.safetensors, or shards with an index)",
        got=f"{', '.join(others) if others else 'none'} in {name}",
        advice=(
            "convert them once, with the model's own class: model = "
            "AutoModelForCausalLM.from_pretrained(folder); model.save_pretrained(new_folder), or "
            "pass a ",
            Argument("revision"),
            " of the repository that holds safetensors",
        ),
        where="load",
    )


def _weight_map(index: Path) -> dict[str, str]:
    content = read_json(index)
    weight_map = content.get("weight_map")
    # transformers reads both entries.
    if not isinstance(weight_map, dict) or "metadata" not in content:
        raise InputError(
            f'"weight_map" and "metadata" in {index}, as save_pretrained writes them',
            got=f"{sorted(content)}",
            advice="fetch the checkpoint again",
            where="load",
        )
    return weight_map


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds a JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"JSON in {path}",
            got=str(error),
            advice="fetch the checkpoint again",
            where="load",
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"a JSON object in {path}",
            got=type(content).__name__,
            advice="fetch the checkpoint again",
            where="load",
        )
    return content
