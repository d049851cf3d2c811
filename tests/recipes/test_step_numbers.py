"""Math-Shepherd's steps: numbers that the text brings, tags that are words, spaces around steps."""

from __future__ import annotations

import gzip
import json
import time

import models
import pytest
from models import enc
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers import models as backends
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from stepscore.errors import Argument, InputError
from stepscore.recipes import math_shepherd, recipe_by_name, skywork_o1_prm, trl_prm

SHEPHERD = math_shepherd()
FORMS = [
    "Step {}:",
    "## Step {}:",
    "**Step {}:**",
    "step {}:",
    "Step  {}:",
    "STEP {} :",
    "Step {}.",
]
FORMS += ["> Step {}) ", "### Step {}", "- Step {} -", "Step{}:", "__Step {}__", "Step {}："]


@pytest.mark.parametrize("form", FORMS)
def test_a_text_is_split_at_its_numbers_and_not_numbered_again(form):
    steps = [f"{form.format(1)} we add\nand 3 + 4 = 7", f"{form.format(2)} so\n\n7 + 5 = 12"]
    for text in ("\n".join(steps), "\n\n".join(steps) + "\n", "\r\n".join(steps)):
        assert SHEPHERD.split(text) == steps
    tokenizer = models.word_piece_tokenizer()
    ids, positions = SHEPHERD.encode(tokenizer, ["What?"], [steps]).trace(0)
    assert ids == enc(tokenizer, f"What? {steps[0]} ки\n{steps[1]} ки", special=True)
    assert len(positions) == 2


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        # A tag wins over numbers, and numbers over lines.
        ("Step 1: a\nStep 2: b ки\nc ки", ["Step 1: a\nStep 2: b", "c"]),
        ("Let us see.\nStep 1: a\nStep 2: b", ["Let us see.\nStep 1: a", "Step 2: b"]),
        ("First a.\nStep 2: b", ["First a.", "Step 2: b"]),
        ("Step 1: a. Step 2: b. By Step 1: c", ["Step 1: a.", "Step 2: b. By Step 1: c"]),
        ("Step 1: a\nas in Step 2: b\nStep 2: c", ["Step 1: a\nas in Step 2: b", "Step 2: c"]),
        # References and decimals are no numbers of steps.
        ("by Step 1: a\nb", ["by Step 1: a", "b"]),
        ("Step 1 of the proof\nb", ["Step 1 of the proof", "b"]),
        ("step 1.5 is odd\nb", ["step 1.5 is odd", "b"]),
        ("Steps 1: a\nb", ["Steps 1: a", "b"]),
        ("a\n\nb", ["a", "b"]),
    ],
)
def test_what_splits_a_text(text, steps):
    assert SHEPHERD.split(text) == steps


def test_a_long_line_of_marks_takes_no_time():
    begin = time.process_time()
    for text in ("-" * 100_000, "step " * 20_000, "* " * 50_000 + "step", "Step 1: " * 20_000):
        SHEPHERD.split(text)
    assert time.process_time() - begin < 2


def test_numbering_can_be_turned_off():
    recipe, tokenizer = math_shepherd(numbering="never"), models.word_piece_tokenizer()
    ids, _ = recipe.encode(tokenizer, ["What?"], [["We add 3.", "Step 2: It is 7."]]).trace(0)
    assert ids == enc(tokenizer, "What? We add 3. ки\nStep 2: It is 7. ки", special=True)
    assert recipe_by_name("math-shepherd", numbering="never").parameters == recipe.parameters
    assert recipe.as_config() == {"recipe": "math-shepherd", "numbering": "never"}
    with pytest.raises(ValueError, match="numbering: expected 'missing' or 'never'; got 'no'"):
        math_shepherd("no")


def spaces_that_merge() -> PreTrainedTokenizerFast:
    """Math-Shepherd's tag in a vocabulary in which spaces before it would take it along.

    As in Mistral's, the tag's token is also the beginning of words.
    """
    pieces = ["<unk>", "<s>", "▁ки", "ки", "▁▁ки", "▁", "\n", "но", "ру", "▁ру", ".", ":"]
    vocabulary = {piece: number for number, piece in enumerate([*pieces, *"StepWhat?123+=xо"])}
    tokenizer = Tokenizer(backends.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex("▁▁ки|▁ки|ки|но|▁ру|ру|.|\n"), behavior="isolated"
    )
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token="<unk>")


