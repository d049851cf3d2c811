"""Calibration: every figure against its definition, and the published files."""

import json
import math

import numpy as np
import pytest

from stepscore.evaluation import (
    brier_score,
    calibration_error,
    fit_isotonic,
    fit_temperature,
    log_loss,
    reliability,
)


def drawn(seed):
    """Probabilities with ties, edges of bins and certain ones among them; labels."""
    draw = np.random.default_rng(seed)
    n = int(draw.integers(1, 60))
    p = draw.random(n) if seed % 2 else draw.integers(0, 21, n) / 20
    return p, draw.random(n) < draw.choice([0.0, 0.4, 1.0, 2.0]) * p


def bin_of(p, bins):
    """The last b with b / B <= p."""
    return max(b for b in range(bins) if b / bins <= p)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("bins", [1, 7, 10])
def test_bins_of_equal_width(seed, bins):
    p, y = drawn(seed)
    table = reliability(p, y, bins=bins)
    places = [bin_of(each, bins) for each in p]
    error = 0.0
    for b in range(bins):
        inside = [i for i, place in enumerate(places) if place == b]
        assert table.counts[b] == len(inside)
        assert (table.low[b], table.high[b]) == (b / bins, (b + 1) / bins)
        if not inside:
            assert math.isnan(table.predicted[b])
            assert math.isnan(table.observed[b])
            continue
        assert table.predicted[b] == pytest.approx(math.fsum(p[inside]) / len(inside), rel=1e-12)
        assert table.observed[b] == sum(y[inside].tolist()) / len(inside)
        error += len(inside) / len(p) * abs(np.mean(y[inside]) - math.fsum(p[inside]) / len(inside))
    assert calibration_error(p, y, bins=bins) == pytest.approx(error, rel=1e-9, abs=1e-15)


def test_an_edge_belongs_to_the_bin_above_whatever_its_product_is_rounded_to():
    for bins in range(1, 200):
        edges = np.arange(bins) / bins
        below = np.nextafter(edges[1:], 0)
        table = reliability(np.concatenate([edges, below, [1.0]]), [0] * (2 * bins), bins=bins)
        assert table.counts.tolist() == [2] * bins


