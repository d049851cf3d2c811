"""Tokenizers that the chats of published models need, and those that would write other ones."""

from __future__ import annotations

from copy import deepcopy

import models
import pytest
from rows import ROWS
from rows_turns import LLAMA, PATHFINDER, QWEN_SYSTEM, with_tokens
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from stepscore import recipes
from stepscore.errors import InputError
from stepscore.recipes.layouts import CHATML, LabelTurns, PrefixProbe, rows_of_words
from stepscore.recipes.registry import check_tokenizer

# What the templates of the published tokenizers do, as far as turns of texts go.
LLAMA_TEMPLATE = (
    "{{- bos_token }}"
    "{%- if messages[0]['role'] == 'system' %}"
    "{%- set system = messages[0]['content']|trim %}{%- set messages = messages[1:] %}"
    "{%- else %}{%- set system = '' %}{%- endif %}"
    "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}"
    "{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\n\n' }}"
    "{{- 'Cutting Knowledge Date: December 2023\nToday Date: ' + date_string + '\n\n' }}"
    "{{- system + '<|eot_id|>' }}"
    "{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{- message['content']|trim + '<|eot_id|>' }}{%- endfor %}"
)
UNDATED = (
    "{{- bos_token }}{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{- message['content']|trim + '<|eot_id|>' }}{%- endfor %}"
)


def qwen_template(system):
    return (
        "{%- if messages[0]['role'] != 'system' %}"
        f"{{{{- '<|im_start|>system\n{system}<|im_end|>\n' }}}}{{%- endif %}}"
        "{%- for message in messages %}"
        "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
        "{%- endfor %}"
    )


def templated(tokenizer, template, **tokens):
    copy = deepcopy(tokenizer)
    for name, token in tokens.items():
        setattr(copy, name, token)
    copy.chat_template = template
    return copy


LLAMA_TOKENIZER = {"bos_token": "<|begin_of_text|>"}
MATH = "Please reason step by step, and put your final answer within \\\\boxed{}."
AGREE = [
    (recipes.rlhflow_prm(), LLAMA, LLAMA_TEMPLATE),
    (recipes.rlhflow_prm(system="none"), LLAMA, UNDATED),
    (recipes.fover_prm("llama"), LLAMA, LLAMA_TEMPLATE),
    (recipes.fover_prm("qwen"), (), qwen_template(QWEN_SYSTEM)),
    (recipes.pathfinder_prm(), PATHFINDER, qwen_template(MATH)),
    (recipes.pathfinder_prm(system="qwen2.5"), PATHFINDER, qwen_template(QWEN_SYSTEM)),
    (
        recipes.pathfinder_prm("search", "none"),
        PATHFINDER,
        qwen_template("").replace("{{- '<|im_start|>system\n<|im_end|>\n' }}", ""),
    ),
    (recipes.pathfinder_prm(system="Be strict."), PATHFINDER, qwen_template("Be strict.")),
    # Its authors pass the system turn.
    (recipes.visual_prm(), (), qwen_template("whatever: it is not asked")),
]
DIFFER = [
    (recipes.rlhflow_prm(), LLAMA, UNDATED),
    (recipes.rlhflow_prm(system="none"), LLAMA, LLAMA_TEMPLATE),
    (recipes.rlhflow_prm(), LLAMA, LLAMA_TEMPLATE.replace("|trim + '<|eot", " + ' <|eot")),
    (recipes.fover_prm("qwen"), (), qwen_template(MATH)),
    (recipes.pathfinder_prm(), PATHFINDER, qwen_template(QWEN_SYSTEM)),
    (recipes.pathfinder_prm(), PATHFINDER, "{{ raise_exception('no chats') }}"),
]


@pytest.mark.parametrize(("recipe", "tokens", "template"), AGREE)
def test_a_template_that_agrees_is_accepted(recipe, tokens, template):
    bos = LLAMA_TOKENIZER if tokens == LLAMA else {}
    tokenizer = with_tokens(*tokens, plain=tokens == PATHFINDER)
    recipe.check_tokenizer(templated(tokenizer, template, **bos))