def test_spaces_around_a_step_of_a_list_go_as_in_a_text():
    tokenizer = spaces_that_merge()
    expected = SHEPHERD.encode(tokenizer, ["What?"], [["1+2=3", "x"]])
    for steps in (["1+2=3 ", " x  "], ["1+2=3\n", "x\r\n"], ["\n1+2=3", "x"]):
        encoded = SHEPHERD.encode(tokenizer, ["What?"], [steps])
        assert encoded.trace(0) == expected.trace(0)
    assert len(expected.positions) == 2


def test_a_word_that_contains_the_tag_is_none_and_its_token_is():
    tokenizer = spaces_that_merge()
    steps = ["руки x", "x руки"]
    assert [SHEPHERD.fault_in_step(step) for step in steps] == [None, None]
    assert SHEPHERD.fault_in_problem("руки") is None
    assert SHEPHERD.split("руки\nx") == ["руки", "x"]
    assert len(SHEPHERD.encode(tokenizer, ["руки?"], [steps]).positions) == 2
    for text in ("x ки 1", "ки", "(ки)"):
        fault = SHEPHERD.fault_in_step(f"x {text} x")
        assert fault is not None
        assert "'ки'" in fault.expected
    # The tokenizer writes кино with the tag's token, which the model would read as a step's end.
    for problem, trace, place in (
        ("What?", ["x", "x кино"], Argument("steps", index=(1, 1))),
        ("кино?", ["x"], Argument("problems", index=(1,))),
    ):
        with pytest.raises(InputError, match=r"without the token 'ки' \(id 2\)") as caught:
            SHEPHERD.encode(tokenizer, ["x", problem], [["x"], trace])
        assert caught.value.argument == place


@pytest.mark.parametrize("separator", ["\n", "\n\n", ".\n"])
def test_trl_takes_a_step_that_holds_the_separator_as_its_trainer_does(separator):
    recipe, tokenizer = trl_prm(separator), models.byte_level_tokenizer()
    steps = [f"We add 3{separator}and 4.", f"It is 7.{separator}", f"{separator}x"]
    ids, positions = recipe.encode(tokenizer, ["What?"], [steps]).trace(0)
    expected, ends = enc(tokenizer, "What?"), []
    for step in steps:
        expected = expected + enc(tokenizer, step) + enc(tokenizer, separator)
        ends.append(len(expected) - 1)
    assert (ids, positions) == (expected, ends)


def test_windows_line_ends_are_newlines_in_problems_and_steps():
    for recipe, tokenizer in (
        (SHEPHERD, models.word_piece_tokenizer()),
        (trl_prm("\n\n"), models.byte_level_tokenizer()),
        (skywork_o1_prm(), models.byte_level_tokenizer("<|endoftext|>")),
    ):
        problem, steps = "What?\nSay it.", ["\nWe add 3.", "It is 7.\n"]
        windows = [step.replace("\n", "\r\n") for step in steps]
        assert [recipe.fault_in_step(step) for step in windows] == [None, None]
        encoded = recipe.encode(tokenizer, [problem.replace("\n", "\r\n")], [windows])
        assert encoded.trace(0) == recipe.encode(tokenizer, [problem], [steps]).trace(0)


def test_blank_lines_behind_a_step_go_where_lines_are_steps():
    recipe, tokenizer = skywork_o1_prm(), models.byte_level_tokenizer("<|endoftext|>")
    expected = recipe.encode(tokenizer, ["What?"], [["It is 7.", "\nx"]])
    encoded = recipe.encode(tokenizer, ["What?"], [["It is 7.\n \n", "\nx\n"]])
    assert encoded.trace(0) == expected.trace(0)


def test_the_traces_of_prmbench_are_laid_out(data):
    tokenizer = spaces_that_merge()
    tokenizer_of_steps = models.word_piece_tokenizer()
    refused = with_spaces = 0
    for path in sorted((data / "prmbench").glob("*test*.jsonl.gz"))[:3]:
        for line in gzip.decompress(path.read_bytes()).splitlines():
            record = json.loads(line)
            steps = record["modified_process"]
            if any(not step.strip() for step in steps):
                continue
            with_spaces += any(step != step.rstrip() for step in steps)
            refused += any(SHEPHERD.fault_in_step(step) is not None for step in steps)
            spaces = [["x" + step[len(step.rstrip()) :] for step in steps]]
            assert len(SHEPHERD.encode(tokenizer, ["What?"], spaces).positions) == len(steps)
            encoded = SHEPHERD.encode(tokenizer_of_steps, [record["question"]], [steps])
            assert len(encoded.positions) == len(steps)
    assert refused == 0
    assert with_spaces > 5
