"""Scoring end to end, in the layout of Math-Shepherd, against the way of its model card.

A random Llama of about 50M parameters with a 32,000-word vocabulary scores 16 candidates of 120 to
360 tokens, in steps of about 40, over one problem of 200 tokens. Ours reads two rows of the output
matrix at the step ends; the card's way computes every logit of one candidate at a time and takes a
softmax of two of them at every token. Both start from the same texts; the scores must agree.

    python benchmarks/bench_end_to_end.py
    pytest benchmarks/bench_end_to_end.py --benchmark-enable --benchmark-only
"""

from __future__ import annotations

import atexit
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers import PreTrainedTokenizerFast as FastTokenizer
from transformers.utils import logging

import stepscore
from stepscore.scoring import ProcessRewardModel

BAR = 1.5
VOCABULARY = 32_000
PROBLEM_TOKENS = 200
CANDIDATES = 16
STEP_TOKENS = 40
ROUNDS = 5


@dataclass(frozen=True)
class Task:
    """A checkpoint, and one problem with its candidates."""

    folder: Path
    parameters: int
    problem: str
    candidates: list[list[str]]


def build_tokenizer(vocabulary: int = VOCABULARY) -> FastTokenizer:
    """One token per word, with the tag, the two words and the BOS that the recipe needs."""
    words = ["<unk>", "<s>", "</s>", "▁ки", "▁+", "▁-", "▁Step", "\nStep"]
    words += [f"▁{number}:" for number in range(1, 30)]
    words += [f"▁w{number}" for number in range(vocabulary - len(words))]
    tokenizer = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁"), normalizers.Replace("▁\n", "\n")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", behavior="merged_with_next"),
            pre_tokenizers.Split("▁", behavior="merged_with_next"),
        ]
    )
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return FastTokenizer(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@cache
def build_task() -> Task:
    """Write the checkpoint once per run, and draw the texts."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1376,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        initializer_range=0.05,
    )
    model = LlamaForCausalLM(config)
    folder = Path(tempfile.mkdtemp(prefix="stepscore-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    draw = random.Random(0)

    def words(count: int) -> str:
        return " ".join(f"w{draw.randrange(VOCABULARY - 100)}" for _ in range(count))

    candidates = []
    for index in range(CANDIDATES):
        steps = 3 + index * 6 // (CANDIDATES - 1)  # 120 to 360 tokens
        # A step's number and tag take three of its tokens.
        candidates.append([f"Step {k}: {words(STEP_TOKENS - 3)}" for k in range(1, steps + 1)])
    draw.shuffle(candidates)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Task(folder, parameters, words(PROBLEM_TOKENS), candidates)


def load_card() -> Callable[[str, list[list[str]]], list[list[float]]]:
    """The model card's way: AutoModelForCausalLM, one candidate at a time, every logit."""
    folder = build_task().folder
    tokenizer = FastTokenizer.from_pretrained(folder)
    good_bad = tokenizer.encode("+ -")[1:]
    tag = tokenizer.encode("ки")[-1]
    model = AutoModelForCausalLM.from_pretrained(folder).eval()

    def score(problem: str, candidates: list[list[str]]) -> list[list[float]]:
        scores = []
        for steps in candidates:
            text = f"{problem} " + "\n".join(f"{step} ки" for step in steps)
            ids = torch.tensor([tokenizer.encode(text)])
            with torch.no_grad():
                logits = model(ids).logits[:, :, good_bad]
                good = logits.softmax(dim=-1)[:, :, 0]
                scores.append(good[ids == tag].tolist())
        return scores

    return score


def load_ours() -> ProcessRewardModel:
    """Ours, with its defaults."""
    return stepscore.load(build_task().folder, recipe="math-shepherd", device="cpu")


def check_equal_scores(ours: list[list[float]], card: list[list[float]]) -> float:
    """Compare score by score; give the largest difference."""
    assert [len(values) for values in ours] == [len(values) for values in card]
    difference = np.abs(np.concatenate(ours) - np.concatenate(card)).max()
    assert difference < 1e-5, difference
    return float(difference)


def measure() -> dict[str, float]:
    """Alternate the two ways; give the median seconds of each, and the ratio."""
    task = build_task()
    prm, card = load_ours(), load_card()
    difference = check_equal_scores(  # this also warms both up
        prm.score(task.problem, task.candidates).to_list(), card(task.problem, task.candidates)
    )
    seconds: dict[str, list[float]] = {"ours": [], "card": []}
    for _ in range(ROUNDS):
        for name, run in (("ours", prm.score), ("card", card)):
            begin = time.perf_counter()
            run(task.problem, task.candidates)
            seconds[name].append(time.perf_counter() - begin)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = [card / ours for ours, card in zip(seconds["ours"], seconds["card"], strict=True)]
    return {**median, "ratio": statistics.median(ratios), "difference": difference}


def test_ours(benchmark) -> None:
    task, prm = build_task(), load_ours()
    benchmark.pedantic(prm.score, (task.problem, task.candidates), rounds=ROUNDS, warmup_rounds=1)


def test_model_card(benchmark) -> None:
    task, card = build_task(), load_card()
    benchmark.pedantic(card, (task.problem, task.candidates), rounds=ROUNDS, warmup_rounds=1)


def test_the_bar(benchmark) -> None:
    measured = benchmark.pedantic(measure, rounds=1)
    assert measured["ratio"] >= BAR, measured


def main() -> None:
    """Print one table."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if len(sys.argv) > 1:
        torch.set_num_threads(int(sys.argv[1]))
    task = build_task()
    tokens = sum(PROBLEM_TOKENS + STEP_TOKENS * len(steps) for steps in task.candidates)
    measured = measure()
    print(f"{task.parameters / 1e6:.1f}M parameters, {CANDIDATES} candidates, {tokens} tokens;")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, median of {ROUNDS} runs")
    print(f"{'model card':<12}{measured['card'] * 1e3:>9.0f} ms")
    print(f"{'ours':<12}{measured['ours'] * 1e3:>9.0f} ms")
    print(f"{'ratio':<12}{measured['ratio']:>9.2f}    (bar {BAR})")
    print(f"{'difference':<12}{measured['difference']:>9.1e}")


if __name__ == "__main__":
    main()
