"""Every tensor and every number of a checkpoint is used, or refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import stepscore
from stepscore.errors import InputError

KINDS = ("trl", "trl-llama", "shepherd", "qwen", "skywork-wrapped")  # Qwen2, Llama, Mistral
RECIPES = {"shepherd": "math-shepherd"}


@pytest.fixture
def copy(tiny, tmp_path):
    """A checkpoint of one's own to spoil: copy(kind) -> its folder."""

    def make(kind: str) -> Path:
        return Path(shutil.copytree(tiny(kind).folder, tmp_path / kind))

    return make


def rewrite_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite_tensors(folder: Path, change) -> None:
    tensors = models.tensors_of(folder)
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def add(**more: torch.Tensor):
    return lambda tensors: tensors.update(
        {key.replace("__", "."): tensor.clone() for key, tensor in more.items()}
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_of_fewer_layers_is_refused(kind, copy):
    folder = copy(kind)
    rewrite_config(folder, num_hidden_layers=1, layer_types=None)
    with pytest.raises(
        InputError,
        match=r"that nothing reads: (model\.)?layers\.1\.input_layernorm\.weight.*, \.\.\.; "
        r"config\.json states 1 layers, and the weights hold 2",
    ):
        stepscore.load(folder, recipe=RECIPES.get(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_of_more_layers_is_refused(kind, copy):
    folder = copy(kind)
    rewrite_config(folder, num_hidden_layers=3, layer_types=None)
    with pytest.raises(InputError, match=r"lacks \d+: layers\.2\..*states 3 .* weights hold 2"):
        stepscore.load(folder, recipe=RECIPES.get(kind))


def test_a_tensor_that_nothing_reads_is_refused(copy):
    folder = copy("trl")
    extra = torch.ones(2, 2)
    rewrite_tensors(folder, add(outcome_head__weight=extra, model__layers__0__adapter__w=extra))
    with pytest.raises(
        InputError, match=r"got 2 in .*: model\.layers\.0\.adapter\.w, outcome_head\.weight; use"
    ):
        stepscore.load(folder)


def test_a_head_that_the_recipe_does_not_read_is_refused(copy):
    folder = copy("shepherd")
    rewrite_tensors(folder, add(v_head__summary__weight=torch.ones(1, models.HIDDEN)))
    with pytest.raises(InputError, match=r"nothing reads: v_head\.summary\.weight"):
        stepscore.load(folder, recipe="math-shepherd")


def test_known_leftovers_are_none_of_its_business(copy, loaded, mixed):
    expected = loaded("trl").score(*mixed)
    folder = copy("trl")
    leftovers = {f"model__layers__{i}__self_attn__rotary_emb__inv_freq" for i in range(2)}
    rewrite_tensors(
        folder,
        add(
            **dict.fromkeys(leftovers, torch.ones(6)),
            lm_head__weight=torch.ones(models.VOCABULARY, models.HIDDEN),
        ),
    )
    np.testing.assert_array_equal(stepscore.load(folder).score(*mixed).values, expected.values)


def test_a_tensor_under_two_names_is_refused(copy):
    folder = copy("trl")
    rewrite_tensors(folder, lambda t: t.update({"norm.weight": t["model.norm.weight"] + 1}))
    with pytest.raises(InputError, match=r"with and without 'model\.' in front.*: norm\.weight"):
        stepscore.load(folder)


def test_tensors_of_another_shape_are_listed(copy):
    folder = copy("trl")
    rewrite_tensors(folder, add(model__norm__weight=torch.ones(5)))
    with pytest.raises(InputError, match=r"'norm\.weight' of shape \[5\] for \[48\]"):
        stepscore.load(folder)


def test_a_vocabulary_of_another_size_is_refused(copy):
    folder = copy("trl")
    rewrite_config(folder, vocab_size=models.VOCABULARY - 1)
    with pytest.raises(InputError, match=r"'embed_tokens\.weight' of shape \[701, 48\] for \[700"):
        stepscore.load(folder)


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("num_hidden_layers", 0, "a whole number from 1 as 'num_hidden_layers'.*got 0"),
        ("num_hidden_layers", -2, "a whole number from 1 as 'num_hidden_layers'.*got -2"),
        ("num_hidden_layers", 2.0, "a whole number from 1 as 'num_hidden_layers'.*got 2.0"),
        ("num_hidden_layers", "2", "a whole number from 1 as 'num_hidden_layers'.*got '2'"),
        ("hidden_size", 0, "'hidden_size'"),
        ("hidden_size", None, "hidden_size"),
        ("hidden_size", 50, "hidden_size|of shape|'score.weight'"),
        ("intermediate_size", 0, "'intermediate_size'"),
        ("intermediate_size", 90, r"of shape \[96, 48\] for \[90, 48\]"),
        ("num_attention_heads", 0, "'num_attention_heads'"),
        ("num_attention_heads", 5, "'num_key_value_heads'|divisor"),
        ("num_key_value_heads", 0, "'num_key_value_heads'"),
        ("num_key_value_heads", 3, "a divisor of the 4 of num_attention_heads as 'num_key_value"),
        ("num_key_value_heads", 4, r"k_proj\.(weight|bias)' of shape"),
        ("head_dim", 24, r"_proj\.(weight|bias)' of shape"),
        ("vocab_size", 0, "'vocab_size'"),
        ("max_position_embeddings", 0, "'max_position_embeddings'"),
        ("max_position_embeddings", "512", "'max_position_embeddings'"),
        ("rms_norm_eps", -1e-6, "a number from 0 as 'rms_norm_eps'"),
        ("rms_norm_eps", float("nan"), "a number from 0 as 'rms_norm_eps'"),
        ("rope_theta", 0, "a number above 0 as 'rope_theta'"),
        ("rope_parameters", {"rope_type": "default", "rope_theta": -1.0}, "above 0 as 'rope_para"),
        ("rope_parameters", {"rope_type": "spiral", "rope_theta": 1e4}, "spiral"),
        ("sliding_window", -1, "a number from 0 as 'sliding_window'"),
        ("tie_word_embeddings", "false", "true or false as 'tie_word_embeddings'"),
        ("architectures", "Qwen2ForTokenClassification", "a list of names as 'architectures'"),
        ("layer_types", ["full_attention"] * 3, "a kind for each of the 2 layers.*got '3 kinds'"),
        ("layer_types", ["full_attention", "oblique"], "oblique"),
        ("hidden_act", "sillu", "sillu"),
        ("dtype", "flaot16", "flaot16"),
        ("model_type", None, "model_type"),
        ("model_type", ["qwen2"], "model_type"),
    ],
)
def test_a_number_that_no_model_has_is_named(entry, value, message, copy):
    folder = copy("trl")
    rewrite_config(folder, **{entry: value})
    with pytest.raises(InputError, match=message):
        stepscore.load(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("trl", "model.layers.1.mlp.up_proj.weight", r"1 of .*: layers\.1\.mlp\.up_proj\.weight"),
        ("trl", "model.norm.weight", r"1 of .*: norm\.weight"),
        ("trl", "score.weight", r"numbers in the head \(score\.weight, score\.bias\)"),
        ("qwen", "score.0.bias", r"numbers in the head \(score\.0\.weight"),
    ],
)
def test_a_weight_that_is_no_number_is_named(value, kind, name, message, copy):
    folder = copy(kind)

    def spoil(tensors):
        tensors[name].view(-1)[-1] = value

    rewrite_tensors(folder, spoil)
    with pytest.raises(InputError, match=f"{message}.*; (the weights are damaged|use another)"):
        stepscore.load(folder)


