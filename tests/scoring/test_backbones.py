"""Backbones of all kinds: sized by their own names, causal, the part that reads tokens."""

from __future__ import annotations

import json
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    BertConfig,
    BertModel,
    BloomConfig,
    CLIPVisionConfig,
    Gemma2Config,
    Gemma3Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTJConfig,
    GPTNeoXConfig,
    LlavaConfig,
    MistralConfig,
    MixtralConfig,
    ModernBertConfig,
    MptConfig,
    Qwen2Config,
    Qwen2Model,
    Qwen2VLConfig,
    RobertaConfig,
    SiglipVisionConfig,
    T5Config,
    XLNetConfig,
)

import stepscore
from stepscore.scoring.checkpoint.causality import check_causal

SIZES = models._sizes()
PROBLEM = "What is half of 10 + 6?"
SOLUTIONS = [["We add 3 and 4.", "The sum is 7."], ["We add 3 and 4.", "So the answer is 7"]]
GPT = {"vocab_size": models.VOCABULARY, "n_embd": models.HIDDEN, "n_layer": 2, "n_head": 4}
ENDS = {"bos_token_id": 0, "eos_token_id": 0}


@torch.no_grad()
def classifier(folder: Path, config) -> models.TinyPrm:
    """A backbone as its own class writes it, under a token classifier with two labels."""
    torch.manual_seed(4)
    tokenizer = models.byte_level_tokenizer()
    body = AutoModel.from_config(config).eval()
    head = torch.nn.Linear(models.HIDDEN, 2)
    body.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    entry = json.loads((folder / "config.json").read_text())
    entry |= {
        "architectures": [type(body).__name__.replace("Model", "ForTokenClassification")],
        "stepscore": {"recipe": "trl-prm", "separator": "\n"},
    }
    (folder / "config.json").write_text(json.dumps(entry))
    tensors = models.tensors_of(folder)
    tensors |= {f"score.{name}": tensor for name, tensor in head.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    @torch.no_grad()
    def read(problem: str, steps) -> list[float]:
        ids, ends = models.enc(tokenizer, problem), []
        for step in steps:
            ids = ids + models.enc(tokenizer, step) + models.enc(tokenizer, "\n")
            ends.append(len(ids) - 1)
        hidden = body(input_ids=torch.tensor([ids])).last_hidden_state
        return head(hidden)[0].softmax(-1)[ends, 1].tolist()

    return models.TinyPrm(folder, "trl-prm", tokenizer, read)


def agrees(tiny: models.TinyPrm, **options) -> stepscore.ProcessRewardModel:
    prm = stepscore.load(tiny.folder, **options)
    expected = [tiny.read(PROBLEM, steps) for steps in SOLUTIONS]
    scores = prm.score(PROBLEM, SOLUTIONS).values
    np.testing.assert_allclose(scores, np.concatenate(expected), rtol=0, atol=2e-5)
    assert np.std(scores) > 1e-3, "else this test shows nothing"
    return prm


@pytest.mark.parametrize(
    ("config", "length"),
    [
        (GPT2Config(**GPT, **ENDS, n_positions=256, initializer_range=0.15), 256),
        (GPTJConfig(**GPT, **ENDS, n_positions=128, rotary_dim=8, initializer_range=0.15), 128),
        (GPTNeoXConfig(**SIZES, **ENDS), models.POSITIONS),
        (
            MptConfig(
                vocab_size=models.VOCABULARY, d_model=models.HIDDEN, n_layers=2, n_heads=4,
                max_seq_len=200, initializer_range=0.15,
            ),
            200,
        ),
        (
            BloomConfig(
                vocab_size=models.VOCABULARY, hidden_size=models.HIDDEN, n_layer=2, n_head=4,
                **ENDS, initializer_range=0.15,
            ),
            None,
        ),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:load. .* forwards every trace whole")
def test_sizes_have_other_names(config, length, tmp_path):
    prm = agrees(classifier(tmp_path, config))
    assert prm.max_length == length
    [(weight, _)] = prm.head.layers
    assert weight.shape == (2, models.HIDDEN)


VISION = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
VISION |= {"num_attention_heads": 2, "image_size": 28, "patch_size": 14}
ROTARY = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 2, 2]}
NESTED = {
    "gemma3": lambda: Gemma3Config(
        text_config=Gemma3TextConfig(
            **SIZES, head_dim=16, sliding_window=24,
            layer_types=["sliding_attention", "full_attention"],
        ).to_dict(),
        vision_config=SiglipVisionConfig(**VISION).to_dict(),
        mm_tokens_per_image=4,
    ),
    "llava": lambda: LlavaConfig(
        text_config=MistralConfig(**SIZES).to_dict(),
        vision_config=CLIPVisionConfig(**VISION).to_dict(),
        image_token_index=700,
    ),
    "qwen2_vl": lambda: Qwen2VLConfig(
        text_config={**SIZES, "rope_parameters": ROTARY},
        vision_config={"depth": 1, "embed_dim": 32, "hidden_size": models.HIDDEN, "num_heads": 2},
        image_token_id=700, video_token_id=699, vision_start_token_id=698, vision_end_token_id=697,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NESTED)
def test_of_a_model_that_also_sees_the_part_that_reads_tokens(kind, tmp_path):
    prm = agrees(classifier(tmp_path, NESTED[kind]()))
    assert prm.max_length == models.POSITIONS
    assert prm.sharing.shared, prm.sharing
    assert "vision" not in str(prm.backbone)


def masked(config_class, **sizes):
    return config_class(
        **{**SIZES, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1,
           "sep_token_id": 2, **sizes}
    )  # fmt: skip


ENCODERS = {
    "bert": (lambda: masked(BertConfig), "the encoder 'bert'"),
    "roberta": (lambda: masked(RobertaConfig), "the encoder 'roberta'"),
    "modernbert": (lambda: masked(ModernBertConfig), "the encoder 'modernbert'"),
    "t5": (
        lambda: T5Config(
            vocab_size=models.VOCABULARY, d_model=models.HIDDEN, num_layers=1, num_heads=4, d_ff=32
        ),
        "the encoder with a decoder 't5'",
    ),
}


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_is_refused_by_name(kind, share, tmp_path):
    make, message = ENCODERS[kind]
    tiny = classifier(tmp_path, make())
    with pytest.raises(
        ValueError,
        match=f"a causal language model, because a step is scored by.*{message} in .*Qwen2",
    ):
        stepscore.load(tiny.folder, recipe="trl-prm", share=share)


@pytest.mark.filterwarnings("ignore:load. .* forwards every trace whole")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("share", [True, False])
def test_what_sees_the_future_is_refused_whatever_its_name_is(share, dtype, tmp_path):
    # Some embedding models are causal models told to look both ways.
    both_ways = Gemma3TextConfig(**SIZES, head_dim=16, use_bidirectional_attention=True)
    permuted = XLNetConfig(vocab_size=models.VOCABULARY, d_model=models.HIDDEN, n_layer=2,
                           n_head=4, d_inner=64, initializer_range=0.15)  # fmt: skip
    for number, config in enumerate((both_ways, permuted)):
        tiny = classifier(tmp_path / str(number), config)
        # XLNet's own code does not run in bfloat16.
        cannot = number == 1 and dtype == "bfloat16"
        message = "of token ids alone" if cannot else "causal language .* hidden states change by"
        with pytest.raises(ValueError, match=message):
            stepscore.load(tiny.folder, share=share, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "config",
    [
        Qwen2Config(**SIZES),
        MixtralConfig(**SIZES, num_local_experts=4),
        GPT2Config(**GPT, **ENDS),
        BertConfig(**SIZES, is_decoder=True),
    ],
    ids=lambda config: config.model_type,
)
def test_a_causal_backbone_passes(config, dtype):
    torch.manual_seed(0)
    check_causal(AutoModel.from_config(config).eval().to(dtype), "here")


def test_a_backbone_is_causal_or_not():
    torch.manual_seed(0)
    check_causal(Qwen2Model(Qwen2Config(**SIZES)).eval(), "here")
    with pytest.raises(ValueError, match="BertModel in here, whose hidden states change"):
        check_causal(BertModel(BertConfig(**SIZES)).eval(), "here")


def words(folder: Path, config, **changes: object) -> tuple[Path, torch.nn.Module]:
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config).eval()
    model.save_pretrained(folder)
    models.word_piece_tokenizer().save_pretrained(folder)
    entry = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        entry.pop(name, None)
        if value is not None:
            entry[name] = value
    (folder / "config.json").write_text(json.dumps(entry))
    return folder, model


def tag_scores(model, steps) -> list[float]:
    tokenizer = models.word_piece_tokenizer()
    text = f"{PROBLEM} " + "\n".join(f"Step {k}: {step} ки" for k, step in enumerate(steps, 1))
    ids = torch.tensor([models.enc(tokenizer, text, special=True)])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0]
    pair = logits[:, models.enc(tokenizer, "+ -", special=True)[1:]].softmax(-1)[:, 0]
    return pair[ids[0] == models.enc(tokenizer, "ки", special=True)[-1]].tolist()


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (GPT2Config(**GPT, **ENDS, initializer_range=0.15), {}),
        # What its class says of tied embeddings, config.json need not say.
        (GPT2Config(**GPT, **ENDS, initializer_range=0.15), {"tie_word_embeddings": None}),
        (GPTNeoXConfig(**SIZES | ENDS | {"tie_word_embeddings": True}), {}),
        (MistralConfig(**SIZES | {"tie_word_embeddings": True}), {}),
    ],
    ids=["gpt2", "gpt2-by-default", "gpt-neox", "mistral"],
)
def test_words_of_tied_embeddings_under_other_names(config, changes, tmp_path):
    folder, model = words(tmp_path, config, **changes)
    prm = stepscore.load(folder, recipe="math-shepherd")
    expected = [tag_scores(model, steps) for steps in SOLUTIONS]
    scores = prm.score(PROBLEM, SOLUTIONS).values
    np.testing.assert_allclose(scores, np.concatenate(expected), rtol=0, atol=2e-5)


