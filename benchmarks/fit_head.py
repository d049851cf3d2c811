"""Fit a head on the frozen hidden states of a real language model, from labelled steps.

SmolLM2-135M-Instruct reads solutions of PRMBench in the layout of TRL, and a logistic regression on
the hidden states at the step ends learns which steps are in error. What is written is a stock
checkpoint, a LlamaForTokenClassification with two labels, which ``stepscore.load`` loads by itself;
the held-out steps are then scored with it:

    python benchmarks/fit_head.py build/models/fitted [--problems 200] [--seed 0] [--threads 2]

Problems are split, not steps: of the variants of a problem in PRMBench's classes one is used, drawn
by the seed. The strength of the penalty is chosen on a quarter of the training problems. The area
under the ROC curve, with a 95 % bootstrap interval over problems, stands beside that of the step's
place in its solution, which needs no model, and that on the steps the head was fitted to. A model
of this size knows little of such errors: the head is a real one for tests, not one to rank with.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm
from transformers import AutoModel, AutoTokenizer

import stepscore
from stepscore.lab.evaluate import auroc_interval
from stepscore.recipes import trl_prm

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "real"))
import smollm2  # noqa: E402

Float = NDArray[np.float64]

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
BATCH_TOKENS = 4096
MAX_CHARACTERS = 2_500  # longer solutions take most of the time and are few


@dataclass(frozen=True)
class Trace:
    """A solution whose steps are right or in error."""

    problem: str
    steps: list[str]
    labels: list[bool]


@dataclass(frozen=True)
class Steps:
    """Labelled steps with their features.

    Attributes:
        states: hidden states at the step ends, float64 ``[steps, H]``.
        labels: whether a step is right ``[steps]``.
        problems: the problem of each step ``[steps]``, from 0.
    """

    states: Float
    labels: NDArray[np.bool_]
    problems: NDArray[np.int64]

    def of(self, chosen: NDArray[np.bool_]) -> Steps:
        """Give the steps of some problems ``[problems]``; the others keep their numbers."""
        mask = chosen[self.problems]
        return Steps(self.states[mask], self.labels[mask], self.problems[mask])


def prmbench(folder: Path, problems: int, seed: int) -> list[Trace]:
    """Draw problems of PRMBench, each with one of its solutions with planted errors."""
    variants: dict[str, list[Trace]] = {}
    for path in sorted(folder.glob("prm800k_*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                steps = row["modified_process"]
                labels = [k not in row["error_steps"] for k in range(1, len(steps) + 1)]
                trace = Trace(row["modified_question"], steps, labels)
                length = len(trace.problem) + sum(map(len, steps))
                if all(step.strip() for step in steps) and length <= MAX_CHARACTERS:
                    variants.setdefault(row["original_question"], []).append(trace)
    drawn = random.Random(seed)
    chosen = drawn.sample(sorted(variants), problems)
    return [drawn.choice(variants[problem]) for problem in chosen]


@torch.inference_mode()
def hidden_states(folder: Path, traces: Sequence[Trace]) -> Steps:
    """Forward traces through the stock model, and keep the states at which steps are read."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    encoded = trl_prm().encode(
        tokenizer, [trace.problem for trace in traces], [trace.steps for trace in traces]
    )
    lengths = np.diff(encoded.offsets)
    states: dict[int, Float] = {}
    with tqdm(total=int(lengths.sum()), unit="token", desc="hidden states") as bar:
        for batch in _batches(lengths):
            ids = torch.zeros(len(batch), int(lengths[batch].max()), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, trace in enumerate(batch):
                tokens = encoded.trace(trace)[0]
                ids[row, : len(tokens)] = torch.tensor(tokens)
                mask[row, : len(tokens)] = 1
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            for row, trace in enumerate(batch):
                states[trace] = hidden[row, encoded.trace(trace)[1]].double().numpy()
            bar.update(int(lengths[batch].sum()))
    counts = [len(trace.steps) for trace in traces]
    return Steps(
        np.concatenate([states[trace] for trace in range(len(traces))]),
        np.array([label for trace in traces for label in trace.labels]),
        np.repeat(np.arange(len(traces)), counts),
    )


def _batches(lengths: NDArray[np.int64]) -> Iterator[list[int]]:
    """Traces of like lengths together, padded to about `BATCH_TOKENS`."""
    batch: list[int] = []
    for trace in np.argsort(-lengths, kind="stable").tolist():
        if batch and (len(batch) + 1) * lengths[batch[0]] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(trace)
    if batch:
        yield batch


def fit_logistic(steps: Steps, penalty: float) -> tuple[Float, float]:
    r"""Minimise the mean log loss of :math:`\sigma(w \cdot h + b)` plus a penalty on ``w``.

    The penalty is :math:`\lambda / 2 \cdot |w \cdot s|^2` with the standard deviations ``s`` of the
    features, so that it does not depend on their units.

    Returns:
        ``w`` [H] and ``b``, for features as they are.
    """
    features = torch.from_numpy(steps.states)
    centre, scale = features.mean(0), features.std(0) + 1e-9
    features = (features - centre) / scale
    labels = torch.from_numpy(steps.labels).double()
    weight = torch.zeros(features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=500, tolerance_grad=1e-7, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = features @ weight + bias
        value = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        value = value + penalty / 2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    scaled = weight.detach() / scale
    return scaled.numpy(), float(bias.detach() - scaled @ centre)


def choose_penalty(steps: Steps, problems: int) -> float:
    """Give the penalty whose fit to three of four problems tells the others' steps best."""
    fourth = np.arange(problems) % 4 == 0
    fitted, judged = steps.of(~fourth), steps.of(fourth)

    def area(penalty: float) -> float:
        weight, bias = fit_logistic(fitted, penalty)
        return auroc_interval(judged.states @ weight + bias, judged.labels, judged.problems)[0]

    return max(PENALTIES, key=area)


def head_of(weight: Float, bias: float) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Give the head of two labels whose softmax is :math:`\sigma(w \cdot h + b)` at label 1."""
    rows = torch.from_numpy(np.stack([np.zeros_like(weight), weight]))
    return rows, torch.tensor([0.0, bias])


def report(traces: Sequence[Trace], held_out: Steps, scores: Float, exact: Float) -> None:
    """Print how well scores tell held-out steps, and how far they are from the stock forward."""
    place = np.concatenate([-np.arange(len(trace.steps), dtype=float) for trace in traces])
    for name, values in (("fitted head", scores), ("place in the solution", place)):
        area, low, high = auroc_interval(values, held_out.labels, held_out.problems)
        print(f"step AUROC, {name}: {area:.3f} [{low:.3f}, {high:.3f}]")
    accuracy = np.mean((scores > 0.5) == held_out.labels)
    print(f"accuracy at .5: {accuracy:.1%}; all called right: {held_out.labels.mean():.1%}")
    print(f"largest deviation from the stock forward: {np.abs(scores - exact).max():.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the checkpoint's folder, made here")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "prmbench")
    parser.add_argument("--problems", type=int, default=200, help="at least 40")
    parser.add_argument("--held-out", type=float, default=0.25, help="share of the problems")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"{options.out} exists; remove it, or name another folder")
    if options.problems < 40:
        parser.error("fewer than 40 problems have too few errors for a penalty and an interval")
    if (reason := smollm2.missing()) is not None:
        parser.error(reason)
    torch.set_num_threads(options.threads)
    traces = prmbench(options.data, options.problems, options.seed)
    steps = hidden_states(smollm2.folder(), traces)
    # The problems are in random order already.
    count = round(len(traces) * options.held_out)
    is_held_out = np.arange(len(traces)) < count
    training, held_out = steps.of(~is_held_out), steps.of(is_held_out)
    penalty = choose_penalty(training, len(traces))
    weight, bias = fit_logistic(training, penalty)
    smollm2.write_prm(options.out, *head_of(weight, bias))
    print(f"{len(traces)} problems, {len(steps.labels)} steps, {steps.labels.mean():.1%} right")
    print(f"held out: {count} problems, {len(held_out.labels)} steps; penalty {penalty:g}")
    fitted = training.states @ weight + bias
    [area, *_] = auroc_interval(fitted, training.labels, training.problems)
    print(f"step AUROC on the steps it was fitted to: {area:.3f}")
    judged = traces[:count]
    prm = stepscore.load(options.out)
    scores = prm.score([trace.problem for trace in judged], [trace.steps for trace in judged])
    exact = 1 / (1 + np.exp(-(held_out.states @ weight + bias)))
    report(judged, held_out, scores.values.astype(np.float64), exact)


if __name__ == "__main__":
    main()
