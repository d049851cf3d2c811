"""Whether a policy's model is there, asked once, before libraries ask for every file of it."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download

from stepscore.errors import InputError

_CONFIG = "config.json"


def expect_model(model: str, revision: str | None) -> None:
    """Refuse what is no folder with a model, and no repository that can be fetched.

    Raises:
        InputError: which of the two it is not, and why.
    """
    call = "HuggingFacePolicy.load"
    folder = Path(model).expanduser()
    if folder.is_dir():
        if (folder / _CONFIG).is_file():
            return
        raise InputError(
            f"a folder with a {_CONFIG}",
            got=f"{model}, which has none",
            advice="pass the folder that save_pretrained wrote, or the name of a Hugging Face "
            "repository",
            argument="model",
            where=call,
        )
    if model == "lab":
        raise InputError(
            "a model that writes texts",
            got="lab, which knows sums alone",
            advice="name a language model, or one behind a server",
            argument="model",
            where=call,
        )
    try:
        snapshot_download(model, revision=revision, allow_patterns=[_CONFIG])
    # Offline, unknown, gated and unreachable repositories raise many classes, all of them OSError;
    # a name that the hub does not allow raises a ValueError.
    except (OSError, ValueError) as error:
        at = "" if revision is None else f" at revision {revision!r}"
        raise InputError(
            "a folder or a Hugging Face repository with a causal language model",
            got=f"{model!r}{at}, which is no folder, and no repository that can be fetched "
            f"({type(error).__name__}: {error})",
            advice="check the name, and HF_HOME, HF_HUB_OFFLINE and HF_TOKEN",
            argument="model",
            where=call,
        ) from error