def test_weights_whose_sum_is_infinite_are_numbers(copy):
    folder = copy("trl-llama")

    # Rows that no token has.
    def grow(tensors):
        tensors["model.embed_tokens.weight"][-8:] = 3e38

    rewrite_tensors(folder, grow)
    stepscore.load(folder)


def test_weights_beyond_float16_are_named(copy):
    folder = copy("trl")

    def grow(tensors):
        tensors["model.embed_tokens.weight"][-1] = 1e5

    rewrite_tensors(folder, grow)
    stepscore.load(folder, dtype="bfloat16")
    with pytest.raises(InputError, match=r"embed_tokens\.weight; float16 ends at 65504: load it"):
        stepscore.load(folder, dtype="float16")


@pytest.mark.parametrize(
    ("kind", "changes", "got"),
    [
        ("trl", {"score.weight": lambda w: w * 0}, "zeros"),
        ("trl", {"score.weight": lambda w: w[:1].repeat(2, 1)}, "equal rows"),
        ("qwen", {"score.0.weight": lambda w: w * 0}, "zeros"),
        ("skywork", {"v_head.summary.weight": lambda w: w * 0}, "zeros"),
        ("shepherd", {"lm_head.weight": lambda w: w * 0}, "zeros"),
    ],
)
def test_a_head_that_was_never_trained_is_refused(kind, changes, got, copy):
    folder = copy(kind)
    rewrite_tensors(
        folder, lambda t: t.update({key: make(t[key]) for key, make in changes.items()})
    )
    with pytest.raises(InputError, match=f"give every step the same score: {got}"):
        stepscore.load(folder, recipe=RECIPES.get(kind))


