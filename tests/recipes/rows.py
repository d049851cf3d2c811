"""One row for each recipe: its layout and its reading, written down again apart from the package.

A new recipe needs its entry in the catalog and one row here. The row's checkpoint is a tiny random
model of the real class; the row reads it in float64 from the full outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import models
import torch
from models import HIDDEN, VOCABULARY
from transformers import MistralConfig, PretrainedConfig, PreTrainedTokenizerFast, Qwen2Config

from stepscore.recipes import Recipe, math_shepherd, qwen_math_prm, skywork_o1_prm, trl_prm

Encode = Callable[[str], list[int]]
# Token ids, and the places at which the steps are read.
LaidOut = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Row:
    """What the tests know of a recipe.

    Attributes:
        recipe: as its entry in the catalog makes it.
        tokenizer: one of the kind that its checkpoints have.
        lay_out: tokenizer, problem, steps -> the tokens of the trace.
        splits: solutions as one text, and their steps.
        config: the class of the backbone's config.
        architecture: what config.json names.
        head: the head's modules in the checkpoint, and the outputs of each.
        score: tokenizer, outputs of the head at one place -> the score.
        detected: whether class, head and tokenizer tell the recipe.
        takes_separator: whether a step of a list may hold the separator.
        every_token: whether it adds up over all tokens, of two models; a test of its own has the
            scores.
        traces: what is laid out, where the recipe asks more of steps than others do.
        write: writes another checkpoint than one of body and head, and gives what reads it: token
            ids and places -> scores, in float64.
        joined: the values read at the places of a trace -> the scores of its steps.
        bias: whether the head's modules have one; rows of the output matrix have none.
    """

    recipe: Recipe
    tokenizer: Callable[[], PreTrainedTokenizerFast]
    lay_out: Callable[[PreTrainedTokenizerFast, str, Sequence[str]], LaidOut | list[LaidOut]]
    splits: dict[str, list[str]]
    config: type[PretrainedConfig]
    architecture: str
    head: tuple[tuple[str, int], ...]
    score: Callable[[PreTrainedTokenizerFast, torch.Tensor], torch.Tensor]
    detected: bool = True
    takes_separator: bool = False
    every_token: bool = False
    traces: tuple[tuple[str, list[str]], ...] | None = None
    write: Callable[[Path], Callable[[list[int], list[int]], list[float]]] | None = None
    joined: Callable[[list[float]], list[float]] = list
    bias: bool = True

    def sequences(
        self, tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]
    ) -> list[LaidOut]:
        """The sequences of a trace: one, but where later steps do not see all of it."""
        laid_out = self.lay_out(tokenizer, problem, steps)
        return laid_out if isinstance(laid_out, list) else [laid_out]


def probability(outputs: int, index: int) -> Callable[..., torch.Tensor]:
    """Softmax over all outputs, one of them."""

    def score(_: PreTrainedTokenizerFast, logits: torch.Tensor) -> torch.Tensor:
        assert logits.shape == (outputs,)
        return logits.softmax(-1)[index]

    return score


def qwen(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    text = (
        "<|im_start|>system\n"
        "Please reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
        f"<|im_start|>user\n{problem}<|im_end|>\n"
        "<|im_start|>assistant\n" + "<extra_0>".join(steps) + "<extra_0><|im_end|>\n"
    )
    ids = models.enc(tokenizer, text)
    tag = tokenizer.convert_tokens_to_ids("<extra_0>")
    return ids, [place for place, token in enumerate(ids) if token == tag]


def shepherd(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    lines = [
        f"{step} ки" if step[:6] in {f"Step {n}" for n in range(10)} else f"Step {k}: {step} ки"
        for k, step in enumerate(steps, 1)
    ]
    ids = models.enc(tokenizer, f"{problem} " + "\n".join(lines), special=True)
    assert ids[0] == tokenizer.bos_token_id
    return ids, [place for place, token in enumerate(ids) if tokenizer.decode([token]) == "ки"]


def shepherd_score(tokenizer: PreTrainedTokenizerFast, logits: torch.Tensor) -> torch.Tensor:
    good, bad = models.enc(tokenizer, "+ -", special=True)[1:]
    pair = logits.softmax(-1)[[good, bad]]
    return pair[0] / pair.sum()


def skywork(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    # The author's loop, over the lines of the whole response.
    ids, ends = models.enc(tokenizer, f"<|endoftext|>{problem}\n"), []
    for line in "\n".join(steps).split("\n"):
        if line != "":
            ids += models.enc(tokenizer, line)
        ids += models.enc(tokenizer, "\n")
        if line.strip():
            ends.append(len(ids) - 1)
    return ids, ends


def trl(
    tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str], *, separator: str = "\n"
) -> LaidOut:
    ids = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    ids, ends = ids + models.enc(tokenizer, problem), []
    for step in steps:
        ids = ids + models.enc(tokenizer, step) + models.enc(tokenizer, separator)
        ends.append(len(ids) - 1)
    return ids, ends


ROWS = {
    "qwen2.5-math-prm": Row(
        qwen_math_prm(),
        models.byte_level_tokenizer,
        qwen,
        {
            "a\nb\n\nc\n\n": ["a\nb", "c"],
            "\n\n a\n\n  \n\nb": [" a", "b"],
            "a\n\n\nb": ["a", "b"],
            "\n  \n  a\n  \n\n\nb \n": ["  a", "b "],
            "": [],
        },
        Qwen2Config,
        "Qwen2ForProcessRewardModel",
        (("score.0", HIDDEN), ("score.2", 2)),
        probability(2, 1),
    ),
    "math-shepherd": Row(
        math_shepherd(),
        models.word_piece_tokenizer,
        shepherd,
        {
            "Step 1: a ки\nStep 2: b ки": ["Step 1: a", "Step 2: b"],
            "Step 1: a ки\nStep 2: b\nc": ["Step 1: a", "Step 2: b\nc"],
            "a\n\nb \n": ["a", "b"],
            "Step 1: a\nmore\n\nStep 2: b": ["Step 1: a\nmore", "Step 2: b"],
            "руки: a\nb": ["руки: a", "b"],
        },
        MistralConfig,
        "MistralForCausalLM",
        (("lm_head", VOCABULARY),),
        shepherd_score,
        detected=False,
    ),
    "skywork-o1-prm": Row(
        skywork_o1_prm(),
        partial(models.byte_level_tokenizer, "<|endoftext|>"),
        skywork,
        {
            "a\n\nb": ["a", "\nb"],
            "a\n \nb\n\n\n": ["a", " \nb"],
            "\na": ["\na"],
            "\n\n": [],
        },
        Qwen2Config,
        "Qwen2ForPrmModel",
        (("v_head.summary", 1),),
        lambda _, value: value[0].sigmoid(),
    ),
    "trl-prm": Row(
        trl_prm(),
        models.byte_level_tokenizer,
        trl,
        {"a\n\nb\n": ["a", "b"], " a \n \n\nb": [" a ", "b"]},
        Qwen2Config,
        "Qwen2ForTokenClassification",
        (("score", 2),),
        probability(2, 1),
        takes_separator=True,
    ),
    "trl-prm, blank line": Row(
        trl_prm("\n\n"),
        models.word_piece_tokenizer,
        partial(trl, separator="\n\n"),
        {"a\nb\n\nc": ["a\nb", "c"]},
        Qwen2Config,
        "Qwen2ForTokenClassification",
        (("score", 2),),
        probability(2, 1),
        detected=False,
        takes_separator=True,
    ),
    "trl-prm, full stop": Row(
        trl_prm(".\n"),
        models.byte_level_tokenizer,
        partial(trl, separator=".\n"),
        {"a.\nb.\n": ["a", "b"]},
        Qwen2Config,
        "Qwen2ForTokenClassification",
        (("score", 2),),
        probability(2, 1),
        detected=False,
        takes_separator=True,
    ),
}

# At the end, because they are made of `Row`.
import rows_heads  # noqa: E402
import rows_ratio  # noqa: E402
import rows_tags  # noqa: E402
import rows_turns  # noqa: E402

ROWS |= rows_heads.ROWS | rows_ratio.RATIO_ROWS | rows_tags.ROWS | rows_turns.ROWS
