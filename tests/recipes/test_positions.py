"""Ends of steps in token ids: as the recipe lays them out, or an error that names the way."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from models import byte_level_tokenizer, enc, word_piece_tokenizer

from stepscore import recipes
from stepscore.errors import InputError

QWEN, BOS = byte_level_tokenizer(), byte_level_tokenizer("<|endoftext|>")
WORDS = ["We add 3 and 4.", "The sum is 7", "So x is 3. That is", "9 eggs per day.", "7"]


def traces(seed, *, inner="", lines=False):
    """Random problems and steps; with `inner`, some steps and problems hold it."""
    draw = random.Random(seed)
    problems, steps = [], []
    for _ in range(draw.randint(1, 6)):
        join = draw.choice([" ", inner or " "])
        problems.append(join.join(draw.choices(WORDS, k=draw.randint(1, 3))))
        some = [
            (" " if lines else join).join(draw.choices(WORDS, k=draw.randint(1, 2)))
            for _ in range(draw.randint(1, 5))
        ]
        if lines:  # blank lines, of white space alone too, stand before some steps
            some = [draw.choice(["", "", "\n", "\n\n", " \n", "\n \u3000\n"]) + s for s in some]
        steps.append(some)
    return problems, steps


def prompt_lengths(tokenizer, problems):
    return [len(enc(tokenizer, f"<|endoftext|>{problem}\n")) for problem in problems]


def counts(steps):
    return [len(each) for each in steps]


CASES = {
    "qwen": (recipes.qwen_math_prm(), QWEN, {}, lambda *_: {}),
    "qwen-prompts": (
        recipes.qwen_math_prm(),
        QWEN,
        {},
        lambda problems, steps: {"step_counts": counts(steps), "prompt_lengths": [1] * len(steps)},
    ),
    "shepherd": (
        recipes.math_shepherd(),
        word_piece_tokenizer(),
        {},
        lambda problems, steps: {"step_counts": counts(steps)},
    ),
    "shepherd-prompts": (
        recipes.math_shepherd("never"),
        word_piece_tokenizer(),
        {},
        lambda problems, steps: {
            "prompt_lengths": [
                len(enc(word_piece_tokenizer(), problem, special=True)) for problem in problems
            ]
        },
    ),
    "skywork": (
        recipes.skywork_o1_prm(),
        BOS,
        {"inner": "\n", "lines": True},
        lambda problems, steps: {"prompt_lengths": prompt_lengths(BOS, problems)},
    ),
    "trl": (
        recipes.trl_prm(),
        QWEN,
        {},
        lambda problems, steps: {"step_counts": counts(steps)},
    ),
    "trl-two-newlines": (
        recipes.trl_prm("\n\n"),
        QWEN,
        {},
        lambda problems, steps: {"step_counts": counts(steps)},
    ),
    "trl-several-ids": (
        recipes.trl_prm(" ki ki"),
        word_piece_tokenizer(),
        {},
        lambda problems, steps: {"step_counts": counts(steps)},
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(12))
def test_ends_are_found_where_the_recipe_lays_them(case, seed):
    recipe, tokenizer, texts, known = CASES[case]
    problems, steps = traces(seed, **texts)
    encoded = recipe.encode(tokenizer, problems, steps)
    options = known(problems, steps)
    positions, step_offsets = recipe.positions(
        encoded.token_ids, encoded.offsets, tokenizer=tokenizer, **options
    )
    assert positions.tolist() == encoded.positions.tolist()
    assert step_offsets.tolist() == encoded.step_offsets.tolist()
    assert positions.dtype == step_offsets.dtype == np.int64
    tensors = torch.from_numpy(encoded.token_ids), torch.from_numpy(encoded.offsets)
    of_torch = recipe.positions(*tensors, tokenizer=tokenizer, **options)
    assert [each.tolist() for each in of_torch] == [positions.tolist(), step_offsets.tolist()]
    assert all(each.dtype == torch.int64 for each in of_torch)


@pytest.mark.parametrize("separator", ["\n", "\n\n"])
def test_a_step_that_holds_the_separator_is_an_error_and_no_guess(separator):
    recipe = recipes.trl_prm(separator)
    steps = [[f"We add 3{separator}The sum is 7", "So x is 3"]]
    encoded = recipe.encode(QWEN, ["What is x?"], steps)
    with pytest.raises(
        InputError, match=r"2 of .*in trace 0; got 3; encode every part alone.*or give read"
    ):
        recipe.positions(encoded.token_ids, encoded.offsets, tokenizer=QWEN, step_counts=[2])
    with pytest.raises(InputError, match=r"step_counts: expected for trl-prm, the number of steps"):
        recipe.positions(encoded.token_ids, encoded.offsets, tokenizer=QWEN)


def test_separators_of_a_problem_are_none_of_its_steps():
    recipe = recipes.trl_prm()
    problem, steps = "Line one\nline two\n", ["We add 3", "The sum is 7"]
    encoded = recipe.encode(QWEN, [problem], [steps])
    options = {"tokenizer": QWEN, "step_counts": [2]}
    with pytest.raises(InputError, match=r"got 4; .*pass prompt_lengths if a problem holds it"):
        recipe.positions(encoded.token_ids, encoded.offsets, **options)
    prompt = [len(enc(QWEN, problem))]
    found = recipe.positions(encoded.token_ids, encoded.offsets, prompt_lengths=prompt, **options)
    assert found[0].tolist() == encoded.positions.tolist()


def test_a_run_of_separators_that_may_end_in_two_places_is_an_error():
    recipe = recipes.trl_prm("-two ids-")
    ends = recipe.step_ends(QWEN).separator
    assert len(ends) > 1
    twice = recipes.trl_prm("aa")

    class Letters:
        bos_token = bos_token_id = None

        def __call__(self, texts, **_):
            return {"input_ids": [[ord(letter) for letter in text] for text in texts]}

        def decode(self, ids):
            return "".join(map(chr, ids))

    encoded = twice.encode(Letters(), ["?"], [["ba", "c"]])
    with pytest.raises(InputError, match=r"separators \(ids \[97, 97\]\) that do not overlap"):
        twice.positions(encoded.token_ids, encoded.offsets, tokenizer=Letters(), step_counts=[2])


# --- the tag in a problem ---------------------------------------------------------------------


def chat(problem, *steps):
    text = "<|im_start|>system\nReason.<|im_end|>\n<|im_start|>user\n" + problem
    text += "<|im_end|>\n<|im_start|>assistant\n" + "".join(f"{s}<extra_0>" for s in steps)
    return enc(QWEN, text + "<|im_end|>\n")


def test_a_tag_in_the_problem_is_refused_as_score_refuses_it():
    recipe = recipes.qwen_math_prm()
    good, bad = chat("Why?", "It is 3.", "So 4."), chat("Why <extra_0> not?", "It is 3.")
    ids, offsets = good + bad, [0, len(good), len(good) + len(bad)]
    with pytest.raises(InputError, match=r"no '<extra_0>'.*before the first step.*of trace 1"):
        recipe.positions(ids, offsets, tokenizer=QWEN)
    for problem in ("Why?", "Why <extra_0> not?"):
        fault = recipe.fault_in_problem(problem)
        assert (fault is None) == ("<extra_0>" not in problem)
    positions, _ = recipe.positions(good, [0, len(good)], tokenizer=QWEN)
    assert len(positions) == 2
    # Known lengths find it, too.
    with pytest.raises(InputError, match="in its problem; remove it from the problem"):
        recipe.positions(bad, [0, len(bad)], tokenizer=QWEN, prompt_lengths=[len(bad) - 5])


def test_where_no_token_ends_a_problem_its_length_is_asked_for():
    recipe, tokenizer = recipes.math_shepherd(), word_piece_tokenizer()
    ids = enc(tokenizer, "Why ки not? Step 1: It is 3. ки", special=True)
    with pytest.raises(InputError, match=r"no id tells where a problem ends.*prompt_lengths or"):
        recipe.positions(ids, [0, len(ids)], tokenizer=tokenizer)
    with pytest.raises(InputError, match=r"1 of 'ки' .*in trace 0; got 2"):
        recipe.positions(ids, [0, len(ids)], tokenizer=tokenizer, step_counts=[1])
    prompt = [len(enc(tokenizer, "Why ки not?", special=True))]
    with pytest.raises(InputError, match=r"no 'ки' .*before the first step, .*in its problem"):
        recipe.positions(ids, [0, len(ids)], tokenizer=tokenizer, prompt_lengths=prompt)


def test_a_chat_without_its_turns_is_an_error():
    ids = enc(QWEN, "Why? It is 3.<extra_0>")
    recipe = recipes.qwen_math_prm()
    with pytest.raises(InputError, match=r"that begins the turn .*got none in trace 0; .*lengths"):
        recipe.positions(ids, [0, len(ids)], tokenizer=QWEN)
    found = recipe.positions(ids, [0, len(ids)], tokenizer=QWEN, prompt_lengths=[2])
    assert found[0].tolist() == [len(ids) - 1]


def test_a_step_without_text_is_an_error():
    ids = chat("Why?", "It is 3.", "", "So 4.")
    with pytest.raises(InputError, match=r"text in every step; got nothing before the '<extra_0>'"):
        recipes.qwen_math_prm().positions(ids, [0, len(ids)], tokenizer=QWEN)


# --- published ids, and arguments -------------------------------------------------------------


def test_published_ids_need_no_tokenizer():
    ids = [151644, 8948, 198, 1, 151645, 151644, 77091, 198, 5, 151651, 6, 7, 151651, 151645]
    positions, _ = recipes.qwen_math_prm().positions(ids, [0, len(ids)])
    assert positions.tolist() == [9, 12]
    ids = [1, 40, 41, 12902, 42, 12902]
    positions, _ = recipes.math_shepherd().positions(ids, [0, 6], step_counts=[2])
    assert positions.tolist() == [3, 5]
    ids = [9, 198, 5, 198, 198, 6, 198]
    options = {"prompt_lengths": [2], "step_counts": [2]}
    positions, _ = recipes.skywork_o1_prm().positions(ids, [0, 7], **options)
    assert positions.tolist() == [3, 6]
    with pytest.raises(InputError, match=r"tokenizer: .*because a blank line is no step"):
        recipes.skywork_o1_prm().positions(ids, [0, 7], prompt_lengths=[2])
    with pytest.raises(InputError, match=r"positions: tokenizer: .*published nowhere"):
        recipes.trl_prm("###").positions(ids, [0, 7], step_counts=[2])


def test_what_does_not_fit_is_named():
    recipe = recipes.qwen_math_prm()
    ids = chat("Why?", "It is 3.")
    for token_ids, offsets, options, message in [
        ([ids], [0, 1], {}, r"positions: token_ids must have 1 dimension"),
        (ids, [0, 3], {}, r"positions: offsets must end at \d+ \(the number of tokens\)"),
        (np.array(ids, float), [0, len(ids)], {}, "positions: token_ids must hold integers"),
        (ids, [0, len(ids)], {"prompt_lengths": [1, 2]}, r"prompt_lengths must have shape \[1\]"),
        (ids, [0, len(ids)], {"prompt_lengths": [999]}, r"prompt_lengths\[0\]: expected between 0"),
        (ids, [0, len(ids)], {"step_counts": [3]}, r"expected for qwen.*, 3 of .*trace 0; got 1"),
        (chat("Why?"), [0, len(chat("Why?"))], {}, r"at least one of '<extra_0>'.*got 0"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            recipe.positions(token_ids, offsets, tokenizer=QWEN, **options)
    positions, step_offsets = recipe.positions([], [0], tokenizer=QWEN)
    assert (positions.tolist(), step_offsets.tolist()) == ([], [0])
