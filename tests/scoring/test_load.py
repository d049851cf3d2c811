"""What load accepts, what it refuses, and what it never does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.utils import logging

import stepscore
from stepscore.scoring.checkpoint import backbone
from stepscore.scoring.checkpoint.folder import LAB

REPOSITORY = "someone/tiny-prm"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def copy(tiny, tmp_path):
    """A checkpoint of one's own to spoil: copy(kind) -> its folder."""

    def make(kind: str) -> Path:
        return Path(shutil.copytree(tiny(kind).folder, tmp_path / kind))

    return make


def rewrite_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def rewrite_tensors(folder: Path, change) -> None:
    from safetensors.torch import save_file

    tensors = change(models.tensors_of(folder))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("kind", "recipe"),
    [
        ("qwen", "qwen2.5-math-prm"),
        ("qwen-sharded", "qwen2.5-math-prm"),
        ("skywork", "skywork-o1-prm"),
        ("skywork-wrapped", "skywork-o1-prm"),
        ("trl", "trl-prm"),
        ("trl-llama", "trl-prm"),
    ],
)
def test_the_recipe_is_detected(kind, recipe, tiny):
    prm = stepscore.load(tiny(kind).folder)
    assert prm.recipe.name == recipe
    assert prm.device.type == "cpu"
    assert prm.dtype == torch.float32
    assert prm.max_length == models.POSITIONS
    assert prm.revision is None


def test_the_config_says_the_separator(tiny):
    assert stepscore.load(tiny("trl-blank-line").folder).recipe.separator == "\n\n"


def test_a_bare_token_classifier_is_read_with_a_warning(copy):
    folder = copy("trl")
    rewrite_config(folder, stepscore=None)
    with pytest.warns(UserWarning, match=r"TRL's default"):
        prm = stepscore.load(folder)
    assert prm.recipe.separator == "\n"


def test_a_causal_model_needs_its_recipe_named(tiny):
    with pytest.raises(ValueError, match=r"MistralForCausalLM.*recipe='math-shepherd'"):
        stepscore.load(tiny("shepherd").folder)


def test_the_backbone_is_stock_and_has_no_output_matrix(loaded):
    for kind in ("qwen", "shepherd", "shepherd-tied", "skywork-wrapped", "trl-llama"):
        backbone = loaded(kind).backbone
        assert type(backbone).__name__ in ("Qwen2Model", "MistralModel", "LlamaModel")
        assert type(backbone).__module__.startswith("transformers.models.")
        assert not any("lm_head" in name or "score" in name for name, _ in backbone.named_modules())
        assert not any(parameter.requires_grad for parameter in backbone.parameters())


class WidestTensor(TorchDispatchMode):
    """Watch every tensor that any operation of torch makes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.operations = 0
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.operations += 1
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(tensor, torch.Tensor) and self.width in tensor.shape[1:]:
                self.seen.append(f"{func} {tuple(tensor.shape)}")
        return result


@pytest.mark.parametrize("kind", ["qwen", "shepherd", "shepherd-tied", "skywork", "trl"])
def test_no_tensor_is_as_wide_as_the_vocabulary(kind, loaded, mixed):
    prm = loaded(kind)
    with WidestTensor(models.VOCABULARY) as watch:
        prm.score(*mixed)
    assert watch.operations > 50
    assert not watch.seen


def test_only_two_rows_of_the_output_matrix_are_read(loaded):
    [(weight, bias)] = loaded("shepherd").head.layers
    assert weight.shape == (2, models.HIDDEN)
    assert bias is None


def test_a_repository_in_the_cache_is_found_offline(tiny, tmp_path):
    home = tmp_path / "home"
    repository = home / "hub" / f"models--{REPOSITORY.replace('/', '--')}"
    shutil.copytree(tiny("trl-llama").folder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "refs" / "later").write_text(COMMIT)
    script = f"""
import sys, stepscore
prm = stepscore.load({REPOSITORY!r})
assert prm.revision == {COMMIT!r}, prm.revision
assert stepscore.load({REPOSITORY!r}, revision="later").revision == {COMMIT!r}
try:
    stepscore.load("someone/else", revision="v2")
except ValueError as error:
    assert "load: model: expected a folder or" in str(error), error
    assert "someone/else" in str(error) and "HF_HUB_OFFLINE" in str(error), error
else:
    raise AssertionError("an absent repository was loaded")
