"""Backbones that accelerate places: in memory, on a disk, with the same bits as in one place."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MixtralConfig,
    Qwen2Config,
    Qwen2Model,
)

import stepscore
from stepscore.scoring.checkpoint import placing
from stepscore.scoring.checkpoint.placing import spelt_out
from stepscore.scoring.forward.attention import attend
from stepscore.scoring.forward.layout import Layout, laid_out
from stepscore.scoring.forward.placement import device_name, input_device

SIZES = models._sizes()
# Rows of 1,536 numbers: torch's other product has other bits there.
WIDE = models._sizes(hidden_size=256, intermediate_size=1536)
PROBLEMS = ["What is half of 10 + 6?"] * 4 + ["How many eggs does she sell per day?"]
SOLUTIONS = [
    ["We add 3 and 4.", "The sum is 7."],
    ["We add 3 and 4.", "The sum is 8."] * 3,
    ["We add 3 and 4.", "So the answer is 7"],
    ["x"],
    ["She sells 16 - 3 - 4 = 9 eggs."],
]


@pytest.fixture(scope="module")
def accelerate():
    return pytest.importorskip("accelerate")


KINDS = {
    "qwen2": lambda: Qwen2Config(**SIZES),
    "wide": lambda: LlamaConfig(**WIDE),
    "windows": lambda: Gemma3TextConfig(
        **SIZES, head_dim=16, sliding_window=24,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "experts": lambda: MixtralConfig(**SIZES, num_local_experts=4),
    "gpt2": lambda: GPT2Config(
        vocab_size=models.VOCABULARY, n_embd=models.HIDDEN, n_layer=2, n_head=4,
        n_positions=models.POSITIONS, bos_token_id=0, eos_token_id=0, initializer_range=0.15,
    ),
}  # fmt: skip
NAMES = {"layers": "h", "embed_tokens": "wte", "norm": "ln_f"}
PLACES = {
    "one layer on a disk": {"": "cpu", "layers.0": "disk"},
    "embeddings on a disk": {"embed_tokens": "disk", "layers": "cpu", "norm": "disk"},
    "all on a disk": {"": "disk"},
    "within a layer": {"": "cpu", "layers.1.mlp": "disk"},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Write each kind once: a token classifier as its own class writes it."""
    written: dict[str, Path] = {}

    def write(kind: str) -> Path:
        if kind not in written:
            torch.manual_seed(7)
            config = KINDS[kind]()
            folder = written[kind] = tmp_path_factory.mktemp(kind)
            body = models.AutoModel.from_config(config).eval()
            body.save_pretrained(folder)
            models.byte_level_tokenizer().save_pretrained(folder)
            head = torch.nn.Linear(config.hidden_size, 2)
            tensors = models.tensors_of(folder)
            tensors |= {"score.weight": head.weight.data, "score.bias": head.bias.data}
            save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return written[kind]

    return write


def places_of(kind: str, places: dict[str, str]) -> dict[str, str]:
    if kind != "gpt2":
        return places
    renamed = {}
    for name, place in places.items():
        first, _, rest = name.partition(".")
        renamed[f"{NAMES.get(first, first)}{'.' if rest else ''}{rest}"] = place
    if "wte" in renamed:
        renamed["wpe"] = renamed["wte"]
    return renamed


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_one_place_bit_for_bit(kind, name, accelerate, folders, tmp_path):
    recipe = stepscore.recipes.trl_prm()
    plain = stepscore.load(folders(kind), recipe=recipe)
    expected = plain.score(PROBLEMS, SOLUTIONS).values
    assert np.std(expected) > 1e-2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prm = stepscore.load(
            folders(kind),
            recipe=recipe,
            device_map=places_of(kind, PLACES[name]),
            offload_folder=tmp_path,
        )
    assert "disk" in prm.weights.placed.values()
    assert plain.weights.placed is None
    assert (str(prm.device), prm.dtype) == ("cpu", torch.float32)
    waiting = [name for name, p in prm.backbone.named_parameters() if p.device.type == "meta"]
    assert waiting
    assert prm.sharing.shared, "the check saw the hooks' weights, not empty ones"
    # The costs are estimated by size, of what waits on a disk too.
    assert prm.costs.fork == plain.costs.fork
    np.testing.assert_array_equal(prm.score(PROBLEMS, SOLUTIONS).values, expected)
    after = [name for name, p in prm.backbone.named_parameters() if p.device.type == "meta"]
    assert after == waiting, "what was fetched was let go"


