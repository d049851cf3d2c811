"""First errors against labels, and the threshold that is best, against every threshold there is."""

import json
import math

import numpy as np
import pytest

from stepscore.evaluation import first_error_f1, first_error_threshold
from stepscore.ragged import offsets_of
from stepscore.search import first_error


def f1(predicted, labels):
    sides = []
    for wrong in (True, False):
        hits = [
            p == label for p, label in zip(predicted, labels, strict=True) if (label >= 0) == wrong
        ]
        sides.append(sum(hits) / len(hits) if hits else math.nan)
    both = sides[0] + sides[1]
    return 2 * sides[0] * sides[1] / both if both else math.nan


def drawn(seed):
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, 6, draw.integers(2, 12))
    scores = draw.integers(0, 6, counts.sum()) / 5 if seed % 2 else draw.normal(size=counts.sum())
    labels = [int(draw.integers(-1, count)) if count else -1 for count in counts]
    return scores, offsets_of(counts), labels


@pytest.mark.parametrize("seed", range(60))
def test_the_figures(seed):
    scores, offsets, labels = drawn(seed)
    predicted = first_error(scores, offsets, threshold=0.4)
    given = first_error_f1(predicted, labels)
    assert given.f1 == pytest.approx(f1(predicted.tolist(), labels), nan_ok=True)
    assert given.errors[1] + given.correct[1] == len(labels)
    assert given.errors[1] == sum(label >= 0 for label in labels)


@pytest.mark.parametrize("seed", range(120))
def test_no_threshold_is_better(seed):
    scores, offsets, labels = drawn(seed)
    if not any(label >= 0 for label in labels) or all(label >= 0 for label in labels):
        with pytest.raises(ValueError, match="an error; got none"):
            first_error_threshold(scores, labels, offsets)
        return
    best = first_error_threshold(scores, labels, offsets)
    every = sorted({*scores.tolist(), math.inf, -math.inf})
    figures = {t: f1(first_error(scores, offsets, threshold=t).tolist(), labels) for t in every}
    most = max(figure for figure in figures.values() if not math.isnan(figure))
    assert best.at.f1 == pytest.approx(most)
    assert best.low < best.threshold <= best.high or best.threshold == best.low == -math.inf
    for threshold in (best.threshold, best.high):
        predicted = first_error(scores, offsets, threshold=threshold)
        assert first_error_f1(predicted, labels) == best.at
    assert not any(figures[t] > most - 1e-12 for t in every if t > best.high)


def test_what_is_undefined_is_nan():
    only_errors = first_error_f1([0, 1], [0, 0])
    assert math.isnan(only_errors.f1)
    assert math.isnan(only_errors.on_correct)
    assert only_errors.on_errors == 0.5
    assert math.isnan(first_error_f1([0, 0], [1, -1]).f1)  # both sides are 0
    assert first_error_f1([-1, -1], [1, -1]).f1 == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: first_error_f1([0], [0, 1]), r"labels must have shape \[1\] to match predicted"),
        (lambda: first_error_f1([-2], [0]), r"predicted\[0\] must be a step from 0, or -1"),
        (
            lambda: first_error_threshold([0.5, 0.1], [2, -1], [0, 1, 2]),
            r"labels\[0\] must be a step of its trace, which has 1; got 2; they count from 0",
        ),
        (lambda: first_error_threshold([math.nan], [0], [0, 1]), r"step_scores\[0\] is NaN"),
        (lambda: first_error_threshold([0.5], [0, 1], [0, 1]), "labels must have shape"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Hits on mistakes, hits on null, F1 in percent: predicted is -1 where the answer is the target,
# else the step in the middle.
BBMISTAKE = {
    "dyck_languages": ((25, 650), (335, 336), 7.4066),
    "logical_deduction": ((17, 294), (6, 6), 10.9325),
    "multistep_arithmetic": ((58, 238), (44, 62), 36.2809),
    "tracking_shuffled_objects": ((99, 260), (32, 40), 51.5961),
    "word_sorting": ((17, 266), (30, 34), 11.9187),
}


@pytest.mark.parametrize("name", BBMISTAKE)
def test_big_bench_mistakes_probe(name, data):
    lines = (data / "bbmistake" / f"{name}.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    labels = [-1 if row["mistake_index"] is None else row["mistake_index"] for row in rows]
    predicted = [-1 if row["answer"] == row["target"] else len(row["steps"]) // 2 for row in rows]
    given = first_error_f1(predicted, labels)
    errors, correct, percent = BBMISTAKE[name]
    assert (given.errors, given.correct) == (errors, correct)
    assert 100 * given.f1 == pytest.approx(percent, abs=5e-5)
    assert first_error_f1([-1] * len(rows), labels).f1 == 0
    assert first_error_f1([0] * len(rows), labels).correct == (0, correct[1])
