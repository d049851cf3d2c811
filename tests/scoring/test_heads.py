"""Heads in files of their own, over all logits, scaled, and before the last layer.

Every oracle is the stock model with its full outputs and the published modules of torch behind it,
in float64.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from models import HIDDEN, VOCABULARY
from safetensors.torch import load_file, save_file
from test_load_weights import Payload
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

import stepscore
from stepscore.errors import InputError
from stepscore.recipes import Reading, Recipe, trl_prm
from stepscore.recipes.head import Head, Layer
from stepscore.scoring.checkpoint import output_matrix

PROBLEM = "What is half of 10 + 6?"
STEPS = ["We add 3 and 4.", "The sum is 7.", "So the answer is 7"]
VALUE = (Reading("score", "identity", (1.0,), (-math.inf, math.inf)),)

SCALAR = Head(
    "affine", (Layer("reward_head.weight", "reward_head.bias", file="reward_head.pt"),), 1
)
WIDENED = Head(
    "mlp",
    (
        Layer("module.0.weight", "module.0.bias", file="module.pt", widening=2),
        Layer("module.3.weight", "module.3.bias", file="module.pt"),
    ),
    1,
)
PLAIN_MLP = Head("mlp", (Layer("score.0.weight"), Layer("score.2.weight")), 1)
LOGITS = Head(
    "vocabulary",
    (Layer("lm_head.weight"), Layer("LN.weight", "LN.bias", file="LN.pt")),
    1,
)
MEAN = Head("vocabulary", (Layer("lm_head.weight"),), 1)
TWO = Head(
    "affine",
    tuple(
        Layer(
            f"verifier.{name}_head.weight",
            gain=f"verifier.{name}_gain",
            shift=f"verifier.{name}_shift",
            file="verifier.pth",
        )
        for name in ("process", "outcome")
    ),
    2,
)


def recipe_with(head: Head, *, readings: tuple[Reading, ...] = VALUE) -> Recipe:
    """TRL's layout over a head of the test's own."""
    return replace(trl_prm(), head=head, readings=readings, name="of my own", parameters=())


def causal(
    folder: Path, config: PretrainedConfig | None = None, *, bias: bool = False, tied: bool = False
) -> torch.nn.Module:
    """Save a causal language model, and give it in float64."""
    torch.manual_seed(7)
    config = config or Qwen2Config(**models._sizes(tie_word_embeddings=tied))
    model = AutoModelForCausalLM.from_config(config).eval()
    model.save_pretrained(folder)
    models.byte_level_tokenizer().save_pretrained(folder)
    if bias:
        tensors = load_file(folder / "model.safetensors")
        tensors["lm_head.bias"] = torch.randn(VOCABULARY)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        model.lm_head.bias = torch.nn.Parameter(tensors["lm_head.bias"])
    return model.double()


def states(model: torch.nn.Module, which: int = -1) -> torch.Tensor:
    """The hidden states at the ends of the steps, in TRL's layout."""
    with torch.no_grad():
        ids, ends = laid_out()
        return model(torch.tensor([ids]), output_hidden_states=True).hidden_states[which][0, ends]


def laid_out() -> tuple[list[int], list[int]]:
    tokenizer = models.byte_level_tokenizer()
    ids, ends = models.enc(tokenizer, PROBLEM), []
    for step in STEPS:
        ids = ids + models.enc(tokenizer, step) + models.enc(tokenizer, "\n")
        ends.append(len(ids) - 1)
    return ids, ends


def full_logits(model: torch.nn.Module) -> torch.Tensor:
    ids, ends = laid_out()
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0, ends]


def module(*layers: torch.nn.Module) -> torch.nn.Sequential:
    torch.manual_seed(8)
    return torch.nn.Sequential(*layers).eval()


def save(module: torch.nn.Module, path: Path) -> torch.nn.Module:
    torch.save(module.state_dict(), path)
    return module.double()


def agrees(got: Sequence[float], expected: torch.Tensor) -> None:
    with torch.no_grad():
        np.testing.assert_allclose(got, expected.detach().flatten().numpy(), rtol=0, atol=1e-5)
    assert np.std(got) > 1e-3, "else this test shows nothing"


