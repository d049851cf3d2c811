"""Tries, critiques and attention: published values and loops."""

from __future__ import annotations

import numpy as np
import pytest
from ragged_rollouts import SEEDS, close, rollouts, six

from stepscore.rewards.methods.attribution import abc
from stepscore.rewards.methods.critiques import capo, capo_votes, merged_thoughts, tp_grpo
from stepscore.rewards.methods.tries import lambda_grpo, portool

# --- tries ----------------------------------------------------------------------------------------


def test_published_values() -> None:
    ids, offsets = [1, 2, 3, 1, 2, 4, 1, 5, 1, 2, 3], [0, 3, 6, 8, 11]
    weights = [1 / 4, 1 / 3, 1 / 2, 1 / 4, 1 / 3, 1, 1 / 4, 1, 1 / 4, 1 / 3, 1 / 2]
    six(lambda_grpo(ids, offsets, [0] * 4), weights)
    six(abc([[0.1, 0.3, 0.6]], outcomes=[2.0], beta=0.8), [[0.16, 0.48, 1.36]])


def rows_of_ids(seed: int, count: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 2, rng.integers(0, 6)).tolist() for _ in range(count)]


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_of_shared_tokens(seed: int) -> None:
    groups = np.random.default_rng(seed).permutation(np.repeat([4, 0, 7, 2], [1, 2, 4, 3]))
    rows = rows_of_ids(seed, len(groups))
    expected = []
    for i, row in enumerate(rows):
        for t in range(len(row)):
            sharing = [
                j
                for j in range(len(rows))
                if groups[j] == groups[i] and rows[j][: t + 1] == row[: t + 1]
            ]
            expected.append(1 / len(sharing))
    ids = [i for row in rows for i in row]
    offsets = np.cumsum([0] + [len(row) for row in rows])
    got = lambda_grpo(np.array(ids, np.int64), offsets, groups)
    close(got, expected)
    for g in set(groups.tolist()):  # first tokens add up to the number of distinct ones
        own = [i for i in range(len(rows)) if groups[i] == g and rows[i]]
        first = sum(got[offsets[i]] for i in own)
        assert abs(first - len({rows[i][0] for i in own})) < 1e-12


@pytest.mark.parametrize("through", ["mean", "max"])
@pytest.mark.parametrize("seed", SEEDS)
def test_siblings_of_a_fork(seed: int, through: str) -> None:
    case = rollouts(seed)
    groups, R = case.groups, case.outcomes
    rows = rows_of_ids(seed, len(groups))
    value_of = {"mean": np.mean, "max": np.max}[through]
    nodes: dict[tuple, list[int]] = {}
    for i, row in enumerate(rows):
        for k in range(len(row)):
            nodes.setdefault((groups[i], *row[: k + 1]), []).append(i)
    worth = {node: value_of([R[j] for j in through_it]) for node, through_it in nodes.items()}
    expected = []
    for i, row in enumerate(rows):
        rollout = R[i] - np.mean(R[groups == groups[i]])
        for k in range(len(row)):
            node = (groups[i], *row[: k + 1])
            siblings = [v for other, v in worth.items() if other[:-1] == node[:-1]]
            expected.append(0.7 * (worth[node] - np.mean(siblings)) + 0.3 * rollout)
    keys = np.array([i for row in rows for i in row], np.int64)
    offsets = np.cumsum([0] + [len(row) for row in rows])
    close(portool(keys, offsets, groups=groups, outcomes=R, through=through, blend=0.7), expected)


def test_no_rollouts_at_all() -> None:
    assert lambda_grpo([], [0], []).shape == (0,)
    none = portool([], [0, 0], groups=[0], outcomes=[1.0], through="mean", blend=0.5)
    assert none.shape == (0,)


# --- critiques ------------------------------------------------------------------------------------


