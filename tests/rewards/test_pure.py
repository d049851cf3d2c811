"""PURE: published values, loops from the formulas, and the two branches' own results."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ragged_rollouts import SEEDS, Rollouts, close, rollouts, six

from stepscore.rewards.methods.pure import pure, pure_advantage, pure_min

PR, ONE = [0.6, -0.2, 0.4], [0, 3]


def weighted(row: list[float], temperature: float) -> list[float]:
    powers = [math.exp(-r / temperature) for r in row]
    return [p / sum(powers) * r for p, r in zip(powers, row, strict=True)]


def returns(rewards: np.ndarray, mask: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    out = np.zeros(len(rewards))
    behind = 0.0
    for t in reversed(range(len(rewards))):
        if mask[t]:
            behind = out[t] = rewards[t] + gamma * behind
    return out


def test_published_values() -> None:
    six(pure(PR, ONE), [0.000201, -0.199439, 0.000989])
    six(pure(PR, ONE).sum(), -0.198249)
    six(pure(PR, ONE, temperature=1.0).sum(), 0.144696)
    six(pure(PR, ONE, temperature=1.0) / PR, [0.224874, 0.500465, 0.274661])
    zero_filled = {"ends": [2, 4, 6], "mask": [[1] * 8], "compat": "verl"}
    six(pure_min(PR, ONE, **zero_filled), [[-0.2, -0.2, -0.2, -0.2, -0.2, 0, 0, 0]])
    positive = {"ends": [1, 3, 5], "mask": [[1] * 6]}
    six(pure_min([0.6, 0.5, 0.4], ONE, **positive, compat="verl"), [[0, 0, 0, 0, 0, 0.4]])
    six(pure_min([0.6, 0.5, 0.4], ONE, **positive), [[0.4] * 6])
    six(pure_min(PR, ONE, ends=[0, 1, 2], mask=[[1] * 3]), [[-0.2, -0.2, 0.4]])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("temperature", [0.1, 1.0, 1e-3])
def test_the_transform(seed: int, temperature: float) -> None:
    case = rollouts(seed)
    got = pure(case.values, case.offsets, temperature=temperature)
    if temperature < 0.01:  # the sum is the least reward, and no power overflows
        for i, row in enumerate(case.steps):
            part = got[case.offsets[i] : case.offsets[i + 1]]
            assert not row or abs(part.sum() - min(row)) < 1e-3
    else:
        close(got, [v for row in case.steps for v in weighted(row, temperature)])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_strict_minimum(seed: int) -> None:
    case = rollouts(seed)
    expected, zero_filled = np.zeros(case.mask.shape), np.zeros(case.mask.shape)
    for i, (rewards, ends) in enumerate(zip(case.steps, case.ends, strict=True)):
        tokens = np.zeros(case.mask.shape[1])
        tokens[ends] = rewards
        for t in np.flatnonzero(case.mask[i]):
            later = [r for r, end in zip(rewards, ends, strict=True) if end >= t]
            expected[i, t] = min(later) if later else 0.5
            zero_filled[i, t] = tokens[t:].min()
    given = (case.values, case.offsets)
    ends = {"ends": case.flat_ends, "outside": 0.5}
    close(pure_min(*given, **ends, **case.padded), expected)
    close(pure_min(*given, **ends, **case.packed), case.pack(expected))
    close(pure_min(*given, **ends, **case.padded, compat="verl"), zero_filled)


def advantage(case: Rollouts, baseline: str, gamma: float, weight: float) -> np.ndarray:
    out = np.zeros(case.mask.shape)
    star = [weighted(row, 0.1) for row in case.steps]
    size = [int(row.sum()) for row in case.mask]
    for i in range(len(star)):
        others = [j for j in range(len(star)) if case.groups[j] == case.groups[i] and j != i]
        with_steps = [j for j in others if star[j]]
        if not (with_steps if baseline == "step" else others):
            continue
        tokens = np.zeros(case.mask.shape[1])
        begin = 0
        for reward, end in zip(star[i], case.ends[i], strict=True):
            if baseline == "step":
                off = sum(sum(star[j]) / len(star[j]) for j in with_steps) / len(with_steps)
            else:
                rate = sum(sum(star[j]) for j in others) / sum(size[j] for j in others)
                off = rate * case.mask[i, begin : end + 1].sum()
            tokens[end] += reward - off
            begin = end + 1
        solved = [float(x > 0) - 1 for x in case.outcomes]
        last = int(np.flatnonzero(case.mask[i])[-1])
        tokens[last] += weight * (solved[i] - np.mean([solved[j] for j in others]))
        out[i] = returns(tokens, case.mask[i], gamma)
    return out


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("baseline", ["step", "token"])
def test_the_advantage(seed: int, baseline: str) -> None:
    case = rollouts(seed)
    options = {"groups": case.groups, "ends": case.flat_ends, "baseline": baseline, "gamma": 0.9}
    options |= {"solved": case.outcomes > 0, "solved_weight": 0.5}
    expected = advantage(case, baseline, 0.9, 0.5)
    close(pure_advantage(case.values, case.offsets, **options, **case.padded), expected)
    close(pure_advantage(case.values, case.offsets, **options, **case.packed), case.pack(expected))


def of_returns(case: Rollouts, padded_width: bool) -> np.ndarray:
    G = np.zeros(case.mask.shape)
    for i, row in enumerate(case.steps):
        tokens = np.zeros(case.mask.shape[1])
        tokens[case.ends[i]] = weighted(row, 0.1)
        G[i] = returns(tokens, case.mask[i])
    A = np.zeros(G.shape)
    for i in range(len(G)):
        others = [j for j in range(len(G)) if case.groups[j] == case.groups[i] and j != i]
        if others:
            width = len(others) * G.shape[1]
            tokens = width if padded_width else sum(case.mask[j].sum() for j in others)
            A[i] = (G[i] - sum(G[j].sum() for j in others) / tokens) * case.mask[i]
    written = case.mask.astype(bool)
    spread = np.sqrt(A[written].var(ddof=1) + 1e-8)
    return np.where(written, (A - A[written].mean()) / spread, 0.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_baseline_of_returns(seed: int) -> None:
    case, wide = rollouts(seed), rollouts(seed, width=7)
    for given, more in ((case, {}), (wide, {})):
        options = {"groups": given.groups, "ends": given.flat_ends, "baseline": "return", **more}
        got = pure_advantage(given.values, given.offsets, **options, mask=given.mask)
        close(got, of_returns(given, padded_width=False))
    np.testing.assert_array_equal(
        pure_advantage(case.values, case.offsets, **options | {"mask": case.mask}),
        pure_advantage(wide.values, wide.offsets, **options, mask=wide.mask)[:, :-7],
    )


def test_the_branch_for_verl_depends_on_the_padding() -> None:
    # Two rollouts a group: with three groups of one, its result would be NaN.
    def both(width: int) -> list[np.ndarray]:
        mask = np.zeros((2, 3 + width))
        mask[:, :3] = 1
        given = ([0.5, -0.5, 0.25], [0, 2, 3])
        options = {"groups": [1, 1], "ends": [0, 2, 1], "mask": mask, "baseline": "return"}
        return [pure_advantage(*given, **options, compat=c)[:, :3] for c in (None, "verl")]

    (ours, theirs), (ours_wide, theirs_wide) = both(0), both(9)
    np.testing.assert_array_equal(ours, ours_wide)
    close(ours, theirs)  # without padding they are the same
    assert np.abs(theirs - theirs_wide).max() > 0.01


def test_a_rollout_that_is_alone() -> None:
    given = ([0.5, -0.5, 0.25], [0, 1, 2, 3])
    options = {"groups": [3, 3, 5], "ends": [0, 0, 0], "mask": [[1], [1], [1]]}
    assert pure_advantage(*given, **options)[2] == [0.0]
    assert pure_advantage(*given, **options, singleton="reward")[2] == [0.25]
    assert np.isnan(pure_advantage(*given, **options, compat="pure")[2, 0])
    assert pure_advantage(*given, **options, compat="pure")[0] == [1.0]
    with pytest.raises(
        ValueError, match=r"groups\[2\]: expected another rollout of the group, with"
    ):
        pure_advantage(*given, **options, singleton="error")


def test_what_is_refused() -> None:
    given = {"values": [0.5], "offsets": [0, 1], "groups": [0], "ends": [0], "mask": [[1]]}
    for change, message in (
        ({"temperature": 0}, "temperature: expected a number above 0; got 0"),
        ({"baseline": "mean"}, 'baseline: expected "step" or "token" or "return"; got \'mean\''),
        ({"compat": "verl"}, "compat: expected baseline"),
        ({"compat": "pure", "baseline": "return"}, 'compat: expected "verl" with baseline'),
        ({"groups": [-1]}, r"groups\[0\]: expected a number of at least 0; got -1"),
        ({"groups": [0, 1]}, "groups must have shape"),
        ({"solved": [2], "solved_weight": 1.0}, r"solved\[0\]: expected 0 or 1; got 2"),
        ({"solved": [1]}, "solved_weight: expected the coefficient of solved; got None"),
    ):
        with pytest.raises(ValueError, match=message):
            pure_advantage(**(given | change))
    with pytest.raises(ValueError, match="got none for token 1"):
        pure_min([0.5], [0, 1], ends=[0], mask=[[1, 1]])
