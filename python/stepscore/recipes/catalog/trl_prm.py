"""trl-prm: any PRM trained with TRL's PRMTrainer, Hugging Face's H4 PRMs among them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from stepscore.recipes.layouts import steps as step_texts
from stepscore.recipes.layouts.packing import (
    encode_text,
    encode_texts,
    expect_known,
    expect_published,
    pack_ids,
    pack_lengths,
)
from stepscore.recipes.recipe import Encoded, Head, Layer, Recipe, Tokenizer

NAME = "trl-prm"
TRL_SEPARATOR = "\n"  # step_separator of trl.PRMConfig
H4_SEPARATOR = "\n\n"  # HuggingFaceH4/Qwen2.5-Math-*-PRM-0.2
PUBLISHED_NEWLINE_ID = 198


def trl_prm(separator: str = TRL_SEPARATOR) -> Recipe:
    r"""Read a PRM of TRL's trainer: :math:`r_k = \mathrm{softmax}(W h + b)_1`.

    ids = [BOS, if the tokenizer has one] + enc(problem), then for every step enc(step) +
    enc(separator), every part encoded alone and without special tokens; nothing stands between
    problem and first step. A step is read at the last token of its separator, as the trainer labels
    it. The author states no aggregate.

    Args:
        separator: the trainer's ``step_separator``. A checkpoint does not say which one it was
            trained with; TRL's own default is ``"\n"``.

    Raises:
        ValueError: a separator that is no text or an empty one.

    Source: huggingface/trl, PRMTrainer (its training code; the inference example beside it
        differs).
    """
    if not isinstance(separator, str) or not separator:
        raise ValueError(
            f"trl_prm: separator must be a text of at least one character; got {separator!r}; pass "
            "the step_separator of the training run"
        )
    return Recipe(
        name=NAME,
        confidence="author",
        source="huggingface/trl, PRMTrainer",
        tokenisation="separate",
        separator=separator,
        head=Head("affine", (Layer("score.weight", "score.bias"),), 2),
        activation="softmax",
        column=1,
        score_range=(0.0, 1.0),
        default_aggregate=None,
        split=partial(step_texts.split_at, separator=separator),
        fault_in_problem=step_texts.no_fault,
        fault_in_step=partial(step_texts.fault_in_step, separator=separator),
        encode=partial(_encode, separator=separator),
        check_tokenizer=partial(_check_tokenizer, separator=separator),
        parameters=(("separator", separator),),
    )


def _encode(
    tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]], *, separator: str
) -> Encoded:
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    prompts = encode_texts(tokenizer, problems)
    parts = iter(encode_texts(tokenizer, [step for trace in steps for step in trace]))
    step_end = encode_text(tokenizer, separator)
    rows, ends = [], []
    start = 0
    for prompt, trace in zip(prompts, steps, strict=True):
        row = bos + prompt
        for _ in trace:
            row += next(parts)
            row += step_end
            ends.append(start + len(row) - 1)
        rows.append(row)
        start += len(row)
    return Encoded(
        *pack_ids(rows), np.array(ends, dtype=np.int64), pack_lengths([len(t) for t in steps])
    )


def _check_tokenizer(tokenizer: Tokenizer, *, separator: str) -> None:
    ids = encode_text(tokenizer, separator)
    expect_known(NAME, tokenizer, f"the separator {separator!r}", ids)
    if separator == "\n":
        expect_published(
            NAME,
            tokenizer,
            "Qwen2.5",
            f"the last id of {separator!r}",
            ids[-1],
            PUBLISHED_NEWLINE_ID,
        )
