"""Rows of the recipes that are read in turns of a chat, or behind prefixes.

The conversations are written one per step, as the authors' loops do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

import models
import torch
from models import VOCABULARY
from rows import LaidOut, Row
from tokenizers import AddedToken, Tokenizer
from transformers import LlamaConfig, PreTrainedTokenizerFast, Qwen2Config

from stepscore.recipes import (
    fover_prm,
    pathfinder_prm,
    rlhflow_prm,
    universal_prm,
    visual_prm,
)

LLAMA = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
PATHFINDER = ("<extra>", "<+>", "<->")
QWEN_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
MATH_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."


@cache
def with_tokens(*tokens: str, plain: bool = False) -> PreTrainedTokenizerFast:
    """The tokenizer of Qwen's kind, with more added tokens; `plain` ones are no special ones."""
    backend = Tokenizer.from_str(models.byte_level_tokenizer().backend_tokenizer.to_str())
    added = [AddedToken(token, special=not plain, normalized=False) for token in tokens]
    backend.add_tokens(added) if plain else backend.add_special_tokens(added)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>")


def llama_tokenizer() -> PreTrainedTokenizerFast:
    return with_tokens(*LLAMA)


def pathfinder_tokenizer() -> PreTrainedTokenizerFast:
    return with_tokens(*PATHFINDER, plain=True)


def llama_text(messages: Sequence[tuple[str, str]], *, dated: bool = True) -> str:
    """As the template of Llama 3.1 writes it."""
    text = "<|begin_of_text|>"
    if dated:
        text += (
            "<|start_header_id|>system<|end_header_id|>\n\n"
            "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
        )
    for role, content in messages:
        text += f"<|start_header_id|>{role}<|end_header_id|>\n\n{content.strip()}<|eot_id|>"
    return text


def chatml_text(messages: Sequence[tuple[str, str]]) -> str:
    """As the template of Qwen2.5 writes it."""
    return "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages)


def growing(
    tokenizer: PreTrainedTokenizerFast, asked: Sequence[str], label: str, write: object, behind: int
) -> LaidOut:
    """The authors' loop: of the conversation up to each step, the token `behind` from its end.

    Each conversation must begin with the one before it, so that the last one holds all places.
    """
    messages, places, ids = [], [], []
    for text in asked:
        messages += [("user", text), ("assistant", label)]
        grown = models.enc(tokenizer, write(messages))
        assert grown[: len(ids)] == ids
        ids = grown
        places.append(len(ids) + behind)
    return ids, places


def rlhflow(
    tokenizer: PreTrainedTokenizerFast,
    problem: str,
    steps: Sequence[str],
    *,
    between: str = " ",
    dated: bool = True,
) -> LaidOut:
    asked = [step.strip() for step in steps]
    asked[0] = problem + between + asked[0]
    # logits[:, -3]: before "+" and <|eot_id|>
    return growing(tokenizer, asked, "+", partial(llama_text, dated=dated), -3)


FOVER = (
    "** Problem **\n{}\n\n** Task **\nYour task is to evaluate the accuracy of each step in the "
    'provided solution to the above question. For each step, respond with "correct" if the '
    "reasoning is logically valid and mathematically sound, or if the step is a general statement "
    'or transition that does not contain reasoning. Respond with "incorrect" if the step includes '
    "any errors or flawed logic.\n\n** Sotluion **\n{}"
)


def fover(
    tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str], *, llama: bool
) -> LaidOut:
    asked = [FOVER.format(problem, steps[0]), *steps[1:]]
    label = models.enc(tokenizer, "correct")
    # Behind the place stand the label and what ends the turn: <|eot_id|>, or <|im_end|> and "\n".
    behind = -1 - len(label) - (1 if llama else 2)
    write = llama_text if llama else lambda m: chatml_text([("system", QWEN_SYSTEM), *m])
    return growing(tokenizer, asked, "correct", write, behind)


VISUAL_SYSTEM = """\
You are an advanced AI assistant, designed to serve as a process supervision model. In this task, I will provide a problem statement followed by the first step of the solution process. For each subsequent turn, I will give you a new step in the solution. Your role is to assess whether the solution process is correct up to the current step.

- In the **first round**, I will input the problem and the first step of the solution process.
- In **each subsequent round**, I will provide the next step in the solution.

For each step, you should:

- Respond with **"+"** if you believe the solution process is correct up to this step.
- Respond with **"-"** if you detect any issues or errors in the process up to this step.

Please note:
- Only respond with **"+"** or **"-"**. Do not provide any additional explanations, comments, or justifications.

Your task is to verify the accuracy and correctness of each step in the given solution process."""  # noqa: E501


def visual(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    asked = [f"### Question:\n{problem}\n\n### Solution Process:\n{steps[0]}", *steps[1:]]
    write = lambda m: chatml_text([("system", VISUAL_SYSTEM), *m])  # noqa: E731
    return growing(tokenizer, asked, "+", write, -4)  # before "+", <|im_end|> and "\n"


def universal(
    tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]
) -> list[LaidOut]:
    question = (
        f"{problem}\n\n###\n\nThe reference answer is: There is no reference answer for this "
        "question."
    )
    system = ("system", "You are a helpful assistant.")
    query = chatml_text([system, ("user", question)]) + "<|im_start|>assistant\n"
    sequences = []
    for k in range(1, len(steps) + 1):
        ids = models.enc(tokenizer, query)
        ids += models.enc(tokenizer, "\n\n".join(steps[:k]) + "\n\n")
        ids.append(tokenizer.eos_token_id)
        sequences.append((ids, [len(ids) - 1]))
    return sequences


