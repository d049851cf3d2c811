"""Adapters of peft: scores are those of peft's own model, in which nothing is merged."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

import stepscore
from stepscore.recipes.recipe import Head, Layer, Reading
from stepscore.scoring.checkpoint import adapter as adapters

PROBLEM = "What is half of 10 + 6?"
STEPS = ["We add 3 and 4.", "The sum is 7.", "So the answer is 7"]
# Where the tests look at what is said without peft, none is needed.
WITHOUT = {"base_model_name_or_path": "someone/base", "peft_type": "LORA", "task_type": "CAUSAL_LM"}


@pytest.fixture(scope="module")
def peft():
    """The package, with what it says of itself kept back."""
    return pytest.importorskip("peft")


@pytest.fixture(scope="module")
def bases(tmp_path_factory) -> dict[str, Path]:
    """Causal language models, as adapters are trained on."""
    torch.manual_seed(5)
    sizes = models._sizes()
    made = {
        "qwen": (Qwen2ForCausalLM(Qwen2Config(**sizes)), models.byte_level_tokenizer()),
        "llama": (LlamaForCausalLM(LlamaConfig(**sizes)), models.word_piece_tokenizer()),
        "llama-tied": (
            LlamaForCausalLM(LlamaConfig(**sizes | {"tie_word_embeddings": True})),
            models.word_piece_tokenizer(),
        ),
        "gpt2": (
            GPT2LMHeadModel(
                GPT2Config(
                    vocab_size=models.VOCABULARY,
                    n_embd=models.HIDDEN,
                    n_layer=2,
                    n_head=4,
                    n_positions=models.POSITIONS,
                    initializer_range=0.15,
                    bos_token_id=0,
                    eos_token_id=0,
                )
            ),
            models.word_piece_tokenizer(),
        ),
    }
    folders = {}
    for name, (model, tokenizer) in made.items():
        folders[name] = tmp_path_factory.mktemp("bases") / name
        model.save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])
    return folders


def train(peft, model, folder: Path, tokenizer=None, *, kind: str = "LoraConfig", **config):
    """Save an adapter with random numbers everywhere, and give its model in float64."""
    torch.manual_seed(6)
    with warnings.catch_warnings():  # peft's remarks to who trains
        warnings.simplefilter("ignore")
        wrapped = peft.get_peft_model(model, getattr(peft, kind)(**config)).eval()
        with torch.no_grad():
            for name, parameter in wrapped.named_parameters():
                if parameter.requires_grad:
                    like = 0.3 if "magnitude" not in name else 0.1
                    parameter += like * torch.randn_like(parameter)
        wrapped.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return wrapped.double()


def tag_scores(model, tokenizer, steps=STEPS) -> list[float]:
    """Math-Shepherd's reading over full logits."""
    text = f"{PROBLEM} " + "\n".join(f"Step {k}: {step} ки" for k, step in enumerate(steps, 1))
    ids = torch.tensor([models.enc(tokenizer, text, special=True)])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0]
    pair = logits[:, models.enc(tokenizer, "+ -", special=True)[1:]].softmax(-1)[:, 0]
    return pair[ids[0] == models.enc(tokenizer, "ки", special=True)[-1]].tolist()


def class_scores(model, tokenizer, steps=STEPS) -> list[float]:
    """TRL's reading of a token classifier."""
    ids, ends = models.enc(tokenizer, PROBLEM), []
    for step in steps:
        ids = ids + models.enc(tokenizer, step) + models.enc(tokenizer, "\n")
        ends.append(len(ids) - 1)
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].softmax(-1)[ends, 1].tolist()


def agrees(prm, expected: list[float], *, within: float = 2e-5) -> None:
    # The second solution makes it share a batch, and the problem.
    scores = prm.score(PROBLEM, [STEPS, STEPS[:2]])
    np.testing.assert_allclose(scores.values, [*expected, *expected[:2]], rtol=0, atol=within)


LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PLAIN = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}
KINDS = {
    "plain": PLAIN,
    "every linear layer": {**PLAIN, "target_modules": "all-linear"},
    "rank and scale by pattern": {
        **PLAIN,
        "target_modules": LINEAR,
        "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.down_proj": 7},
        "alpha_pattern": {"model.layers.0.self_attn.v_proj": 3, "up_proj": 40},
    },
    "rank-stabilised": {**PLAIN, "r": 16, "use_rslora": True},
    "weight-decomposed": {**PLAIN, "target_modules": LINEAR, "use_dora": True},
    "names by pattern": {**PLAIN, "target_modules": r"model\.layers\.1\..*\.(q_proj|up_proj)"},
    "one layer": {**PLAIN, "layers_to_transform": [1]},
    "biases": {**PLAIN, "bias": "lora_only"},
    "output matrix": {**PLAIN, "target_modules": ["q_proj", "lm_head"]},
    "output matrix, whole": {**PLAIN, "modules_to_save": ["lm_head"]},
    "embeddings": {**PLAIN, "target_modules": ["q_proj", "embed_tokens"]},
    "embeddings, whole": {**PLAIN, "modules_to_save": ["embed_tokens", "norm"]},
    "singular vectors": {**PLAIN, "init_lora_weights": "pissa"},
    "some tokens": {**PLAIN, "trainable_token_indices": [5, 90, 200]},
    "scaled activations": {
        "kind": "IA3Config",
        "target_modules": ["k_proj", "down_proj"],
        "feedforward_modules": ["down_proj"],
    },
    "Hadamard products": {"kind": "LoHaConfig", "r": 4, "alpha": 8, "target_modules": ["q_proj"]},
    "Kronecker products": {"kind": "LoKrConfig", "r": 4, "alpha": 8, "target_modules": ["q_proj"]},
}


@pytest.mark.parametrize("name", KINDS)
def test_a_causal_model_with_an_adapter(name, peft, bases, tmp_path):
    tokenizer = models.word_piece_tokenizer()
    model = AutoModelForCausalLM.from_pretrained(bases["llama"])
    trained = train(peft, model, tmp_path, task_type="CAUSAL_LM", **KINDS[name])
    expected = tag_scores(trained, tokenizer)
    prm = stepscore.load(tmp_path, recipe="math-shepherd")
    agrees(prm, expected)
    assert not any("lora" in part for part, _ in prm.backbone.named_modules())
    assert not any(parameter.requires_grad for parameter in prm.backbone.parameters())
    base = stepscore.load(bases["llama"], recipe="math-shepherd")
    alone = base.score(PROBLEM, [STEPS]).values
    assert np.abs(alone - expected).max() > 1e-2, "else this test shows nothing"