@pytest.mark.parametrize("seed", range(40))
def test_bins_of_equal_mass(seed):
    p, y = drawn(seed)
    for bins in (1, 4, 100):
        table = reliability(p, y, bins=bins, binning="mass")
        order = np.argsort(p, kind="stable")
        error = 0.0
        for b, chunk in enumerate(np.array_split(order, bins)):
            assert table.counts[b] == len(chunk)
            if len(chunk):
                assert (table.low[b], table.high[b]) == (p[chunk].min(), p[chunk].max())
                error += (
                    len(chunk) / len(p) * abs(np.mean(y[chunk]) - math.fsum(p[chunk]) / len(chunk))
                )
        given = calibration_error(p, y, bins=bins, binning="mass")
        assert given == pytest.approx(error, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("seed", range(40))
def test_proper_scores(seed):
    p, y = drawn(seed)
    squares = [(each - label) ** 2 for each, label in zip(p, y, strict=True)]
    assert brier_score(p, y) == pytest.approx(math.fsum(squares) / len(p), rel=1e-12)
    losses = [
        -math.log(min(max(each, 1e-6), 1 - 1e-6))
        if label
        else -math.log(1 - min(max(each, 1e-6), 1 - 1e-6))
        for each, label in zip(p, y, strict=True)
    ]
    assert log_loss(p, y, clip=1e-6) == pytest.approx(math.fsum(losses) / len(p), rel=1e-9)


def test_a_certain_mistake_costs_what_the_clip_says():
    assert log_loss([0.0], [1], clip=0.0) == math.inf
    assert log_loss([0.0], [1], clip=1e-3) == pytest.approx(-math.log(1e-3))
    assert log_loss([0.0, 1.0], [0, 1], clip=0.0) == 0


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_a_temperature_is_found_and_is_the_least(true):
    draw = np.random.default_rng(7)
    z = draw.normal(size=20_000) * 3
    y = draw.random(len(z)) < 1 / (1 + np.exp(-z / true))
    found = fit_temperature(z, y)
    assert found == pytest.approx(true, rel=0.05)

    def loss(temperature):
        return np.mean(np.logaddexp(0, -np.where(y, z, -z) / temperature))

    assert loss(found) <= min(loss(found * 1.001), loss(found / 1.001))
    assert fit_temperature(z * 5, y) == pytest.approx(5 * found, rel=1e-9)


@pytest.mark.parametrize(
    ("z", "y"), [([1.0, -1.0], [1, 0]), ([1.0, -1.0], [0, 1]), ([], []), ([0.0, 0.0], [0, 1])]
)
def test_no_temperature_is_invented(z, y):
    with pytest.raises(ValueError, match=r"no temperature from 0\.001 to 1000 is best"):
        fit_temperature(z, y)


def pooled(scores, labels):
    """Pool adjacent violators, one pair at a time: the value of each score."""
    pools = []  # hits, size, scores
    for score in sorted(set(scores)):
        hits = [label for each, label in zip(scores, labels, strict=True) if each == score]
        pools.append([sum(hits), len(hits), [score]])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    return {score: hits / size for hits, size, inside in pools for score in inside}


@pytest.mark.parametrize("seed", range(60))
def test_isotonic_is_pool_adjacent_violators(seed):
    p, y = drawn(seed)
    fitted = fit_isotonic(p, y)
    expected = pooled(p.tolist(), y.tolist())
    assert fitted(p).tolist() == pytest.approx([expected[each] for each in p], abs=1e-12)
    assert (np.diff(fitted.scores) > 0).all()
    assert (np.diff(fitted.probabilities) >= 0).all()
    assert fitted([-9.0, 9.0]).tolist() == [fitted.probabilities[0], fitted.probabilities[-1]]


def test_a_report_of_a_million_steps_is_quick():
    import time

    draw = np.random.default_rng(0)
    p = draw.random(1_000_000)
    y = draw.random(len(p)) < p
    begin = time.process_time()
    table = reliability(p, y)
    fitted = fit_isotonic(p, y)
    assert abs(calibration_error(p, y)) < 0.005
    assert brier_score(p, y) == pytest.approx(1 / 6, abs=0.002)
    assert time.process_time() - begin < 4  # two seconds on a quiet machine
    assert np.abs(fitted(table.predicted) - table.predicted).max() < 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: brier_score([1.5], [1]), r"probabilities\[0\] is 1.5; of logits take the sigmoid"),
        (lambda: brier_score([math.nan], [1]), r"scores\[0\] is NaN"),
        (lambda: reliability([0.5], [1], bins=0), "bins must be at least 1; got 0"),
        (lambda: reliability([0.5], [1], binning="even"), 'binning must be "width" or "mass"'),
        (lambda: log_loss([0.5], [1], clip=0.5), r"clip must be in \[0, 0.5\); got 0.5"),
        (lambda: fit_temperature([math.inf], [1]), r"logits\[0\] is inf"),
        (lambda: fit_isotonic([], []), "at least one; got none"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ECE, Brier, log loss with a clip of 1e-6; ECE of ten bins of equal mass, where it is known.
FOVER = {
    "gsm8k__Qwen2.5-Math-PRM-7B": (0.02385, 0.02882, 0.12285, 0.01941),
    "math__Qwen2.5-Math-PRM-7B": (0.02569, 0.04722, 0.17750, 0.02031),
    "olympiadbench__Qwen2.5-Math-PRM-7B": (0.01686, 0.04970, 0.17334, 0.01371),
    "omnimath__Qwen2.5-Math-PRM-7B": (0.02413, 0.06960, 0.23230, 0.01515),
    "gsm8k__Llama3.1-8B-PRM-Deepseek-Data": (0.08255, 0.08024, 0.39594, None),
    "math__Llama3.1-8B-PRM-Deepseek-Data": (0.07986, 0.12261, 0.40128, None),
    "olympiadbench__Llama3.1-8B-PRM-Deepseek-Data": (0.14153, 0.15260, 0.47435, None),
    "omnimath__Llama3.1-8B-PRM-Deepseek-Data": (0.23903, 0.25380, 0.75000, None),
}


@pytest.mark.parametrize("name", FOVER)
def test_fovers_calibration(name, data):
    stored = json.loads((data / "fover" / f"{name}.json").read_text())
    p, y = stored["y_pred_step_level"], stored["y_true_step_level"]
    error, brier, loss, by_mass = FOVER[name]
    assert calibration_error(p, y) == pytest.approx(error, abs=5.1e-6)
    assert brier_score(p, y) == pytest.approx(brier, abs=5.1e-6)
    assert log_loss(p, y, clip=1e-6) == pytest.approx(loss, abs=5.1e-6)
    if by_mass is not None:
        assert calibration_error(p, y, binning="mass") == pytest.approx(by_mass, abs=5.1e-6)