@pytest.mark.parametrize("share", [True, False])
def test_sessions_copies_and_pickles(share, accelerate, folders, tmp_path):
    options = {"recipe": "trl-prm", "share": share}
    places = {"model.embed_tokens": "cpu", "model.layers.0": "disk", "model.layers.1": "cpu"}
    places |= {"model.norm": "cpu", "lm_head": "cpu"}  # as of the model with its head
    plain = stepscore.load(folders("wide"), **options)
    prm = stepscore.load(folders("wide"), **options, device_map=places)
    expected = plain.score(PROBLEMS, SOLUTIONS).values
    for model in (prm, copy.deepcopy(prm), pickle.loads(pickle.dumps(prm))):
        assert model.weights.placed == prm.weights.placed
        np.testing.assert_array_equal(model.score(PROBLEMS, SOLUTIONS).values, expected)
    with prm.session(PROBLEMS[0]) as placed, plain.session(PROBLEMS[0]) as session:
        for steps in (["We add 3 and 4."], ["The sum is 7.", "The sum is 8."]):
            made, wanted = (each.extend(each.roots[0], steps) for each in (placed, session))
            np.testing.assert_array_equal(made.scores.values, wanted.scores.values)


def test_weights_are_read_in_the_number_format_asked_for(accelerate, folders, tmp_path):
    tiny = models.trl_prm(tmp_path)
    tensors = {key: tensor.bfloat16() for key, tensor in models.tensors_of(tmp_path).items()}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for dtype in ("float32", "bfloat16"):
        plain = stepscore.load(tiny.folder, dtype=dtype)
        prm = stepscore.load(tiny.folder, dtype=dtype, device_map={"": "disk"})
        expected = plain.score(PROBLEMS, SOLUTIONS).values
        np.testing.assert_array_equal(prm.score(PROBLEMS, SOLUTIONS).values, expected)


@pytest.mark.parametrize("kind", ["skywork-wrapped", "qwen-sharded"])
def test_names_with_a_prefix_and_shards(kind, accelerate, tiny):
    plain = stepscore.load(tiny(kind).folder)
    prm = stepscore.load(tiny(kind).folder, device_map={"": "cpu", "layers.1": "disk"})
    expected = plain.score(PROBLEMS, SOLUTIONS).values
    np.testing.assert_array_equal(prm.score(PROBLEMS, SOLUTIONS).values, expected)


def test_a_chosen_map_on_one_device_is_one_place(accelerate, folders):
    prm = stepscore.load(folders("qwen2"), recipe="trl-prm", device_map="auto")
    assert prm.weights.placed is None or torch.cuda.is_available()
    expected = stepscore.load(folders("qwen2"), recipe="trl-prm").score(PROBLEMS, SOLUTIONS)
    np.testing.assert_allclose(
        prm.score(PROBLEMS, SOLUTIONS).values, expected.values, rtol=0, atol=1e-5
    )


