"""A head that was fitted to labelled steps: steeper than a random one, and aligned with the states.

Whoever trains a head on frozen hidden states gets such a checkpoint; it must load by itself and be
read as the stock class reads it.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import smollm2
from test_smollm2_scores import stock_scores

import stepscore

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("tqdm")

sys.path.append(str(smollm2.ROOT / "benchmarks"))
import fit_head  # noqa: E402

PENALTY = 0.05


def labelled_traces() -> list[fit_head.Trace]:
    """Sums of three numbers, of which about every third step is wrong."""
    drawn = random.Random(5)
    traces = []
    for _ in range(32):
        a, b, c = (drawn.randint(2, 9) for _ in range(3))
        labels = [drawn.random() > 0.35 for _ in range(3)]
        results = [a + b, a + b + c, a + b + c]
        results = [
            result if right else result + drawn.choice([-2, -1, 1, 2])
            for result, right in zip(results, labels, strict=True)
        ]
        steps = [
            f"{a} + {b} = {results[0]}.",
            f"Then {a + b} + {c} = {results[1]}.",
            f"So the answer is {results[2]}.",
        ]
        traces.append(fit_head.Trace(f"What is {a} + {b} + {c}?", steps, labels))
    return traces


LABELLED = labelled_traces()
TRACES = [(trace.problem, trace.steps) for trace in LABELLED]


@pytest.fixture(scope="module")
def labelled() -> fit_head.Steps:
    if (reason := smollm2.missing()) is not None:
        pytest.skip(reason)
    return fit_head.hidden_states(smollm2.folder(), LABELLED)


@pytest.fixture(scope="module")
def fitted_prm(labelled: fit_head.Steps, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted") / "prm"
    smollm2.write_prm(folder, *fit_head.head_of(*fit_head.fit_logistic(labelled, PENALTY)))
    return folder


@pytest.fixture(scope="module")
def exact(fitted_prm: Path) -> np.ndarray:
    return stock_scores(fitted_prm, torch.float32, TRACES)


def test_the_fit_is_a_minimum_of_the_penalised_log_loss(labelled: fit_head.Steps) -> None:
    weight, bias = fit_head.fit_logistic(labelled, PENALTY)
    scale = labelled.states.std(0, ddof=1)
    errors = 1 / (1 + np.exp(-(labelled.states @ weight + bias))) - labelled.labels
    standardised = (labelled.states - labelled.states.mean(0)) / scale
    slope = standardised.T @ errors / len(errors) + PENALTY * weight * scale
    assert np.abs(slope).max() < 1e-5
    assert abs(errors.mean()) < 1e-5


def test_it_is_read_as_the_stock_class_reads_it(
    labelled: fit_head.Steps, fitted_prm: Path, exact: np.ndarray
) -> None:
    prm = stepscore.load(fitted_prm)
    assert prm.recipe.as_config() == {"recipe": "trl-prm", "separator": "\n"}
    scores = prm.score(*map(list, zip(*TRACES, strict=True))).values
    assert np.abs(scores - exact).max() < 2e-5
    # It was fitted to these very states: what was learnt must come out again.
    right, wrong = scores[labelled.labels], scores[~labelled.labels]
    assert np.mean(right[:, None] > wrong) > 0.9


def test_in_bfloat16_it_is_as_exact_as_the_stock_class(fitted_prm: Path, exact: np.ndarray) -> None:
    prm = stepscore.load(fitted_prm, dtype="bfloat16")
    scores = prm.score(*map(list, zip(*TRACES, strict=True))).values
    error = np.abs(scores - exact).mean()
    stock = np.abs(stock_scores(fitted_prm, torch.bfloat16, TRACES) - exact).mean()
    assert error < 1.2 * stock, f"{error:.2e} against the stock model's {stock:.2e}"
