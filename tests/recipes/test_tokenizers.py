"""What a tokenizer must be: published ids in a published vocabulary, properties in any other."""

from __future__ import annotations

from dataclasses import replace

import models
import pytest
from tokenizers import Regex, Tokenizer, pre_tokenizers
from tokenizers import models as backends
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from stepscore.errors import Argument, InputError
from stepscore.recipes import math_shepherd, qwen_math_prm, skywork_o1_prm, trl_prm
from stepscore.recipes.layouts import TaggedText
from stepscore.recipes.layouts.encoding import encode_texts

# Math-Shepherd's layout without the words that the vocabulary below does not hold.
BARE = TaggedText(tag="ки", between=" ", joiner="\n", tag_start=" ")
SHEPHERD = replace(math_shepherd(), encode=BARE.encode)
QWEN = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}
MISTRAL = {"<unk>": 0, "<s>": 1, "▁[": 733, "]": 28793, "1": 28740, "2": 28750}


def fake(vocabulary, *, added=(), **special):
    """A tokenizer that carries a published vocabulary's fingerprint, and the rest as it is told."""
    tokenizer = Tokenizer(backends.WordLevel(dict(vocabulary), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"▁?[^▁\n]+|\n"), behavior="isolated")
    if "<s>" in vocabulary:
        from tokenizers import normalizers

        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        tokenizer.post_processor = TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
        )
    tokenizer.add_special_tokens(list(added))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def qwen_like(tag_id=151651, newline_id=198):
    vocabulary = {**QWEN, "<extra_0>": tag_id, "\n": newline_id, "<unk>": 5}
    added = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<extra_0>"]
    return fake(vocabulary, added=added, bos_token="<|endoftext|>")


def mistral_like(tag_id=12902, plus=648, minus=387):
    vocabulary = {**MISTRAL, "▁ки": tag_id, "▁+": plus, "▁-": minus, "▁1": 28801, "\n": 13}
    return fake(vocabulary, bos_token="<s>", unk_token="<unk>")


def test_published_ids_are_accepted():
    qwen_math_prm().check_tokenizer(qwen_like())
    skywork_o1_prm().check_tokenizer(qwen_like())
    trl_prm().check_tokenizer(qwen_like())
    math_shepherd().check_tokenizer(mistral_like())
    assert math_shepherd().head.word_ids(mistral_like()) == (648, 387)


@pytest.mark.parametrize(
    ("recipe", "tokenizer", "message"),
    [
        (
            qwen_math_prm(),
            qwen_like(tag_id=151700),
            r"to be 151651 in .*; got 151700",
        ),
        (
            skywork_o1_prm(),
            qwen_like(newline_id=200),
            r"to be 198 in .*; got 200",
        ),
        (trl_prm(), qwen_like(newline_id=200), r"to be 198 in .*; got 200"),
        (
            math_shepherd(),
            mistral_like(tag_id=12903),
            r"to be 12902 in .*; got 12903",
        ),
        (
            math_shepherd(),
            mistral_like(plus=649),
            r"to be \(648, 387\) in .*; got \(649, 387\)",
        ),
        (
            math_shepherd(),
            mistral_like(minus=388),
            r"to be \(648, 387\) in .*; got \(648, 388\)",
        ),
    ],
)
def test_published_vocabularies_must_have_the_published_ids(recipe, tokenizer, message):
    with pytest.raises(ValueError, match=message):
        recipe.check_tokenizer(tokenizer)


def test_other_vocabularies_pass_by_their_properties():
    qwen_math_prm().check_tokenizer(models.byte_level_tokenizer())
    skywork_o1_prm().check_tokenizer(models.byte_level_tokenizer("<|endoftext|>"))
    math_shepherd().check_tokenizer(models.word_piece_tokenizer())
    for separator in ("\n", "\n\n", "ки"):
        trl_prm(separator).check_tokenizer(models.byte_level_tokenizer())


def without_added(token):
    """The byte-level tokenizer as it would be without one of its added tokens."""
    import json

    tokenizer = models.byte_level_tokenizer()
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content["added_tokens"] = [a for a in content["added_tokens"] if a["content"] != token]
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(content)))


@pytest.mark.parametrize("token", ["<extra_0>", "<|im_start|>"])
def test_a_tag_that_text_could_produce_is_refused(token):
    tokenizer = without_added(token)
    assert len(models.enc(tokenizer, token)) > 1
    with pytest.raises(ValueError, match=f"'{token}' to be one added token".replace("|", r"\|")):
        qwen_math_prm().check_tokenizer(tokenizer)


def test_a_missing_bos_text_is_refused():
    with pytest.raises(ValueError, match=r"a text as the tokenizer's bos_token, .* got None"):
        skywork_o1_prm().check_tokenizer(models.byte_level_tokenizer())


def test_shepherd_needs_its_bos_first():
    with pytest.raises(ValueError, match="puts its BOS token first"):
        math_shepherd().check_tokenizer(models.byte_level_tokenizer("<|endoftext|>"))


def test_shepherd_needs_two_words():
    tokenizer = fake(
        {"<unk>": 0, "<s>": 1, "▁+▁-": 2, "▁ки": 3}, bos_token="<s>", unk_token="<unk>"
    )
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split("\n", behavior="isolated")
    with pytest.raises(ValueError, match="to be two different tokens after BOS"):
        math_shepherd().check_tokenizer(tokenizer)


def test_words_that_cannot_be_written_are_refused():
    tokenizer = fake({"<unk>": 0, "<s>": 1, "▁ки": 3}, bos_token="<s>", unk_token="<unk>")
    with pytest.raises(ValueError, match="a tokenizer that can write the words"):
        math_shepherd().check_tokenizer(tokenizer)


