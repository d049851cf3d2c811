"""Rewards of a policy's own tokens: the formulas in loops, and what is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import stepscore
from stepscore.rewards import (
    answer_confidence,
    divide_by_confidence,
    divide_by_entropy,
    log_ratio_rewards,
    step_uncertainty,
    teacher_forced_rewards,
)


def ragged(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-probabilities of tokens, offsets of their steps, and of candidates over the steps."""
    rng = np.random.default_rng(seed)
    candidates = np.concatenate([[0], np.cumsum(rng.integers(1, 5, 6))])
    steps = np.concatenate([[0], np.cumsum(rng.integers(1, 7, candidates[-1]))])
    return -rng.exponential(size=steps[-1]), steps, candidates


@pytest.mark.parametrize("seed", range(3))
def test_log_ratios_add_up_over_steps_and_candidates(seed: int) -> None:
    policy, steps, candidates = ragged(seed)
    reference = -np.random.default_rng(9).exponential(size=len(policy))
    own = log_ratio_rewards(policy, reference, steps, beta=0.05)
    for k in range(len(steps) - 1):
        tokens = range(steps[k], steps[k + 1])
        expected = 0.05 * math.fsum(policy[t] - reference[t] for t in tokens)
        assert own[k] == pytest.approx(expected, rel=1e-12, abs=1e-14)
    total = log_ratio_rewards(policy, reference, steps, beta=0.05, candidate_offsets=candidates)
    for begin, end in itertools.pairwise(candidates):
        np.testing.assert_allclose(total[begin:end], np.cumsum(own[begin:end]), atol=1e-12)
    # A candidate has the bits that it has alone.
    last = slice(steps[candidates[-2]], None)
    alone = log_ratio_rewards(
        policy[last],
        reference[last],
        steps[candidates[-2] :] - steps[candidates[-2]],
        beta=0.05,
        candidate_offsets=[0, candidates[-1] - candidates[-2]],
    )
    assert total[candidates[-2] :].tobytes() == alone.tobytes()