def test_the_bias_of_an_output_matrix_is_read(tmp_path):
    config = GPTJConfig(**GPT, **ENDS, rotary_dim=8, tie_word_embeddings=False, initializer_range=0.15)  # fmt: skip # noqa: E501
    folder, model = words(tmp_path, config)
    torch.nn.init.normal_(model.lm_head.bias)
    model.save_pretrained(folder)
    prm = stepscore.load(folder, recipe="math-shepherd", share=False)
    expected = [tag_scores(model, steps) for steps in SOLUTIONS]
    scores = prm.score(PROBLEM, SOLUTIONS).values
    np.testing.assert_allclose(scores, np.concatenate(expected), rtol=0, atol=2e-5)


def test_logits_that_a_model_changes_are_refused(tmp_path):
    config = Gemma2Config(**SIZES, head_dim=16, final_logit_softcapping=30.0)
    folder, _ = words(tmp_path, config)
    with pytest.raises(ValueError, match=r"got final_logit_softcapping 30\.0 in"):
        stepscore.load(folder, recipe="math-shepherd")


def test_a_number_format_by_the_names_people_type(tmp_path):
    tiny = models.trl_prm(tmp_path)
    for dtype in ("bfloat16", "torch.bfloat16", torch.bfloat16):
        assert stepscore.load(tiny.folder, dtype=dtype).dtype == torch.bfloat16
    entry = json.loads((tmp_path / "config.json").read_text())
    for stored in (torch.float16, torch.float32):
        (tmp_path / "config.json").write_text(
            json.dumps({**entry, "dtype": str(stored).removeprefix("torch.")})
        )
        tensors = {key: tensor.to(stored) for key, tensor in models.tensors_of(tmp_path).items()}
        save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
        assert stepscore.load(tmp_path, dtype="auto").dtype == stored


def test_the_attention_that_config_json_asks_for_need_not_be_here(tmp_path):
    tiny = models.trl_prm(tmp_path)
    entry = json.loads((tmp_path / "config.json").read_text())
    for name in ("_attn_implementation", "attn_implementation", "_attn_implementation_internal"):
        (tmp_path / "config.json").write_text(json.dumps({**entry, name: "flash_attention_2"}))
        assert agrees(tiny).sharing.shared
