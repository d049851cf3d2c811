"""Memory does not grow with the shapes of the batches that a command has scored."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

PROGRAM = """
import random
from pathlib import Path
import stepscore
from stepscore import lab
from stepscore.cli import main

def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6

def score_batches():
    prm = stepscore.load("lab")
    problems = lab.generate(40, seed=1, split="eval")
    samples = lab.load_policy().sample(problems, 8, seed=0)
    pairs = [(problem, text) for problem, texts in zip(problems, samples) for text in texts]
    rng = random.Random(0)
    for call in range(40):
        rng.shuffle(pairs)
        given, solutions = zip(*pairs[:rng.randint(20, 320)])
        prm.score(list(given), list(solutions))
        if call in (14, 39):
            print(resident())
    return 0

main.main = score_batches
main.run_process()
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc to read memory from")
def test_batches_of_ever_new_sizes_take_no_more_memory() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
        env=environment,
    )
    after_15, after_40 = map(float, told.stdout.split())
    assert after_40 - after_15 < 45, "megabytes"  # some 10, and 90 where nothing bounds the caches
