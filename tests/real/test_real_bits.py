"""In float32 on a CPU no company, plan, session, thread or process moves a bit of a real score."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import regroupings
from sweep import SWEEP

import stepscore

pytest.importorskip("torch")

Traces = list[tuple[str, list[str]]]
TRACES = 8 if SWEEP else 4


@pytest.fixture(scope="module")
def alone(real_prm: Path, gsm8k: Traces) -> tuple[stepscore.ProcessRewardModel, np.ndarray]:
    prm = stepscore.load(real_prm)
    assert prm.sharing is not None
    assert prm.sharing.moves is None, prm.sharing
    return prm, regroupings.alone(prm, gsm8k[:TRACES])


def test_no_regrouping_moves_a_bit(alone: tuple, gsm8k: Traces) -> None:
    prm, expected = alone
    assert np.std(np.concatenate(expected)) > 0.02, "else this test shows nothing"
    ways = len(regroupings.WAYS) * (4 if SWEEP else 1)
    for what, scores, moved, by in regroupings.moved(prm, gsm8k[:TRACES], expected, ways, most=3):
        assert not moved, f"{moved} of {scores} scores, by up to {by:.1e}: {what}"


def test_another_process_gives_the_same_bits(
    alone: tuple, gsm8k: Traces, real_prm: Path, tmp_path: Path
) -> None:
    _, expected = alone
    program = f"""
import numpy as np, stepscore
prm = stepscore.load({str(real_prm)!r}, share=False)
problems, solutions = zip(*{gsm8k[:2]!r})
np.save({str(tmp_path / "scores.npy")!r}, prm.score(list(problems), list(solutions)).values)
"""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "STEPSCORE_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    got = np.load(tmp_path / "scores.npy")
    assert got.tobytes() == np.concatenate(expected[:2]).tobytes()
