"""Folders whose vocabulary is a tokenizer.model of sentencepiece: its ids, or an error."""

from __future__ import annotations

import io
import json
import random
import shutil
import sys
import zipfile
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import MistralConfig, MistralForCausalLM

import stepscore
from stepscore.errors import InputError
from stepscore.scoring.checkpoint.folder import open_checkpoint
from stepscore.scoring.checkpoint.tokenizer import load_tokenizer

sentencepiece = pytest.importorskip("sentencepiece")
pytest.importorskip("google.protobuf")

CORPUS = [
    "Step 1: We add 3 and 4. ки\nStep 2: The sum is 7. ки + -",
    "How many eggs does a duck lay per day? She sells 16 - 3 - 4 = 9 eggs. ки + ки -",
    "Half of 10 + 6 is 8, and 8 - 5 is 3.  The value   is x = 12. ки",
] * 20
PIECES = [
    "a",
    " ",
    "  ",
    "\n",
    "\t",
    "ки",
    " ки",
    "+",
    " -",
    "é",
    "汉",
    "🙂",
    "eggs",
    " the",
    "12.",
]


def trained(**changes: object) -> bytes:
    """Train a vocabulary like that of Llama and Mistral: byte-pair, bytes for what is unknown."""
    options: dict[str, object] = {
        "model_type": "bpe",
        "vocab_size": 420,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "add_dummy_prefix": True,
        "split_digits": True,
        "allow_whitespace_only_pieces": True,
        "minloglevel": 9,
        "hard_vocab_limit": False,
        **changes,
    }
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=file, **options
    )
    return file.getvalue()


@pytest.fixture(scope="module")
def vocabulary() -> bytes:
    return trained()


def folder_with(folder: Path, vocabulary: bytes, rows: int = models.VOCABULARY) -> Path:
    """Mistral as a causal language model, with tokenizer.model alone."""
    torch.manual_seed(0)
    config = MistralConfig(**{**models._sizes(sliding_window=None), "vocab_size": rows})
    tensors = MistralForCausalLM(config).state_dict()
    folder.mkdir(exist_ok=True)
    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
    entry = {**config.to_dict(), "architectures": ["MistralForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(entry))
    (folder / "tokenizer.model").write_bytes(vocabulary)
    return folder


def processor(vocabulary: bytes):
    return sentencepiece.SentencePieceProcessor(model_proto=vocabulary)


def texts() -> list[str]:
    draw = random.Random(0)
    return [*CORPUS[:3], *("".join(draw.choices(PIECES, k=draw.randrange(40))) for _ in range(400))]


def test_the_ids_are_those_of_sentencepiece(vocabulary, tmp_path):
    prm = stepscore.load(folder_with(tmp_path / "prm", vocabulary), recipe="math-shepherd")
    encode = processor(vocabulary)
    for text in texts():
        assert prm.tokenizer(text)["input_ids"] == [1, *encode.encode(text)], repr(text)
        assert prm.tokenizer.decode(encode.encode(text)) == encode.decode(encode.encode(text))


def test_the_scores_are_those_of_the_model_read_over_sentencepiece(vocabulary, tmp_path):
    folder = folder_with(tmp_path / "prm", vocabulary)
    steps = ["We add 3 and 4.", "The sum is 7."]
    [scores] = stepscore.load(folder, recipe="math-shepherd").score("What is 3 + 4?", [steps])
    encode = processor(vocabulary).encode
    text = "What is 3 + 4? Step 1: We add 3 and 4. ки\nStep 2: The sum is 7. ки"
    ids = [1, *encode(text)]
    good, bad = encode("+ -")
    model = MistralForCausalLM.from_pretrained(folder).double().eval()
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    pair = logits[:, [good, bad]].softmax(-1)[:, 0]
    expected = pair[[index for index, token in enumerate(ids) if token == encode("ки")[-1]]]
    np.testing.assert_allclose(scores, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("config", "first", "last"),
    [
        ({}, [1], []),
        ({"add_bos_token": False}, [], []),
        ({"add_bos_token": True, "add_eos_token": True}, [1], [2]),
        ({"tokenizer_class": "LlamaTokenizer", "legacy": False}, [1], []),
        ({"bos_token": {"content": "<s>", "__type": "AddedToken"}, "pad_token": None}, [1], []),
    ],
)
def test_what_stands_beside_the_vocabulary_is_read(config, first, last, vocabulary, tmp_path):
    folder = folder_with(tmp_path / "prm", vocabulary)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(open_checkpoint(folder))
    text = "We add 3 and 4.\nThe  sum is 7."
    assert tokenizer(text)["input_ids"] == [*first, *processor(vocabulary).encode(text), *last]


def test_added_tokens_have_their_ids(vocabulary, tmp_path):
    folder = folder_with(tmp_path / "prm", vocabulary)
    size = processor(vocabulary).get_piece_size()
    (folder / "added_tokens.json").write_text(json.dumps({"<extra>": size}))
    prm = stepscore.load(folder, recipe="math-shepherd")
    assert prm.tokenizer.convert_tokens_to_ids("<extra>") == size
    assert prm.tokenizer("3<extra>")["input_ids"][-1] == size
    (folder / "added_tokens.json").write_text(json.dumps({"<extra>": size + 1}))
    with pytest.raises(InputError, match=rf"'<extra>' to get the id {size + 1} .*got '?{size}"):
        stepscore.load(folder, recipe="math-shepherd")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: trained(model_type="unigram"), "byte-pair encoding in .*; got model type 1"),
        (lambda: trained(normalization_rule_name="nmt_nfkc"), "got the normalizer 'nmt_nfkc'"),
        (lambda: trained(remove_extra_whitespaces=True), "texts that are taken as they are"),
        (lambda: b"IQ== 0\nIg== 1\n" * 500, "a model of sentencepiece in .*tokenizer.json that"),
        (lambda: b"", "a model of sentencepiece in .*; got one without pieces"),
        (lambda: b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
    ],
)
def test_a_vocabulary_of_another_kind_is_refused(make, message, tmp_path):
    with pytest.raises(InputError, match=message):
        stepscore.load(folder_with(tmp_path / "prm", make()), recipe="math-shepherd")