def test_an_adapter_s_base_is_placed_when_it_is_merged(accelerate, tmp_path, capfd):
    peft = pytest.importorskip("peft")
    from transformers import Qwen2ForCausalLM

    torch.manual_seed(1)
    Qwen2ForCausalLM(Qwen2Config(**SIZES)).save_pretrained(tmp_path / "base")
    models.word_piece_tokenizer().save_pretrained(tmp_path / "base")
    config = peft.LoraConfig(
        target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Qwen2ForCausalLM.from_pretrained(tmp_path / "base")
        peft.get_peft_model(model, config).save_pretrained(tmp_path / "a")
    plain = stepscore.load(tmp_path / "a", recipe="math-shepherd")
    options = {"recipe": "math-shepherd", "device_map": {"": "cpu", "layers.0": "disk"}}
    capfd.readouterr()
    prm = stepscore.load(tmp_path / "a", **options, offload_folder=tmp_path / "disk")
    assert capfd.readouterr() == ("", "")
    assert prm.weights.placed["layers.0"] == "disk"
    expected = plain.score(PROBLEMS, SOLUTIONS).values
    np.testing.assert_array_equal(prm.score(PROBLEMS, SOLUTIONS).values, expected)
    with pytest.raises(ValueError, match="load: offload_folder: expected a folder"):
        stepscore.load(tmp_path / "a", **options)


def skeleton(layers: int = 12) -> torch.nn.Module:
    with torch.device("meta"):
        return Qwen2Model(Qwen2Config(**SIZES | {"num_hidden_layers": layers}))


def test_no_name_is_taken_for_another_s_beginning():
    places = spelt_out({"": "cpu", "layers.1": "disk"}, skeleton())
    on_disk = [name for name, place in places.items() if place == "disk"]
    assert on_disk == ["layers.1"]
    assert {f"layers.{n}" for n in range(12)} < places.keys()


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"": "cpu", "layers.99": "disk"}, "expected parts of Qwen2Model, such as .*'layers.99'"),
        ({"layers": "cpu", "norm": "cpu"}, "every part of the model; got none for 'embed_tokens'"),
        ({"encoder.layers": "cpu"}, "expected parts of Qwen2Model"),
    ],
)
def test_a_map_must_fit(places, message):
    with pytest.raises(ValueError, match=f"load: device_map: .*{message}"):
        spelt_out(places, skeleton())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"device_map": 3}, TypeError, "device_map: expected a name such as"),
        ({"device_map": "everywhere"}, ValueError, "device_map: expected one of auto, balanced"),
        ({"device_map": "auto", "device": "cpu"}, ValueError, "device: expected none beside a"),
        ({"offload_folder": "x"}, ValueError, "offload_folder: expected none without a device_map"),
        ({"device_map": {"": "meta"}}, ValueError, "device_map: .* for ''; got 'meta'"),
        ({"device_map": {"": "cuda:77"}}, ValueError, "device_map: expected a device that torch"),
    ],
)
def test_arguments_are_checked(options, error, message, monkeypatch):
    monkeypatch.setattr(placing, "find_spec", lambda _: True)
    with pytest.raises(error, match=f"load: {message}"):
        stepscore.load("lab", **options)


def test_without_accelerate_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(placing, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r'accelerate, .*pip install "stepscore\[adapters\]"'):
        stepscore.load("lab", device_map="auto")


def test_tokens_go_to_the_first_gpu():
    backbone = skeleton(2)
    for places, expected in (
        ({"embed_tokens": "disk", "layers.0": "cpu"}, "cpu"),
        ({"embed_tokens": "cpu", "layers.0": 1, "layers.1": 0}, "cuda:1"),
        ({"embed_tokens": torch.device("cuda:0"), "layers.0": "disk"}, "cuda:0"),
        ({"": 0}, "meta"),  # in one place: where its weights are
    ):
        backbone.hf_device_map = places
        assert str(input_device(backbone)) == expected
    assert [device_name(place) for place in (0, "cpu", "cuda:1")] == ["cuda:0", "cpu", "cuda:1"]


def test_a_layer_elsewhere_gets_the_layout_on_its_own_device():
    # "cpu:0" is the CPU under another name: all that a layer on another device needs is asked for.
    offsets = np.array([0, 5, 45, 52])
    here = Layout(offsets, [None] * 3)
    there = Layout(offsets, [None] * 3, device=torch.device("meta"))
    assert here.on(torch.device("cpu")) is here
    moved = there.on(torch.device("cpu"))
    assert moved is there.on(torch.device("cpu"))
    assert all(rows.device.type == "cpu" for rows, _ in moved.short_pieces)
    module = torch.nn.Module()
    module.layer_idx = 0
    query, key, value = torch.randn(3, 1, 4, 52, 16)
    outputs = []
    for layout in (here, there):
        with laid_out(layout):
            outputs.append(attend(module, query, key, value, None)[0])
    assert torch.equal(*outputs)