def scores(folder: Path, head: Head, **options: object) -> list[float]:
    prm = stepscore.load(folder, recipe=recipe_with(head), **options)
    return prm.score(PROBLEM, [STEPS]).to_list()[0]


def scalar(folder: Path) -> torch.Tensor:
    """A model with a value head in reward_head.pt; the values of the steps."""
    model = causal(folder)
    torch.manual_seed(8)
    return save(torch.nn.Linear(HIDDEN, 1), folder / "reward_head.pt")(states(model))


def test_a_head_in_a_file_of_its_own(tmp_path):
    expected = scalar(tmp_path)
    agrees(scores(tmp_path, SCALAR), expected)
    head = stepscore.load_head(tmp_path, recipe=recipe_with(SCALAR))
    ids, _ = laid_out()
    model = AutoModelForCausalLM.from_pretrained(tmp_path).model
    hidden = model(torch.tensor([ids])).last_hidden_state.detach()
    agrees(head.read(hidden, [ids], lengths=[len(ids)], step_counts=[3]).values, expected)


def test_inner_layers_that_are_wider_and_a_dropout_that_is_off(tmp_path):
    model = causal(tmp_path)
    linear = torch.nn.Linear
    layers = module(
        linear(HIDDEN, 2 * HIDDEN), torch.nn.ReLU(), torch.nn.Dropout(0.5), linear(2 * HIDDEN, 1)
    )
    expected = save(layers, tmp_path / "module.pt")(states(model))
    agrees(scores(tmp_path, WIDENED), expected)
    # The published module itself reads hidden states of one's own.
    rows = states(model).float()
    read = stepscore.read_steps(
        recipe_with(WIDENED), layers.float(), rows, None, [0, 3], positions=([0, 1, 2], [0, 3])
    )
    agrees(read.values, expected)


def test_a_head_without_biases(tmp_path):
    model = causal(tmp_path)
    layers = module(
        torch.nn.Linear(HIDDEN, HIDDEN, bias=False),
        torch.nn.ReLU(),
        torch.nn.Linear(HIDDEN, 1, bias=False),
    )
    tensors = load_file(tmp_path / "model.safetensors")
    tensors |= {f"score.{key}": value for key, value in layers.state_dict().items()}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    agrees(scores(tmp_path, PLAIN_MLP), layers.double()(states(model)))


def test_heads_with_a_gain_and_a_shift_below_each_other(tmp_path):
    model = causal(tmp_path)
    torch.manual_seed(9)
    stored = {}
    for name in ("outcome", "process"):
        stored[f"{name}_gain"] = torch.randn(1)
        stored[f"{name}_shift"] = torch.randn(1)
        stored[f"{name}_head.weight"] = torch.randn(1, HIDDEN) / 7
    torch.save(stored, tmp_path / "verifier.pth")
    readings = tuple(
        replace(VALUE[0], name=name, weights=weights)
        for name, weights in (("process", (1.0, 0.0)), ("outcome", (0.0, 1.0)))
    )
    prm = stepscore.load(tmp_path, recipe=recipe_with(TWO, readings=readings))
    got = prm.score(PROBLEM, [STEPS])
    wide = {key: value.double() for key, value in stored.items()}
    for name, values in (("process", got.values), ("outcome", got.readings["outcome"])):
        transformed = wide[f"{name}_gain"] * states(model) + wide[f"{name}_shift"]
        agrees(values, transformed @ wide[f"{name}_head.weight"].T)


@pytest.mark.parametrize("kind", ["plain", "tied", "bias"])
@pytest.mark.parametrize("block", [output_matrix._BLOCK, 100])
def test_a_layer_over_all_logits_is_multiplied_out(kind, block, tmp_path, monkeypatch):
    model = causal(tmp_path, tied=kind == "tied", bias=kind == "bias")
    monkeypatch.setattr(output_matrix, "_BLOCK", block)
    torch.manual_seed(8)
    expected = save(torch.nn.Linear(VOCABULARY, 1), tmp_path / "LN.pt")(full_logits(model))
    agrees(scores(tmp_path, LOGITS), expected)


@pytest.mark.parametrize("bias", [False, True])
def test_the_mean_of_the_logits_is_over_all_rows(bias, tmp_path):
    model = causal(tmp_path, bias=bias)
    entries = len(models.byte_level_tokenizer())
    logits = full_logits(model)
    agrees(scores(tmp_path, MEAN), logits.mean(-1))
    assert entries < VOCABULARY
    of_tokens = logits[:, :entries].mean(-1)
    assert (of_tokens - logits.mean(-1)).abs().max() > 1e-3, "padding rows count, too"


