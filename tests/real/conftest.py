"""A real language model with a head, and real solutions."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import smollm2
import vocabularies
from sweep import SWEEP


@pytest.fixture(scope="session")
def gsm8k(data: Path) -> list[tuple[str, list[str]]]:
    """Problems, each with the steps of one of the four published solutions to it."""
    traces = []
    with (data / "gsm8k" / "example_model_solutions.jsonl").open() as lines:
        for line in lines:
            row = json.loads(line)
            for solver in (
                "6b_finetuning",
                "6b_verification",
                "175b_finetuning",
                "175b_verification",
            ):
                steps = [step for step in row[solver]["solution"].split("\n") if step.strip()]
                traces.append((row["question"], steps))
            if len(traces) == (24 if SWEEP else 8):
                break
    return traces


@pytest.fixture(scope="session")
def real_prm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 under a random head with two labels, in the layout of TRL."""
    if (reason := smollm2.missing()) is not None:
        pytest.skip(reason)
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    size = transformers.AutoConfig.from_pretrained(smollm2.folder()).hidden_size
    folder = tmp_path_factory.mktemp("real") / "prm"
    torch.manual_seed(3)
    smollm2.write_prm(folder, torch.randn(2, size) / (4 * size**0.5), torch.zeros(2))
    return folder


@cache
def _tokenizer(vocabulary: str, bos: str | None) -> Any:
    from transformers import PreTrainedTokenizerFast

    named = {} if bos is None else {"bos_token": bos}
    return PreTrainedTokenizerFast.from_pretrained(vocabularies.folder(vocabulary), **named)


@pytest.fixture
def loaded() -> Callable[..., Any]:
    """Give the tokenizer of a published vocabulary, or skip the test that asks for it.

    A BOS can be given that the checkpoint's tokenizer names and the vocabulary's own does not.
    """

    def load(vocabulary: str, bos: str | None = None) -> Any:
        if (reason := vocabularies.missing(vocabulary)) is not None:
            pytest.skip(reason)
        return _tokenizer(vocabulary, bos)

    return load