@pytest.mark.parametrize("vote", ["intersection", "majority", "average"])
@pytest.mark.parametrize("critiques", [1, 2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_critiques(seed: int, critiques: int, vote: str) -> None:
    case = rollouts(seed)
    wrong = np.random.default_rng(seed).random((critiques, len(case.values))) < 0.5
    shares = []
    for step in wrong.T:
        said = sum(map(bool, step))
        shares.append(
            {
                "intersection": float(said == critiques),
                "majority": float(2 * said > critiques),
                "average": said / critiques,
            }[vote]
        )
    close(capo_votes(wrong, vote=vote), shares)
    expected = np.zeros(case.mask.shape)
    for i, ends in enumerate(case.ends):
        for t in np.flatnonzero(case.mask[i]):
            step = [case.offsets[i] + k for k, end in enumerate(ends) if end >= t]
            expected[i, t] = case.outcomes[i] - 2 * (shares[step[0]] if step else 0.25)
    options = {"ends": case.flat_ends, "outcomes": case.outcomes, "vote": vote}
    options |= {"penalty": 2.0, "outside": 0.25}
    close(capo(wrong, case.offsets, **options, **case.padded), expected)
    close(capo(wrong, case.offsets, **options, **case.packed), case.pack(expected))


@pytest.mark.parametrize("seed", SEEDS)
def test_thoughts(seed: int) -> None:
    case = rollouts(seed)
    labels = np.random.default_rng(seed).choice([-1, 1], len(case.values))
    correct = case.outcomes > 0
    thoughts, rewards, of_step, offsets = [], [], [], [0]
    for i in range(len(case.steps)):
        accuracy = np.mean(correct[case.groups == case.groups[i]])
        before = None
        for label in labels[case.offsets[i] : case.offsets[i + 1]]:
            if label != before:
                thoughts.append(label)
                rewards.append(3 * accuracy * label)
            of_step.append(len(thoughts) - 1)
            before = label
        offsets.append(len(thoughts))
    got = merged_thoughts(labels, case.offsets)
    for array, expected in zip(got, (thoughts, offsets, of_step), strict=True):
        np.testing.assert_array_equal(array, np.array(expected, np.int64))
    given = {"correct": correct, "groups": case.groups, "scale": 3.0}
    scaled = tp_grpo(labels, case.offsets, **given)
    close(scaled.values, rewards)
    np.testing.assert_array_equal(scaled.offsets, offsets)


# --- attention ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_attention(seed: int) -> None:
    case = rollouts(seed)
    attention = np.random.default_rng(seed).random(case.mask.shape)
    expected = np.zeros(attention.shape)
    for i, mask in enumerate(case.mask):
        total = sum(attention[i, t] for t in np.flatnonzero(mask))
        for t in np.flatnonzero(mask):
            expected[i, t] = 0.7 * case.outcomes[i] * attention[i, t] / total
        expected[i, t] += 0.3 * case.outcomes[i]
        assert abs(expected[i].sum() - case.outcomes[i]) < 1e-12
    options = {"outcomes": case.outcomes, "beta": 0.7}
    close(abc(attention, **options, **case.padded), expected)
    close(abc(case.pack(attention), **options, **case.packed), case.pack(expected))


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"groups must have shape \[2\] to match the rollouts"):
        lambda_grpo([1, 2], [0, 1, 2], [0])
    with pytest.raises(ValueError, match="offsets must end at 2"):
        lambda_grpo([1, 2], [0, 1], [0])
    with pytest.raises(ValueError, match="wrong: expected at least one critique; got none"):
        capo_votes(np.zeros((0, 3)), vote="majority")
    with pytest.raises(ValueError, match=r"wrong\[0\]\[1\]: expected 0 or 1; got 2"):
        capo_votes([[1, 2]], vote="majority")
    with pytest.raises(ValueError, match="got none for token 1"):
        capo([[1]], [0, 1], ends=[0], outcomes=[1.0], vote="average", penalty=1.0, mask=[[1, 1]])
    with pytest.raises(ValueError, match="attention: expected numbers of at least 0; got -1"):
        abc([[-1.0]], outcomes=[1.0], beta=0.5)
    with pytest.raises(ValueError, match=r"attention\[0\]: expected attention to a token"):
        abc([[0.0, 1.0]], outcomes=[1.0], beta=0.5, mask=[[1, 0]])
    with pytest.raises(ValueError, match=r"blend: expected a number of \[0, 1\]; got 2"):
        portool([1], [0, 1], groups=[0], outcomes=[1.0], through="mean", blend=2)
