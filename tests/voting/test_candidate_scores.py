"""The scores of candidates as arrays, and their order."""

from __future__ import annotations

import numpy as np

from stepscore import aggregate
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.voting import candidate_scores, ranks
from stepscore.voting.columns import NEED_PROBABILITIES

VALUES = np.array([0.5, 1.0, 0.25, 0.75, np.nan, 0.0])
STEPS = np.array([0, 2, 3, 5, 6])


def test_step_scores_are_aggregated_in_every_way() -> None:
    scores = candidate_scores(
        np.array([0, 3, 4]), steps=(VALUES, STEPS), given=np.array([7.0, 1, 2, 3]), bounded=True
    )
    assert scores.columns == (*AGGREGATIONS, "score")
    assert scores.truncated.tolist() == [0, 0, 1, 0]
    assert np.isnan(scores.totals[2, :-1]).all()  # what was lost is unknown
    assert scores.by("score").tolist() == [7, 1, 2, 3]
    expected = aggregate(VALUES[:3], [0, 2, 3], AGGREGATIONS, clip=1e-7)
    assert np.array_equal(scores.totals[:2, :-1], expected)
    assert (scores.problems, scores.has_steps) == (2, True)


def test_logits_have_no_products() -> None:
    scores = candidate_scores(np.array([0, 4]), steps=(VALUES - 2, STEPS), bounded=False)
    missing = np.isnan(scores.totals[[0, 1, 3]]).all(axis=0)
    assert {
        name for name, lacks in zip(AGGREGATIONS, missing, strict=True) if lacks
    } == NEED_PROBABILITIES


def test_scores_of_whole_solutions_have_no_steps() -> None:
    scores = candidate_scores(np.array([0, 2]), given=np.array([1.0, 2.0]), bounded=True)
    assert scores.columns == ("score",)
    assert not scores.has_steps
    assert scores.truncated.tolist() == [0, 0]


def test_ranks_keep_ties_in_order_and_nan_last() -> None:
    totals = np.array([0.5, np.nan, 0.5, 0.9, 1.0, 2.0])
    assert ranks(totals, np.array([0, 4, 4, 6])).tolist() == [2, 4, 3, 1, 2, 1]
