"""StepScores: a ragged list of scores."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

import stepscore
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.recipes import trl_prm
from stepscore.scoring import StepScores
from stepscore.scoring.ranking import rank_scores


@pytest.fixture
def scores():
    return StepScores(
        values=np.array([0.5, 0.25, 0.75, 1.0, 0.5, 0.25], dtype=np.float32),
        offsets=np.array([0, 2, 3, 6], dtype=np.int64),
        recipe=trl_prm(),
        truncated=np.zeros(3, dtype=np.int64),
    )


def test_it_reads_like_a_list_of_lists(scores):
    assert len(scores) == 3
    assert scores.to_list() == [[0.5, 0.25], [0.75], [1.0, 0.5, 0.25]]
    assert [values.tolist() for values in scores] == scores.to_list()
    assert scores[-1].tolist() == [1.0, 0.5, 0.25]
    with pytest.raises(IndexError):
        scores[3]


def test_it_aggregates(scores):
    assert scores.aggregate("min").tolist() == [0.25, 0.75, 0.25]
    assert scores.aggregate(["min", "last", "prod"]).shape == (3, 3)
    np.testing.assert_array_equal(
        scores.aggregate("softmin", temperature=0.5),
        stepscore.aggregate(
            scores.values.astype(np.float64), scores.offsets, "softmin", temperature=0.5
        ),
    )


@pytest.mark.parametrize("how", AGGREGATIONS)
def test_long_traces_do_not_tie(how):
    """500 steps of .8 and of .81: the product of either is 0 in float32."""
    values = np.repeat(np.array([0.8, 0.81], np.float32), 500)
    scores = StepScores(values, np.array([0, 500, 1000]), trl_prm(), np.zeros(2, np.int64))
    worse, better = scores.aggregate(how)
    assert 0 < worse < better
    if how == "prod":
        logs = [500 * math.log(np.float64(value)) for value in values[[0, 500]]]
        assert [math.log(worse), math.log(better)] == pytest.approx(logs)
    (ranking,) = rank_scores([["a", "b"]], scores, how, None)
    assert [(ranked.index, ranked.score) for ranked in ranking] == [(1, better), (0, worse)]


def test_without_the_authors_word_the_last_step_counts(scores):
    assert scores.recipe.default_aggregate is None
    assert scores.aggregate().tolist() == [0.25, 0.75, 0.25]


def test_arrow_needs_pyarrow(scores, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"stepscore\[parquet\]"):
        scores.to_arrow()


def test_arrow_holds_the_lists(scores):
    pytest.importorskip("pyarrow")
    assert scores.to_arrow().to_pylist() == scores.to_list()


def test_a_vote_reads_the_totals():
    """Traces of one length must not pass for as many columns."""
    values = np.array([0.1, 0.9, 0.8, 0.2, 0.3, 0.4, 0.9, np.nan], np.float32)
    scores = StepScores(values, np.array([0, 2, 4, 6, 8]), trl_prm(), np.array([0, 0, 0, 1]))
    np.testing.assert_array_equal(scores.totals(), np.float64([*values[[1, 3, 5]], np.nan]))
    np.testing.assert_array_equal(scores.totals("min"), np.float64([*values[[0, 3, 4]], np.nan]))
    result = stepscore.vote([0, 1, 1, 1], scores, [0, 4], "weighted", nan="drop")
    assert result.winner.tolist() == [0]
    assert result.score.tolist() == [np.float64(values[1])]
    by_min = stepscore.vote([0, 1, 1, 1], scores.totals("min"), [0, 4], "weighted", nan="drop")
    assert by_min.answer_id.tolist() == [1]


def test_a_default_that_reads_odds_takes_scores_that_round_to_one():
    values = np.array([1.0, 0.5, 0.9, 0.9], np.float32)
    recipe = stepscore.recipes.dream_prm()
    assert recipe.default_aggregate == "logit_mean"
    scores = stepscore.StepScores(values, np.array([0, 2, 4]), recipe, np.zeros(2, np.int64))
    logits = np.log((1 - 1e-7) / 1e-7)
    expected = [1 / (1 + np.exp(-logits / 2)), 0.9]
    np.testing.assert_allclose(scores.aggregate(), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(scores.totals(), scores.aggregate())
    with pytest.raises(ValueError, match="its odds are not finite"):
        scores.aggregate("logit_mean")
