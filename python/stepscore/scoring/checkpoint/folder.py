"""A checkpoint on disk: its folder, its config.json, and its tensors by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from stepscore.errors import InputError
from stepscore.hub import silenced_hub
from stepscore.scoring.checkpoint.branches import advice_with_branch
from stepscore.scoring.checkpoint.config_check import check_config
from stepscore.scoring.checkpoint.quantisation import head_numbers
from stepscore.scoring.checkpoint.stored_tensors import StoredTensors
from stepscore.scoring.checkpoint.weight_files import Weights, find_weights, read_json

LAB = Path(__file__).parents[2] / "lab" / "weights" / "prm"

# No Python: remote code is never even downloaded.
_PATTERNS = ["*.json", "model*.safetensors", "adapter_model*", "*.model", "merges.txt", "vocab.txt"]
_PICKLED = ["pytorch_model*.bin"]  # where there are no safetensors
_REPOSITORY = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
# Wrappers keep their language model in an attribute of this name: Skywork's, ReST-MCTS*'s.
WRAPPER_PREFIXES = ("pretrained_model.", "base_model.")
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
        files: the file of every tensor; a wrapper's prefix is removed from the names.
        wrapped: the stored name of every tensor that is called otherwise here: the prefix was
            removed from it, or it stands in a file beside the weights.
        stored: what each of these files holds.
    """

    name: str
    folder: Path
    revision: str | None
    config: Mapping[str, Any]
    files: Mapping[str, Path]
    wrapped: Mapping[str, str]
    stored: Mapping[Path, StoredTensors]

    @property
    def changed(self) -> Collection[str]:
        """The tensors that do not stand in its files as they are read."""
        return ()

    @property
    def address(self) -> str:
        """What finds it from any working directory: a folder's whole path, else its name."""
        is_folder = self.revision is None and self.folder != LAB
        return str(self.folder.resolve()) if is_folder else self.name

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every tensor, from the files' headers alone."""
        shapes = {path: tensors.shapes for path, tensors in self.stored.items()}
        return {key: shapes[path][self._stored(key)] for key, path in self.files.items()}

    def tensor(self, key: str) -> torch.Tensor:
        """Read one tensor, as float32."""
        return head_numbers(self.as_stored(key), key, self.name)

    def as_stored(self, key: str) -> torch.Tensor:
        """Read one tensor, in the number format that it is stored in."""
        return self.stored[self.files[key]].tensor(self._stored(key))

    def stored_bytes(self, key: str) -> int:
        """Say how large a tensor is in its file."""
        return self.stored[self.files[key]].bytes_of(self._stored(key))

    def rows(self, key: str, rows: Sequence[int]) -> torch.Tensor:
        """Read some rows of a matrix, as float32, and no other row."""
        found = self.stored[self.files[key]].rows(self._stored(key), rows)
        return head_numbers(found, key, self.name)

    def _stored(self, key: str) -> str:
        return self.wrapped.get(key, key)


def open_checkpoint(
    model: str | Path, *, revision: str | None = None, show_progress: bool = False
) -> Checkpoint:
    """Find a checkpoint: the built-in ``"lab"``, a folder, or a Hugging Face repository.

    Raises:
        ValueError: no such folder or repository, no config.json, no weights, weights that are
            damaged or whose index says what is not so.
    """
    name = str(model)
    folder, commit = locate(name, revision, show_progress)
    config_file = folder / "config.json"
    if not config_file.is_file():
        gguf = next(folder.glob("*.gguf"), None)
        raise InputError(
            "a folder with a config.json",
            got=f"{folder}, which has none"
            + ("" if gguf is None else f" but {gguf.name}, and GGUF files hold no head of a PRM")
            + (" but an adapter" if (folder / ADAPTER_CONFIG).is_file() else ""),
            advice="pass the folder that save_pretrained wrote, or the name of a Hugging Face "
            "repository",
            argument="model",
            where="load",
        )
    config = read_json(config_file)
    check_config(config, config_file)
    weights = _weights(name, folder, commit)
    names: dict[str, str] = {}
    for stored in weights.file_of:
        key = _unwrapped(stored)
        if key in names:
            both = sorted((names[key], stored), key=len)
            raise InputError(
                f"every tensor once in {name}",
                got=f"{both[0]!r} and {both[1]!r}",
                advice="use a checkpoint that one call of save_pretrained wrote",
                where="load",
            )
        names[key] = stored
    return Checkpoint(
        name=name,
        folder=folder,
        revision=commit,
        config=config,
        files={key: weights.file_of[original] for key, original in names.items()},
        wrapped={key: original for key, original in names.items() if key != original},
        stored=weights.stored,
    )


def _unwrapped(key: str) -> str:
    for prefix in WRAPPER_PREFIXES:
        if key.startswith(prefix):
            return key.removeprefix(prefix)
    return key


def _weights(name: str, folder: Path, commit: str | None) -> Weights:
    try:
        return find_weights(name, folder)
    except InputError as error:
        if any(folder.glob("*.safetensors")):
            raise
        advice = advice_with_branch(name, folder, commit)
        if advice is None:
            raise
        raise InputError(error.expected, got=error.got, advice=advice, where=error.where) from error


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
    if folder.is_file():
        raise InputError(
            "a folder with config.json, weights and tokenizer",
            got=f"the file {name}",
            advice=f"pass {folder.parent}, where it stands",
            argument="model",
            where="load",
        )
    if name.startswith(("http://", "https://")):
        raise InputError(
            'a folder, the name of a Hugging Face repository, or "lab", with weights to read',
            got="a URL",
            advice="a model behind a server writes texts, and its hidden states stay there; what "
            "it writes is scored by stepscore.scoring.verdicts",
            argument="model",
            where="load",
        )
    if not _REPOSITORY.fullmatch(name):
        raise InputError(
            'a folder, the name of a Hugging Face repository, or "lab"',
            got=f"{name!r}, and there is no such folder",
            advice="check the path",
            argument="model",
            where="load",
        )
    return _download(name, revision, show_progress)


def fetch(name: str, revision: str | None, file: str, *, show_progress: bool = False) -> None:
    """Fetch one more file of a Hugging Face repository into its snapshot, if it has that file.

    Raises:
        ValueError: no such repository, or none that can be reached.
    """
    _download(name, revision, show_progress, [file])


def _download(
    name: str, revision: str | None, show_progress: bool, patterns: Sequence[str] = ()
) -> tuple[Path, str | None]:
    from huggingface_hub import snapshot_download

    try:
        with silenced_hub(progress=show_progress):
            wanted = list(patterns or _PATTERNS)
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
            if not patterns and not any(folder.glob("*.safetensors")):
                snapshot_download(name, revision=revision, allow_patterns=_PICKLED)
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