def test_a_class_that_takes_texts_in_another_way_is_refused(vocabulary, tmp_path):
    folder = folder_with(tmp_path / "prm", vocabulary)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "XLMRobertaTokenizer"}')
    with pytest.raises(InputError, match=r"a tokenizer_class like .*got 'XLMRoberta"):
        stepscore.load(folder, recipe="math-shepherd")


def test_a_missing_package_is_named(vocabulary, tmp_path, monkeypatch):
    folder = folder_with(tmp_path / "prm", vocabulary)
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(InputError, match=r"pip install sentencepiece protobuf .*stepscore\[hf\]"):
        stepscore.load(folder, recipe="math-shepherd")


@pytest.mark.parametrize("content", ["{}", "[]", "nonsense", '{"version": "1.0"}', ""])
def test_a_damaged_tokenizer_json_is_named(content, tiny, tmp_path):
    folder = Path(shutil.copytree(tiny("trl").folder, tmp_path / "prm"))
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match=r"a tokenizer that can be loaded; got tokenizer\.json"):
        stepscore.load(folder)


def test_a_tokenizer_json_comes_first(tiny, vocabulary, tmp_path):
    folder = Path(shutil.copytree(tiny("shepherd").folder, tmp_path / "prm"))
    (folder / "tokenizer.model").write_bytes(vocabulary)
    prm = stepscore.load(folder, recipe="math-shepherd")
    assert prm.tokenizer("ки")["input_ids"] == tiny("shepherd").tokenizer("ки")["input_ids"]


WHEELS = sorted(Path(sys.prefix, "wheels").glob("mistral_common-*.whl"))


@pytest.mark.skipif(not WHEELS, reason=f"no wheel of mistral-common in {sys.prefix}/wheels")
def test_the_published_vocabulary_of_math_shepherd(tmp_path):
    with zipfile.ZipFile(WHEELS[-1]) as archive:
        vocabulary = archive.read("mistral_common/data/tokenizer.model.v1")
    prm = stepscore.load(folder_with(tmp_path / "prm", vocabulary, 32000), recipe="math-shepherd")
    # As Math-Shepherd's card states them.
    assert prm.tokenizer.encode("ки") == [1, 12902]
    assert prm.tokenizer.encode("+ -") == [1, 648, 387]
    encode = processor(vocabulary)
    for text in texts():
        assert prm.tokenizer(text)["input_ids"] == [1, *encode.encode(text)], repr(text)
