"""A name or a folder -> its tokenizer, without weights."""

from __future__ import annotations

from pathlib import Path

from stepscore.hub import silenced_hub
from stepscore.recipes import Tokenizer
from stepscore.scoring.checkpoint.folder import Checkpoint, locate
from stepscore.scoring.checkpoint.loading import check_model
from stepscore.scoring.checkpoint.tokenizer import load_tokenizer as load_from

_FILES = ["*.json", "*.model", "*.jinja", "merges.txt", "vocab.txt"]


def load_tokenizer(model: str | Path, *, revision: str | None = None) -> Tokenizer:
    """Load the tokenizer of a checkpoint as `stepscore.load` does, and no weights.

    Args:
        model: a folder that holds a tokenizer, a Hugging Face repository, or ``"lab"``. Of a
            repository nothing but the tokenizer's files is downloaded.
        revision: branch, tag or commit of a repository.

    Raises:
        ValueError: no such folder or repository, or one without a tokenizer.
        TypeError: neither a text nor a path.
    """
    check_model(model, "load_tokenizer")
    folder = _fetched(str(model), revision)
    if folder is None:
        folder, _ = locate(str(model), revision, False)
    return load_from(Checkpoint(str(model), folder, revision, {}, {}, {}, {}))


def _fetched(name: str, revision: str | None) -> Path | None:
    """Give the folder of a repository in the cache, or None where the name is none."""
    if name == "lab" or Path(name).expanduser().exists():
        return None
    from huggingface_hub import snapshot_download

    try:
        with silenced_hub():
            return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))
    except (OSError, ValueError):
        return None  # `locate` says what is wrong with it