@pytest.mark.parametrize(("recipe", "tokens", "template"), DIFFER)
def test_one_that_writes_another_chat_is_an_error(recipe, tokens, template):
    bos = LLAMA_TOKENIZER if tokens == LLAMA else {}
    tokenizer = with_tokens(*tokens, plain=tokens == PATHFINDER)
    message = f"{recipe.name}: expected .*template.*pass the system that"
    with pytest.raises(ValueError, match=message):
        recipe.check_tokenizer(templated(tokenizer, template, **bos))


@pytest.mark.parametrize(
    ("recipe", "tokens", "template", "advice"),
    [
        (*DIFFER[0], "recipe=rlhflow-prm:data=deepseek,variant=author,system=... that the model"),
        (*DIFFER[3], "pass the recipe that the model was trained with"),  # it has no such argument
        (*DIFFER[4], "recipe=pathfinder-prm:variant=card,system=... that the model was trained"),
    ],
)
def test_the_system_turn_is_advised_as_an_argument_of_the_recipe(recipe, tokens, template, advice):
    bos = LLAMA_TOKENIZER if tokens == LLAMA else {}
    tokenizer = with_tokens(*tokens, plain=tokens == PATHFINDER)
    with pytest.raises(InputError) as refused:
        check_tokenizer(recipe, templated(tokenizer, template, **bos))
    told = refused.value.told(
        lambda argument: argument.name if argument.value is None else f"recipe={argument.value}"
    )
    assert advice in told


def test_universal_passes_its_own_system_turn():
    # The card passes the system turn, so that the default of a template does not matter.
    recipe = recipes.universal_prm("score.weight")
    tokenizer = templated(models.byte_level_tokenizer(), qwen_template(QWEN_SYSTEM))
    recipe.check_tokenizer(tokenizer)


@pytest.mark.parametrize("name", ["rlhflow-prm", "pathfinder-prm", "fover-prm, Qwen"])
def test_a_tokenizer_without_the_marks_is_refused(name):
    recipe = ROWS[name].recipe
    tokenizer = models.byte_level_tokenizer()
    if name == "fover-prm, Qwen":
        tokenizer = deepcopy(tokenizer)
        tokenizer.get_added_vocab = dict
    with pytest.raises(ValueError, match=f"{recipe.name}: expected .*(added token|the word '<)"):
        recipe.check_tokenizer(tokenizer)
    plain = with_tokens("<+>", "<->", plain=True)
    if name == "pathfinder-prm":
        with pytest.raises(ValueError, match="'<extra>' to be one added token"):
            recipe.check_tokenizer(plain)


def test_a_label_that_merges_with_its_header_is_refused():
    tokenizer = with_tokens("\n+", plain=True)
    with pytest.raises(ValueError, match=r"visual-prm: expected '\+' to begin with a token of its"):
        recipes.visual_prm().check_tokenizer(tokenizer)


def test_words_that_are_one_label_are_refused():
    readout = rows_of_words(("Yes we", "Yes I"), take="first")
    with pytest.raises(
        ValueError, match="r: expected the first ids of 'Yes we' and 'Yes I' to dif"
    ):
        readout.check_tokenizer("r", models.byte_level_tokenizer())
    readout = rows_of_words(("<+>", "<->"), take="entry")
    with pytest.raises(ValueError, match=r"write the word '<\+>'; got the ids \[\]"):
        readout.check_tokenizer("r", models.byte_level_tokenizer())


def test_an_eos_that_is_read_must_be_there():
    tokenizer = deepcopy(models.byte_level_tokenizer())
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="universal-prm: expected a tokenizer with an EOS token"):
        recipes.universal_prm("score.weight").check_tokenizer(tokenizer)


@pytest.mark.parametrize("name", ["rlhflow-prm", "visual-prm", "pathfinder-prm", "universal-prm"])
def test_marks_in_texts_are_refused(name):
    recipe, marks = ROWS[name].recipe, ["<|im_start|>"]
    marks = {"rlhflow-prm": ["<|start_header_id|>", "<|eot_id|>"]}.get(name, marks)
    for mark in [*marks, *(PATHFINDER if name == "pathfinder-prm" else ())]:
        for fault in (recipe.fault_in_problem(f"a{mark}b"), recipe.fault_in_step(f"a{mark}b")):
            assert fault is not None
            assert repr(mark) in fault.expected
            assert fault.argument is None


