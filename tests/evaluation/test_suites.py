"""The suites: against loops over small traces, and against the published files."""

import math
import time

import numpy as np
import pytest

from stepscore.errors import InputError
from stepscore.evaluation import first_error_f1
from stepscore.evaluation.suites import LabelledTraces, prmbench, processbench
from stepscore.records.convert.registry import LAYOUTS


def record(name, labels, **extra):
    candidate = {"steps": ["s"] * len(labels), "step_labels": labels}
    return {"id": name, "problem": "p", "candidates": [candidate], **extra}


SMALL = [
    record("a", [True, False, True], classification="circular", subset="x"),
    record("b", [True, True], classification="multi_solutions", subset="y"),
    record("c", [False], classification="circular", subset="x"),
    record("d", [True, True, True], classification="circular", subset="x"),
]
TAKEN = {"a": [0.9, 0.2, 0.4], "b": [0.7, 0.5], "c": [0.5], "d": [0.6, 0.6, 0.6]}


def test_prmbench_counts_steps():
    traces = LabelledTraces.of(SMALL, category="classification")
    circular, several, overall = prmbench(traces, TAKEN, threshold=0.5)
    # a: right, caught, flagged; c: caught, since .5 is not above .5; d: three right.
    counts = circular.counts
    assert (counts.tp, counts.fp, counts.tn, counts.fn) == (4, 0, 2, 1)
    assert circular.score == pytest.approx((8 / 9 + 4 / 5) / 2)
    assert circular.first_error == 1.0
    assert several.score == pytest.approx(2 / 3)  # of right steps alone
    assert math.isnan(several.first_error)
    assert (overall.counts.tp, overall.counts.tn) == (5, 2)
    assert overall.score == pytest.approx((10 / 12 + 4 / 6) / 2)


def test_what_is_undefined_is_nan_unless_the_authors_code_is_asked_for():
    traces = LabelledTraces.of(SMALL, category="classification")
    always = {name: [1.0] * len(scores) for name, scores in TAKEN.items()}
    row = prmbench(traces, always, threshold=0.5)[0]
    assert math.isnan(row.score)
    same = prmbench(traces, always, threshold=0.5, compat="prmbench")[0]
    assert same.score == row.counts.f1 / 2


def test_processbench_finds_first_errors():
    traces = LabelledTraces.of(SMALL, category="subset")
    x, y, average = processbench(traces, TAKEN, threshold=0.55)
    assert (x.subset, x.figures.errors, x.figures.correct) == ("x", (2, 2), (1, 1))
    assert y.figures.correct == (0, 1)
    assert math.isnan(y.figures.f1)
    assert math.isnan(average.figures.f1)  # of a subset without errors
    x, y, average = processbench(
        LabelledTraces.of([*SMALL, record("e", [True, False], subset="y")], category="subset"),
        {**TAKEN, "e": [0.9, 0.1]},
        threshold=0.3,
    )
    shares = (x.figures.f1, y.figures.f1)
    assert y.figures == first_error_f1([-1, 1], [-1, 1])
    assert average.figures.f1 == pytest.approx(sum(shares) / 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("a"), "predictions for all 4 traces; got none for 1, 'a' among them"),
        (lambda p: p.update(z=[1.0]), "an id of these traces; got 'z'"),
        (lambda p: p.update(a=[0.1]), "3 step scores, as many as steps; got 1"),
        (lambda p: p.update(a=[0.1, math.nan, 0.1]), "finite step scores"),
    ],
)
def test_nothing_is_scored_by_guess(change, message):
    predictions = dict(TAKEN)
    change(predictions)
    for suite, category in ((prmbench, "classification"), (processbench, "subset")):
        traces = LabelledTraces.of(SMALL, category=category)
        with pytest.raises(InputError, match=message):
            suite(traces, predictions, threshold=0.5)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record("a", [True]), record("a", [True])], "an id that no other record has; got 'a'"),
        ([{"id": 1, "candidates": []}], "one candidate with labels; got 0"),
        ([{"id": 1, "candidates": [{"steps": ["s"]}]}], "are these the labels of another"),
        ([{"id": 1, "candidates": [{"steps": ["s"], "first_error": 1}]}], '"first_error"'),
        ([{"id": 1, "candidates": [{"step_labels": [None]}]}], '"step_labels" of true and false'),
    ],
)
def test_labels_of_another_kind(records, message):
    with pytest.raises(InputError, match=message):
        LabelledTraces.of(records, category="classification")


def test_classes_of_another_benchmark():
    traces = LabelledTraces.of(SMALL, category="subset")
    with pytest.raises(InputError, match=r"a classification of PRMBench .*; got 'x'"):
        prmbench(traces, TAKEN, threshold=0.5)


# PRMScores in percent of the probe "a step is wrong if its place, from 0, leaves 2 by 3".
PROBE = {
    "circular": 51.9443,
    "confidence": 48.5643,
    "counterfactual": 50.9243,
    "deception": 49.4175,
    "domain_inconsistency": 48.6125,
    "missing_condition": 50.5906,
    "redundency": 48.4666,
    "step_contradiction": 47.3562,
    "multi_solutions": 81.6790,
    "overall": 49.4794,
}


@pytest.fixture(scope="module")
def published(data):
    import collections
    import gzip
    import json

    objects = []
    for path in sorted((data / "prmbench").glob("*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            objects += [(f"{path.name}:{n}", json.loads(line)) for n, line in enumerate(lines, 1)]
    records = LAYOUTS["prmbench"].read(objects, collections.Counter())
    return LabelledTraces.of(records, category="classification")


def probe(traces, right):
    counts = np.diff(traces.offsets).tolist()
    return {
        name: [float(right(step)) for step in range(count)]
        for name, count in zip(traces.ids, counts, strict=True)
    }


def test_prmbenchs_probes(published):
    assert len(published) == 6211
    rows = prmbench(published, probe(published, lambda j: j % 3 != 2), threshold=0.5)
    assert {row.name: round(100 * row.score, 4) for row in rows} == PROBE
    counts = rows[-1].counts
    assert (counts.tp, counts.fp, counts.tn, counts.fn) == (48861, 8769, 4380, 21361)
    early = prmbench(published, probe(published, lambda j: j < 4), threshold=0.5)[-1]
    assert round(100 * early.score, 4) == 37.6670
    always = prmbench(published, probe(published, lambda j: True), threshold=0.5)[-1]
    assert math.isnan(always.score)
    same = prmbench(published, probe(published, lambda j: True), threshold=0.5, compat="prmbench")[
        -1
    ]
    assert round(100 * same.score, 4) == 45.7195


def test_all_of_prmbench_takes_less_than_a_second(published):
    predictions = probe(published, lambda j: j % 3 != 2)
    begin = time.process_time()
    prmbench(published, predictions, threshold=0.5)
    assert time.process_time() - begin < 1
