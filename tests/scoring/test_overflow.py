"""Hidden states that leave the range of float16: which trace, and what to do."""

from __future__ import annotations

import warnings
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import stepscore
from stepscore.errors import InputError

# " reason" is a token that the check at loading does not forward, " eggs" is one that it does.
SPARED, FORWARDED = "reason", "eggs"
GOOD = ["We add 3 and 4.", "The sum is 7."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model in which one word's product of gate and up is about 170,000: folder(word)."""
    built: dict[str, Path] = {}

    def build(word: str) -> Path:
        if word not in built:
            folder = tmp_path_factory.mktemp(word) / "prm"
            tokenizer = models.trl_prm(folder).tokenizer
            [token] = models.enc(tokenizer, f" {word}")
            tensors = models.tensors_of(folder)
            # Channel 0 is that word's alone.
            embeddings = tensors["model.embed_tokens.weight"]
            embeddings[:, 0] = 0
            embeddings[token] = 0
            embeddings[token, 0] = 40
            tensors["model.layers.0.self_attn.o_proj.weight"][0] = 0
            for name in ("gate_proj", "up_proj"):
                weight = tensors[f"model.layers.0.mlp.{name}.weight"]
                weight[0] = 0
                weight[0, 0] = 60
            save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
            built[word] = folder
        return built[word]

    return build


def load(folder: Path, dtype: str, share: bool = True) -> stepscore.ProcessRewardModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return stepscore.load(folder, dtype=dtype, share=share)


@pytest.mark.parametrize("share", [True, False])
def test_the_trace_that_overflows_is_named(share, folder):
    prm = load(folder(SPARED), "float16", share)
    assert prm.sharing.shared is share
    solutions = [GOOD, ["We add 3.", f"She has a {SPARED}."], GOOD]
    with pytest.raises(
        InputError,
        match=r"score: solutions\[1\]\[\d\]: expected a finite score.*65504 there, where float16 "
        r"ends: load it with dtype='bfloat16' or dtype='float32', or pass nan='propagate'",
    ):
        prm.score("What is 1?", solutions)
    scores = prm.score("What is 1?", solutions, nan="propagate")
    assert np.isnan(scores[1][1])
    # Those beside it are what they are alone, up to the rounding of another batch.
    for trace in (0, 2):
        [alone] = prm.score("What is 1?", [GOOD])
        np.testing.assert_allclose(scores[trace], alone, atol=2e-3)


def test_a_session_names_the_step(folder):
    prm = load(folder(SPARED), "float16")
    with prm.session("What is 1?") as session:
        first = session.extend(session.roots[0], ["We add 3."])
        with pytest.raises(InputError, match=r"steps\[1\]: .*load it with dtype='bfloat16'"):
            session.extend(first.nodes[0], ["The sum is 7.", f"She has a {SPARED}."])
        assert len(session) == 2


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_advice_helps(dtype, folder):
    prm = load(folder(FORWARDED), dtype)
    scores = prm.score("What is 1?", [[f"She has a {FORWARDED}."], GOOD])
    assert np.isfinite(scores.values).all()


def test_loading_warns_where_ordinary_tokens_overflow(folder):
    message = "gives NaN for tokens of its vocabulary in float16.*dtype='bfloat16' or"
    with pytest.warns(UserWarning, match=message) as caught:
        stepscore.load(folder(FORWARDED), dtype="float16")
    assert len(caught) == 1


def test_damaged_weights_are_no_matter_of_float32(folder):
    prm = load(folder(SPARED), "float32")
    with torch.no_grad():
        prm.backbone.norm.weight[3] = float("nan")
    with pytest.raises(InputError, match=r"got nan, and 1 more; its weights may be damaged: use"):
        prm.score("What is 1?", [GOOD])
