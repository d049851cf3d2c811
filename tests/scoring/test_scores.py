"""StepScores: a ragged list of scores."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import stepscore
from stepscore.recipes import trl_prm
from stepscore.scoring import StepScores


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
        stepscore.aggregate(scores.values, scores.offsets, "softmin", temperature=0.5),
    )


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