@pytest.mark.parametrize("name", ["plain", "weight-decomposed", "rank and scale by pattern"])
def test_a_token_classifier_brings_its_head(name, peft, bases, tmp_path):
    tokenizer = models.byte_level_tokenizer()
    model = AutoModelForTokenClassification.from_pretrained(bases["qwen"], num_labels=2)
    torch.nn.init.normal_(model.score.bias)
    trained = train(peft, model, tmp_path, task_type="TOKEN_CLS", **KINDS[name])
    expected = class_scores(trained, tokenizer)
    with pytest.warns(UserWarning, match="separator"):
        prm = stepscore.load(tmp_path)
    assert prm.recipe.name == "trl-prm"
    agrees(prm, expected)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    config["stepscore"] = {"recipe": "trl-prm", "separator": "\n"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    agrees(stepscore.load(tmp_path), expected)


def test_a_sequence_classifier_s_head_is_read_by_its_name(peft, bases, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(bases["qwen"], num_labels=1)
    model.config.pad_token_id = 0
    trained = train(peft, model, tmp_path, task_type="SEQ_CLS", **PLAIN)
    head = Head("affine", (Layer("score.weight"),), 1)
    readings = (Reading("score", "sigmoid", (1.0,)),)
    recipe = replace(stepscore.recipes.trl_prm(), head=head, readings=readings, name="of my own")
    prm = stepscore.load(tmp_path, recipe=recipe)
    for count in range(1, 4):
        # The classifier reads the last token: a prefix at a time gives every step.
        ids = models.enc(models.byte_level_tokenizer(), PROBLEM)
        for step in STEPS[:count]:
            ids += [i for text in (step, "\n") for i in models.enc(prm.tokenizer, text)]
        with torch.no_grad():
            expected = float(trained(input_ids=torch.tensor([ids])).logits[0, 0].sigmoid())
        assert prm.score(PROBLEM, [STEPS]).values[count - 1] == pytest.approx(expected, abs=2e-5)


def test_transposed_layers(peft, bases, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(bases["gpt2"])
    trained = train(
        peft, model, tmp_path, task_type="CAUSAL_LM", r=4, fan_in_fan_out=True,
        target_modules=["c_attn", "c_proj"],
    )  # fmt: skip
    expected = tag_scores(trained, models.word_piece_tokenizer())
    prm = stepscore.load(tmp_path, recipe="math-shepherd")
    agrees(prm, expected)
    assert prm.max_length == models.POSITIONS


@pytest.mark.parametrize("base", ["llama", "llama-tied"])
def test_added_tokens(base, peft, bases, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(bases[base])
    assert tokenizer.add_tokens(["half"]) == 1
    # New rows for the new token, as trainers give them: more than the base has.
    rows = models.VOCABULARY + 11
    tokenizer.add_tokens([f"<{k}>" for k in range(models.VOCABULARY - len(tokenizer))])
    assert tokenizer.add_tokens(["10"]) == 1
    model = AutoModelForCausalLM.from_pretrained(bases[base])
    model.resize_token_embeddings(rows)
    trained = train(peft, model, tmp_path, tokenizer, task_type="CAUSAL_LM", **PLAIN)
    assert max(models.enc(tokenizer, PROBLEM)) >= models.VOCABULARY
    expected = tag_scores(trained, tokenizer)
    agrees(stepscore.load(tmp_path, recipe="math-shepherd"), expected)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"modules_to_save": ["embed_tokens"]},
        {"modules_to_save": ["lm_head"]},
        {"trainable_token_indices": [5, 90]},
    ],
    ids=str,
)
def test_tied_embeddings_are_right_or_refused(more, peft, bases, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(bases["llama-tied"])
    trained = train(peft, model, tmp_path, task_type="CAUSAL_LM", **PLAIN | more)
    expected = tag_scores(trained, models.word_piece_tokenizer())
    if "embed_tokens" in str(more) or "indices" in str(more):
        with pytest.raises(ValueError, match=r"embeddings that the adapter leaves as they are"):
            stepscore.load(tmp_path, recipe="math-shepherd")
    else:
        agrees(stepscore.load(tmp_path, recipe="math-shepherd"), expected)


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_sum_is_rounded_once(stored, dtype, peft, bases, tmp_path):
    base = tmp_path / "base"
    AutoModelForCausalLM.from_pretrained(bases["llama"], dtype=stored).save_pretrained(base)
    shutil.copy(bases["llama"] / "tokenizer.json", base)
    shutil.copy(bases["llama"] / "tokenizer_config.json", base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    train(peft, model, tmp_path / "adapter", task_type="CAUSAL_LM", **PLAIN)
    factors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    prm = stepscore.load(tmp_path / "adapter", recipe="math-shepherd", dtype=dtype, share=False)
    assert prm.dtype == dtype
    weights = load_file(base / "model.safetensors")
    for name in ("layers.0.self_attn.q_proj", "layers.1.self_attn.v_proj"):
        a, b = (factors[f"base_model.model.model.{name}.lora_{x}.weight"] for x in "AB")
        exact = weights[f"model.{name}.weight"].double() + 8 / 4 * b.double() @ a.double()
        merged = prm.backbone.get_submodule(name).weight
        if dtype != torch.float32:  # in which the sum is made
            once = exact.float().to(dtype)
            assert (merged == once).float().mean() > 0.999
        spacing = torch.finfo(dtype).eps * exact.abs()
        assert ((merged.double() - exact).abs() <= 0.501 * spacing + 1e-6).all()
    untouched = prm.backbone.layers[0].input_layernorm.weight
    assert untouched.dtype == dtype


def test_a_base_elsewhere_is_passed_and_kept_in_copies(peft, bases, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(bases["llama"])
    trained = train(peft, model, tmp_path / "a", task_type="CAUSAL_LM", **PLAIN)
    expected = tag_scores(trained, models.word_piece_tokenizer())
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "/gone/base"
    (tmp_path / "a" / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"the base that .* '/gone/base'.*; pass base, the folder"):
        stepscore.load(tmp_path / "a", recipe="math-shepherd")
    prm = stepscore.load(tmp_path / "a", recipe="math-shepherd", base=bases["llama"])
    agrees(prm, expected)
    assert prm.weights.base == str(bases["llama"])
    assert f"base={str(bases['llama'])!r}" in repr(prm)
    again = pickle.loads(pickle.dumps(prm))
    assert repr(again) == repr(prm)
    agrees(again, expected)


def test_an_adapter_of_another_base_is_refused(peft, bases, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(bases["llama"])
    train(peft, model, tmp_path / "a", task_type="CAUSAL_LM", **PLAIN)
    other = tmp_path / "other"
    wide = LlamaConfig(**models._sizes(hidden_size=2 * models.HIDDEN))
    deep = LlamaConfig(**models._sizes(num_hidden_layers=3))
    flat = LlamaConfig(**models._sizes(num_hidden_layers=1))
    for config, message in (
        (wide, "size mismatch"),
        (deep, r"4 tensors are not there: .*layers\.2"),
        (flat, r"4 tensors have no place: .*layers\.1"),
    ):
        LlamaForCausalLM(config).save_pretrained(other)
        models.word_piece_tokenizer().save_pretrained(other)
        with pytest.raises(ValueError, match=rf"(?s)an adapter for .*{message}.*; pass the base"):
            stepscore.load(tmp_path / "a", recipe="math-shepherd", base=other)
    with pytest.raises(ValueError, match=r"an adapter for .*, to which every one of its tensors"):
        stepscore.load(tmp_path / "a", recipe="math-shepherd", base=bases["gpt2"])


def test_an_adapter_whose_weights_were_not_saved_is_refused(peft, bases, tmp_path):
    model = AutoModelForTokenClassification.from_pretrained(bases["qwen"], num_labels=2)
    model.save_pretrained(tmp_path / "base")
    models.byte_level_tokenizer().save_pretrained(tmp_path / "base")
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "base")
    options = {**PLAIN, "task_type": "TOKEN_CLS", "modules_to_save": ["score"]}
    train(peft, model, tmp_path / "adapter", **options)
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    whole = load_file(file)
    for kept, message in [
        ({}, r"factors \(lora_\.\.\.\).*got none in .*, which holds no tensor"),
        ({k: v for k, v in whole.items() if "score" in k}, r"which holds base_model.*score"),
        ({k: v for k, v in whole.items() if "score" not in k}, r"'score' in the adapter's weights"),
    ]:
        save_file(kept, file)
        with pytest.raises(ValueError, match=message):
            stepscore.load(tmp_path / "adapter", recipe="trl-prm")
    save_file(whole, file)
    stepscore.load(tmp_path / "adapter", recipe="trl-prm")


@pytest.mark.parametrize("entry", [{"lora_alpha": "x"}, {"r": "4"}])
def test_an_entry_of_another_type_is_named(entry, peft, bases, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(bases["llama"])
    train(peft, model, tmp_path, **PLAIN)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, **entry}))
    with pytest.raises(ValueError, match=r"load: expected an adapter .*peft says"):
        stepscore.load(tmp_path, recipe="math-shepherd")


def test_a_tensor_that_nothing_uses_is_refused(peft, bases, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(bases["llama"])
    train(peft, model, tmp_path, task_type="CAUSAL_LM", **PLAIN)
    file = tmp_path / "adapter_model.safetensors"
    tensors = load_file(file)
    for name in ("model.layers.0.mlp.up_proj.lora_A.weight", "model.layers.0.mlp.odd.weight"):
        save_file({**tensors, f"base_model.model.{name}": torch.ones(4, models.HIDDEN)}, file)
        with pytest.raises(ValueError, match=r"an adapter for .*(no place|has no place)"):
            stepscore.load(tmp_path, recipe="math-shepherd")
    tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"][:] = torch.nan
    save_file(tensors, file)
    with pytest.raises(ValueError, match=r"an adapter that peft can merge.*(NaN|finite)"):
        stepscore.load(tmp_path, recipe="math-shepherd")


def test_an_adapter_beside_full_weights(peft, bases, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(bases["llama"])
    trained = train(peft, model, tmp_path, task_type="CAUSAL_LM", **PLAIN)
    merged = tag_scores(trained, models.word_piece_tokenizer())
    # Full weights of another model beside it.
    torch.manual_seed(8)
    full = LlamaForCausalLM(LlamaConfig(**models._sizes()))
    full.save_pretrained(tmp_path)
    models.word_piece_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"one model in a folder.*model\.safetensors.*"
                       r"adapter='merge'.*base='.*adapter='ignore'"):  # fmt: skip
        stepscore.load(tmp_path, recipe="math-shepherd")
    agrees(stepscore.load(tmp_path, recipe="math-shepherd", adapter="merge"), merged)
    alone = tag_scores(full.double(), models.word_piece_tokenizer())
    agrees(stepscore.load(tmp_path, recipe="math-shepherd", adapter="ignore"), alone)
    both = stepscore.load(tmp_path, recipe="math-shepherd", adapter="merge", base=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained = peft.PeftModel.from_pretrained(full.float(), tmp_path).double()
    agrees(both, tag_scores(trained, models.word_piece_tokenizer()))


def test_what_a_trainer_leaves_beside_is_no_model(peft, bases, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(bases["llama"])
    train(peft, model, tmp_path, task_type="CAUSAL_LM", **PLAIN)
    torch.save({"rate": Path}, tmp_path / "state.bin")
    torch.save([torch.ones(3)], tmp_path / "rng.bin")
    assert stepscore.load(tmp_path, recipe="math-shepherd").weights.base == str(bases["llama"])


def test_factors_of_experts(peft, tmp_path):
    torch.manual_seed(2)
    config = MixtralConfig(**models._sizes(), num_local_experts=4)
    MixtralForCausalLM(config).save_pretrained(tmp_path / "base")
    models.word_piece_tokenizer().save_pretrained(tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    trained = train(
        peft, model, tmp_path / "a", task_type="CAUSAL_LM", r=4, target_modules=["q_proj"],
        target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
    )  # fmt: skip
    # Torch multiplies experts in no wider format.
    expected = tag_scores(trained.float(), models.word_piece_tokenizer())
    agrees(stepscore.load(tmp_path / "a", recipe="math-shepherd"), expected)


def test_a_value_head_in_a_file_of_its_own(peft, bases, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(bases["qwen"])
    trained = train(peft, model, tmp_path, task_type="CAUSAL_LM", **PLAIN)
    weight, bias = torch.randn(1, models.HIDDEN), torch.randn(1)
    head = {"v_head.summary.weight": weight, "v_head.summary.bias": bias}
    tokenizer = models.byte_level_tokenizer("<|endoftext|>")
    tokenizer.save_pretrained(tmp_path)
    save_file(head, tmp_path / "value_head.safetensors")
    prm = stepscore.load(tmp_path, recipe="skywork-o1-prm")
    newline = models.enc(tokenizer, "\n")[-1]
    ids, ends = models.enc(tokenizer, "<|endoftext|>" + PROBLEM + "\n"), []
    for step in STEPS:
        ids += [*models.enc(tokenizer, step), newline]
        ends.append(len(ids) - 1)
    with torch.no_grad():
        states = trained.get_base_model().model(torch.tensor([ids])).last_hidden_state[0, ends]
    expected = (states @ weight[0].double() + bias.double()).sigmoid().tolist()
    agrees(prm, expected)
    (tmp_path / "value_head.safetensors").unlink()
    torch.save(head, tmp_path / "value_head.bin")
    agrees(stepscore.load(tmp_path, recipe="skywork-o1-prm"), expected)


def test_a_prm_tuned_further_is_read_as_its_base_is(peft, tmp_path):
    tiny = models.trl_prm(tmp_path / "prm", separator="\n\n")
    model = AutoModelForTokenClassification.from_pretrained(tiny.folder)
    train(peft, model, tmp_path / "a", task_type="FEATURE_EXTRACTION", **PLAIN)
    prm = stepscore.load(tmp_path / "a")
    assert (prm.recipe.name, prm.recipe.separator) == ("trl-prm", "\n\n")


def test_biases_of_factors(peft, bases, tmp_path):
    model = AutoModelForTokenClassification.from_pretrained(bases["qwen"], num_labels=2)
    config = {**PLAIN, "task_type": "TOKEN_CLS", "lora_bias": True}
    trained = train(peft, model, tmp_path / "a", **config)  # Qwen's projections have a bias
    prm = stepscore.load(tmp_path / "a", recipe="trl-prm")
    agrees(prm, class_scores(trained, prm.tokenizer))
    model = AutoModelForCausalLM.from_pretrained(bases["llama"])
    train(peft, model, tmp_path / "b", **config | {"task_type": "CAUSAL_LM"})
    with pytest.raises(ValueError, match=r"that peft can merge.*the base layer has no bias"):
        stepscore.load(tmp_path / "b", recipe="math-shepherd")


def test_prompts_cannot_be_merged(peft, bases, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(bases["llama"])
    train(peft, model, tmp_path, kind="PromptTuningConfig", task_type="CAUSAL_LM",
          num_virtual_tokens=3)  # fmt: skip
    with pytest.raises(ValueError, match="an adapter that can be merged into weights"):
        stepscore.load(tmp_path, recipe="math-shepherd")


def write_config(folder: Path, **changes: object) -> Path:
    (folder / "adapter_config.json").write_text(json.dumps({**WITHOUT, **changes}))
    return folder


def test_without_peft_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(adapters, "find_spec", lambda _: None)
    with pytest.raises(
        ValueError, match=r'peft.*the adapter .*pip install "stepscore\[adapters\]"'
    ):
        stepscore.load(write_config(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adapter": "both"}, "load: adapter: expected one of auto, merge, ignore"),
        ({"base": "x/y"}, "load: model: expected an adapter .*; got lab, which has none"),
        ({"adapter": "merge"}, "load: model: expected an adapter .*leave base and adapter out"),
    ],
)
def test_arguments_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        stepscore.load("lab", **options)


@pytest.mark.parametrize(
    ("trained_on", "base", "right"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B", False),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen/qwen2.5-7b-instruct", True),
        ("unsloth/Qwen2.5-7B-Instruct-bnb-4bit", "Qwen/Qwen2.5-7B-Instruct", True),
        ("unsloth/Qwen2.5-7B-unsloth-bnb-4bit", "Qwen/Qwen2.5-7B", True),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "Qwen/Qwen2.5-7B-Instruct", True),
        ("/data/models/base", "Qwen/Qwen2.5-7B", True),
        ("Qwen/Qwen2.5-7B", ".", True),
    ],
)
def test_a_base_of_another_name_is_refused(trained_on, base, right):
    if right:
        adapters._refuse_another_base("a", trained_on, base)
    else:
        with pytest.raises(ValueError, match=f"load: base: expected {trained_on}.*got {base}"):
            adapters._refuse_another_base("a", trained_on, base)


def test_an_adapter_is_no_base(tmp_path, monkeypatch):
    monkeypatch.setattr(adapters, "find_spec", lambda _: True)
    folder = write_config(tmp_path)
    with pytest.raises(ValueError, match=r"the base that .*which has none but an adapter; .*base"):
        stepscore.load(folder, base=folder)


def test_a_quantised_base_is_refused(bases, tmp_path, monkeypatch):
    monkeypatch.setattr(adapters, "find_spec", lambda _: True)
    base = Path(shutil.copytree(bases["llama"], tmp_path / "base"))
    config = json.loads((base / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (base / "config.json").write_text(json.dumps(config))
    (tmp_path / "a").mkdir()
    folder = write_config(tmp_path / "a", base_model_name_or_path=str(base))
    with pytest.raises(ValueError, match=r"a base that is not quantised.*4 bits.*pass base"):
        stepscore.load(folder)
