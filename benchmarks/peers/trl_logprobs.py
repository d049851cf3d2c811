"""token_logprob against TRL's ChunkedLogProbFunction on a CPU, in one run.

``python trl_logprobs.py [rows] [vocabulary] [rounds]``

Needs trl 1.16, of which only ``trl.kernels`` is imported. Times are processor time of one thread:
the least of the rounds, which alternate between the contestants; ratios are to the bare product,
whole or in blocks, whichever takes less.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from trl.kernels import ChunkedLogProbFunction

import stepscore

WIDTH = 1_536
TRL_CHUNK = 8_192  # of the vocabulary; TRL's own trainer takes as much


def contestants(
    hidden: torch.Tensor, lm_head: torch.Tensor, targets: torch.Tensor
) -> dict[str, Callable[[], object]]:
    rows, vocabulary = len(hidden), len(lm_head)

    def in_blocks() -> None:
        buffer = torch.empty(rows * 4096, dtype=hidden.dtype)
        for first in range(0, vocabulary, 4096):
            block = lm_head[first : first + 4096]
            torch.mm(hidden, block.T, out=buffer[: rows * len(block)].view(rows, len(block)))

    def trl(*outputs: str) -> object:
        return ChunkedLogProbFunction.apply(
            hidden, lm_head, None, targets, 1.0, TRL_CHUNK, None, 1.0, outputs
        )

    def ours(**asked: bool) -> object:
        return stepscore.token_logprob(hidden, lm_head, targets, product="input", **asked)

    return {
        "product, whole": lambda: hidden @ lm_head.T,
        "product, in blocks": in_blocks,
        "stepscore": ours,
        "stepscore, entropy and top": lambda: ours(entropy=True, top=True),
        "trl": trl,
        "trl, entropy and top 1": lambda: trl("entropy", "is_top1"),
        "log_softmax + gather": lambda: (
            (hidden @ lm_head.T).log_softmax(1).gather(1, targets[:, None])
        ),
    }


def main(rows: int = 512, vocabulary: int = 151_936, rounds: int = 3) -> None:
    torch.set_num_threads(1)
    stepscore.set_num_threads(1)
    torch.manual_seed(0)
    for dtype in (torch.float32, torch.bfloat16):
        hidden = torch.randn(rows, WIDTH).to(dtype)
        lm_head = (torch.randn(vocabulary, WIDTH) / WIDTH**0.5).to(dtype)
        targets = torch.randint(0, vocabulary, (rows,))
        calls = contestants(hidden, lm_head, targets)
        least = dict.fromkeys(calls, float("inf"))
        with torch.no_grad():
            theirs = calls["trl"]()[0]  # type: ignore[index]
            gap = stepscore.token_logprob(hidden, lm_head, targets, product="input") - theirs
            for _ in range(rounds):
                for name, call in calls.items():
                    begun = time.process_time()
                    call()
                    least[name] = min(least[name], time.process_time() - begun)
        floor = min(least["product, whole"], least["product, in blocks"])
        print(f"{dtype}, {rows} x {WIDTH} x {vocabulary}; largest gap {gap.abs().max():.1e}")
        for name, seconds in least.items():
            print(f"  {name:28}{seconds:8.2f} s {seconds / floor:6.2f}x")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