def test_a_tag_of_several_tokens_is_refused():
    vocabulary = {"<unk>": 0, "<s>": 1, "▁+": 2, "▁-": 3, "▁": 4, "к": 5, "и": 6, "\n": 7, "1": 8}
    tokenizer = fake(vocabulary, bos_token="<s>", unk_token="<unk>")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"▁[+-]|."), behavior="isolated"
    )
    with pytest.raises(ValueError, match="'ки' to be one token, the same alone and behind a step"):
        math_shepherd().check_tokenizer(tokenizer)


def test_a_separator_that_cannot_be_written_is_refused():
    tokenizer = fake({"<unk>": 0, "a": 1}, unk_token="<unk>")
    with pytest.raises(ValueError, match=r"a tokenizer that can write the separator '\\n'"):
        trl_prm().check_tokenizer(tokenizer)


def test_truncation_and_padding_left_in_a_tokenizer_are_switched_off():
    import copy

    tokenizer = copy.deepcopy(models.byte_level_tokenizer())
    tokenizer.backend_tokenizer.enable_truncation(5)
    tokenizer.backend_tokenizer.enable_padding(length=64)
    steps = [["We add 3 and 4, and so on.", "It is 7."]]
    for recipe in (qwen_math_prm(), trl_prm()):
        clean = recipe.encode(models.byte_level_tokenizer(), ["What?"], steps)
        assert recipe.encode(tokenizer, ["What?"], steps).trace(0) == clean.trace(0)


def test_a_tag_that_merges_with_its_step_is_an_error_and_not_a_lost_score():
    import json

    tokenizer = models.byte_level_tokenizer()
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    for added in content["added_tokens"]:
        added["single_word"] = added["content"] == "<extra_0>"  # not found beside a letter
    spoiled = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(content)))
    with pytest.raises(ValueError, match=r"steps\[0\]: expected 2 tokens '<extra_0>' .*; got 1"):
        qwen_math_prm().encode(spoiled, ["What?"], [["It is 7 x", "It is 7."]])


def digits_and_newlines() -> PreTrainedTokenizerFast:
    """A vocabulary of 1, newline, tag and words, without an unknown token."""
    known = {"1": 0, "\n": 1, " ": 2, "ки": 3, "+": 4, "-": 5, "<s>": 6}
    tokenizer = Tokenizer(backends.WordLevel(known))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("ки|."), behavior="isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")


@pytest.mark.parametrize(
    ("recipe", "problem", "step", "argument"),
    [
        (trl_prm(), "1", "1x1", Argument("steps", index=(1, 1))),
        (trl_prm(), "1x", "1", Argument("problems", index=(1,))),
        (skywork_o1_prm(), "1x", "1", Argument("problems", index=(1,))),
        # One text for the whole trace, and yet the part at fault is named.
        (
            SHEPHERD,
            "1x",
            "1",
            Argument("problems", index=(1,)),
        ),
        (
            SHEPHERD,
            "1",
            "1x1",
            Argument("steps", index=(1, 1)),
        ),
    ],
)
def test_a_text_that_the_vocabulary_cannot_write_is_named(recipe, problem, step, argument):
    with pytest.raises(InputError) as caught:
        recipe.encode(digits_and_newlines(), ["1", problem], [["1"], ["11", step]])
    assert caught.value.argument == argument
    assert caught.value.expected == "text that the model's tokenizer can write"
    assert caught.value.got.startswith("'1x")
    assert type(caught.value.__cause__) is Exception, "as the tokenizers library raises it"


def test_encoded_texts_are_named_by_their_index():
    with pytest.raises(InputError, match=r"^texts\[2\]: expected text .*; got 'x' "):
        encode_texts(digits_and_newlines(), ["1", "11", "x", "x1"])


def test_a_bare_exception_that_no_text_alone_explains_is_an_input_error():
    class Failing:
        def __call__(self, texts, **_):
            if len(texts) > 1:
                raise Exception("too many")
            return {"input_ids": [[0]]}

    with pytest.raises(InputError, match=r"texts: expected texts that .* write; got too many"):
        encode_texts(Failing(), ["1", "2"])


def test_a_text_of_the_recipe_that_cannot_be_written_names_no_argument():
    backend = Tokenizer(backends.WordLevel({"1": 0}))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    with pytest.raises(InputError, match=r"^expected text .*; got '<extra_0>' ") as caught:
        qwen_math_prm().check_tokenizer(tokenizer)
    assert caught.value.argument is None  # who loads a model passes no texts
    assert Argument("recipe") in caught.value.advice


def test_a_prompt_of_marks_that_are_none_is_refused():
    from stepscore.recipes import vgs_value

    with pytest.raises(ValueError, match=r"vgs-value: expected a tokenizer that can write '<.*one"):
        vgs_value().check_tokenizer(models.byte_level_tokenizer())


def test_an_added_token_that_is_written_with_another_one_is_refused():
    from stepscore.recipes.layouts.vocabulary import expect_added

    class WithABlank:
        """As a vocabulary that writes a blank in front of every text, added tokens too."""

        bos_token = bos_token_id = None

        def get_added_vocab(self):
            return {"<tag>": 7}

        def convert_tokens_to_ids(self, token):
            return {"<tag>": 7}.get(token)

        def convert_ids_to_tokens(self, number):
            return {7: "<tag>"}.get(number)

        def __call__(self, texts, **_):
            return {"input_ids": [[3, 7] for _ in texts]}

    with pytest.raises(
        ValueError, match=r"'<tag>' to be one added token of the tokenizer; got the"
    ):
        expect_added("mine", WithABlank(), "<tag>")
