"""Counts of how often rules are right, and how often two of them agree."""

from __future__ import annotations

import numpy as np

from stepscore.voting import AccuracyCounts, parse_rules

RULES = parse_rules(["majority", "weighted", "pareto"])


def test_right_and_equal_winners_are_counted() -> None:
    counts = AccuracyCounts(RULES[:2], settings=1)
    winner = np.array([[0, 1], [2, 2], [-1, 3], [4, 5]])[:, :, None]
    exists = np.array([[1, 1], [1, 1], [0, 1], [1, 1]], bool)[:, :, None]
    right = np.array([True, False, True, False, True, True])
    known = np.array([True, True, True, False])
    classes = np.array([0, 1, 0, 0, 0, 0])
    for part in (slice(0, 1), slice(1, 4)):
        counts.add(
            winner[part],
            exists[part],
            np.zeros_like(exists[part]),
            np.array([True]),
            classes,
            right,
            known[part],
        )
    assert counts.right[:, 0].tolist() == [2, 1]
    assert counts.judged[:, 0].tolist() == [2, 3]
    assert counts.pairs == [(1, 0)]
    assert (counts.equal[0, 0], counts.compared[0, 0]) == (2, 3)


def test_what_means_nothing_is_a_share_of_nothing() -> None:
    counts = AccuracyCounts(RULES, settings=3)
    shape = (1, 3, 3)
    unfit = np.zeros(shape, bool)
    unfit[0, 1, 0] = True  # weighted could not read the first setting
    scored = np.array([True, True, False])  # the last has no scores
    counts.add(
        np.zeros(shape, np.int64),
        np.ones(shape, bool),
        unfit,
        scored,
        np.array([0]),
        np.array([True]),
        np.array([True]),
    )
    # majority reads no scores, and pareto has some in another column
    assert counts.judged.tolist() == [[1, 1, 1], [0, 1, 0], [1, 1, 1]]
    assert counts.compared.tolist() == [[0, 1, 0], [1, 1, 1], [0, 1, 0]]


def test_many_rules_are_compared_with_the_first_alone() -> None:
    four = parse_rules(["majority", "weighted", "borda", "best_of_n"])
    assert AccuracyCounts(four, 1).pairs == [(1, 0), (2, 0), (3, 0)]
    assert AccuracyCounts(four[:3], 1).pairs == [(1, 0), (2, 0), (2, 1)]
    assert AccuracyCounts(four[:1], 1).compared.shape == (0, 1)
