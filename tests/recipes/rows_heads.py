"""Rows of recipes whose heads stand in files of their own, or read something else than H numbers.

Each writes its checkpoint as its authors do, and reads it by the authors' modules.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import models
import torch
from models import HIDDEN, VOCABULARY
from rows import LaidOut, Row
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from stepscore.recipes import (
    birm,
    dream_prm,
    llemma_prm,
    metastone_sprm,
    reasonflux_prm_1_5b,
    rest_mcts_value,
    vgs_value,
)

Read = Callable[[list[int], list[int]], list[float]]


@cache
def with_entries(*entries: str, bos: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer like Qwen2.5's with more entries, and with a BOS in front of every text."""
    tokenizer = copy.deepcopy(models.byte_level_tokenizer("<|endoftext|>" if bos else None))
    tokenizer.add_tokens(list(entries))
    if bos:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
        )
    return tokenizer


def causal(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    config: type[PretrainedConfig],
    layers: int = 2,
) -> torch.nn.Module:
    """Save a language model, and give it in float64."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config(**models._sizes(num_hidden_layers=layers)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model.double().eval()


def hidden(model: torch.nn.Module, ids: list[int], which: int = -1) -> torch.Tensor:
    return model(torch.tensor([ids]), output_hidden_states=True).hidden_states[which][0]


def found(ids: list[int], wanted: list[int]) -> list[int]:
    """Where a run of ids begins, from the left, without overlaps."""
    places, at = [], 0
    while at < len(ids):
        if ids[at : at + len(wanted)] == wanted:
            places.append(at)
            at += len(wanted)
        else:
            at += 1
    return places


# BiRM


def birm_text(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    question = models.enc(tokenizer, f"{problem}\n", special=True)
    ids = question + models.enc(tokenizer, "\n".join(f"{step.strip()}ки" for step in steps))
    [tag] = models.enc(tokenizer, "ки")
    return ids, [place for place, token in enumerate(ids) if token == tag]


@torch.no_grad()
def write_birm(folder: Path, *, how: str, beta: float, bos: bool) -> Read:
    model = causal(folder, with_entries("ки", bos=bos), Qwen2Config)
    torch.manual_seed(1)
    stored = {}
    for name in ("outcome", "process"):
        stored[f"{name}_gain"], stored[f"{name}_bias"] = torch.randn(1), torch.randn(1)
        stored[f"{name}_vscore_head.weight"] = torch.randn(1, HIDDEN) / 7
    torch.save(stored, folder / "verifier.pth")
    wide = {key: value.double() for key, value in stored.items()}

    def read(ids: list[int], places: list[int]) -> list[float]:
        states = hidden(model, ids)
        outcome, process = (
            (wide[f"{name}_gain"] * states + wide[f"{name}_bias"])
            @ wide[f"{name}_vscore_head.weight"][0]
            for name in ("outcome", "process")
        )
        totals = []
        for k in range(1, len(places) + 1):
            rewards = process[places[:k]]
            reduced = {"mean": rewards.mean(), "min": rewards.min(), "last": rewards[-1]}[how]
            totals.append(float(outcome[places[k - 1]] + beta * reduced))
        return totals

    return read


def birm_row(how: str = "mean", beta: float = 1.0, *, bos: bool = False) -> Row:
    return Row(
        birm(how, beta),
        partial(with_entries, "ки", bos=bos),
        birm_text,
        {"aки\nbки": ["a", "b"], "a киb": ["a", "b"], "a\n\nb \n": ["a", "b"]},
        Qwen2Config,
        "Qwen2ForCausalLM",
        (),
        lambda *_: torch.zeros(()),
        detected=False,
        write=partial(write_birm, how=how, beta=beta, bos=bos),
    )


# VGS

VGS = ("<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<think>")


def vgs_text(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    text = (
        f"<｜begin▁of▁sentence｜><｜User｜>{problem} Please think step-by-step and put your final "
        "answer within \\boxed{}.<｜Assistant｜><think>\n"
    )
    ids, ends = models.enc(tokenizer, text), []
    for block in steps:
        ids = ids + models.enc(tokenizer, block)
        ends.append(len(ids) - 1)
    return ids, ends


@torch.no_grad()
def write_vgs(folder: Path, *, classes: int) -> Read:
    model = causal(folder, with_entries(*VGS), Qwen2Config)
    linear = partial(torch.nn.Linear, bias=False)
    score = torch.nn.Sequential(linear(HIDDEN, HIDDEN), torch.nn.ReLU(), linear(HIDDEN, classes))
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    tensors |= {f"score.{key}": value for key, value in score.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, "architectures": ["Qwen2ForClassifier"]})
    )
    score.double()

    def read(ids: list[int], places: list[int]) -> list[float]:
        logits = score(hidden(model, ids)[places])
        if classes == 1:
            return logits[:, 0].sigmoid().tolist()
        return logits.softmax(-1)[:, 1].tolist()

    return read


def vgs_row(classes: int = 3) -> Row:
    return Row(
        vgs_value(classes),
        partial(with_entries, *VGS),
        vgs_text,
        {"a\n\nb": ["a\n\nb"], " a ": [" a "], "\n": []},
        Qwen2Config,
        "Qwen2ForClassifier",
        (),
        lambda *_: torch.zeros(()),
        detected=classes == 3,
        takes_separator=True,
        write=partial(write_vgs, classes=classes),
    )


# Llemma


def llemma(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    body = "".join(step.replace("\n\n", "").strip() + "\n\n" for step in steps)
    text = f"# Question\n\n{problem}\n\n# Solution\n\n{body}"
    ids = models.enc(tokenizer, text, special=True)
    blank = models.enc(tokenizer, "\n\n")[1:]
    assert ids[0] == tokenizer.bos_token_id
    assert len(blank) == 2
    # The newlines behind the header end no step.
    return ids, found(ids, blank)[-len(steps) :]


@torch.no_grad()
def write_llemma(folder: Path) -> Read:
    model = causal(folder, models.word_piece_tokenizer(), LlamaConfig)
    # The mean row of a random matrix is nearly nothing.
    model.lm_head.weight += torch.randn(HIDDEN) / 4
    model.float().save_pretrained(folder)
    model.double()
    assert len(models.word_piece_tokenizer()) < VOCABULARY, "rows that no token has"

    def read(ids: list[int], places: list[int]) -> list[float]:
        logits = model(torch.tensor([ids])).logits[0]
        return logits.mean(dim=-1).sigmoid()[places].tolist()

    return read


# MetaStone

THINK = ("<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>")


def metastone(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    body = "".join(step.rstrip("\n") + "\n\n" for step in steps)
    text = f"<｜begin▁of▁sentence｜><｜User｜>{problem}<｜Assistant｜><think>\n{body}"
    ids = models.enc(tokenizer, text)
    ends, [think] = models.enc(tokenizer, ".\n\n"), models.enc(tokenizer, "<think>")
    # The author's mask, a place at a time.
    places = []
    for place in range(1, len(ids)):
        first = ids[place] in ends and ids[place - 1] not in ends
        if first and ids[place - 1] != think and place - 1 > ids.index(think):
            places.append(place - 1)
    return ids, places


@torch.no_grad()
def write_metastone(folder: Path) -> Read:
    model = causal(folder, with_entries(*THINK), Qwen2Config, layers=3)
    module = torch.nn.Sequential(
        torch.nn.Linear(HIDDEN, 2 * HIDDEN),
        torch.nn.ReLU(),
        torch.nn.Dropout(p=0.5),
        torch.nn.Linear(2 * HIDDEN, 1),
    ).eval()
    torch.save(module.state_dict(), folder / "score_module.pt")
    module.double()

    def read(ids: list[int], places: list[int]) -> list[float]:
        return module(hidden(model, ids, -2)[places]).sigmoid()[:, 0].tolist()

    return read


# ReasonFlux


def reasonflux(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> LaidOut:
    ids = models.enc(tokenizer, problem + "\n\n".join(steps), special=True)
    return ids, [len(ids) - 1]


@torch.no_grad()
def write_reasonflux(folder: Path) -> Read:
    model = causal(folder, with_entries(bos=True), Qwen2Config)
    head = torch.nn.Linear(HIDDEN, 1)
    torch.save(head.state_dict(), folder / "reward_head.pt")
    head.double()
    return lambda ids, places: head(hidden(model, ids)[places]).sigmoid()[:, 0].tolist()


# Linear layers over all logits, of every beginning of a trace


def rest_mcts(
    tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]
) -> list[LaidOut]:
    sequences = []
    for k in range(1, len(steps) + 1):
        written = "".join(f"{step}\n" for step in steps[:k])
        text = f"Problem: {problem}\nSolution:\n{written}"
        ids = models.enc(tokenizer, text, special=True)
        sequences.append((ids, [len(ids) - 1]))
    return sequences


def dream(tokenizer: PreTrainedTokenizerFast, problem: str, steps: Sequence[str]) -> list[LaidOut]:
    sequences = []
    for k in range(1, len(steps) + 1):
        prompt = problem + "\n\n" + "\n\n".join(steps[:k])
        text = (
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
            f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
        )
        ids = models.enc(tokenizer, text)
        sequences.append((ids, [len(ids) - 1]))
    return sequences


@torch.no_grad()
def write_rest_mcts(folder: Path) -> Read:
    """The author's class as one state_dict, in the place of the weights."""
    model = causal(folder, with_entries(bos=True), MistralConfig)
    (folder / "model.safetensors").unlink()
    layer = torch.nn.Linear(VOCABULARY, 1)
    whole = torch.nn.ModuleDict({"base_model": model.float(), "LN": layer})
    torch.save(whole.state_dict(), folder / "pytorch_model.bin")
    whole.double()

    def read(ids: list[int], places: list[int]) -> list[float]:
        return layer(model(torch.tensor([ids])).logits[0, places])[:, 0].tolist()

    return read


