"""Scores against labels: every figure against its definition, written out as a loop."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from stepscore.evaluation import (
    Confusion,
    auroc,
    best_threshold,
    confusion,
    confusion_at,
    confusion_curve,
)


def drawn(seed):
    """Scores with ties and labels, of one class now and then; often few, once none."""
    draw = np.random.default_rng(seed)
    n = int(draw.integers(0, 40)) if seed else 0
    scores = draw.integers(-4, 5, n) / 4 if draw.random() < 0.7 else draw.normal(size=n)
    return scores, draw.random(n) < draw.choice([0.0, 0.3, 0.8, 1.0])


def f1_by_precision_and_recall(hits, false, missed):
    if not hits + false or not hits + missed:
        return math.nan
    precision, recall = Fraction(hits, hits + false), Fraction(hits, hits + missed)
    both = precision + recall
    return float(2 * precision * recall / both) if both else 0.0


@pytest.mark.parametrize("seed", range(60))
def test_figures_of_a_threshold(seed):
    scores, labels = drawn(seed)
    for threshold in (-1.0, 0.0, 0.25, 2.0, -math.inf, math.inf):
        for rule in (">", ">="):
            counts = confusion_at(scores, labels, threshold, rule=rule)
            positive = [s > threshold or (rule == ">=" and s == threshold) for s in scores]
            pairs = list(zip(positive, labels.tolist(), strict=True))
            assert counts == confusion(positive, labels)
            assert counts.tp == pairs.count((True, True))
            assert counts.fp == pairs.count((True, False))
            assert counts.tn == pairs.count((False, False))
            assert counts.fn == pairs.count((False, True))
            expected = f1_by_precision_and_recall(counts.tp, counts.fp, counts.fn)
            negative = f1_by_precision_and_recall(counts.tn, counts.fn, counts.fp)
            assert counts.f1 == pytest.approx(expected, rel=1e-15, nan_ok=True)
            assert counts.f1_negative == pytest.approx(negative, rel=1e-15, nan_ok=True)
            mean = (expected + negative) / 2
            assert counts.macro_f1 == pytest.approx(mean, rel=1e-15, nan_ok=True)
            right = sum(a == b for a, b in pairs)
            share = right / len(pairs) if pairs else math.nan
            assert counts.accuracy == pytest.approx(share, nan_ok=True)


@pytest.mark.parametrize("seed", range(60))
def test_the_curve_is_every_threshold(seed):
    scores, labels = drawn(seed)
    thresholds, counts = confusion_curve(scores, labels)
    assert thresholds.tolist() == [math.inf, *sorted(set(scores.tolist()), reverse=True)]
    for i, threshold in enumerate(thresholds):
        alone = confusion_at(scores, labels, threshold, rule=">=")
        assert (counts.tp[i], counts.fp[i], counts.tn[i], counts.fn[i]) == (
            alone.tp,
            alone.fp,
            alone.tn,
            alone.fn,
        )
    for by in ("accuracy", "f1", "f1_negative", "macro_f1"):
        chosen = best_threshold(scores, labels, by)
        figures = [getattr(confusion_at(scores, labels, t, rule=">="), by) for t in thresholds]
        defined = [figure for figure in figures if not math.isnan(figure)]
        if not defined:
            assert math.isnan(chosen)
            continue
        assert getattr(confusion_at(scores, labels, chosen, rule=">="), by) == max(defined)
        assert chosen == thresholds[figures.index(max(defined))]


@pytest.mark.parametrize("seed", range(60))
def test_the_area_counts_pairs(seed):
    scores, labels = drawn(seed)
    won = Fraction(0)
    for positive in scores[labels]:
        for negative in scores[~labels]:
            won += Fraction(int(positive > negative) * 2 + int(positive == negative), 2)
    pairs = int(labels.sum()) * int((~labels).sum())
    expected = float(won / pairs) if pairs else math.nan
    assert auroc(scores, labels) == pytest.approx(expected, rel=0, nan_ok=True)
    assert auroc(np.exp(scores), labels) == pytest.approx(expected, rel=0, nan_ok=True)


def test_what_is_undefined_is_nan():
    always = Confusion(tp=70222, fp=13149, tn=0, fn=0)
    assert round(float(always.f1), 6) == 0.914391
    assert math.isnan(always.f1_negative)
    assert math.isnan(always.macro_f1)
    assert math.isnan(auroc([0.1, 0.2], [1, 1]))
    assert math.isnan(best_threshold([0.1, 0.2], [0, 0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auroc([0.5, math.nan], [0, 1]), r"auroc: scores\[1\] is NaN"),
        (lambda: auroc([0.5], [0, 1]), r"auroc: labels must have shape \[1\] to match scores"),
        (lambda: auroc([0.5], [-1]), r"auroc: labels must be 0 or 1; labels\[0\] is -1"),
        (lambda: confusion([0.5], [1]), r"confusion: predicted must be 0 or 1; predicted\[0\]"),
        (lambda: confusion_at([0.5], [1], math.nan), "threshold must be a number"),
        (lambda: confusion_at([0.5], [1], 0.5, rule="<"), 'rule must be ">" or ">="'),
        (lambda: best_threshold([0.5], [1], "f2"), 'by must be one of "accuracy", "f1"'),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- published files ----------------------------------------------------------------------------

# TP FP TN FN at p >= .5, and the area.
FOVER = {
    "gsm8k__Qwen2.5-Math-PRM-7B": (869, 29, 94, 8, 0.976852),
    "math__Qwen2.5-Math-PRM-7B": (917, 38, 112, 35, 0.952966),
    "olympiadbench__Qwen2.5-Math-PRM-7B": (1192, 55, 112, 41, 0.948046),
    "omnimath__Qwen2.5-Math-PRM-7B": (915, 70, 125, 35, 0.932378),
    "gsm8k__Llama3.1-8B-PRM-Deepseek-Data": (877, 99, 24, 0, 0.884997),
    "math__Llama3.1-8B-PRM-Deepseek-Data": (866, 101, 49, 86, 0.771940),
    "olympiadbench__Llama3.1-8B-PRM-Deepseek-Data": (1042, 103, 64, 191, 0.736124),
    "omnimath__Llama3.1-8B-PRM-Deepseek-Data": (629, 100, 95, 321, 0.630534),
}


@pytest.mark.parametrize("name", FOVER)
def test_fovers_figures(name, data):
    stored = json.loads((data / "fover" / f"{name}.json").read_text())
    for level in ("step_level", "instance_level"):
        scores, labels = stored[f"y_pred_{level}"], stored[f"y_true_{level}"]
        published = stored["performance"][level]
        counts = confusion_at(scores, labels, published["threshold"])
        for figure in ("accuracy", "precision", "recall", "f1"):
            assert getattr(counts, figure) == pytest.approx(published[figure], abs=1e-12)
        assert auroc(scores, labels) == pytest.approx(published["auroc"], abs=1e-12)
    scores, labels = stored["y_pred_step_level"], stored["y_true_step_level"]
    *expected, area = FOVER[name]
    counts = confusion_at(scores, labels, 0.5, rule=">=")
    assert [counts.tp, counts.fp, counts.tn, counts.fn] == expected
    assert auroc(scores, labels) == pytest.approx(area, abs=5e-7)
