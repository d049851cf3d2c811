"""In float32 on a CPU a score depends on its trace alone: the same bits in any company.

On tiny models of every family. An intermediate size of 90 is no multiple of a vector register, and
1,600 inputs of a product are more than oneDNN adds up in one go.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import models
import numpy as np
import pytest
import regroupings
from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
)

import stepscore

SIZES = models._sizes() | {"intermediate_size": 90}
KINDS = {
    "llama": lambda: LlamaConfig(**SIZES | {"intermediate_size": 1606}),
    "qwen2": lambda: Qwen2Config(**SIZES),
    "qwen3": lambda: Qwen3Config(**SIZES, head_dim=24),
    "mistral-window": lambda: MistralConfig(**SIZES, sliding_window=29),
    "phi3": lambda: Phi3Config(**SIZES, pad_token_id=0),
    "gemma2": lambda: Gemma2Config(**SIZES, head_dim=16, sliding_window=21),
    "gemma3": lambda: Gemma3TextConfig(**SIZES, head_dim=16, sliding_window=21),
    "relu": lambda: LlamaConfig(**SIZES, hidden_act="relu"),
}


def traces() -> list[tuple[str, list[str]]]:
    rng = np.random.default_rng(5)
    return [
        (models.PROBLEMS[i % 3], [models.STEPS[k] for k in rng.integers(0, 5, rng.integers(1, 7))])
        for i in range(12)
    ]


@pytest.fixture(scope="module")
def prm_of(tmp_path_factory):
    kept = {}

    def load(kind):
        if kind not in kept:
            folder = tmp_path_factory.mktemp("bits") / kind
            kept[kind] = stepscore.load(models.classifier_prm(folder, KINDS[kind]()).folder)
        return kept[kind]

    return load


@pytest.mark.parametrize("kind", KINDS)
def test_no_regrouping_moves_a_bit(kind, prm_of):
    prm = prm_of(kind)
    assert prm.sharing.shared, prm.sharing
    assert prm.sharing.moves is None, prm.sharing
    given = traces()
    expected = regroupings.alone(prm, given)
    assert np.std(np.concatenate(expected)) > 0.01
    seen = 0
    for what, scores, moved, by in regroupings.moved(prm, given, expected, 12, most=6):
        assert not moved, f"{moved} of {scores} scores, by up to {by:.1e}: {what}"
        seen += scores
    assert seen > 60


def test_the_lab_keeps_its_bits(lab_traces):
    prm = stepscore.load("lab")
    expected = regroupings.alone(prm, lab_traces)
    for what, scores, moved, by in regroupings.moved(prm, lab_traces, expected, 12, most=6):
        assert not moved, f"{moved} of {scores} scores, by up to {by:.1e}: {what}"


@pytest.fixture
def lab_traces():
    given = []
    for first in range(20, 28):
        steps = [f"{first}+95={first + 95}", f"{first + 95}-16={first + 79}"]
        wrong = [f"{first}+95={first + 85}"]
        given += [(f"{first}+95-16+20+11-30=?", trace) for trace in (steps, wrong)]
    return given


def test_a_model_loaded_without_sharing_has_the_same_bits(tiny, mixed):
    shared = stepscore.load(tiny("trl").folder)
    whole = stepscore.load(tiny("trl").folder, share=False)
    assert whole.costs is None
    assert whole.sharing.moves is None
    for budget in (1, 90, 1024):
        got = replace(whole, token_budget=budget).score(*mixed).values
        assert got.tobytes() == shared.score(*mixed).values.tobytes()


def test_the_stock_attention_moves_bits_here(prm_of, monkeypatch):
    """Else the tests above would show nothing."""
    prm = prm_of("llama")
    given = traces()
    expected = regroupings.alone(prm, given)
    monkeypatch.setattr("stepscore.scoring.forward.attention.has_fixed_bits", lambda _: False)
    found = regroupings.moved(prm, given, expected, 4, most=8, ways=["every fork shared"])
    assert sum(moved for _, _, moved, _ in found) > 10


def moves(prm) -> str:
    assert prm.sharing.moves is not None, prm.sharing
    assert f"scores move with the batch {prm.sharing.moves}" in str(prm.sharing)
    return prm.sharing.moves


@pytest.mark.parametrize(("dtype", "by"), [("bfloat16", "1e-2"), ("float16", "1e-3")])
def test_half_precision_says_how_far_scores_move(dtype, by, tiny):
    prm = stepscore.load(tiny("trl").folder, dtype=dtype)
    assert moves(prm) == f"by about {by}: it computes with {dtype} on cpu"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda: MixtralConfig(**SIZES | {"intermediate_size": 64}, num_local_experts=4),
            "torch's product in layers.0.mlp",
        ),
        (
            lambda: LlamaConfig(**SIZES, hidden_act="quick_gelu"),
            "the activation QuickGELUActivation of torch",
        ),
    ],
    ids=["experts", "activation"],
)
def test_a_part_that_may_move_bits_is_named(make, reason, tmp_path):
    prm = stepscore.load(models.classifier_prm(tmp_path / "prm", make()).folder)
    assert prm.sharing.shared
    assert reason in moves(prm)


def test_a_model_that_cannot_share_says_that_scores_move(tmp_path):
    tiny = models.long_rope_prm(tmp_path / "phi", switch_length=64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prm = stepscore.load(tiny.folder)
    assert moves(prm) == "by about 1e-6: it computes with torch's attention"