def test_an_image_is_not_offered():
    for fault in (
        recipes.visual_prm().fault_in_problem("<image>\nWhat is this?"),
        recipes.visual_prm().fault_in_step("It is <img><IMG_CONTEXT></img>"),
    ):
        assert fault is not None
        assert "of text alone, because images are not offered" in fault.expected
        assert "<im" in fault.got


def test_only_what_the_authors_leave_to_the_tokenizer_brings_its_bos():
    backend = Tokenizer.from_str(with_tokens(*LLAMA).backend_tokenizer.to_str())
    bos = backend.token_to_id("<|begin_of_text|>")
    backend.post_processor = TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", bos)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|begin_of_text|>", eos_token="<|endoftext|>"
    )
    for recipe, count in [
        (recipes.visual_prm(), 1),  # tokenizer(query)
        (recipes.rlhflow_prm(), 1),  # of the template, not twice
        (recipes.fover_prm("qwen"), 0),
        (recipes.universal_prm("score.weight"), 0),
    ]:
        ids, places = recipe.encode(tokenizer, ["p"], [["a"]]).trace(0)
        assert ids.count(bos) == count
        assert count == 0 or ids[0] == bos
        assert len(places) == 1


class FaithfulButOnce:
    """A tokenizer that writes marks of the layout where nobody put them."""

    def __init__(self, tokenizer, word, ids):
        self.tokenizer, self.word, self.ids = tokenizer, word, ids

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)

    def __call__(self, texts, **options):
        encoded = self.tokenizer(texts, **options)["input_ids"]
        return {
            "input_ids": [
                [*ids, *self.ids] if self.word in text else ids
                for text, ids in zip(texts, encoded, strict=True)
            ]
        }


def test_another_number_of_places_than_steps_is_an_error():
    tokenizer = models.byte_level_tokenizer()
    turns = LabelTurns(CHATML, "none", "+")
    answer = models.enc(tokenizer, "<|im_start|>assistant\n+<|im_end|>")
    faulty = FaithfulButOnce(tokenizer, "odd", answer)
    with pytest.raises(ValueError, match=r"steps\[1\]: expected 1 answers \(ids .*got 2"):
        turns.encode(faulty, ["p", "p"], [["a"], ["odd"]])
    probe = PrefixProbe(CHATML, "none", (" <extra_0>",), mark="<extra_0>", added=("<extra_0>",))
    faulty = FaithfulButOnce(tokenizer, "odd", models.enc(tokenizer, " <extra_0>"))
    with pytest.raises(ValueError, match=r"steps\[1\]: expected 1 tokens '<extra_0>' .*got 2"):
        probe.encode(faulty, ["p", "p"], [["a", "b"], ["a", "odd"]])


def test_a_text_that_cannot_be_written_is_named_by_its_trace_and_step():
    class Illiterate(FaithfulButOnce):
        def __call__(self, texts, **options):
            if any(self.word in text for text in texts):
                raise Exception("no such character")  # as the tokenizers library does
            return self.tokenizer(texts, **options)

    tokenizer = Illiterate(models.byte_level_tokenizer(), "\u4e00", ())
    for layout in (
        PrefixProbe(CHATML, "none", ("\n\n",), adds_eos=True),
        LabelTurns(CHATML, "none", "+"),
    ):
        with pytest.raises(ValueError, match=r"^steps\[1, 2\]|^steps\[1\]\[2\]"):
            layout.encode(tokenizer, ["p", "q"], [["a"], ["a", "b", "\u4e00"]])
        with pytest.raises(ValueError, match=r"^problems\[1\]"):
            layout.encode(tokenizer, ["p", "\u4e00"], [["a"], ["a", "b"]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: recipes.rlhflow_prm("other"),
            "data: expected 'deepseek' or 'mistral'; got 'other'",
        ),
        (lambda: recipes.rlhflow_prm(variant="x"), "variant: expected 'author' or"),
        (lambda: recipes.fover_prm("gemma"), "model: expected 'llama' or 'qwen'"),
        (lambda: recipes.visual_prm("x"), "labels: expected 'soft' or 'hard'"),
        (lambda: recipes.pathfinder_prm("prmbench"), "variant: expected 'card' or 'search' or"),
    ],
)
def test_a_choice_that_there_is_not_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