def test_the_output_matrix_is_never_read_as_a_whole(tmp_path, monkeypatch):
    causal(tmp_path)
    monkeypatch.setattr(output_matrix, "_BLOCK", 64)
    read = []
    rows = stepscore.scoring.checkpoint.stored_tensors.SafetensorsFile.rows

    def counted(self, key, of):
        read.append((key, len(of)))
        return rows(self, key, of)

    module_of = stepscore.scoring.checkpoint.stored_tensors.SafetensorsFile
    monkeypatch.setattr(module_of, "rows", counted)
    monkeypatch.setattr(module_of, "tensor", None)
    checkpoint = stepscore.scoring.checkpoint.folder.open_checkpoint(tmp_path)
    output_matrix.folded(checkpoint, recipe_with(MEAN), None, HIDDEN)
    assert {key for key, _ in read} == {"lm_head.weight"}
    assert max(count for _, count in read) == 64
    assert sum(count for _, count in read) == VOCABULARY


def test_a_layer_over_another_number_of_logits(tmp_path):
    causal(tmp_path)
    save(torch.nn.Linear(VOCABULARY - 8, 1), tmp_path / "LN.pt")
    with pytest.raises(InputError, match=rf"'LN.weight' of shape \[1, {VOCABULARY}\], the head"):
        scores(tmp_path, LOGITS)


def test_logits_that_are_bounded_cannot_be_multiplied_out(tmp_path):
    sizes = models._sizes(head_dim=12, query_pre_attn_scalar=12)
    causal(tmp_path, Gemma2Config(**sizes))
    with pytest.raises(InputError, match="final_logit_softcapping"):
        scores(tmp_path, MEAN)


FAMILIES = {
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
    "llama": LlamaConfig,
    "mistral": MistralConfig,
    "gemma2": Gemma2Config,
    "gpt2": GPT2Config,
}


def family(name: str) -> PretrainedConfig:
    if name == "gpt2":
        return GPT2Config(
            vocab_size=VOCABULARY,
            n_embd=HIDDEN,
            n_layer=3,
            n_head=4,
            n_positions=models.POSITIONS,
            initializer_range=0.15,
            bos_token_id=0,
            eos_token_id=0,
        )
    more = {"head_dim": 12, "query_pre_attn_scalar": 12} if name == "gemma2" else {}
    more |= {"head_dim": 12} if name == "qwen3" else {}
    return FAMILIES[name](**models._sizes(num_hidden_layers=3, **more))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("share", [True, False])
def test_the_state_before_the_last_layer(name, share, tmp_path):
    model = causal(tmp_path, family(name))
    torch.manual_seed(8)
    layer = save(torch.nn.Linear(HIDDEN, 1), tmp_path / "reward_head.pt")
    before = replace(SCALAR, hidden_layer=-2)
    expected = layer(states(model, -2))
    got = scores(tmp_path, before, share=share)
    np.testing.assert_allclose(got, expected.detach()[:, 0].numpy(), rtol=0, atol=2e-5)
    last = layer(states(model))
    assert (expected - last).abs().max() > 1e-2, "else the last state would do as well"


def test_what_reads_states_agrees_about_the_layer(tmp_path):
    model = causal(tmp_path, family("qwen2"))
    torch.manual_seed(8)
    layer = save(torch.nn.Linear(HIDDEN, 1), tmp_path / "reward_head.pt")
    recipe = recipe_with(replace(SCALAR, hidden_layer=-2))
    prm = stepscore.load(tmp_path, recipe=recipe)
    assert len(prm.backbone.layers) == 2
    assert prm.sharing.shared
    assert prm.final_norm is None
    ids, _ = laid_out()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    hidden = loaded(torch.tensor([ids]), output_hidden_states=True).hidden_states[-2].detach()
    expected = layer(states(model, -2))
    head = stepscore.load_head(tmp_path, recipe=recipe)
    for reader in (prm, head):
        agrees(reader.read(hidden, [ids], lengths=[len(ids)], step_counts=[3]).values, expected)
        with pytest.raises(InputError, match=r"norm: .*of my own reads hidden_states\[-2\]"):
            _ = reader.norm
        norm = (torch.ones(HIDDEN), 1e-6)
        with pytest.raises(InputError, match=r"norm: expected no norm"):
            reader.read(hidden, [ids], lengths=[len(ids)], step_counts=[3], norm=norm)
    with prm.session(PROBLEM) as session:
        node, values = session.roots[0], []
        for step in STEPS:
            grown = session.extend(node, [step])
            node = grown.nodes[0]
            values += grown.scores.values.tolist()
    agrees(values, expected)
    twin = stepscore.load(tmp_path, recipe=recipe, dtype="bfloat16")
    assert len(twin.backbone.layers) == twin.backbone.config.num_hidden_layers == 2


