"""Sharing on a real model: how far scores are from the stock reading, and how fast they come.

SmolLM2-135M-Instruct under a random head, in the layout of TRL, over

    published   GSM8K's published solutions: 24 problems x 4, of which 12 are timed
    sampled     3 problems x 64 solutions sampled by the model itself, seeded, kept in build/

Deviations are from the stock model in float32, one trace at a time: of the stock model in each
number format, of `prm.score`, and of a session that is told a step at a time. The bar: ours is at
most 1.2 times the stock model's. The ways that are timed take turns in a round; a ratio is the
median of the rounds' ratios to ours:

    one by one  the stock model, a trace at a time
    padded      the stock model, 8 traces at a time, padded on the right, with an attention mask
    bare        the stock backbone over as many random tokens as the traces have unique ones, in
                rows of their mean length

    python benchmarks/real_forward.py [--dtype bfloat16] [--threads 1] [--rounds 5] [--cpu-time]
        [--only sampled]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from bench_forward import PADDED_ROWS, Bare, alternate, ratios_of
from transformers.utils import logging

import stepscore
from stepscore.ragged import offsets_of

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "real"))
import smollm2  # noqa: E402

Traces = list[tuple[str, list[str]]]
BAR = 1.2
SOLVERS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
SAMPLES, NEW_TOKENS = 64, 96


def data_folder() -> Path:
    """The public data sets, as the tests find them."""
    return Path(os.environ.get("STEPSCORE_DATA", ROOT.parent / "shared" / "data"))


def published(problems: int) -> Traces:
    """The four published solutions of the first problems."""
    traces: Traces = []
    with (data_folder() / "gsm8k" / "example_model_solutions.jsonl").open() as lines:
        for _, line in zip(range(problems), lines, strict=False):
            row = json.loads(line)
            for solver in SOLVERS:
                steps = [step for step in row[solver]["solution"].split("\n") if step.strip()]
                traces.append((row["question"], steps))
    return traces


def sampled(problems: int) -> Traces:
    """Solutions sampled by the model, made on first use."""
    kept = smollm2.folder().parent / f"smollm2-samples-{problems}x{SAMPLES}x{NEW_TOKENS}.json"
    if not kept.exists():
        texts = [(question, _sample(question)) for question, _ in published(problems)[::4]]
        part = kept.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(texts))
        part.rename(kept)
    traces: Traces = []
    for question, solutions in json.loads(kept.read_text()):
        for text in solutions:
            steps = [step for step in text.split("\n") if step.strip()]
            if steps:
                traces.append((question, steps))
    return traces


@torch.inference_mode()
def _sample(question: str) -> list[str]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(smollm2.folder())
    model = transformers.AutoModelForCausalLM.from_pretrained(smollm2.folder())
    torch.manual_seed(0)
    prompt = f"Question: {question}\nAnswer, a step a line:\n"
    ids = torch.tensor([tokenizer(prompt).input_ids])
    made = model.generate(
        ids,
        do_sample=True,
        temperature=0.8,
        max_new_tokens=NEW_TOKENS,
        num_return_sequences=SAMPLES,
        pad_token_id=tokenizer.eos_token_id,
    )
    return tokenizer.batch_decode(made[:, ids.shape[1] :], skip_special_tokens=True)


class Stock:
    """What a script would do: the model's class, and TRL's reading of it."""

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        kind = transformers.LlamaForTokenClassification
        self.model = kind.from_pretrained(folder, dtype=dtype).eval()
        self.line_end = self.tokenizer("\n", add_special_tokens=False).input_ids

    def encode(self, problem: str, steps: list[str]) -> tuple[list[int], list[int]]:
        """The tokens of a trace, and where its steps end."""
        ids, ends = [self.tokenizer.bos_token_id, *self.tokenizer(problem).input_ids], []
        for step in steps:
            ids = ids + self.tokenizer(step, add_special_tokens=False).input_ids + self.line_end
            ends.append(len(ids) - 1)
        return ids, ends

    @torch.inference_mode()
    def score(self, traces: Traces, rows: int = 1) -> np.ndarray:
        """Score so many traces at a time; padded on the right where there are several."""
        scores = []
        for first in range(0, len(traces), rows):
            encoded = [self.encode(*trace) for trace in traces[first : first + rows]]
            longest = max(len(ids) for ids, _ in encoded)
            ids = torch.zeros(len(encoded), longest, dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, (tokens, _) in enumerate(encoded):
                ids[row, : len(tokens)] = torch.tensor(tokens)
                mask[row, : len(tokens)] = 1
            options = {} if rows == 1 else {"attention_mask": mask}
            hidden = self.model.model(ids, use_cache=False, **options).last_hidden_state
            head = self.model.score
            for states, (_, ends) in zip(hidden, encoded, strict=True):
                logits = states[ends].float() @ head.weight.float().T + head.bias.float()
                scores.append(logits.softmax(-1)[:, 1].numpy())
        return np.concatenate(scores)


def in_session(prm: stepscore.ProcessRewardModel, traces: Traces) -> np.ndarray:
    """Every problem's traces in one session, a step at a time."""
    scores: list[list[np.ndarray]] = [[] for _ in traces]
    problems = list(dict.fromkeys(problem for problem, _ in traces))
    with prm.session(problems) as session:
        nodes = [session.roots[problems.index(problem)] for problem, _ in traces]
        for step in range(max(len(steps) for _, steps in traces)):
            left = [i for i, (_, steps) in enumerate(traces) if step < len(steps)]
            grown = session.extend([nodes[i] for i in left], [[traces[i][1][step]] for i in left])
            for i, node, values in zip(left, grown.nodes, grown.scores, strict=True):
                nodes[i] = node
                scores[i].append(values)
    return np.concatenate([np.concatenate(parts) for parts in scores])


