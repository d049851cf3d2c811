"""First errors against labels, as ProcessBench scores them, and the threshold that is best."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays import host_integers, host_reals
from stepscore.ragged import check_shape, ragged_parts, read_offsets

Int = NDArray[np.int64]
Float = NDArray[np.float64]


class FirstErrorF1(NamedTuple):
    """How often the first error is found.

    Attributes:
        f1: harmonic mean of the two shares; NaN where both are 0, or one is NaN.
        on_errors: of the traces with an error, the share whose first error is named exactly.
        on_correct: of the traces without one, the share in which none is found.
        errors: ``(found, all)`` of the traces with an error.
        correct: ``(found, all)`` of those without.
    """

    f1: float
    on_errors: float
    on_correct: float
    errors: tuple[int, int]
    correct: tuple[int, int]


class FirstErrorThreshold(NamedTuple):
    """The thresholds at which the F1 of first errors is greatest.

    Attributes:
        threshold: the middle of their interval.
        low: they are above this one.
        high: up to and with this one.
        at: the figures there, of the data that it was chosen on.
    """

    threshold: float
    low: float
    high: float
    at: FirstErrorF1


def first_error_f1(predicted: Any, labels: Any) -> FirstErrorF1:
    r"""Score first errors that were found against those that are.

    .. math:: F_1 = \frac{2 a_{err}\, a_{cor}}{a_{err} + a_{cor}}

    with :math:`a_{err}` the share of exact hits among traces with an error, and :math:`a_{cor}`
    that among traces without one. Of several subsets ProcessBench averages the F1.

    Args:
        predicted: the first wrong step of each trace from 0, -1 = none, int ``[traces]``; of scores
            `stepscore.search.first_error` gives them.
        labels: what it is, likewise.

    Returns:
        `FirstErrorF1`; NaN for a side without traces, and for F1 where both shares are 0, which is
        0/0.

    Raises:
        ValueError: another length, a step below -1.

    Examples:
        >>> figures = first_error_f1([0, 2, -1, 1], [0, 1, -1, -1])
        >>> figures.f1, figures.errors, figures.correct
        (0.5, (1, 2), (1, 2))

    Source: ProcessBench (QwenLM/ProcessBench).
    """
    op = "first_error_f1"
    found, truth = _steps(op, "predicted", predicted), _steps(op, "labels", labels)
    check_shape(op, "labels", truth, len(found), "predicted")
    hit, wrong = found == truth, truth >= 0
    return _figures(
        (int((hit & wrong).sum()), int(wrong.sum())),
        (int((hit & ~wrong).sum()), int((~wrong).sum())),
    )


def first_error_threshold(
    step_scores: Any, labels: Any, offsets: Any = None
) -> FirstErrorThreshold:
    r"""Find the threshold at which the F1 of first errors is greatest, exactly.

    The first step with :math:`r_k < t` is taken for the first error. A trace whose first error is
    step e is hit for :math:`r_e < t \le \min_{k < e} r_k`, one without errors for
    :math:`t \le \min_k r_k`; the best interval is found over all of these ends. Choose it on one
    subset, report the others: ProcessBench's scalar models choose it on GSM8K (*unverified*).

    Args:
        step_scores: r, ``[steps]``, compared in float64; or `stepscore.StepScores`, which knows its
            offsets.
        labels: the first wrong step of each trace from 0, -1 = none, int ``[traces]``.
        offsets: where each trace begins and ends, int64 ``[traces + 1]``.

    Returns:
        `FirstErrorThreshold`; of several best intervals the one of the greatest thresholds.

    Raises:
        ValueError: offsets that do not fit, NaN, a label past the last step of its trace, F1 that
            is defined at no threshold: it takes a trace with an error and one without.

    Examples:
        >>> scores, offsets = [0.9, 0.2, 0.8, 0.7, 0.6], [0, 2, 5]
        >>> best = first_error_threshold(scores, [1, -1], offsets)
        >>> best.threshold, best.low, best.high, best.at.f1
        (0.4, 0.2, 0.6, 1.0)

    Source: ProcessBench; the exact search is derived here.
    """
    op = "first_error_threshold"
    if offsets is None:
        step_scores, offsets = ragged_parts(op, "step_scores", step_scores)
    scores = host_reals(op, "step_scores", step_scores)
    check_shape(op, "step_scores", scores)
    if (missing := np.flatnonzero(np.isnan(scores))).size:
        raise ValueError(f"{op}: step_scores[{missing[0]}] is NaN; leave out its trace")
    bounds = read_offsets(op, offsets, len(scores), "steps")
    truth = _steps(op, "labels", labels)
    check_shape(op, "labels", truth, len(bounds) - 1, "the traces")
    steps = np.diff(bounds)
    if (past := np.flatnonzero(truth >= steps)).size:
        trace = past[0]
        raise ValueError(
            f"{op}: labels[{trace}] must be a step of its trace, which has {steps[trace]}; got "
            f"{truth[trace]}; they count from 0"
        )
    wrong = truth >= 0
    # A trace with an error is hit in (low, high], one without in [-inf, high].
    low = scores[bounds[:-1][wrong] + truth[wrong]]
    before = np.where(wrong, bounds[:-1] + truth, bounds[1:])
    high = _least(scores, bounds[:-1], before)
    ends = np.unique(np.concatenate([low, high, [np.inf]]))
    begins = np.zeros(len(truth), dtype=np.int64)
    begins[wrong] = np.searchsorted(ends, low) + 1
    stops = np.searchsorted(ends, high) + 1
    hits = [_hits(begins[side], stops[side], len(ends)) for side in (wrong, ~wrong)]
    every = [int(side.sum()) for side in (wrong, ~wrong)]
    if not all(every):
        empty = "with" if not every[0] else "without"
        raise ValueError(f"{op}: labels must name a trace {empty} an error; got none")
    shares = [found / count for found, count in zip(hits, every, strict=True)]
    with np.errstate(invalid="ignore"):
        f1 = 2 * shares[0] * shares[1] / (shares[0] + shares[1])
    best = int(len(f1) - 1 - np.nanargmax(f1[::-1]))
    at = [(int(found[best]), count) for found, count in zip(hits, every, strict=True)]
    beyond, most = ends[best - 1] if best else -np.inf, ends[best]
    middle = (beyond + most) / 2 if np.isfinite(beyond + most) else _inside(beyond, most)
    return FirstErrorThreshold(float(middle), float(beyond), float(most), _figures(*at))


def _hits(begins: Int, stops: Int, count: int) -> Int:
    """Count the ranges ``[begin, stop)`` that hold each of so many places."""
    real = begins < stops
    steps = np.zeros(count + 1, dtype=np.int64)
    np.add.at(steps, begins[real], 1)
    np.add.at(steps, stops[real], -1)
    return np.cumsum(steps)[:count]


def _least(scores: Float, begin: Int, end: Int) -> Float:
    """Give the least score of each range; infinity where it is empty."""
    padded = np.append(scores, np.inf)
    places = np.stack([begin, end], 1).ravel()
    least = np.minimum.reduceat(padded, places)[::2] if len(places) else np.zeros(0)
    return np.where(begin < end, least, np.inf)


def _inside(low: float, high: float) -> float:
    """Give a threshold of an interval that has no middle."""
    if np.isfinite(low):
        return float(np.nextafter(low, np.inf))
    return float(high) if np.isfinite(high) else 0.0


def _figures(errors: tuple[int, int], correct: tuple[int, int]) -> FirstErrorF1:
    on_errors, on_correct = (
        found / count if count else float("nan") for found, count in (errors, correct)
    )
    both = on_errors + on_correct
    f1 = 2 * on_errors * on_correct / both if both else float("nan")
    return FirstErrorF1(f1, on_errors, on_correct, errors, correct)


def _steps(op: str, argument: str, value: Any) -> Int:
    steps = host_integers(op, argument, value)
    check_shape(op, argument, steps)
    if (below := np.flatnonzero(steps < -1)).size:
        i = below[0]
        raise ValueError(
            f"{op}: {argument}[{i}] must be a step from 0, or -1 for none; got {steps[i]}"
        )
    return steps
