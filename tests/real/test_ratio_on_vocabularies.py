"""Where the sums of implicit PRMs end in published vocabularies."""

from __future__ import annotations

import pytest
import vocabularies

from stepscore.recipes import eurus_implicit_prm

PROBLEM = "A pond holds 12 frogs, and 5 leave. How many stay?"
# A full stop and blank lines are one token; a digit and blank lines are two.
STEPS = ["Step 1: We have 12 frogs.", "Step 2: So 12 - 5 = 7", "Step 3: The answer is 7."]
SYSTEM = "You are a helpful assistant."
VARIANTS = ["card", "processbench", "best_of_n"]


def spelled(name: str, variant: str) -> tuple[list[str], list[int], int, list[str]]:
    """The tokens' texts, the last token of each step, the first one that counts, and the steps."""
    missing = vocabularies.missing(name)
    if missing is not None:
        pytest.skip(missing)
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(vocabularies.folder(name))
    recipe = eurus_implicit_prm(
        reference=None,
        coef=1,
        variant=variant,
        system=SYSTEM,
    )
    recipe.check_tokenizer(tokenizer)
    steps = recipe.split("\n\n".join(STEPS))
    encoded = recipe.encode(tokenizer, [PROBLEM], [steps])
    ids, ends = encoded.trace(0)
    assert ids == vocabularies.encoder(name)(tokenizer.decode(ids)), "the chat is one text"
    assert encoded.first_tokens is not None
    return [tokenizer.decode([token]) for token in ids], ends, int(encoded.first_tokens[0]), steps


@pytest.mark.parametrize("variant", VARIANTS)
def test_qwen_ends_a_step_within_the_next_one(variant):
    texts, ends, first, _ = spelled("qwen2.5", variant)
    # The end of the turn, which the code leaves in a beginning, counts as a token of the step.
    assert ".\n\n" in texts
    assert texts[ends[0] - 2 : ends[0] + 1] == [".\n\n", "Step", " "]
    assert texts[ends[1] - 2 : ends[1] + 1] == ["7", "\n\n", "Step"]
    assert texts[ends[2]] == "<|im_end|>"
    assert texts[first] == ("Step" if variant == "processbench" else "\n")


@pytest.mark.parametrize("variant", VARIANTS)
def test_llama_ends_a_step_at_the_separator_where_its_end_of_turn_is_left_out(variant):
    texts, ends, first, _ = spelled("llama-3", variant)
    if variant == "best_of_n":
        assert texts[ends[0]].endswith("\n\n")
    else:
        assert "Step" in texts[ends[0] - 1 : ends[0] + 1]
    assert texts[ends[2]] == "<|eot_id|>"
    expected = {"card": "\n\n", "processbench": "Step", "best_of_n": "<|end_header_id|>"}
    assert texts[first] == expected[variant]


def test_the_beginning_of_text_stands_there_once():
    texts, *_ = spelled("llama-3", "card")
    assert texts.count("<|begin_of_text|>") == 1
    assert texts[0] == "<|begin_of_text|>"
