"""Rows of recipes that add up the log-probabilities of tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import models
import torch
from rows import LaidOut, Row
from transformers import LlamaConfig, PreTrainedTokenizerFast, Qwen2Config

from stepscore.recipes import eurus_implicit_prm, step_likelihood

SYSTEM = "Reason step by step."
# What stands before the user's turn, before the answer, behind it, and behind that.
Chat = tuple[str, str, str, str]
QWEN: Chat = (
    f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n",
    "<|im_end|>\n<|im_start|>assistant\n",
    "<|im_end|>",
    "\n",
)
LLAMA: Chat = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
    f"{SYSTEM}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "<|eot_id|>",
    "",
)


def as_on_the_card(steps: Sequence[str]) -> list[str]:
    return [
        step if re.match(r"Step \d+:", step) else f"Step {k}: {step}"
        for k, step in enumerate(steps, 1)
    ]


def as_in_processbench(steps: Sequence[str]) -> list[str]:
    return [f"Step {k + 1}: " + step for k, step in enumerate(steps)]


def as_in_best_of_n(steps: Sequence[str]) -> list[str]:
    bare = [re.sub(r"^Step \d+:", "", step.strip()).strip() for step in steps]
    return [f"Step {k + 1}: " + step.replace("Step", "step") for k, step in enumerate(bare)]


def bounds(
    tokenizer: PreTrainedTokenizerFast,
    problem: str,
    answer: list[str],
    *,
    chat: Chat,
    bare_ends: bool,
) -> tuple[list[int], list[int]]:
    """The author's loop: the whole chat, and the length of every beginning of it, less two."""
    before, between, end, after = chat
    strips = chat is LLAMA

    def render(count: int) -> str:
        content = "\n\n".join(answer[:count])
        if strips:
            return before + problem.strip() + between + content.strip() + end + after
        return before + problem + between + content + end + after

    ids = models.enc(tokenizer, render(len(answer)))
    ends = []
    for count in range(len(answer) + 1):
        text = render(count).strip()
        if bare_ends and count != len(answer):
            text = text.removesuffix("<|eot_id|>")
        if count not in (0, len(answer)):
            text += "\n\n"
        ends.append(len(models.enc(tokenizer, text)) - 2)
    return ids, ends


def lay_out(
    tokenizer: PreTrainedTokenizerFast,
    problem: str,
    steps: Sequence[str],
    *,
    written: Callable[[Sequence[str]], list[str]],
    chat: Chat,
    bare_ends: bool = False,
) -> LaidOut:
    """The tokens, and of each step the last one that the model predicts for it."""
    ids, ends = bounds(tokenizer, problem, written(steps), chat=chat, bare_ends=bare_ends)
    return ids, [end + 1 for end in ends[1:]]


def row(
    variant: str,
    written: Callable[[Sequence[str]], list[str]],
    splits: dict[str, list[str]],
    *,
    llama: bool = False,
) -> Row:
    return Row(
        eurus_implicit_prm(
            reference=None,
            coef=0.25,
            variant=variant,
            template="llama-3" if llama else "qwen2.5",
            system=SYSTEM,
        ),
        llama_tokenizer if llama else models.byte_level_tokenizer,
        partial(
            lay_out,
            written=written,
            chat=LLAMA if llama else QWEN,
            bare_ends=llama and variant == "best_of_n",
        ),
        splits,
        LlamaConfig if llama else Qwen2Config,
        "LlamaForCausalLM" if llama else "Qwen2ForCausalLM",
        (("lm_head", models.VOCABULARY),),
        lambda _, logits: torch.tensor(float("nan")),
        detected=False,
        takes_separator=True,
        every_token=True,
    )


def llama_tokenizer() -> PreTrainedTokenizerFast:
    """The made-up vocabulary of bytes, with the marks of Llama 3's chat."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=models.byte_level_tokenizer().backend_tokenizer.__class__.from_str(
            models.byte_level_tokenizer().backend_tokenizer.to_str()
        ),
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
    )
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<|start_header_id|>", "<|end_header_id|>"]}
    )
    return tokenizer


def plain(
    tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str], *, joiner: str
) -> LaidOut:
    """Problem and steps alone, and the last token of each step."""
    ids = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    ids, ends = ids + models.enc(tokenizer, problem), []
    for step in steps:
        ids = ids + models.enc(tokenizer, joiner + step)
        ends.append(len(ids) - 1)
    return ids, ends


NUMBERED = {
    "Step 1: a\nStep 2: b\nc": ["Step 1: a", "Step 2: b\nc"],
    "a\nb\n\nc\n\n": ["a\nb", "c"],
}
RATIO_ROWS = {
    "eurus-implicit-prm": row("card", as_on_the_card, NUMBERED),
    "eurus-implicit-prm, ProcessBench": row("processbench", as_in_processbench, NUMBERED),
    "eurus-implicit-prm, best of n": row(
        "best_of_n",
        as_in_best_of_n,
        {"So: Step 1: a.\n\nStep 2: b\n": ["So:", "a.", "b"], "a\n\nb": ["a\n\nb"]},
    ),
    "eurus-implicit-prm, Llama": row("card", as_on_the_card, NUMBERED, llama=True),
    "eurus-implicit-prm, Llama, best of n": row(
        "best_of_n", as_in_best_of_n, {"Step 1: a.\n\nStep 2: b\n": ["a.", "b"]}, llama=True
    ),
    "step-likelihood": Row(
        step_likelihood(joiner="; "),
        partial(models.byte_level_tokenizer, "<|endoftext|>"),
        partial(plain, joiner="; "),
        {"a\n\nb\n": ["a", "b"]},
        Qwen2Config,
        "Qwen2ForCausalLM",
        (("lm_head", models.VOCABULARY),),
        lambda _, logits: torch.tensor(float("nan")),
        detected=False,
        takes_separator=True,
        every_token=True,
    ),
}
