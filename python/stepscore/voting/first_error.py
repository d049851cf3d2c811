"""The step at which a trace goes wrong."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays import host_reals
from stepscore.ops import aggregate
from stepscore.ragged import check_shape, first_true, ragged_parts, read_offsets, segment_of

Int = NDArray[np.int64]
Float = NDArray[np.float64]

_LOCATIONS = ("first", "lowest", "drop")
_RULES = {"<": np.less, "<=": np.less_equal}


def first_error(
    step_scores: Any,
    offsets: Any = None,
    *,
    threshold: float,
    rule: Literal["<", "<="] = "<",
    how: str = "first",
    before: float = 1.0,
    nan: str = "error",
) -> Int:
    r"""Give the step of every trace at which it goes wrong: keep what precedes, sample from there.

    Wrong are the steps with :math:`r_k < t`, or with :math:`r_k \le t` by `rule`. Of these, W,

    - ``first``: :math:`\min W`, the prediction of ProcessBench
    - ``lowest``: :math:`\arg\min_{k \in W} r_k`
    - ``drop``: :math:`\arg\max_{k \in W} (r_{k-1} - r_k)`, the largest fall from the step before

    and the earliest of equal ones. ``threshold=math.inf`` makes every step a wrong one: ``lowest``
    and ``drop`` then find one in every trace that has steps. To sample again from step k of trace
    i: keep ``steps[i][:k]``.

    Args:
        step_scores: r, ``[n]``, compared in float64; or `stepscore.StepScores`, which knows its
            offsets.
        offsets: where each trace begins and ends, int64 ``[traces + 1]``.
        threshold: t, in units of the scores; calibrate it, on ProcessBench's GSM8K for example.
        rule: whether a step whose score is the threshold is right, ``"<"``, or wrong, ``"<="``.
            Scores of exactly .5 are frequent in half precision.
        how: ``"first"``, ``"lowest"`` or ``"drop"``.
        before: :math:`r_0` of ``drop``, the score of a trace before its first step.
        nan: ``"error"`` raises on a NaN score, ``"skip"`` passes over such a step as though it
            were absent (a step that truncation left out), and over the traces of `StepScores`
            that could not be scored, of which ``"error"`` raises, too: nobody knows their steps.

    Returns:
        int64 ``[traces]``, counted from 0 within the trace; -1 = no wrong step, or no steps.

    Raises:
        ValueError: offsets that do not fit, an unknown name, a NaN score or threshold, a trace
            that could not be scored, an infinite score under ``drop``.

    Source: ``first`` is ProcessBench's reading of a scalar PRM; ``lowest`` and ``drop`` are
    variants without a published source.
    """
    if how not in _LOCATIONS:
        expected = " or ".join(f'"{name}"' for name in _LOCATIONS)
        raise ValueError(f"first_error: how must be {expected}; got {how!r}")
    if rule not in _RULES:
        raise ValueError(f'first_error: rule must be "<" or "<="; got {rule!r}')
    if nan not in ("error", "skip"):
        raise ValueError(f'first_error: nan must be "error" or "skip"; got {nan!r}')
    if np.isnan(threshold):
        raise ValueError("first_error: threshold must be a number; got NaN")
    if offsets is None:
        skipped = getattr(step_scores, "skipped", None)
        if nan == "error" and skipped:
            raise ValueError(
                f"first_error: trace {min(skipped)} of step_scores was skipped, and has no scores: "
                f'{skipped[min(skipped)]}; nan="skip" gives it -1'
            )
        step_scores, offsets = ragged_parts("first_error", "step_scores", step_scores)
    values = host_reals("first_error", "step_scores", step_scores)
    check_shape("first_error", "step_scores", values)
    bounds = read_offsets("first_error", offsets, len(values), "step scores")
    missing = np.isnan(values)
    if nan == "error" and missing.any():
        raise ValueError(
            f'first_error: step_scores[{np.argmax(missing)}] is NaN; nan="skip" passes over it'
        )
    known = np.flatnonzero(~missing)
    scores, within = values[known], np.searchsorted(known, bounds)
    wrong = _RULES[rule](scores, threshold)
    if how == "first":
        error = first_true(wrong, within)
    else:
        level = scores if how == "lowest" else -_drops(scores, within, before)
        level = np.where(wrong, level, np.inf)
        least = aggregate(level, within, "min")[segment_of(within)]
        error = first_true(wrong & (level == least), within)
    return np.where(error < 0, -1, np.append(known, -1)[error] - bounds[:-1])


def _drops(scores: Float, offsets: Int, before: float) -> Float:
    if not np.isfinite(scores).all() or not np.isfinite(before):
        raise ValueError('first_error: how="drop" needs finite scores; got an infinite one')
    previous = np.roll(scores, 1)
    previous[offsets[:-1][np.diff(offsets) > 0]] = before
    drops: Float = previous - scores
    return drops
