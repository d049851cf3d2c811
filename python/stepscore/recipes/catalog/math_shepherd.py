"""math-shepherd: the Mistral-7B PRM of Math-Shepherd, a language model read at its step tag."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from stepscore.recipes.layouts import steps as step_texts
from stepscore.recipes.layouts.packing import (
    encode_text,
    expect_known,
    expect_published,
    find_tags,
)
from stepscore.recipes.recipe import Encoded, Head, Layer, Recipe, Tokenizer

NAME = "math-shepherd"
TAG = "ки"
WORDS = "+ -"  # good, bad
PUBLISHED_TAG_ID = 12902
PUBLISHED_WORD_IDS = (648, 387)

_NUMBERED = re.compile(r"Step \d+:")


def math_shepherd() -> Recipe:
    r"""Read Math-Shepherd: :math:`r_k = \mathrm{softmax}(w_+ h,\; w_- h)_0`.

    The text ``{problem} Step 1: ... ки\nStep 2: ... ки`` is encoded as one text, with the
    tokenizer's BOS, and read at every ``ки``. ``w_+`` and ``w_-`` are the two rows of the output
    matrix that belong to the words of ``"+ -"``; no other row is loaded. A step that does not begin
    with ``Step <n>:`` gets ``Step k: `` with its own number in front. A solution given as one text
    is split at its tags, or at newlines when it has none, and its steps are stripped.

    Frameworks aggregate by the last step or by the minimum; neither is confirmed by the authors.

    Source: openreasoner/openr, huggingface/search-and-learn and ssmisya/PRMBench, which agree.
    """
    return Recipe(
        name=NAME,
        confidence="third-party",
        source="openreasoner/openr, huggingface/search-and-learn, ssmisya/PRMBench",
        tokenisation="joint",
        separator=TAG,
        head=Head("lm_rows", (Layer("lm_head.weight"),), 2, word_ids=_word_ids),
        activation="softmax",
        column=0,
        score_range=(0.0, 1.0),
        default_aggregate=None,
        split=_split,
        fault_in_problem=partial(step_texts.fault_in_text, what="problem", separator=TAG),
        fault_in_step=partial(step_texts.fault_in_step, separator=TAG),
        encode=_encode,
        check_tokenizer=_check_tokenizer,
    )


def _split(text: str) -> list[str]:
    pieces = step_texts.split_at(text, TAG if TAG in text else "\n")
    return [piece.strip() for piece in pieces]


def _encode(
    tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
) -> Encoded:
    texts = [
        f"{problem} " + "\n".join(f"{numbered(step, k)} {TAG}" for k, step in enumerate(trace, 1))
        for problem, trace in zip(problems, steps, strict=True)
    ]
    counts = [len(trace) for trace in steps]
    tag_id = _tag_id(tokenizer)
    return find_tags(NAME, tokenizer, texts, counts, TAG, tag_id, special_tokens=True)


def numbered(step: str, k: int) -> str:
    """Give the step with its number in front, unless it brings one."""
    return step if _NUMBERED.match(step) else f"Step {k}: {step}"


def _tag_id(tokenizer: Tokenizer) -> int:
    return encode_text(tokenizer, TAG, special_tokens=True)[-1]


def _word_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    return tuple(encode_text(tokenizer, WORDS, special_tokens=True)[1:])


def _check_tokenizer(tokenizer: Tokenizer) -> None:
    words = encode_text(tokenizer, WORDS, special_tokens=True)
    if tokenizer.bos_token_id is None or words[:1] != [tokenizer.bos_token_id]:
        raise ValueError(
            f"{NAME}: the tokenizer must put its BOS token first in every encoding, because the "
            f"words are read after it; {WORDS!r} gives the ids {words} and BOS is "
            f"{tokenizer.bos_token_id}; set add_bos_token in tokenizer_config.json, or use the "
            "tokenizer published with the model"
        )
    good_bad = words[1:]
    expect_published(
        NAME,
        tokenizer,
        "Mistral v0.1",
        f"the words of {WORDS!r}",
        tuple(good_bad),
        PUBLISHED_WORD_IDS,
    )
    expect_known(NAME, tokenizer, f"the words of {WORDS!r}", good_bad)
    if len(good_bad) != 2 or good_bad[0] == good_bad[1]:
        raise ValueError(
            f"{NAME}: {WORDS!r} must be two different tokens after BOS, one per word; got "
            f"{good_bad}; use the tokenizer that the model was trained with"
        )
    _check_tag(tokenizer)


def _check_tag(tokenizer: Tokenizer) -> None:
    tag_id = _tag_id(tokenizer)
    expect_published(NAME, tokenizer, "Mistral v0.1", repr(TAG), tag_id, PUBLISHED_TAG_ID)
    expect_known(NAME, tokenizer, repr(TAG), [tag_id])
    text = str(tokenizer.decode([tag_id])).replace("▁", " ").strip()
    context = encode_text(tokenizer, f"1 {TAG}\n2 {TAG}", special_tokens=True)
    # Any token that holds part of the tag could stand in a step; one that holds all of it cannot.
    if text != TAG or context.count(tag_id) != 2:
        raise ValueError(
            f"{NAME}: {TAG!r} must be one token, the same alone and after a step; its last token "
            f"alone (id {tag_id}) is {text!r}, and two steps hold {context.count(tag_id)} of it; "
            "use the tokenizer that the model was trained with"
        )
