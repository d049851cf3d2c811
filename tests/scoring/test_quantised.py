"""Quantised checkpoints: loaded where transformers can, said so, and never taken for numbers."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import Qwen2ForTokenClassification

import stepscore
from stepscore.jobs.provenance import describe
from stepscore.scoring.checkpoint.quantisation import quantised

PROBLEM = "What is half of 10 + 6?"
SOLUTIONS = [["We add 3 and 4.", "The sum is 7."], ["We add 3 and 4.", "So the answer is 7"]]
BLOCK = 8
FP8 = {"quant_method": "fp8", "weight_block_size": [BLOCK, BLOCK], "activation_scheme": "dynamic"}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A token classifier, to be quantised."""
    return models.trl_prm(tmp_path / "plain").folder


def write(folder: Path, entry: object, change=lambda tensors: tensors) -> Path:
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = entry
    if entry is None:
        del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))
    save_file(change(models.tensors_of(folder)), folder / "model.safetensors", {"format": "pt"})
    return folder


def in_blocks(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes in float8 and a scale for every block, as fine-grained fp8 checkpoints have them."""
    rows, columns = weight.shape
    blocks = weight.reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
    scales = blocks.abs().amax((1, 3)) / 448
    codes = (blocks / scales[:, None, :, None]).reshape(weight.shape).to(torch.float8_e4m3fn)
    return codes, scales


def in_fp8(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    out = dict(tensors)
    for key, tensor in tensors.items():
        if "_proj.weight" in key:
            out[key], out[f"{key}_scale_inv"] = in_blocks(tensor)
    return out


def out_of_fp8(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    out = {}
    for key, tensor in tensors.items():
        if tensor.dtype == torch.float8_e4m3fn:
            scales = tensors[f"{key}_scale_inv"]
            wide = scales.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
            out[key] = tensor.float() * wide
        elif not key.endswith("_scale_inv"):
            out[key] = tensor
    return out


def test_fp8_is_loaded_and_said(folder, tmp_path):
    pytest.importorskip("accelerate")
    plain = Path(shutil.copytree(folder, tmp_path / "expected"))
    write(folder, FP8, in_fp8)
    rounded = out_of_fp8(models.tensors_of(folder))
    write(plain, None, lambda _: rounded)
    before = stepscore.load(tmp_path / "expected")
    assert before.weights.quantised is None
    assert "quantised" not in repr(before)
    assert "quantised" not in describe(before, "1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prm = stepscore.load(folder)
    assert prm.weights.quantised == "fp8"
    assert "quantised='fp8'" in repr(prm)
    assert describe(prm, "1")["quantised"] == "fp8"
    expected = before.score(PROBLEM, SOLUTIONS).values
    scores = prm.score(PROBLEM, SOLUTIONS).values
    # transformers brings codes and scales to bfloat16 on a CPU.
    np.testing.assert_allclose(scores, expected, rtol=0, atol=2e-2)
    unrounded = models.trl_prm(tmp_path / "again").read(PROBLEM, SOLUTIONS[0])
    assert np.abs(expected[:2] - unrounded).max() > 1e-4, "else this test shows nothing"


@pytest.mark.parametrize("bits", [4, 8])
def test_bitsandbytes(bits, tmp_path):
    pytest.importorskip("bitsandbytes")
    from transformers import AutoModelForTokenClassification, BitsAndBytesConfig

    torch.manual_seed(0)
    config = models.Qwen2Config(
        **models._sizes(hidden_size=128, intermediate_size=256), num_labels=2
    )
    Qwen2ForTokenClassification(config).save_pretrained(tmp_path / "plain")
    tokenizer = models.byte_level_tokenizer()
    for skipped in (["score"], ["nothing"]):
        how = BitsAndBytesConfig(
            load_in_4bit=bits == 4, load_in_8bit=bits == 8, llm_int8_skip_modules=skipped,
            llm_int8_threshold=0.0, bnb_4bit_compute_dtype=torch.float32,
        )  # fmt: skip
        model = AutoModelForTokenClassification.from_pretrained(
            tmp_path / "plain", quantization_config=how, device_map={"": "cpu"}, dtype=torch.float32
        )
        folder = tmp_path / skipped[0]
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if skipped == ["nothing"]:
            with pytest.raises(ValueError, match=r"the head as float32.*llm_int8_skip_modules"):
                stepscore.load(folder, recipe="trl-prm")
            continue
        prm = stepscore.load(folder, recipe="trl-prm", share=False)
        assert prm.weights.quantised == f"bitsandbytes, {bits} bits"
        ids, ends = models.enc(tokenizer, PROBLEM), []
        for step in SOLUTIONS[0]:
            ids = ids + models.enc(tokenizer, step) + models.enc(tokenizer, "\n")
            ends.append(len(ids) - 1)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, ends]
        scores = prm.score(PROBLEM, SOLUTIONS[:1]).values
        np.testing.assert_allclose(scores, logits.softmax(-1)[:, 1], rtol=0, atol=2e-5)


METHODS = {
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 16},
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 16, "version": "gemm"},
    "bitsandbytes": {"quant_method": "bitsandbytes", "load_in_4bit": True},
    "hqq": {"quant_method": "hqq", "quant_config": {}},
    "compressed-tensors": {"quant_method": "compressed-tensors", "format": "int-quantized"},
    "of tomorrow": {"quant_method": "of tomorrow"},
}


@pytest.mark.parametrize("method", METHODS)
def test_what_is_missing_is_named(method, folder, monkeypatch):
    # Whatever is installed here.
    for package in ("gptqmodel", "optimum", "bitsandbytes", "hqq", "compressed_tensors"):
        monkeypatch.setitem(__import__("sys").modules, package, None)
    from transformers.quantizers import quantizer_bnb_4bit

    monkeypatch.setattr(quantizer_bnb_4bit, "is_accelerate_available", lambda: False)
    write(folder, METHODS[method])
    install = "pip install .*" if method != "of tomorrow" else "upgrade transformers; "
    with pytest.raises(
        ValueError,
        match=rf"(?s)load: expected what transformers needs to load weights quantised with {method}"
        rf"; .*of which it says: .*{install}or load the checkpoint that it was quantised from",
    ):
        stepscore.load(folder)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"score.weight": torch.ones(2, 48).to(torch.int8)}, r"'score\.weight' \(int8\)"),
        (
            {"score.weight": torch.ones(2, 48).to(torch.float8_e4m3fn)},
            r"'score\.weight' \(float8_e4m3fn\)",
        ),
        (
            {"score.weight": torch.ones(2, 48).to(torch.int8), "score.SCB": torch.ones(2)},
            r"'score\.SCB' \(scales or codes\)",
        ),
        (
            {
                "score.weight": torch.ones(48, 1).to(torch.uint8),
                "score.weight.absmax": torch.ones(2),
            },
            r"'score\.weight\.absmax'",
        ),
        (
            {"score.weight": torch.ones(2, 48), "score.qweight": torch.ones(6, 2).int()},
            r"'score\.qweight'",
        ),
    ],
)
def test_a_quantised_head_is_no_numbers(head, message, folder):
    write(folder, METHODS["bitsandbytes"], lambda tensors: {**tensors, **head})
    with pytest.raises(
        ValueError, match=rf"the head as float32, .*; got {message}.* in .*quantised"
    ):
        stepscore.load(folder)


@pytest.mark.parametrize("part", ["mlp.up_proj.weight", "self_attn.q_proj.bias"])
@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize(
    "number_format",
    [torch.int8, torch.uint8, torch.float8_e4m3fn, torch.int64, torch.bool, torch.complex64],
)
def test_codes_that_config_json_does_not_explain_are_refused(number_format, pickled, part, folder):
    key = f"model.layers.1.{part}"
    write(folder, None, lambda tensors: {**tensors, key: tensors[key].to(number_format)})
    if pickled:
        torch.save(models.tensors_of(folder), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    with pytest.raises(
        ValueError,
        match=rf"a quantization_config.*; got '{key}' as (I8|U8|F8|I64|BOOL|C64|\w+\d* )",
    ):
        stepscore.load(folder)


@pytest.mark.parametrize(
    ("config", "more", "unread"),
    [
        ({"num_hidden_layers": 1, "layer_types": None}, {}, r"model\.layers\.1\.input_layernorm"),
        ({}, {"v_head.summary.weight": torch.ones(1, 48)}, r"v_head\.summary\.weight"),
        ({}, {"model.adapter.bias": torch.ones(48)}, r"model\.adapter\.bias"),
    ],
)
def test_what_nothing_reads_is_refused_of_quantised_weights_too(config, more, unread, folder):
    pytest.importorskip("accelerate")
    write(folder, FP8, lambda tensors: {**in_fp8(tensors), **more})
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    with pytest.raises(ValueError, match=rf"a use for every tensor.*nothing reads: {unread}"):
        stepscore.load(folder)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, None),
        ({"quantization_config": None}, None),
        ({"quantization_config": METHODS["gptq"]}, "gptq, 4 bits"),
        ({"quantization_config": {"load_in_8bit": True}}, "bitsandbytes, 8 bits"),
        ({"text_config": {"quantization_config": FP8}}, "fp8"),
        ({"compression_config": METHODS["compressed-tensors"]}, "compressed-tensors"),
    ],
)
def test_how_a_checkpoint_is_quantised(config, said):
    assert quantised(config) == said