def pathfinder(
    tokenizer: PreTrainedTokenizerFast,
    problem: str,
    steps: Sequence[str],
    *,
    role: str = "assistant",
    word: str = "mathemetical",
    system: str = MATH_SYSTEM,
    passes: int = 2,
) -> list[LaidOut]:
    prompt = (
        "You are a Math Teacher. Given a question and a student's solution, evaluate the "
        f"{word} correctness, logic consistency of the current step and whether it will lead to "
        f"the correct final solution\n\n Question: {problem}"
    )
    mark = tokenizer.convert_tokens_to_ids("<extra>")
    sequences = []
    for k, step in enumerate(steps):
        said = "\n\n".join([*steps[:k], f"Current Step: {step}"])
        first = f"{said} Math reasoning: <extra>, Consistency: <extra>"
        second = first.replace("<extra>", "<+>") + ", Correctness: <extra>"
        for content in (first, second)[:passes]:
            messages = [("system", system), ("user", prompt), (role, content)]
            ids = models.enc(tokenizer, chatml_text(messages))
            sequences.append((ids, [at - 1 for at, token in enumerate(ids) if token == mark]))
    return sequences


def pair(*words: str, good: int = 0, place: int = -1) -> object:
    """Softmax over the rows of two words, out of the whole vocabulary's."""

    def score(tokenizer: PreTrainedTokenizerFast, logits: torch.Tensor) -> torch.Tensor:
        assert logits.shape == (VOCABULARY,)
        rows = [models.enc(tokenizer, word)[place] for word in words]
        return (logits[rows].log_softmax(-1)).exp()[good]

    return score


def gated(values: list[float], passes: int = 2) -> list[float]:
    """The authors' hierarchy: -1 where math or consistency is denied, else correctness."""
    count = passes + 1
    steps = [values[at : at + count] for at in range(0, len(values), count)]
    return [
        -1.0 if math < 0.5 or consistency < 0.5 else (1.0 if not rest else rest[0])
        for math, consistency, *rest in steps
    ]


_WORDS = {"head": (("lm_head", VOCABULARY),), "detected": False}
_LLAMA = {"config": LlamaConfig, "architecture": "LlamaForCausalLM", **_WORDS}
_QWEN = {"config": Qwen2Config, "architecture": "Qwen2ForCausalLM", **_WORDS}
_BLANK_LINES = {"a\nb\n\nc\n\n": ["a\nb", "c"], "\n\na\n\n  \n\nb": ["a", "b"], "": []}
_PATHFINDER = {
    "tokenizer": pathfinder_tokenizer,
    "splits": _BLANK_LINES,
    "score": pair("<+>", "<->"),
    "takes_separator": True,
    **_QWEN,
}
ROWS = {
    "rlhflow-prm": Row(
        rlhflow_prm(),
        llama_tokenizer,
        rlhflow,
        {**_BLANK_LINES, " a \n\n\tb ": ["a", "b"]},
        score=pair("+", "-"),
        **_LLAMA,
    ),
    "rlhflow-prm, Mistral data": Row(
        rlhflow_prm("mistral"),
        llama_tokenizer,
        rlhflow,
        {
            "Step 1: a ки\nStep 2: b\n\nc ки": ["Step 1: a", "Step 2: b\n\nc"],
            "Step 1: a ки\nStep 2: b ки\n": ["Step 1: a", "Step 2: b"],
            "a": ["a"],
            "ки\n": [],
        },
        score=pair("+", "-"),
        **_LLAMA,
    ),
    "rlhflow-prm, ProcessBench": Row(
        rlhflow_prm(variant="processbench", system="none"),
        llama_tokenizer,
        partial(rlhflow, between="\n\n", dated=False),
        _BLANK_LINES,
        score=pair("+", "-"),
        **_LLAMA,
    ),
    "fover-prm, Llama": Row(
        fover_prm("llama"),
        llama_tokenizer,
        partial(fover, llama=True),
        _BLANK_LINES,
        score=pair("incorrect", "correct", good=1, place=0),
        **_LLAMA,
    ),
    "fover-prm, Qwen": Row(
        fover_prm("qwen"),
        models.byte_level_tokenizer,
        partial(fover, llama=False),
        _BLANK_LINES,
        score=pair("incorrect", "correct", good=1, place=0),
        **_QWEN,
    ),
    "visual-prm": Row(
        visual_prm(),
        models.byte_level_tokenizer,
        visual,
        _BLANK_LINES,
        score=pair("+", "-"),
        **_QWEN,
    ),
    "universal-prm": Row(
        universal_prm("reward.weight", "reward.bias"),
        models.byte_level_tokenizer,
        universal,
        _BLANK_LINES,
        Qwen2Config,
        "Qwen2ForCausalLM",
        (("reward", 1),),
        lambda _, value: value[0].sigmoid(),
        detected=False,
        takes_separator=True,
    ),
    "pathfinder-prm": Row(pathfinder_prm(), lay_out=pathfinder, joined=gated, **_PATHFINDER),
    "pathfinder-prm, search": Row(
        pathfinder_prm("search", "qwen2.5"),
        lay_out=partial(pathfinder, role="user", system=QWEN_SYSTEM),
        joined=gated,
        **_PATHFINDER,
    ),
    "pathfinder-prm, ProcessBench": Row(
        pathfinder_prm("processbench"),
        lay_out=partial(pathfinder, word="mathematical", passes=1),
        joined=partial(gated, passes=1),
        **_PATHFINDER,
    ),
}