@pytest.mark.parametrize("seed", range(3))
def test_teacher_forced_rewards_are_those_of_the_formula_and_add_up(seed: int) -> None:
    loss, _, _ = ragged(seed)
    n = len(loss)
    offsets = np.array([0, 1, n // 2, n])
    best = np.random.default_rng(seed).normal(20.0, 5.0, n)
    logits = best + loss
    got = teacher_forced_rewards(logits, best, offsets, terminal=1.5)
    for begin, end in itertools.pairwise(offsets):
        for t in range(begin, end):
            after = 1.5 if t + 1 == end else best[t + 1]
            assert got[t] == logits[t] - after
        told = logits[begin] + loss[begin + 1 : end].sum() - 1.5
        assert got[begin:end].sum() == pytest.approx(told, rel=1e-12)


def test_rewards_come_from_the_numbers_of_token_logprob() -> None:
    rng = np.random.default_rng(0)
    hidden, matrix = rng.standard_normal((6, 8)), rng.standard_normal((90, 8))
    hidden, matrix = hidden.astype(np.float32), matrix.astype(np.float32)
    ids = rng.integers(0, 90, 6)
    found = stepscore.token_logprob(hidden, matrix, ids, top=True, log_sum_exp=True)
    got = teacher_forced_rewards(
        found.logprob + found.log_sum_exp,
        found.top_logprob + found.log_sum_exp,
        [0, 6],
        terminal=0.0,
    )
    logits = hidden.astype(np.float64) @ matrix.T.astype(np.float64)
    expected = logits[np.arange(6), ids] - np.append(logits.max(axis=1)[1:], 0.0)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("boundary", ["begins", "ends"])
@pytest.mark.parametrize("seed", range(5))
def test_steps_are_divided_at_every_uncertain_token(seed: int, boundary: str) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, 12)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    entropy = rng.uniform(0.0, 2.0, offsets[-1])
    got = divide_by_entropy(entropy, offsets, threshold=1.2, boundary=boundary)  # type: ignore[arg-type]
    steps: list[int] = [0]
    firsts: list[int] = [0]
    for begin, end in itertools.pairwise(offsets):
        for t in range(begin + 1, end):
            if entropy[t if boundary == "begins" else t - 1] > 1.2:
                steps.append(t)
        steps.append(end)
        firsts.append(len(steps) - 1)
    assert got.step_offsets.tolist() == steps
    assert got.sequence_offsets.tolist() == firsts
    # The same tokens are uncertain where the highest probability says so.
    same = divide_by_confidence(-entropy, offsets, threshold=math.exp(-1.2), boundary=boundary)  # type: ignore[arg-type]
    assert same.step_offsets.tolist() == steps
    assert same.sequence_offsets.tolist() == firsts


@pytest.mark.parametrize("seed", range(3))
def test_confidences_and_uncertainties_are_those_of_the_formula(seed: int) -> None:
    tokens, steps, _ = ragged(seed)
    got = {
        name: answer_confidence(tokens, steps, reduction=name)  # type: ignore[arg-type]
        for name in ("mean_probability", "geometric_mean", "product")
    }
    entropy = step_uncertainty(tokens, steps)
    log_sum = step_uncertainty(tokens, steps, kind="log_sum", temperature=2.0)
    for k in range(len(steps) - 1):
        own = tokens[steps[k] : steps[k + 1]]
        p = np.exp(own)
        assert got["mean_probability"][k] == pytest.approx(p.mean(), rel=1e-12)
        assert got["geometric_mean"][k] == pytest.approx(math.prod(p) ** (1 / len(p)), rel=1e-12)
        assert got["product"][k] == pytest.approx(math.prod(p), rel=1e-12)
        soft = np.exp(own / 5.0) / np.exp(own / 5.0).sum()
        assert entropy[k] == pytest.approx(-(soft * np.log(soft)).sum(), rel=1e-12, abs=1e-14)
        soft = np.exp(own / 2.0) / np.exp(own / 2.0).sum()
        assert log_sum[k] == pytest.approx(-np.log(soft).sum(), rel=1e-12, abs=1e-14)


def test_no_tokens_are_no_steps() -> None:
    assert log_ratio_rewards([], [], [0], beta=1.0).shape == (0,)
    assert log_ratio_rewards([], [], [0], beta=1.0, candidate_offsets=[0]).shape == (0,)
    assert teacher_forced_rewards([], [], [0], terminal=0.0).shape == (0,)
    assert step_uncertainty([], [0]).shape == (0,)
    assert answer_confidence([], [0], reduction="product").shape == (0,)
    got = divide_by_entropy([], [0], threshold=1.0, boundary="ends")
    assert got.step_offsets.tolist() == got.sequence_offsets.tolist() == [0]


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: log_ratio_rewards([-1.0, np.nan], [0.0, 0.0], [0, 2], beta=1.0),
        r"log_ratio_rewards: logprob\[1\] is nan; every token needs a finite number",
    ),
    (
        lambda: log_ratio_rewards([-1.0], [0.0, 0.0], [0, 1], beta=1.0),
        r"reference_logprob must have shape \[1\] to match logprob; got \[2\]",
    ),
    (
        lambda: log_ratio_rewards([-1.0], [0.0], [0, 0, 1], beta=1.0),
        "step_offsets: segment 0 has no tokens",
    ),
    (
        lambda: log_ratio_rewards([-1.0], [0.0], [0, 2], beta=1.0),
        r"step_offsets must end at 1 \(the number of tokens\); got 2",
    ),
    (
        lambda: log_ratio_rewards([-1.0], [0.0], [0, 1], beta=1.0, candidate_offsets=[0, 2]),
        r"candidate_offsets must end at 1 \(the number of steps\); got 2",
    ),
    (lambda: log_ratio_rewards([-1.0], [0.0], [0, 1], beta=math.inf), "beta must be finite"),
    (
        lambda: teacher_forced_rewards([2.0], [1.0], [0, 1], terminal=0.0),
        r"logit\[0\] is 2.0, above top_logit\[0\], 1.0",
    ),
    (
        lambda: divide_by_confidence([0.5], [0, 1], threshold=0.5, boundary="ends"),
        r"top_logprob\[0\] is 0.5; a log-probability is at most 0",
    ),
    (
        lambda: divide_by_confidence([-0.5], [0, 1], threshold=0.0, boundary="ends"),
        "threshold must be positive and finite; got 0.0",
    ),
    (
        lambda: divide_by_entropy([-0.5], [0, 1], threshold=1.0, boundary="ends"),
        r"entropy\[0\] is -0.5; it is at least 0",
    ),
    (
        lambda: divide_by_entropy([0.5], [0, 1], threshold=1.0, boundary="after"),  # type: ignore[arg-type]
        'boundary must be "begins" or "ends"; got \'after\'',
    ),
    (
        lambda: answer_confidence([0.5], [0, 1], reduction="product"),
        r"logprob\[0\] is 0.5; a log-probability is at most 0",
    ),
    (
        lambda: step_uncertainty([-0.5], [0, 1], temperature=-1.0),
        "temperature must be positive and finite; got -1.0",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