@torch.no_grad()
def write_dream(folder: Path, *, file: str) -> Read:
    model = causal(folder, with_entries(), Qwen2Config)
    layer = torch.nn.Linear(VOCABULARY, 1)
    torch.save(layer.state_dict(), folder / file)
    layer.double()

    def read(ids: list[int], places: list[int]) -> list[float]:
        return layer(model(torch.tensor([ids])).logits[0, places]).sigmoid()[:, 0].tolist()

    return read


ROWS = {
    "birm": birm_row(),
    "birm, least reward, BOS": birm_row("min", 0.5, bos=True),
    "birm, last reward": birm_row("last", 3.5),
    "vgs-value": vgs_row(),
    "vgs-value, one class": vgs_row(1),
    "llemma-prm": Row(
        llemma_prm(),
        models.word_piece_tokenizer,
        llemma,
        {"a\nb\n\nc\n\n": ["a\nb", "c"], " a \n\n\n\nb": ["a", "b"]},
        LlamaConfig,
        "LlamaForCausalLM",
        (),
        lambda *_: torch.zeros(()),
        detected=False,
        takes_separator=True,  # and loses it
        write=write_llemma,
    ),
    "metastone-sprm": Row(
        metastone_sprm(),
        partial(with_entries, *THINK),
        metastone,
        {
            "a.\n\nb.\n\nc": ["a.\n\n", "b.\n\n"],
            "<think>\na.\n\nb.\n\n</think>\n\nc.\n\n": ["a.\n\n", "b.\n\n"],
            "a.\n\nx).\n\nb.\n\n": ["a.\n\n", "x).\n\nb.\n\n"],
            "a": [],
        },
        Qwen2Config,
        "Qwen2ForCausalLM",
        (),
        lambda *_: torch.zeros(()),
        detected=False,
        takes_separator=True,
        traces=(
            ("What?", ["It is 7 x."]),
            ("How many eggs?", ["x."] * 7),
            ("What?\n\nIt ends.\n\n", ["It is 7 x.\n\n", "Step 2: Yes.", "  No 7."]),
            (models.PROBLEMS[0], [step.rstrip(".") + "." for step in models.STEPS]),
        ),
        write=write_metastone,
    ),
    "reasonflux-prm-1.5b": Row(
        reasonflux_prm_1_5b(),
        partial(with_entries, bos=True),
        reasonflux,
        {"a\n\nb\n": ["a\n\nb"], "\n": []},
        Qwen2Config,
        "Qwen2ForCausalLM",
        (),
        lambda *_: torch.zeros(()),
        detected=False,
        takes_separator=True,
        write=write_reasonflux,
    ),
    "rest-mcts-value": Row(
        rest_mcts_value(),
        partial(with_entries, bos=True),
        rest_mcts,
        {"a\nb\n": ["a", "b"], "a\n\nb": ["a", "b"]},
        MistralConfig,
        "MistralForCausalLM",
        (),
        lambda *_: torch.zeros(()),
        detected=False,
        takes_separator=True,
        write=write_rest_mcts,
    ),
    "dream-prm": Row(
        dream_prm(),
        with_entries,
        dream,
        {"a\nb\n\nc": ["a\nb", "c"]},
        Qwen2Config,
        "Qwen2ForCausalLM",
        (),
        lambda *_: torch.zeros(()),
        detected=False,
        write=partial(write_dream, file="LN.pt"),
    ),
    "dream-prm, as its training writes it": Row(
        dream_prm("LN_weights.pt"),
        with_entries,
        dream,
        {},
        Qwen2Config,
        "Qwen2ForCausalLM",
        (),
        lambda *_: torch.zeros(()),
        detected=False,
        write=partial(write_dream, file="LN_weights.pt"),
    ),
}
