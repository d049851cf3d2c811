"""Recipes with heads of their own over the vocabularies that they were published for.

The tokens are those of the vocabulary's own library, the places those of the authors' loops; the
texts hold what merges with a full stop, a blank line or the tag.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import vocabularies
from vocabularies import Encoder

from stepscore.errors import InputError
from stepscore.recipes import birm, llemma_prm, metastone_sprm

transformers = pytest.importorskip("transformers")

PROBLEMS = [
    "What is 3 + 4?",
    "Ends in newlines.\n\n",
    "Blank lines\n\n\nwithin, and # Solution\n\nof another.\n\n",
    "¿Qué? 日本 𝄞 руки и ноги".replace("ки", "ка"),
    "",
]
STEPS = ["3 + 4 = 7.", "So it is \\(7\\).", "$x = 7$.", "[7].", "x", "7", "年𝄞.", "Therefore:"]
# Behind Qwen2.5's own entries; which ids they have is another thing than what they are.
MARKS = ("<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>")


def laid_out_by(recipe, tokenizer, problem: str, steps: Sequence[str]):
    recipe.check_tokenizer(tokenizer)
    return recipe.encode(tokenizer, [problem], [list(steps)]).trace(0)


@pytest.mark.parametrize(
    ("vocabulary", "tag", "bos"), [("qwen2.5", 16748, []), ("llama-3", 17165, [128000])]
)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_birm(vocabulary, tag, bos, problem, loaded):
    tokenizer, encode = loaded(vocabulary), vocabularies.encoder(vocabulary)
    ids = [*bos, *encode(f"{problem}\n"), *encode("\n".join(f"{step}ки" for step in STEPS))]
    places = [place for place, token in enumerate(ids) if token == tag]
    assert len(places) == len(STEPS)
    assert laid_out_by(birm(), tokenizer, problem, STEPS) == (ids, places)
    fault = birm().fault_in_problem("руки")
    assert fault is not None, "the author's mask would score the problem"


def test_birm_on_a_vocabulary_with_another_tag(loaded):
    # Alone it is written with a space in front, and so it is another token than behind a step.
    with pytest.raises(InputError, match=r"birm: expected 'ки' to be the same tokens alone and"):
        birm().check_tokenizer(loaded("mistral"))


def llemma_loop(encode: Encoder, problem: str, steps: Sequence[str]) -> tuple[list[int], list[int]]:
    """The ports' loop, but for the newlines behind the header, which it takes for a step."""
    text = f"# Question\n\n{problem}\n\n# Solution\n\n" + "".join(f"{step}\n\n" for step in steps)
    ids = [1, *encode(text)]
    begin, blank = encode("\n\n# Solution")[1:], encode("\n\n")[1:]
    flag, found = False, []
    for place in range(len(ids)):
        flag = flag or ids[place : place + len(begin)] == begin
        if flag and ids[place : place + len(blank)] == blank:
            found.append(place)
    return ids, found[-len(steps) :]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_llemma(problem, loaded):
    # Mistral's vocabulary writes newlines as Llama's, of which Llemma's is: a byte each.
    tokenizer, encode = loaded("mistral"), vocabularies.encoder("mistral")
    assert encode("\n\n")[1:] == [13, 13]
    expected = llemma_loop(encode, problem, STEPS)
    assert laid_out_by(llemma_prm(), tokenizer, problem, STEPS) == expected
    assert [expected[0][place + 1] for place in expected[1]] == [13] * len(STEPS)
    spaced = ["", *STEPS[1:]]
    spaced[0] = f"\n {STEPS[0]}\n\n"
    assert laid_out_by(llemma_prm(), tokenizer, problem, spaced) == expected


def thinking(loaded):
    tokenizer = copy.deepcopy(loaded("qwen2.5"))
    tokenizer.add_tokens(list(MARKS))
    return tokenizer


def metastone_mask(ids: Sequence[int], think: int) -> list[int]:
    """The author's mask for English: 382 is the one token of a full stop and a blank line."""
    ends = [
        place
        for place in range(1, len(ids))
        if ids[place] == 382 and ids[place - 1] not in (382, think)
    ]
    return [place - 1 for place in ends if place - 1 > ids.index(think)]


THOUGHTS = (
    "So 3 + 4 = 7.\n\nThe point is \\(7\\).\n\nHence [7].\n\nSo $x = 7$.\n\n\nWait.\n\n.\n\n"
    "Let me see:\n\nIt is 7. Good.\n\n年𝄞.\n\nNo end here"
)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_metastone(problem, loaded):
    tokenizer, encode = thinking(loaded), vocabularies.encoder("qwen2.5")
    begin, user, assistant, think, _ = tokenizer.convert_tokens_to_ids(list(MARKS))
    recipe = metastone_sprm()
    steps = recipe.bound_to(tokenizer).split(f"<think>\n{THOUGHTS}\n</think>\n\nIt is 7.\n\n")
    head = [begin, user, *encode(problem), assistant, think]
    # All of the author's places have a step, and no step is without one.
    whole = [*head, *encode(f"\n{THOUGHTS}")]
    ids, places = laid_out_by(recipe, tokenizer, problem, steps)
    assert places == metastone_mask(whole, think)
    assert ids == whole[: len(ids)]
    assert whole[len(ids) :] == encode("No end here")
    assert "".join(steps) == THOUGHTS.removesuffix("No end here")
    # A blank line merges with a bracket, which is no end; text alone cannot tell.
    assert "The point is \\(7\\).\n\nHence [7].\n\nSo $x = 7$.\n\n\nWait.\n\n.\n\n" in steps


def test_a_step_that_metastone_does_not_read(loaded):
    tokenizer, recipe = thinking(loaded), metastone_sprm()
    for step, count in (("The point is \\(7\\).", 0), ("It is 7.\n\nGood.", 2), ("7:", 0)):
        with pytest.raises(
            InputError, match=rf"one of the ids \[382\].*holds {count} of them"
        ) as e:
            recipe.encode(tokenizer, ["p"], [["So it is.", step]])
        assert e.value.argument.index == (0, 1)
    with pytest.raises(InputError, match="begin steps with text, not with a newline"):
        recipe.encode(tokenizer, ["p"], [["So it is.", "\nGood."]])
    for text in ("a <think> b", "a</think>"):
        assert recipe.fault_in_step(text) is not None
        assert recipe.fault_in_problem(text) is not None


@pytest.mark.parametrize("vocabulary", ["qwen2.5", "llama-3"])
@pytest.mark.parametrize("step", ["е", "соба", "7е"])
def test_a_step_that_merges_with_its_tag_would_shift_those_behind_it(vocabulary, step, loaded):
    with pytest.raises(InputError, match=r"'ки' is \[\d+\], the tokens .*, with 0 of them") as e:
        birm().encode(loaded(vocabulary), ["p"], [["a", step, "b"]])
    assert e.value.argument.index == (0, 1)


def test_an_end_right_behind_the_mark_of_the_thoughts_is_none(loaded):
    # The author's mask leaves it out: no step stands before it.
    recipe = metastone_sprm("{problem}<think>")
    tokenizer = thinking(loaded)
    ids, places = laid_out_by(recipe, tokenizer, "p", [".\n\nSo it is 7.\n\n"])
    think = tokenizer.convert_tokens_to_ids("<think>")
    assert ids[ids.index(think) + 1] == 382
    assert places == metastone_mask(ids, think)
    assert len(places) == 1
