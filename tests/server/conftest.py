"""The lab's model, loaded once, and one whose weights are damaged at one sign."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def lab() -> Any:
    import torch

    import stepscore

    torch.set_num_threads(1)
    return stepscore.load("lab")


@pytest.fixture(scope="session")
def damaged() -> Any:
    """A model that gives NaN for every trace with a ``*`` in it."""
    import torch

    import stepscore

    prm = stepscore.load("lab")
    star = prm.tokenizer.encode("*", add_special_tokens=False)[-1]
    with torch.no_grad():
        prm.backbone.get_input_embeddings().weight[star] = float("nan")
    return prm
