"""Models that cannot share prefixes exactly: found out, said once, and scored right."""

from __future__ import annotations

import warnings
from dataclasses import replace

import models
import numpy as np
import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2Model,
    Lfm2Config,
    Llama4TextConfig,
    LlamaConfig,
    LlamaModel,
    MistralConfig,
    MistralModel,
    MixtralConfig,
    MixtralModel,
    Qwen2Config,
    Qwen2Model,
    Qwen3NextConfig,
    RecurrentGemmaConfig,
)

import stepscore
from stepscore.scoring.forward import attention_over_paths, sharing_check
from stepscore.scoring.forward.attention import IMPLEMENTATION
from stepscore.scoring.forward.plan import ForwardCosts
from stepscore.scoring.forward.sharing import forward_costs, rope_switch_length, share_prefixes

SIZES = models._sizes()
PROBLEMS = ["What is half of 10 + 6?"] * 5
SOLUTIONS = [
    ["a"],
    ["We add 3 and 4.", "The sum is 7."],
    ["We add 3 and 4.", "The sum is 8."] * 2,
    ["We add 3 and 4.", "The sum is 7."] * 3,
    ["We add 3 and 4.", "The sum is 7."] * 9,
]

CANNOT = {
    "convolutions": (
        lambda: Lfm2Config(**SIZES, layer_types=["conv", "full_attention"]),
        "differ from the stock model's by",
    ),
    "recurrence": (
        lambda: RecurrentGemmaConfig(
            vocab_size=models.VOCABULARY,
            hidden_size=models.HIDDEN,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=1,
            lru_width=models.HIDDEN,
            attention_window_size=64,
        ),
        "differ from the stock model's by",
    ),
    "linear-attention": (
        lambda: Qwen3NextConfig(
            **SIZES,
            head_dim=16,
            layer_types=["linear_attention", "full_attention"],
            num_experts=4,
            moe_intermediate_size=16,
            shared_expert_intermediate_size=16,
            num_experts_per_tok=2,
            linear_num_key_heads=2,
            linear_num_value_heads=2,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
        ),
        "differ from the stock model's by",
    ),
    "chunks": (
        lambda: Llama4TextConfig(
            **SIZES,
            head_dim=16,
            attention_chunk_size=16,
            intermediate_size_mlp=64,
            num_local_experts=2,
            pad_token_id=0,
        ),
        "attends in chunks",
    ),
}


def said(record) -> list[str]:
    return [
        str(warning.message) for warning in record if "sharing prefixes" in str(warning.message)
    ]


@pytest.mark.parametrize("kind", CANNOT)
@pytest.mark.parametrize("token_budget", [1, 100, 10_000])
def test_a_model_that_cannot_share_says_so_once_and_scores_right(kind, token_budget, tmp_path):
    make, reason = CANNOT[kind]
    tiny = models.classifier_prm(tmp_path / kind, make())
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        prm = stepscore.load(tiny.folder, token_budget=token_budget)
        scores = prm.score(PROBLEMS, SOLUTIONS)
        prm.score(PROBLEMS, SOLUTIONS)
    [message] = said(record)
    assert message.startswith(f"load: {tiny.folder} forwards every trace whole")
    assert reason in message
    [place] = {warning.filename for warning in record if str(warning.message) == message}
    assert place == __file__
    assert prm.costs is None
    assert prm.backbone.config._attn_implementation != IMPLEMENTATION
    expected = [tiny.read(*trace) for trace in zip(PROBLEMS, SOLUTIONS, strict=True)]
    np.testing.assert_allclose(scores.values, np.concatenate(expected), rtol=0, atol=1e-5)
    assert np.std(scores.values) > 0.01


@pytest.mark.parametrize("token_budget", [1, 200, 10_000])
def test_rotary_frequencies_that_turn_with_the_length_are_not_mixed(token_budget, tmp_path):
    tiny = models.long_rope_prm(tmp_path / "phi", switch_length=64)
    with pytest.warns(UserWarning, match="frequencies depend on the longest trace of a batch"):
        prm = stepscore.load(tiny.folder, token_budget=token_budget)
    assert (prm.costs, prm.rope_switch_length) == (None, 64)
    expected = [tiny.read(*trace) for trace in zip(PROBLEMS, SOLUTIONS, strict=True)]
    scores = prm.score(PROBLEMS, SOLUTIONS)
    np.testing.assert_allclose(scores.values, np.concatenate(expected), rtol=0, atol=1e-5)
    if token_budget == 10_000:
        mixed = replace(prm, rope_switch_length=None).score(PROBLEMS, SOLUTIONS)
        assert np.abs(mixed.values - scores.values).max() > 1e-3, "else this test shows nothing"


