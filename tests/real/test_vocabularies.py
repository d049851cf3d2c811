"""The ids that authors and frameworks publish, in the vocabularies that they published them for."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import vocabularies

from stepscore.recipes import math_shepherd, qwen_math_prm, skywork_o1_prm, trl_prm
from stepscore.recipes.layouts.vocabulary import published_vocabulary

transformers = pytest.importorskip("transformers")

each_vocabulary = pytest.mark.parametrize("name", vocabularies.VOCABULARIES)


def ids(tokenizer: transformers.PreTrainedTokenizerFast, text: str, **options: bool) -> list[int]:
    return tokenizer(text, **{"add_special_tokens": False, **options}).input_ids


# Vocabulary, text, what is read of its ids, the published ids.
WHOLE, LAST = slice(None), slice(-1, None)
PUBLISHED = [
    ("qwen2.5", "<extra_0>", WHOLE, [151651]),
    ("qwen2.5", "\n", WHOLE, [198]),
    ("qwen2.5", " + -", WHOLE, [488, 481]),
    ("qwen2.5", " \n\n\n\n\n", WHOLE, [76325]),
    ("qwen2.5", " \n\n\n\n", WHOLE, [22701]),
    ("qwen2.5", "+", LAST, [10]),
    ("qwen2.5", "-", LAST, [12]),
    ("qwen2.5", "<|endoftext|>", WHOLE, [151643]),
    # Frameworks put this id in the place of Skywork's step token, and the token back afterwards.
    ("qwen2.5", "<|vision_start|>", WHOLE, [151652]),
    # TRL's documentation: the end of the step "11 is greater than 8." and of its separator.
    ("qwen2.5", "11 is greater than 8.", slice(-2, None), [23, 13]),
    ("llama-3", "\n\n", WHOLE, [271]),
    ("llama-3", "+", LAST, [10]),
    ("llama-3", "-", LAST, [12]),
    ("llama-3", " \n\n\n\n", WHOLE, [23535]),
    # The placeholder that frameworks score RLHFlow's PRMs with.
    ("llama-3", "<|reserved_special_token_0|>", WHOLE, [128002]),
    (
        "llama-3",
        "<|start_header_id|>assistant<|end_header_id|>\n\n+<|eot_id|>",
        slice(-3, None),
        [271, 10, 128009],
    ),
]
PUBLISHED_BEHIND_BOS = [
    ("mistral", "ки", LAST, [12902]),
    ("mistral", "+ -", slice(1, None), [648, 387]),
    ("mistral", "Step 1: 4 и", LAST, [839]),
    ("mistral", "", WHOLE, [1]),  # ReasonEval's separator in its 7B model
    ("llama-3", "+", LAST, [10]),
    ("llama-3", "-", LAST, [12]),
]


@pytest.mark.parametrize(("name", "text", "part", "expected"), PUBLISHED)
def test_published_ids(loaded, name, text, part, expected):
    assert ids(loaded(name), text)[part] == expected


@pytest.mark.parametrize(("name", "text", "part", "expected"), PUBLISHED_BEHIND_BOS)
def test_published_ids_behind_bos(loaded, name, text, part, expected):
    tokenizer = loaded(name)
    found = ids(tokenizer, text, add_special_tokens=True)
    assert found[0] == tokenizer.bos_token_id
    assert found[part] == expected


@pytest.mark.parametrize(
    ("name", "rows"), [("mistral", 32000), ("qwen2.5", 152064), ("llama-3", 128256)]
)
def test_the_entries_fit_the_rows_of_the_published_matrices(loaded, name, rows):
    entries = loaded(name).get_vocab()
    assert sorted(entries.values()) == list(range(len(entries)))
    assert rows - 500 < len(entries) <= rows


def test_the_turn_headers_of_chats_are_as_the_label_turns_are_found(loaded):
    qwen, llama = loaded("qwen2.5"), loaded("llama-3")
    header = qwen.convert_ids_to_tokens(ids(qwen, "<|im_start|>assistant\n"))
    assert header == ["<|im_start|>", "assistant", "Ċ"]
    turn = llama.convert_ids_to_tokens(
        ids(llama, "<|start_header_id|>assistant<|end_header_id|>\n\n")
    )
    assert turn == ["<|start_header_id|>", "assistant", "<|end_header_id|>", "ĊĊ"]


@pytest.mark.parametrize("name", ["qwen2.5", "llama-3"])
def test_a_full_stop_takes_the_newlines_behind_it(loaded, name):
    tokenizer = loaded(name)
    for newlines in ("\n", "\n\n"):
        together = ids(tokenizer, f"is 8.{newlines}")
        apart = ids(tokenizer, "is 8.") + ids(tokenizer, newlines)
        assert len(together) == len(apart) - 1


def test_each_recipe_accepts_its_own_vocabulary(loaded):
    assert published_vocabulary(loaded("qwen2.5")) == "Qwen2.5"
    assert published_vocabulary(loaded("mistral")) == "Mistral v0.1"
    assert published_vocabulary(loaded("llama-3")) == "Llama 3"
    qwen_math_prm().check_tokenizer(loaded("qwen2.5"))
    math_shepherd().check_tokenizer(loaded("mistral"))
    assert math_shepherd().head.word_ids(loaded("mistral")) == (648, 387)
    for name in vocabularies.VOCABULARIES:
        for separator in ("\n", "\n\n", " \n\n\n\n"):
            trl_prm(separator).check_tokenizer(loaded(name))


def test_recipes_refuse_the_vocabulary_of_another(loaded):
    with pytest.raises(ValueError, match="'<extra_0>' to be one added token"):
        qwen_math_prm().check_tokenizer(loaded("llama-3"))
    with pytest.raises(ValueError, match="puts its BOS token first"):
        math_shepherd().check_tokenizer(loaded("qwen2.5"))
    with pytest.raises(ValueError, match="a text as the tokenizer's bos_token"):
        skywork_o1_prm().check_tokenizer(loaded("qwen2.5"))  # Qwen's own file names none


PIECES = [
    "a", " ", "  ", "\n", "\n\n", ".", "ки", "é", "e\u0301", "日本", "𝄞", "\t", "\r\n", "\u00a0",
    "\u200b", "1", "23", "456", "'s", "'S", "\\frac{", "$", "ſ", "İ", "\u2028", "👩‍👩‍👧", "\x00",
    "ﬁ", "Å", "ｱ", "\ufeff", "<0x0A>", "▁", "<|", "_0>", "Step 1:",
]  # fmt: skip


@each_vocabulary
def test_the_tokenizer_is_that_of_the_vocabularys_own_library(loaded, name):
    tokenizer, encode = loaded(name), vocabularies.encoder(name)
    random_pieces = random.Random(8)
    texts = [" " * n + "x" + " " * n for n in range(40)]
    texts += ["".join(random_pieces.choices(PIECES, k=8)) for _ in range(2000)]
    for text, found in zip(texts, ids(tokenizer, texts), strict=True):
        assert found == encode(text), repr(text)


@each_vocabulary
def test_so_it_is_on_real_solutions(loaded, name, data: Path):
    tokenizer, encode = loaded(name), vocabularies.encoder(name)
    with (data / "gsm8k" / "example_model_solutions.jsonl").open() as lines:
        rows = [json.loads(next(lines)) for _ in range(300)]
    texts = [row["question"] for row in rows]
    texts += [row["175b_verification"]["solution"] for row in rows]
    for text, found in zip(texts, ids(tokenizer, texts), strict=True):
        assert found == encode(text), repr(text)