def compare(folder: Path, dtype: torch.dtype, traces: Traces, exact: np.ndarray) -> None:
    """Print how far the ways to score are from the stock model in float32."""
    prm = stepscore.load(folder, dtype=dtype, show_progress=False)
    print(f"  {prm.sharing}")
    problems, solutions = (list(part) for part in zip(*traces, strict=True))
    stock = np.abs(Stock(folder, dtype).score(traces) - exact)
    ways = {
        "score": prm.score(problems, solutions).values,
        "session": in_session(prm, traces),
    }
    for name, values in ways.items():
        error = np.abs(values - exact)
        verdict = "float32 has no bar"
        if dtype != torch.float32:
            verdict = f"{error.mean() / stock.mean():.2f} of it, bar {BAR}"
        print(
            f"  {name:<8} mean {error.mean():.2e}, largest {error.max():.2e}; the stock model "
            f"{stock.mean():.2e}, {stock.max():.2e}: {verdict}"
        )


def time_ways(
    folder: Path, dtype: torch.dtype, traces: Traces, rounds: int, clock: Callable[[], float]
) -> None:
    """Print how long the other ways take beside ours."""
    prm = stepscore.load(folder, dtype=dtype, show_progress=False)
    stock = Stock(folder, dtype)
    problems, solutions = (list(part) for part in zip(*traces, strict=True))
    encoded = [stock.encode(*trace)[0] for trace in traces]
    offsets = offsets_of(np.array([len(ids) for ids in encoded], dtype=np.int64))
    trie = stepscore.PrefixTrie(np.concatenate(encoded).astype(np.int32), offsets)
    bare = Bare(stock.model.model, "cpu", round(offsets[-1] / len(traces)), len(trie))
    ways: dict[str, Callable[[], Any]] = {
        "ours": lambda: prm.score(problems, solutions),
        "session": lambda: in_session(prm, traces),
        "one by one": lambda: stock.score(traces),
        "padded": lambda: stock.score(traces, PADDED_ROWS),
        "bare": bare,
    }
    ways["ours"]()
    seconds = alternate(ways, rounds, clock)
    scale = {"bare": len(trie) / bare.tokens}
    print(f"  {len(traces)} traces, {offsets[-1]} tokens given, {len(trie)} unique")
    for name, taken in seconds.items():
        ratio = statistics.median(ratios_of(taken, seconds["ours"])) * scale.get(name, 1.0)
        print(f"  {name:<12}{statistics.median(taken):8.2f} s{ratio:8.2f}x ours")


def main() -> None:
    """Print both tables for each number format."""
    parser = argparse.ArgumentParser(description="Sharing on a real model.")
    parser.add_argument("--dtype", action="append", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="0 times nothing")
    parser.add_argument("--cpu-time", action="store_true", help="for a busy machine")
    parser.add_argument("--only", choices=["published", "sampled"])
    wanted = parser.parse_args()
    if (reason := smollm2.missing()) is not None:
        sys.exit(reason)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(wanted.threads)
    stepscore.set_num_threads(wanted.threads)
    print(f"torch {torch.__version__}, {wanted.threads} threads, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "prm")
        torch.manual_seed(3)
        weight = torch.randn(2, 576) / (4 * 576**0.5)
        smollm2.write_prm(folder, weight, torch.zeros(2))
        cases = {"published": published, "sampled": sampled}
        for case in cases if wanted.only is None else [wanted.only]:
            traces = cases[case](24 if case == "published" else 3)
            timed = traces[:48] if case == "published" else traces
            exact = Stock(folder, torch.float32).score(traces)
            for dtype in wanted.dtype or ["float32", "bfloat16", "float16"]:
                print(f"\n{case}, {dtype}: {len(traces)} traces, {len(exact)} steps")
                compare(folder, getattr(torch, dtype), traces, exact)
                if wanted.rounds:
                    clock = time.process_time if wanted.cpu_time else time.perf_counter
                    time_ways(folder, getattr(torch, dtype), timed, wanted.rounds, clock)


if __name__ == "__main__":
    main()
