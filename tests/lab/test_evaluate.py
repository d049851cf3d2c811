"""The counting behind the table, on cases small enough to count by hand."""

import numpy as np
import pytest

from stepscore.lab import evaluate


def made(correct, answers, scores):
    correct = np.array(correct, dtype=bool)
    scores = np.array(scores, dtype=np.float64)
    return evaluate.Samples(
        correct=correct,
        answers=np.array(answers, dtype=np.int64),
        scores=dict.fromkeys(evaluate.AGGREGATIONS, scores),
        step_scores=scores.ravel(),
        step_labels=correct.ravel(),
        step_problems=np.repeat(np.arange(len(correct)), correct.shape[1]),
    )


def test_counts_by_hand():
    samples = made(
        correct=[[0, 0, 1, 0], [1, 0, 0, 0]],
        answers=[[0, 0, 1, 2], [0, 1, 1, -1]],
        scores=[[0.1, 0.2, 0.9, 0.0], [0.3, 0.2, 0.2, 1.0]],
    )
    figures = {name: values.tolist() for name, values in evaluate.measure(samples).items()}
    assert figures["pass@1"] == [0.25, 0.25]
    assert figures["pass@4"] == [1, 1]
    assert figures["majority@4"] == [0, 0]
    assert figures["vote_min@4"] == [1, 0]
    assert figures["best_of_n_min@4"] == [1, 1]  # a solution without an answer takes no part
    assert figures["vote_min@1"] == [0, 1]


def test_a_problem_without_any_answer_is_lost():
    samples = made([[0, 0, 0, 0]], [[-1, -1, -1, -1]], [[0.1, 0.2, 0.3, 0.4]])
    assert evaluate.measure(samples)["majority@4"].tolist() == [0]


def test_auroc_against_all_pairs():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 12, 300) / 12
    labels = rng.random(300) < scores
    area, low, high = evaluate.auroc_interval(scores, labels, np.arange(300) // 10)
    right, wrong = scores[labels][:, None], scores[~labels]
    assert area == pytest.approx(((right > wrong) + 0.5 * (right == wrong)).mean())
    assert low < area < high


def test_the_interval_has_the_width_of_a_mean():
    values = np.repeat([0.0, 1.0], 250)
    mean, low, high = evaluate.interval(values)
    assert mean == 0.5
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(500), rel=0.1)


def test_answers_are_numbered_as_first_seen():
    assert evaluate._answer_ids(["1+2=3\n", "1+2=4", "x", "0+3=3\n", ""]) == [0, 1, -1, 0, -1]


def test_the_table_names_every_figure():
    samples = made([[0, 1, 1, 0]] * 3, [[0, 1, 1, 2]] * 3, [[0.2, 0.9, 0.8, 0.1]] * 3)
    text = evaluate.table(evaluate.summarise(evaluate.pool([samples, samples])))
    for name in ("pass", "majority", "vote min", "best of n last", "step auroc"):
        assert f"| {name} |" in text
