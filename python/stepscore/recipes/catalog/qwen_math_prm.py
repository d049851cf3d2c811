"""qwen2.5-math-prm: Qwen2.5-Math-PRM-7B, Qwen2.5-Math-PRM-72B, Qwen2.5-Math-7B-PRM800K."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from stepscore.recipes.layouts import steps as step_texts
from stepscore.recipes.layouts.packing import (
    encode_text,
    expect_published,
    find_tags,
    published_vocabulary,
    token_id,
)
from stepscore.recipes.recipe import Encoded, Head, Layer, Recipe, Tokenizer

NAME = "qwen2.5-math-prm"
TAG = "<extra_0>"
PUBLISHED_TAG_ID = 151651

# Written out, because the template of an installed tokenizer may change while the model does not.
_BEFORE = (
    "<|im_start|>system\n"
    "Please reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
    "<|im_start|>user\n"
)
_BETWEEN = "<|im_end|>\n<|im_start|>assistant\n"
_AFTER = "<|im_end|>\n"


def qwen_math_prm() -> Recipe:
    r"""Read Qwen's PRMs: :math:`r_k = \mathrm{softmax}(W_2\,\mathrm{relu}(W_1 h + b_1) + b_2)_1`.

    The chat text ends every step of the assistant's turn in ``<extra_0>``, is encoded as one text,
    and is read at each ``<extra_0>``. The author states no aggregate.

    Source: the model card of Qwen/Qwen2.5-Math-PRM-7B (text and score); the ports in
        InternLM/lmdeploy and vllm-project/vllm (head).
    """
    return Recipe(
        name=NAME,
        confidence="author",
        source="model card of Qwen/Qwen2.5-Math-PRM-7B; head: InternLM/lmdeploy, vllm-project/vllm",
        tokenisation="joint",
        separator=TAG,
        head=Head(
            "mlp",
            (Layer("score.0.weight", "score.0.bias"), Layer("score.2.weight", "score.2.bias")),
            2,
        ),
        activation="softmax",
        column=1,
        score_range=(0.0, 1.0),
        default_aggregate=None,
        split=partial(step_texts.split_at, separator="\n\n"),
        fault_in_problem=partial(step_texts.fault_in_text, what="problem", separator=TAG),
        fault_in_step=partial(step_texts.fault_in_step, separator=TAG),
        encode=_encode,
        check_tokenizer=_check_tokenizer,
    )


def _encode(
    tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
) -> Encoded:
    texts = [
        "".join((_BEFORE, problem, _BETWEEN, *(step + TAG for step in trace), _AFTER))
        for problem, trace in zip(problems, steps, strict=True)
    ]
    [tag_id] = encode_text(tokenizer, TAG)
    counts = [len(trace) for trace in steps]
    return find_tags(NAME, tokenizer, texts, counts, TAG, tag_id, special_tokens=False)


def _check_tokenizer(tokenizer: Tokenizer) -> None:
    added = tokenizer.get_added_vocab()
    published = published_vocabulary(tokenizer) == "Qwen2.5"
    for token in (TAG, "<|im_start|>", "<|im_end|>"):
        ids = encode_text(tokenizer, token)
        # Only an added token is cut out before the text is encoded, so that no step can produce it.
        if token not in added or ids != [token_id(tokenizer, token)]:
            raise ValueError(
                f"{NAME}: {token!r} must be one added token of the tokenizer"
                f"{f' (id {PUBLISHED_TAG_ID})' if published and token == TAG else ''}; got the ids "
                f"{ids}{'' if token in added else ' and no such added token'}; load the tokenizer "
                "files that were published with the model, or pass another recipe="
            )
        if token == TAG:
            expect_published(NAME, tokenizer, "Qwen2.5", repr(TAG), ids[0], PUBLISHED_TAG_ID)
