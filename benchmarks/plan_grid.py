"""Is the plan that is chosen the fastest of those that can be forced, on a grid of shapes?

A random Llama with the sizes of SmolLM2-135M (two of its layers), and a tiny one, forward random
traces: problems x candidates of each x tokens of a candidate x tokens of the problem. The ways:

    shared      every run of tokens that two traces have in common is forwarded once
    packed      whole traces, one behind the other
    padded      whole traces, as rows of one length
    one by one  a trace at a time

The ways take turns in a round. The bar: what is chosen takes at most 1.1 times as long as the
fastest way, by the medians. With ``--cpu-time`` the seconds are those of the thread, for a machine
that others use, too; that needs one thread.

    python benchmarks/plan_grid.py [--dtype bfloat16] [--threads N] [--rounds N] [--cpu-time]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaConfig, LlamaModel

import stepscore
from stepscore.ragged import offsets_of
from stepscore.scoring.forward.choice import cheapest_plan, seconds
from stepscore.scoring.forward.feed_forward import replace_activations
from stepscore.scoring.forward.forward_pass import hidden_states
from stepscore.scoring.forward.linear import pack_linear_layers
from stepscore.scoring.forward.plan import ForwardCosts, Plan, plan, plan_padded
from stepscore.scoring.forward.sharing import forward_costs, share_prefixes

BAR = 1.1
BUDGET = 1024
VOCABULARY = 1000
MODELS = {
    "smollm2": {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 2,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}
GRID = list(itertools.product((1, 6), (2, 4, 12), (8, 40, 160), (16, 100)))


def backbone_of(name: str, dtype: torch.dtype) -> tuple[LlamaModel, ForwardCosts]:
    """A model as `stepscore.load` makes it, and its costs."""
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=VOCABULARY, max_position_embeddings=4096, **MODELS[name])
    backbone = LlamaModel(config).to(dtype).eval()
    costs = forward_costs(backbone)
    pack_linear_layers(backbone)
    replace_activations(backbone)
    sharing = share_prefixes(backbone, config.to_dict())
    assert sharing.shared, sharing
    return backbone, costs


def traces_of(
    problems: int, candidates: int, length: int, prefix: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Candidates of .6 to 1.4 times the length, over problems of as many tokens as asked for."""
    rng = np.random.default_rng(0)
    parts, lengths = [], []
    for _ in range(problems):
        problem = rng.integers(VOCABULARY, size=prefix)
        for own in np.linspace(0.6 * length, 1.4 * length, candidates).astype(int):
            parts += [problem, rng.integers(VOCABULARY, size=own)]
            lengths.append(prefix + int(own))
    return np.concatenate(parts).astype(np.int32), offsets_of(np.array(lengths, dtype=np.int64))


def ways_of(
    token_ids: NDArray[np.int32], offsets: NDArray[np.int64], costs: ForwardCosts
) -> dict[str, Plan]:
    """The chosen plan, and the forced ones."""
    every = ForwardCosts(token=1.0, fork=0.0)
    return {
        "chosen": cheapest_plan(token_ids, offsets, token_budget=BUDGET, costs=costs),
        "shared": plan(token_ids, offsets, token_budget=BUDGET, costs=every),
        "packed": plan(
            token_ids, offsets, token_budget=BUDGET, costs=replace(every, fork=float("inf"))
        ),
        "padded": plan_padded(token_ids, offsets, token_budget=BUDGET),
        "one by one": plan_padded(token_ids, offsets, token_budget=1),
    }


def measure(backbone: LlamaModel, ways: dict[str, Plan], rounds: int, clock: object) -> dict:
    """Median seconds of each way; equal plans are timed once."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, made in ways.items():
            begin = clock()  # type: ignore[operator]
            for _ in hidden_states(backbone, made):
                pass
            if turn:  # the first round warms up
                taken[name].append(clock() - begin)  # type: ignore[operator]
    return {name: statistics.median(values) for name, values in taken.items()}


def same(a: Plan, b: Plan) -> bool:
    """Whether two plans forward the same rows in the same batches."""
    return a.padded == b.padded and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("offsets", "parent", "batches", "token_ids")
    )


def main() -> None:
    """Print a line for each shape, and how many are within the bar."""
    parser = argparse.ArgumentParser(description="Is the chosen plan the fastest?")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--only", choices=sorted(MODELS))
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    stepscore.set_num_threads(wanted.threads)
    clock = time.thread_time if wanted.cpu_time else time.perf_counter
    for name in MODELS if wanted.only is None else [wanted.only]:
        backbone, costs = backbone_of(name, getattr(torch, wanted.dtype))
        print(f"\n{name}, {wanted.dtype}, {wanted.threads} threads: {costs}")
        over = []
        for shape in GRID:
            ways = ways_of(*traces_of(*shape), costs)
            chosen = ways.pop("chosen")
            equal = [way for way, made in ways.items() if same(chosen, made)]
            if not equal:
                ways["mixed"] = chosen
            taken = measure(backbone, ways, wanted.rounds, clock)
            picked = (equal or ["mixed"])[0]
            over.append(taken[picked] / min(taken.values()))
            print(
                "{} x {} x {:>3} after {:>3}".format(*shape),
                f"{picked:<10} {over[-1]:5.2f}x",
                *(f"{way} {taken[way] * 1e3:.1f} ms" for way in ways),
                f"(reckoned {seconds(chosen, costs) * 1e3:.1f} ms)",
                sep="  ",
                flush=True,
            )
        within = sum(ratio <= BAR for ratio in over)
        print(f"within {BAR} of the fastest: {within} of {len(over)}, at most {max(over):.2f}x")


if __name__ == "__main__":
    main()