def test_who_does_not_share_is_not_warned(tmp_path):
    tiny = models.long_rope_prm(tmp_path / "phi")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert stepscore.load(tiny.folder, share=False).costs is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: LlamaModel(LlamaConfig(**SIZES)),
        lambda: Qwen2Model(Qwen2Config(**SIZES)),
        lambda: MixtralModel(MixtralConfig(**SIZES, num_local_experts=4)),
        lambda: GPT2Model(GPT2Config(vocab_size=99, n_embd=32, n_layer=2, n_head=4)),
    ],
    ids=["llama", "qwen2", "mixtral", "gpt2"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_model_that_can_share_does(make, dtype):
    torch.manual_seed(0)
    model = make().eval().to(dtype)
    assert share_prefixes(model, model.config.to_dict()).shared
    assert model.config._attn_implementation == IMPLEMENTATION


def fails(*_: object, **__: object) -> object:
    raise KeyError("no such state")


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_an_obstacle_restores_the_attention(implementation, monkeypatch):
    torch.manual_seed(0)
    model = LlamaModel(LlamaConfig(**SIZES)).eval()
    model.set_attn_implementation(implementation)
    with monkeypatch.context() as patch:
        patch.setattr(attention_over_paths, "path_attention", fails)
        sharing = share_prefixes(model, {})
    assert (sharing.shared, sharing.reason) == (False, "KeyError: 'no such state'")
    assert model.config._attn_implementation == implementation
    with monkeypatch.context() as patch:
        patch.setattr(attention_over_paths, "path_attention", lambda q, *_, **__: 2 * q)
        sharing = share_prefixes(model, {})
    assert "self_attn differ from the stock model's by up to" in sharing.reason
    assert sharing.error > sharing.tolerance == 1e-4
    assert model.config._attn_implementation == implementation
    assert share_prefixes(model, {}).shared


def test_the_windows_are_as_before(monkeypatch):
    model = MistralModel(MistralConfig(**SIZES, sliding_window=40)).eval()
    assert share_prefixes(model, {}).shared
    assert model.config.sliding_window == 40
    monkeypatch.setattr(attention_over_paths, "path_attention", fails)
    assert not share_prefixes(model, {}).shared
    assert model.config.sliding_window == 40


def test_a_model_says_what_it_does(tiny):
    prm = stepscore.load(tiny("trl").folder)
    assert prm.sharing.shared
    assert str(prm.sharing).startswith("shares prefixes: rows of layers.")
    assert repr(prm).endswith("dtype='float32', sharing='prefixes')")
    prm = stepscore.load(tiny("trl").folder, share=False)
    assert str(prm.sharing) == (
        "shares nothing: share=False was passed; scores have the same bits in any batch"
    )
    assert repr(prm).endswith("sharing='nothing: share=False was passed')")


def test_numbers_that_overflow_are_not_shared():
    model = LlamaModel(LlamaConfig(**SIZES)).eval()
    torch.nn.init.constant_(model.layers[1].mlp.down_proj.weight, float("inf"))
    sharing = share_prefixes(model, {})
    assert not sharing.shared
    assert "layers.1.mlp" in sharing.reason


def test_a_model_without_layers_to_compare_does_not_share():
    model = LlamaModel(LlamaConfig(**SIZES)).eval()
    model.config.num_hidden_layers = 7
    assert "decoder layers were not found" in share_prefixes(model, {}).reason


def test_an_obstacle_at_load_is_said_once(tiny, mixed, monkeypatch):
    monkeypatch.setattr(sharing_check, "hidden_states", fails)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        prm = stepscore.load(tiny("trl").folder)
        scores = prm.score(*mixed)
    assert len(said(record)) == 1
    assert "KeyError: 'no such state'; its scores are right" in said(record)[0]
    expected = [tiny("trl").read(*trace) for trace in zip(*mixed, strict=True)]
    np.testing.assert_allclose(scores.values, np.concatenate(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({}, None),
        ({"rope_scaling": None}, None),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, None),
        ({"rope_scaling": {"rope_type": "yarn", "original_max_position_embeddings": 64}}, None),
        ({"rope_scaling": {"rope_type": "llama3", "original_max_position_embeddings": 64}}, None),
        ({"rope_scaling": {"type": "longrope", "original_max_position_embeddings": 64}}, 64),
        ({"rope_scaling": {"type": "su"}, "original_max_position_embeddings": 4096}, 4096),
        ({"rope_parameters": {"rope_type": "longrope"}, "original_max_position_embeddings": 8}, 8),
        # Two sets of frequencies, as Gemma 3 has them.
        ({"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0}}}, None),
        ({"rope_scaling": "of another kind"}, None),
    ],
)
def test_the_length_at_which_a_model_switches_its_rotary_frequencies(config, length):
    assert rope_switch_length(config) == length


def test_costs_are_those_of_the_size():
    small = LlamaModel(LlamaConfig(**SIZES))
    deep = LlamaModel(LlamaConfig(**SIZES | {"num_hidden_layers": 6}))
    wide = LlamaModel(LlamaConfig(**SIZES | {"intermediate_size": 4096}))
    words = LlamaModel(LlamaConfig(**SIZES | {"vocab_size": 90_000}))
    costs = {"small": small, "deep": deep, "wide": wide, "words": words}
    costs = {name: forward_costs(model) for name, model in costs.items()}
    assert all(cost.token > 0 and cost.fork > 0 for cost in costs.values())
    assert costs["deep"].token > 2 * costs["small"].token
    assert costs["deep"].fork == 3 * costs["small"].fork
    assert costs["wide"].token > costs["small"].token
    assert costs["wide"].fork == costs["small"].fork
    assert costs["words"] == costs["small"], "a look-up costs nothing"


def test_what_is_worth_sharing():
    costs = ForwardCosts(token=2, fork=10)
    assert not costs.worth_sharing(length=1000, copies=1)
    assert not costs.worth_sharing(length=5, copies=2)
    assert costs.worth_sharing(length=6, copies=2)
    assert costs.worth_sharing(length=3, copies=3)