def test_a_model_without_a_layer_to_take_off(tmp_path):
    causal(tmp_path, Qwen2Config(**models._sizes(num_hidden_layers=1)))
    save(torch.nn.Linear(HIDDEN, 1), tmp_path / "reward_head.pt")
    with pytest.raises(InputError, match="a backbone whose hidden state before the last layer"):
        scores(tmp_path, replace(SCALAR, hidden_layer=-2))


@pytest.mark.parametrize("head", ["scalar", "logits", "two"])
def test_a_converted_checkpoint_holds_the_head(head, tmp_path):
    folder, out = tmp_path / "prm", tmp_path / "out"
    causal(folder)
    torch.manual_seed(9)
    if head == "scalar":
        recipe = recipe_with(SCALAR)
        torch.save(torch.nn.Linear(HIDDEN, 1).half().state_dict(), folder / "reward_head.pt")
    elif head == "logits":
        recipe = recipe_with(LOGITS)
        torch.save(torch.nn.Linear(VOCABULARY, 1).state_dict(), folder / "LN.pt")
    else:
        recipe = recipe_with(TWO, readings=(replace(VALUE[0], weights=(1.0, 0.0)),))
        names = [name.removeprefix("verifier.") for each in TWO.layers for name in each.names]
        sizes = [(1, HIDDEN) if name.endswith("weight") else (1,) for name in names]
        stored = {name: torch.randn(size) for name, size in zip(names, sizes, strict=True)}
        torch.save(stored, folder / "verifier.pth")
    stepscore.convert_checkpoint(folder, out, recipe=recipe)
    assert not [*out.glob("*.pt"), *out.glob("*.pth")]
    written = load_file(out / "model.safetensors")
    assert {name for layer in recipe.head.layers for name in layer.names} <= written.keys()
    if head == "scalar":
        assert written["reward_head.weight"].dtype == torch.float16
    before, after = (
        stepscore.load(each, recipe=recipe).score(PROBLEM, [STEPS]).values for each in (folder, out)
    )
    assert before.tobytes() == after.tobytes()


