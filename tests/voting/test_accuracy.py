"""Counts of how often rules are right, and how often two of them agree."""

from __future__ import annotations

import numpy as np

from stepscore.voting import AccuracyCounts, parse_rules

RULES = parse_rules(["majority", "weighted", "pareto"])


def test_credit_and_agreement_are_added_up() -> None:
    counts = AccuracyCounts(RULES[:2], settings=1)
    credit = np.array([[1, 0], [0.5, 1], [0, 0.25], [1, 1]])[:, :, None]
    exists = np.array([[1, 1], [1, 1], [0, 1], [1, 1]], bool)[:, :, None]
    agreed = np.array([0, 0.5, 1, 1])[:, None, None]
    known = np.array([True, True, True, False])
    for part in (slice(0, 1), slice(1, 4)):
        unfit = np.zeros_like(exists[part])
        counts.add(credit[part], exists[part], unfit, np.array([True]), known[part])
        counts.compare(agreed[part], exists[part])
    assert counts.right[:, 0].tolist() == [1.5, 1.25]
    assert counts.judged[:, 0].tolist() == [2, 3]
    assert counts.pairs == ((1, 0),)
    assert (counts.equal[0, 0], counts.compared[0, 0]) == (1.5, 3)


def test_what_means_nothing_is_a_share_of_nothing() -> None:
    counts = AccuracyCounts(RULES, settings=3)
    shape = (1, 3, 3)
    unfit = np.zeros(shape, bool)
    unfit[0, 1, 0] = True  # weighted could not read the first setting
    scored = np.array([True, True, False])  # the last has no scores
    exists = np.ones(shape, bool)
    counts.add(np.ones(shape), exists, unfit, scored, np.array([True]))
    counts.compare(np.ones((1, 3, 3)), exists)
    # majority reads no scores, and pareto has some in another column
    assert counts.judged.tolist() == [[1, 1, 1], [0, 1, 0], [1, 1, 1]]
    assert counts.compared.tolist() == [[0, 1, 0], [1, 1, 1], [0, 1, 0]]


def test_many_rules_are_compared_with_the_first_alone() -> None:
    four = parse_rules(["majority", "weighted", "borda", "best_of_n"])
    assert AccuracyCounts(four, 1).pairs == ((1, 0), (2, 0), (3, 0))
    assert AccuracyCounts(four[:3], 1).pairs == ((1, 0), (2, 0), (2, 1))
    assert AccuracyCounts(four[:1], 1).compared.shape == (0, 1)
