"""A checkpoint as safetensors: nothing is lost, nothing differs, and nothing is half there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_load_weights import Payload, pickled

import stepscore
from stepscore.cli.main import main
from stepscore.errors import InputError
from stepscore.recipes import recipe_by_name
from stepscore.scoring.checkpoint import conversion


@pytest.fixture
def copy(tiny, tmp_path):
    """A checkpoint of one's own: copy(kind) -> its folder, in pickles."""

    def make(kind: str) -> Path:
        return pickled(Path(shutil.copytree(tiny(kind).folder, tmp_path / kind)))

    return make


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    "kind",
    ["qwen-sharded", "shepherd-sharded", "shepherd-tied", "skywork-wrapped", "trl-blank-line"],
)
def test_the_copy_has_the_scores_and_needs_no_recipe(kind, copy, tiny, loaded, mixed, tmp_path):
    folder, out = copy(kind), tmp_path / "out"
    separator = {"separator": "\n\n"} if kind == "trl-blank-line" else {}
    recipe = recipe_by_name(tiny(kind).recipe, **separator)
    converted = stepscore.convert_checkpoint(folder, out, recipe=recipe)
    assert converted.folder == out
    assert converted.recipe == tiny(kind).recipe
    prm = stepscore.load(out)
    assert prm.recipe.as_config() == recipe.as_config()
    np.testing.assert_array_equal(prm.score(*mixed).values, loaded(kind).score(*mixed).values)
    assert left_in(out) == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    # The name of the code that is left behind.
    assert "auto_map" not in json.loads((out / "config.json").read_text())
    assert not list(tmp_path.glob(".*"))


def test_the_number_formats_are_kept_and_what_is_computed_is_left_out(copy, tmp_path):
    folder, out = copy("skywork"), tmp_path / "out"
    path = folder / "pytorch_model.bin"
    tensors = {key: tensor.half() for key, tensor in torch.load(path, weights_only=True).items()}
    tensors["v_head.summary.weight"] = tensors["v_head.summary.weight"].float()
    # Tensors that share their memory, one of them a view of other strides.
    shared = torch.randn(models.VOCABULARY, models.HIDDEN).half()
    tensors["model.embed_tokens.weight"] = shared
    tensors["lm_head.weight"] = shared.T.contiguous().T
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(6)
    torch.save(tensors, path)
    stepscore.convert_checkpoint(folder, out)
    written = load_file(out / "model.safetensors")
    assert set(written) == set(tensors) - {"model.layers.0.self_attn.rotary_emb.inv_freq"}
    for name, tensor in written.items():
        assert tensor.dtype == tensors[name].dtype
        assert torch.equal(tensor, tensors[name])


def test_large_weights_are_cut_into_shards(copy, tmp_path, monkeypatch, mixed):
    folder, out = copy("trl"), tmp_path / "out"
    monkeypatch.setattr(conversion, "_SHARD", 200_000)
    converted = stepscore.convert_checkpoint(folder, out)
    shards = sorted(out.glob("*.safetensors"))
    assert len(shards) > 1
    assert all(f"-of-{len(shards):05}" in shard.name for shard in shards)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    total = sum(tensor.nbytes for shard in shards for tensor in load_file(shard).values())
    assert index["metadata"]["total_size"] == total <= converted.bytes
    expected = stepscore.load(folder).score(*mixed)
    np.testing.assert_array_equal(stepscore.load(out).score(*mixed).values, expected.values)


def test_an_existing_folder_is_kept_unless_it_may_go(copy, tmp_path):
    folder, out = copy("trl"), tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"output: expected a folder .*overwrite=True"):
        stepscore.convert_checkpoint(folder, out)
    with pytest.raises(InputError, match="which holds something else than a checkpoint; pass an"):
        stepscore.convert_checkpoint(folder, out, overwrite=True)
    assert left_in(out) == {"notes.txt"}
    (out / "notes.txt").unlink()
    stepscore.convert_checkpoint(folder, out, overwrite=True)
    (out / "README.md").write_text("of the first copy")
    stepscore.convert_checkpoint(folder, out, overwrite=True)
    assert "README.md" not in left_in(out)
    assert left_in(tmp_path) == {"trl", "out"}
    with pytest.raises(InputError, match="expected another folder than the checkpoint's own"):
        stepscore.convert_checkpoint(out, out, overwrite=True)