print(prm.score("What is 1?", [["We add 3.", "The sum is 7."]]).to_list())
"""
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "loading must stay quiet"
    expected = tiny("trl-llama").read("What is 1?", ["We add 3.", "The sum is 7."])
    np.testing.assert_allclose(json.loads(done.stdout), [expected], rtol=0, atol=1e-5)


def test_config_json_is_tried_once(copy, monkeypatch):
    built, right = [], backbone._empty_model
    monkeypatch.setattr(backbone, "_empty_model", lambda config: built.append(1) or right(config))
    folder = copy("shepherd")  # its recipe asks for the configuration several times
    rewrite_config(folder, initializer_range=0.125)  # one that no test before this one has read
    for _ in range(2):
        stepscore.load(folder, recipe="math-shepherd")
    assert len(built) == 1
    rewrite_config(folder, hidden_act="nothing")
    with pytest.raises(ValueError, match="nothing"):
        stepscore.load(folder, recipe="math-shepherd")


def test_loading_restores_the_verbosity_of_transformers(tiny, capfd):
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stepscore.load(tiny("qwen").folder)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not LAB.is_dir(), reason="the lab's weights are not in this tree")
def test_the_lab_is_built_in():
    from stepscore.lab.prm import lay_out, load_prm, read_steps

    prm = stepscore.load("lab")
    steps = ["69+15=84", "84-75=9", "9+61=70"]
    scores = prm.score("69+15-75+61\n", [steps, steps[:2]])
    layouts = [lay_out("69+15-75+61\n", steps), lay_out("69+15-75+61\n", steps[:2])]
    expected = read_steps(load_prm(), layouts)
    np.testing.assert_allclose(scores.values, np.concatenate(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["no/such/folder", "./here", "-x", "a name", ""])
def test_an_absent_folder_is_refused(name):
    with pytest.raises(ValueError, match="there is no such folder"):
        stepscore.load(name)


def test_a_folder_without_config_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json"):
        stepscore.load(tmp_path)


def test_an_absent_shard_is_refused(copy):
    folder = copy("qwen-sharded")
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ValueError, match=r"got none of model-00002-of-00003\.safetensors"):
        stepscore.load(folder)


def test_an_incomplete_index_is_refused(copy):
    folder = copy("qwen-sharded")
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ValueError, match="weight_map"):
        stepscore.load(folder)


@pytest.mark.parametrize(
    ("kind", "key"),
    [("qwen", "score.2.bias"), ("skywork", "v_head.summary.weight"), ("trl", "score.weight")],
)
def test_a_checkpoint_without_the_head_is_refused(kind, key, copy, tiny):
    folder = copy(kind)
    rewrite_tensors(folder, lambda tensors: {k: t for k, t in tensors.items() if k != key})
    with pytest.raises(ValueError, match=f"expected a tensor '{key}'"):
        stepscore.load(folder, recipe=tiny(kind).recipe)
    with pytest.raises(ValueError, match="trl-prm" if kind == "trl" else "recipe can be detected"):
        stepscore.load(folder)


def test_a_head_of_another_shape_is_refused(copy):
    folder = copy("trl")
    rewrite_tensors(folder, lambda t: {**t, "score.weight": torch.zeros(3, models.HIDDEN)})
    with pytest.raises(ValueError, match=r"'score.weight' of shape \[2, 48\].*; got \[3, 48\]"):
        stepscore.load(folder)


@pytest.mark.parametrize("recipe", ["qwen2.5-math-prm", "skywork-o1-prm", "trl-prm"])
def test_a_class_head_never_comes_from_a_causal_model(recipe, tmp_path):
    # The tokenizer passes every recipe's check, so that only the missing head can refuse.
    tiny = models.qwen_prm(tmp_path)
    rewrite_config(tiny.folder, architectures=["Qwen2ForCausalLM"])
    config = json.loads((tiny.folder / "tokenizer_config.json").read_text())
    config["bos_token"] = "<|endoftext|>"
    (tiny.folder / "tokenizer_config.json").write_text(json.dumps(config))
    rewrite_tensors(
        tiny.folder, lambda tensors: {k: t for k, t in tensors.items() if "score" not in k}
    )
    with pytest.raises(ValueError, match=r"expected a tensor .*, the head of the recipe"):
        stepscore.load(tiny.folder, recipe=recipe)


def test_a_tied_classifier_is_no_language_model(copy):
    folder = copy("trl-llama")
    rewrite_config(folder, tie_word_embeddings=True)
    with pytest.raises(ValueError, match="expected the output matrix of a causal language model"):
        stepscore.load(folder, recipe="math-shepherd")


def test_an_untied_model_without_output_matrix_is_refused(copy):
    folder = copy("shepherd")
    rewrite_tensors(folder, lambda t: {k: v for k, v in t.items() if k != "lm_head.weight"})
    with pytest.raises(ValueError, match=r"expected .* the tensor 'lm_head.weight', or tied"):
        stepscore.load(folder, recipe="math-shepherd")


def test_missing_backbone_weights_are_never_random(copy):
    folder = copy("trl")
    lost = "model.layers.1.mlp.up_proj.weight"
    rewrite_tensors(folder, lambda tensors: {k: t for k, t in tensors.items() if k != lost})
    with pytest.raises(ValueError, match=r"lacks 1: layers\.1\.mlp\.up_proj\.weight"):
        stepscore.load(folder)


def test_backbone_weights_of_another_shape_are_refused(copy):
    folder = copy("trl")
    rewrite_tensors(folder, lambda t: {**t, "model.norm.weight": torch.ones(5)})
    with pytest.raises(ValueError, match="expected weights that fit the qwen2 backbone"):
        stepscore.load(folder)


def test_an_unknown_model_type_is_refused_and_no_code_is_run(copy):
    folder = copy("qwen")
    rewrite_config(folder, model_type="their-own")
    (folder / "modeling_qwen2_rm.py").write_text("raise SystemExit('remote code was run')")
    with pytest.raises(ValueError, match="'their-own'"):
        stepscore.load(folder)
    rewrite_config(folder, model_type="qwen2")
    stepscore.load(folder)


def test_a_backbone_that_sees_the_future_is_refused(copy):
    folder = copy("trl")
    rewrite_config(folder, is_causal=False)
    with pytest.raises(ValueError, match="expected a causal backbone"):
        stepscore.load(folder)


def test_a_folder_without_tokenizer_is_refused(copy):
    folder = copy("trl")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ValueError, match="expected a tokenizer beside the weights"):
        stepscore.load(folder)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"recipe": "no-such"}, ValueError, "load: recipe: expected one of .*math-shepherd, "),
        (
            {"recipe": 3},
            TypeError,
            "recipe: expected a name, a file, a mapping, or a value",
        ),
        ({"dtype": "int8"}, ValueError, "dtype: expected float32, float16 or bfloat16"),
        ({"device": "toaster"}, ValueError, "device: expected one that torch can use here"),
        ({"max_length": 0}, ValueError, "max_length: expected at least 1"),
        ({"max_length": 513}, ValueError, "max_length: expected at most the model's 512 positions"),
        ({"token_budget": 2.5}, TypeError, "token_budget: expected a whole number"),
        ({"revision": "main"}, ValueError, "revision: expected none for a folder"),
    ],
)
def test_arguments_are_checked(options, error, message, tiny):
    with pytest.raises(error, match=message):
        stepscore.load(tiny("trl").folder, **options)


def test_the_model_must_be_a_name_or_a_path():
    with pytest.raises(TypeError, match="load: model: expected a folder or a name"):
        stepscore.load(None)


@pytest.mark.parametrize("device", ["meta", "cuda:99", "nowhere"])
def test_a_device_that_is_not_there_is_named(device, tiny):
    with pytest.raises(ValueError, match=f"load: device: expected one .* got '{device}'"):
        stepscore.load(tiny("trl").folder, device=device)


def test_positions_that_config_json_does_not_state_are_those_of_the_class(tmp_path):
    from transformers import GPT2Config

    config = GPT2Config(
        vocab_size=models.VOCABULARY,
        n_embd=models.HIDDEN,
        n_layer=1,
        n_head=4,
        bos_token_id=1,
        eos_token_id=2,
    )
    folder = models.classifier_prm(tmp_path / "gpt2", config).folder
    rewrite_tensors(
        folder, lambda tensors: {k.replace("model.", "transformer."): t for k, t in tensors.items()}
    )
    rewrite_config(folder, n_positions=None, max_position_embeddings=None, n_ctx=None)
    prm = stepscore.load(folder)
    assert prm.max_length == 1024 == len(prm.backbone.wpe.weight)
    with pytest.raises(ValueError, match=r"score: .*expected at most 1024 tokens"):
        prm.score("How many?", [["word " * 1100]])
    with pytest.raises(ValueError, match=r"max_length: .*1024 positions \(the default of GPT2Con"):
        stepscore.load(folder, max_length=1025)
