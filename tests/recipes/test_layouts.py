"""Layouts: the tokens of every recipe, written out."""

from __future__ import annotations

import subprocess
import sys

import models
import pytest
from models import enc

from stepscore.recipes import (
    math_shepherd,
    qwen_math_prm,
    recipe_by_name,
    recipe_names,
    skywork_o1_prm,
    trl_prm,
)
from stepscore.recipes.layouts import SeparateParts
from stepscore.recipes.recipe_arguments import required_arguments
from stepscore.recipes.registry import published

RECIPES = [qwen_math_prm(), math_shepherd(), skywork_o1_prm(), trl_prm(), trl_prm("\n\n")]


def test_qwen_is_the_chat_text_of_its_card_read_at_every_tag():
    recipe, tokenizer = qwen_math_prm(), models.byte_level_tokenizer()
    ids, positions = recipe.encode(tokenizer, ["What?"], [["We add 3.", "The sum is 7."]]).trace(0)
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == (
        "<|im_start|>system\n"
        "Please reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
        "<|im_start|>user\nWhat?<|im_end|>\n"
        "<|im_start|>assistant\nWe add 3.<extra_0>The sum is 7.<extra_0><|im_end|>\n"
    )
    assert [tokenizer.convert_ids_to_tokens(ids[t]) for t in positions] == ["<extra_0>"] * 2


def test_shepherd_numbers_steps_that_have_no_number():
    recipe, tokenizer = math_shepherd(), models.word_piece_tokenizer()
    steps = ["We add 3.", "Step 2: The sum is 7.", "Step two"]
    ids, positions = recipe.encode(tokenizer, ["What?"], [steps]).trace(0)
    text = "What? Step 1: We add 3. ки\nStep 2: The sum is 7. ки\nStep 3: Step two ки"
    assert ids == enc(tokenizer, text, special=True)
    assert ids[0] == tokenizer.bos_token_id
    assert [tokenizer.convert_ids_to_tokens(ids[t]) for t in positions] == ["▁ки"] * 3
    assert positions[-1] == len(ids) - 1


def test_skywork_encodes_every_line_alone():
    recipe, tokenizer = skywork_o1_prm(), models.byte_level_tokenizer("<|endoftext|>")
    ids, positions = recipe.encode(tokenizer, ["What?"], [["The sum is 7.", "\n\nIt is 7."]]).trace(
        0
    )
    [newline] = enc(tokenizer, "\n")
    parts = [
        enc(tokenizer, "<|endoftext|>What?\n"),
        [*enc(tokenizer, "The sum is 7."), newline],
        [newline, newline],
        [*enc(tokenizer, "It is 7."), newline],
    ]
    assert ids == [token for part in parts for token in part]
    assert positions == [len(parts[0] + parts[1]) - 1, len(ids) - 1]
    # Together, the full stop and the newline are one token: another sequence.
    assert ids != enc(tokenizer, "<|endoftext|>What?\nThe sum is 7.\n\n\nIt is 7.\n")


@pytest.mark.parametrize("separator", ["\n", "\n\n", ".\n"])
def test_trl_encodes_every_part_alone_and_reads_the_separators_last_token(separator):
    recipe = trl_prm(separator)
    for tokenizer in (models.byte_level_tokenizer(), models.word_piece_tokenizer()):
        bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        ids, positions = recipe.encode(tokenizer, ["What?"], [["It is 7.", "Yes"]]).trace(0)
        first = bos + enc(tokenizer, "What?") + enc(tokenizer, "It is 7.")
        first += enc(tokenizer, separator)
        assert ids == first + enc(tokenizer, "Yes") + enc(tokenizer, separator)
        assert positions == [len(first) - 1, len(ids) - 1]


def test_a_separator_may_be_any_text():
    assert trl_prm("<sep>").split("a<sep>b<sep>") == ["a", "b"]
    assert trl_prm("<sep>").fault_in_step("a\nb") is None
    assert math_shepherd().split("a\r\nb ки") == ["a\nb"], "a tag wins over lines"


def test_a_recipe_states_its_facts():
    for recipe in RECIPES:
        assert recipe.score_range == (0.0, 1.0)
        assert recipe.default_aggregate is None
    assert [recipe.tokenisation for recipe in RECIPES] == [
        "joint", "joint", "separate", "separate", "separate",
    ]  # fmt: skip


def test_recipes_are_made_by_name():
    assert {"qwen2.5-math-prm", "math-shepherd", "skywork-o1-prm", "trl-prm"} <= {*recipe_names()}
    assert recipe_names() == sorted(recipe_names())
    for name, entry in published().items():
        missing = required_arguments(entry)
        if missing:
            with pytest.raises(ValueError, match=f"{missing[0]}: expected the .* of '{name}'"):
                recipe_by_name(name)
        else:
            assert recipe_by_name(name).name == name
    assert recipe_by_name("trl-prm", separator="\n\n").separator == "\n\n"
    assert recipe_by_name("trl-prm", separator="\n\n").as_config() == {
        "recipe": "trl-prm",
        "separator": "\n\n",
    }
    with pytest.raises(TypeError, match=r"separator: expected an argument of 'qwen2\.5-m.*none"):
        recipe_by_name("qwen2.5-math-prm", separator="\n")
    with pytest.raises(TypeError, match=r"'seperator'; did you mean 'separator'\? it takes separ"):
        recipe_by_name("trl-prm", seperator="\n")
    with pytest.raises(ValueError, match=r"name: .*'uhead', whose network reads .* uncertainties"):
        recipe_by_name("uhead")
    with pytest.raises(ValueError, match=r"name: expected one of .*, math-shepherd, .*"):
        recipe_by_name("no-such-prm")
    with pytest.raises(ValueError, match=r"separator: expected a text of at least one .*; got ''"):
        trl_prm("")


def test_recipes_need_neither_torch_nor_transformers():
    script = (
        "import sys, stepscore.recipes as r; r.recipe_by_name('trl-prm');"
        "assert not {'torch', 'transformers', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=600)


def test_the_last_id_of_a_separator_of_several_tells_where_steps_end():
    tokenizer = models.byte_level_tokenizer()
    separator = " . . \n"
    ids = models.enc(tokenizer, separator)
    assert len(ids) > 1
    for which, ends in (("last", ids[-1:]), ("all", ids)):
        layout = SeparateParts(separator=separator, bos="id", separator_ids=which)
        assert list(layout.step_ends(tokenizer).separator) == ends
        encoded = layout.encode(tokenizer, ["p"], [["a", "b"]])
        for place in encoded.positions:
            assert encoded.token_ids[place + 1 - len(ends) : place + 1].tolist() == ends