def test_a_place_that_is_not_there_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match=r"output: .*in a folder that does not exist; make"):
        stepscore.convert_checkpoint("no/such/model", tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"output: .*file, which exists; pass another name"):
        stepscore.convert_checkpoint("no/such/model", tmp_path / "file", overwrite=True)


@pytest.mark.parametrize("fault", ["weights", "config", "tokenizer"])
def test_a_copy_that_differs_is_never_delivered(fault, copy, tmp_path, monkeypatch):
    folder, out = copy("trl"), tmp_path / "out"

    def spoil(name, change):
        write = getattr(conversion, name)

        def spoiled(part, *arguments):
            write(part, *arguments)
            change(part)

        monkeypatch.setattr(conversion, name, spoiled)

    def other_weights(part):
        tensors = load_file(part / "model.safetensors")
        tensors["model.norm.weight"][3] += 1e-6
        conversion.save_file(tensors, part / "model.safetensors", metadata={"format": "pt"})

    def other_config(part):
        config = json.loads((part / "config.json").read_text())
        config["rms_norm_eps"] = 1e-2
        (part / "config.json").write_text(json.dumps(config))

    def other_tokenizer(part):
        content = json.loads((part / "tokenizer.json").read_text())
        content["model"]["merges"] = []
        (part / "tokenizer.json").write_text(json.dumps(content))

    if fault == "weights":
        spoil("_write_weights", other_weights)
        message = "other tensors: model.norm.weight"
    elif fault == "config":
        spoil("_write_config", other_config)
        message = "other scores"
    else:
        spoil("_write_tokenizer", other_tokenizer)
        message = "other token ids"
    with pytest.raises(InputError, match=f"bit for bit; got {message}.*nothing was written"):
        stepscore.convert_checkpoint(folder, out)
    assert left_in(tmp_path) == {"trl"}


def test_a_pickle_that_would_execute_something_is_not_converted(copy, tmp_path):
    folder = copy("trl")
    torch.save({"a": Payload(tmp_path / "executed")}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"asks for posix\.mkdir"):
        stepscore.convert_checkpoint(folder, tmp_path / "out")
    assert left_in(tmp_path) == {"trl"}


def test_a_vocabulary_of_sentencepiece_becomes_a_tokenizer_json(tmp_path):
    pytest.importorskip("sentencepiece")
    from test_load_tokenizer import folder_with, processor, texts, trained

    vocabulary = trained()
    folder, out = folder_with(tmp_path / "prm", vocabulary), tmp_path / "out"
    stepscore.convert_checkpoint(folder, out, recipe="math-shepherd")
    assert {"tokenizer.json", "tokenizer.model"} <= left_in(out)
    prm = stepscore.load(out)
    assert prm.recipe.name == "math-shepherd"
    for text in texts():
        assert prm.tokenizer(text)["input_ids"] == [1, *processor(vocabulary).encode(text)]


def test_the_command(copy, tmp_path, capsys):
    folder, out = copy("shepherd"), tmp_path / "out"
    assert main(["convert-checkpoint", str(folder), str(out)]) == 2
    assert "--recipe math-shepherd" in capsys.readouterr().err
    arguments = ["convert-checkpoint", str(folder), str(out), "--recipe", "math-shepherd"]
    assert main([*arguments, "--numbering", "never"]) == 0
    said = capsys.readouterr().out
    assert f"written to {out}: 21 tensors" in said
    assert "recipe math-shepherd; weights and scores are equal, bit for bit" in said
    assert json.loads((out / "config.json").read_text())["stepscore"] == {
        "recipe": "math-shepherd",
        "numbering": "never",
    }
    assert main(arguments) == 2
    assert "OUT: expected a folder that does not exist yet" in (text := capsys.readouterr().err)
    assert "pass --overwrite to replace it" in text
    assert main(["convert-checkpoint", "no/such/folder", str(tmp_path / "more")]) == 2
    assert "error: FOLDER no/such/folder: expected a folder, the name of" in capsys.readouterr().err