FAULTS = {
    "missing": r"model: expected the file reward_head.pt beside the weights, which holds the head; "
    r"got model.safetensors in .*; put reward_head.pt",
    "executes": r"got a file that asks for posix.mkdir",
    "bare": r"expected tensors by name.*got a Tensor",
    "nested": r"expected tensors by name.*got 'state_dict' \(OrderedDict\)",
    "cut": r"expected a whole file that torch.save wrote",
    "pointer": r"got a pointer of Git LFS",
    "shape": r"'reward_head.weight' of shape \[1, 48\], the head .*; got \[1, 24\]",
    "lacks": r"a tensor 'reward_head.bias' .*got none \(reward_head.pt: a file that holds weight\)",
    "more": r"nothing else in .*reward_head.pt; got extra, which it has no use for;",
    "others": r"got linear.bias, linear.weight, which it has no use for, and none of "
    r"reward_head.bias, reward_head.weight",
    "numbers": r"expected numbers in the head",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_side_file_that_is_not_what_it_must_be(fault, tmp_path):
    scalar(tmp_path)
    path = tmp_path / "reward_head.pt"
    good = torch.load(path, weights_only=True)
    wrong = {
        "executes": {**good, "run": Payload(tmp_path / "executed")},
        "bare": good["weight"],
        "nested": {"state_dict": good},
        "shape": {**good, "weight": torch.ones(1, 24)},
        "lacks": {"weight": good["weight"]},
        "more": {**good, "extra": torch.ones(1)},
        "others": {f"linear.{key}": value for key, value in good.items()},
        "numbers": {**good, "bias": torch.tensor([math.nan])},
    }
    if fault == "missing":
        path.unlink()
    elif fault == "cut":
        path.write_bytes(path.read_bytes()[:300])
    elif fault == "pointer":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    else:
        torch.save(wrong[fault], path)
    for load in (stepscore.load, stepscore.load_head):
        with pytest.raises(InputError, match=FAULTS[fault]):
            load(tmp_path, recipe=recipe_with(SCALAR))
    assert not (tmp_path / "executed").exists()


def test_a_head_that_is_there_twice(tmp_path):
    folder, out = tmp_path / "prm", tmp_path / "out"
    scalar(folder)
    stepscore.convert_checkpoint(folder, out, recipe=recipe_with(SCALAR))
    shutil.copyfile(folder / "reward_head.pt", out / "reward_head.pt")
    with pytest.raises(InputError, match=r"once; got reward_head.bias, reward_head.weight among"):
        scores(out, SCALAR)


def test_a_side_file_of_a_repository_is_fetched(tmp_path, monkeypatch):
    folder, snapshot = tmp_path / "prm", tmp_path / "hub" / "models--a--b" / "snapshots" / "c0ffee"
    expected = scalar(folder)
    asked = []

    def snapshot_download(name, *, revision=None, allow_patterns):
        asked.append((name, revision, allow_patterns))
        snapshot.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if any(re.fullmatch(p.replace(".", r"\.").replace("*", ".*"), path.name)
                   for p in allow_patterns):  # fmt: skip
                shutil.copyfile(path, snapshot / path.name)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    agrees(scores("a/b", SCALAR), expected)
    # From the commit that the weights come from, whatever the branch is by then.
    assert asked[-1] == ("a/b", "c0ffee", ["reward_head.pt"])
    (folder / "reward_head.pt").unlink()
    (snapshot / "reward_head.pt").unlink()
    with pytest.raises(InputError, match=r"expected the file reward_head.pt .*in a/b"):
        scores("a/b", SCALAR)


@pytest.mark.parametrize("place", ["adapter", "base"])
def test_a_side_file_beside_an_adapter(place, tmp_path):
    peft = pytest.importorskip("peft")
    base, folder = tmp_path / "base", tmp_path / "adapter"
    scalar(base)
    from test_adapters import train

    trained = train(
        peft,
        AutoModelForCausalLM.from_pretrained(base),
        folder,
        task_type="CAUSAL_LM",
        target_modules=["q_proj", "down_proj"],
    )
    torch.manual_seed(12)
    layer = torch.nn.Linear(HIDDEN, 1)
    path = (folder if place == "adapter" else base) / "reward_head.pt"
    expected = save(layer, path)(states(trained.get_base_model()))
    agrees(scores(folder, SCALAR), expected)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base)


def test_a_placed_backbone_ends_there_too(tmp_path):
    pytest.importorskip("accelerate")
    model = causal(tmp_path, family("qwen2"))
    torch.manual_seed(8)
    layer = save(torch.nn.Linear(HIDDEN, 1), tmp_path / "reward_head.pt")
    expected = layer(states(model, -2))
    places = {"embed_tokens": "disk", "layers.0": "cpu", "layers.1": "disk", "layers.2": "cpu"}
    places |= {"norm": "cpu", "rotary_emb": "cpu"}
    options = {"device_map": places, "offload_folder": tmp_path / "offload"}
    agrees(scores(tmp_path, replace(SCALAR, hidden_layer=-2), **options), expected)


def test_a_file_beside_the_weights_is_pointed_at_and_not_taken_for_more(tmp_path):
    scalar(tmp_path)
    pointed = r"recipe='reasonflux-prm-1.5b' if reward_head.pt beside its weights is that head"
    with pytest.raises(ValueError, match=pointed) as error:
        stepscore.load(tmp_path)
    assert "birm" not in str(error.value), "whose file is not there"
    (tmp_path / "reward_head.pt").rename(tmp_path / "score_module.pt")
    with pytest.raises(ValueError, match=r"metastone-sprm' if score_module.pt beside"):
        stepscore.load(tmp_path)
