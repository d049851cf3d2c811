"""A policy's model that is not there: asked for once, and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from stepscore.errors import InputError
from stepscore.policies import HuggingFacePolicy, huggingface_files


@pytest.mark.parametrize("error", [OSError("no network"), ValueError("Repo id must use ...")])
def test_the_hub_is_asked_once(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Any]] = []

    def download(model: str, **options: Any) -> str:
        asked.append((model, options["revision"]))
        raise error

    monkeypatch.setattr(huggingface_files, "snapshot_download", download)
    with pytest.raises(InputError, match="model: expected a folder or a Hugging Face repository"):
        HuggingFacePolicy.load("no/such", revision="main")
    assert asked == [("no/such", "main")]


def test_what_is_no_language_model_is_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_files, "snapshot_download", None)
    with pytest.raises(InputError, match="got lab, which knows sums alone"):
        HuggingFacePolicy.load("lab")
    with pytest.raises(InputError, match=r"a folder with a config\.json; got .*, which has none"):
        HuggingFacePolicy.load(str(tmp_path))