def test_the_command_names_what_was_typed_and_no_function(copy, tmp_path, capsys):
    folder, alone = copy("trl"), tmp_path / "adapter"
    alone.mkdir()
    (alone / "adapter_config.json").write_text("{}")
    wrong = copy("shepherd")
    config = json.loads((wrong / "config.json").read_text())
    (wrong / "config.json").write_text(json.dumps({**config, "stepscore": {"recipe": "no-such"}}))
    for typed, message in (
        ([str(folder), "--recipe", "no-such"], f"FOLDER {folder}: --recipe: expected one of"),
        ([str(folder), "--recipe", "qwen2.5-math-prm"], f"FOLDER {folder}: expected"),
        ([str(wrong)], f"FOLDER {wrong}: expected one of"),
        ([str(alone)], f"FOLDER {alone}: expected"),
    ):
        assert main(["convert-checkpoint", typed[0], str(tmp_path / "out"), *typed[1:]]) == 2
        said = capsys.readouterr().err
        assert f"stepscore convert-checkpoint: error: {message}" in said
        assert "load:" not in said


def test_the_folder_is_as_readable_as_any_other(copy, tmp_path):
    umask = os.umask(0o022)
    try:
        stepscore.convert_checkpoint(copy("trl"), tmp_path / "out")
    finally:
        os.umask(umask)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["rows", "classes", "longer"])
def test_an_adapter_is_merged_into_full_weights(kind, dtype, tmp_path):
    peft = pytest.importorskip("peft")
    from test_adapters import train
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForTokenClassification,
        LlamaConfig,
        Qwen2Config,
    )

    words = kind != "classes"
    config = LlamaConfig(**models._sizes()) if words else Qwen2Config(**models._sizes())
    tokenizer = models.word_piece_tokenizer() if words else models.byte_level_tokenizer()
    base, folder, out = tmp_path / "base", tmp_path / "adapter", tmp_path / "out"
    torch.manual_seed(4)
    AutoModelForCausalLM.from_config(config).to(dtype).save_pretrained(base)
    tokenizer.save_pretrained(base)
    of_class = AutoModelForCausalLM if words else AutoModelForTokenClassification
    more = {} if words else {"num_labels": 2}
    model = of_class.from_pretrained(base, dtype=dtype, **more)
    options = {"target_modules": ["q_proj", "down_proj"]}
    if kind == "longer":
        model.resize_token_embeddings(models.VOCABULARY + 3, mean_resizing=False)
        options["target_modules"] += ["embed_tokens"]
    train(peft, model, folder, task_type="CAUSAL_LM" if words else "TOKEN_CLS", **options)
    recipe = "math-shepherd" if words else "trl-prm"
    converted = stepscore.convert_checkpoint(folder, out, recipe=recipe)
    assert not (out / "adapter_config.json").exists()
    assert converted.steps == 6
    before = stepscore.load(folder, recipe=recipe, dtype="auto")
    after = stepscore.load(out, dtype="auto")
    assert after.weights.base is None
    assert after.recipe.name == recipe
    if kind == "longer":
        assert len(after.backbone.embed_tokens.weight) == models.VOCABULARY + 3
        assert json.loads((out / "config.json").read_text())["vocab_size"] == models.VOCABULARY + 3
    assert after.dtype == before.dtype == dtype
    scores = [prm.score(models.PROBLEMS[0], [models.STEPS]).values for prm in (before, after)]
    assert scores[0].tobytes() == scores[1].tobytes()
    plain = stepscore.load(base, recipe="math-shepherd") if words else None
    if plain is not None:
        untrained = plain.score(models.PROBLEMS[0], [models.STEPS]).values
        assert np.abs(untrained - scores[1]).max() > 1e-2, "else nothing was merged"