def test_the_bias_of_an_output_matrix_is_read(copy, tiny):
    folder = copy("shepherd")
    bias = torch.linspace(-3, 3, models.VOCABULARY)
    rewrite_tensors(folder, add(lm_head__bias=bias))
    plain = stepscore.load(tiny("shepherd").folder, recipe="math-shepherd")
    biased = stepscore.load(folder, recipe="math-shepherd")
    good, bad = plain.tokenizer.encode("+ -")[1:]
    [before] = plain.score("What is 1?", [["We add 3."]])
    [after] = biased.score("What is 1?", [["We add 3."]])
    # p = sigmoid(z + - z -), and the biases add to the logits z.
    logit = np.log(before.astype(np.float64) / (1 - before.astype(np.float64)))
    expected = 1 / (1 + np.exp(-(logit + float(bias[good] - bias[bad]))))
    np.testing.assert_allclose(after, expected, atol=1e-5)


@pytest.mark.parametrize("entry", ["final_logit_softcapping", "logit_scale", "logits_scaling"])
def test_logits_that_are_no_plain_product_are_refused(entry, copy):
    folder = copy("shepherd")
    rewrite_config(folder, **{entry: 30.0})
    with pytest.raises(InputError, match=f"{entry} 30.0 in config.json"):
        stepscore.load(folder, recipe="math-shepherd")
    rewrite_config(folder, **{entry: None})
    stepscore.load(folder, recipe="math-shepherd")


def test_tied_matrices_that_differ_are_refused(copy):
    folder = copy("shepherd")
    rewrite_config(folder, tie_word_embeddings=True)
    with pytest.raises(InputError, match=r"'lm_head\.weight' equal to 'model\.embed"):
        stepscore.load(folder, recipe="math-shepherd")
    rewrite_tensors(
        folder, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()})
    )
    stepscore.load(folder, recipe="math-shepherd")


@pytest.mark.parametrize("pickled", [False, True])
def test_float64_is_read_in_float32(pickled, copy, loaded, mixed):
    folder = copy("trl")
    tensors = {key: tensor.double() for key, tensor in models.tensors_of(folder).items()}
    if pickled:
        (folder / "model.safetensors").unlink()
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    expected = loaded("trl").score(*mixed).values
    for dtype in (None, "auto"):
        prm = stepscore.load(folder, dtype=dtype)
        assert prm.dtype == torch.float32
        assert np.array_equal(prm.score(*mixed).values, expected)


def test_numbers_of_several_formats_are_read(copy, mixed):
    folder = copy("trl")
    formats = (torch.float32, torch.float16, torch.bfloat16)

    def round_some(tensors):
        for index, key in enumerate(sorted(tensors)):
            tensors[key] = tensors[key].to(formats[index % 3])

    rewrite_tensors(folder, round_some)
    prm = stepscore.load(folder)
    assert {weight.dtype for weight in prm.backbone.parameters()} == {torch.float32}
    got = prm.score(*mixed)
    rewrite_tensors(folder, lambda t: t.update({key: t[key].float() for key in t}))
    np.testing.assert_array_equal(got.values, stepscore.load(folder).score(*mixed).values)
