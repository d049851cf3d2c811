"""The mean over problems, and how far other problems would have moved it."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from stepscore.arrays import host_reals

Float = NDArray[np.float64]

IntervalName: TypeAlias = Literal["bootstrap", "normal", "wilson"]
INTERVALS: tuple[IntervalName, ...] = get_args(IntervalName)


class Interval(NamedTuple):
    """A mean over problems; every field is ``[columns]``, or a scalar array for ``[problems]``.

    Attributes:
        mean: float64.
        low: lower end of the confidence interval, float64.
        high: upper end, float64.
    """

    mean: Float
    low: Float
    high: Float


def mean_interval(
    values: Any,
    how: IntervalName = "bootstrap",
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    r"""Average over problems, with a confidence interval for the choice of the problems.

    With :math:`\bar x` the mean of P problems, s their standard deviation and
    :math:`z = \Phi^{-1}((1 + c) / 2)`:

    - ``bootstrap``: the :math:`(1 \mp c) / 2` quantiles of the means of resamples, P problems
      drawn with replacement; all columns see the same resamples
    - ``normal``: :math:`\bar x \mp z\,s / \sqrt P`; for 10^5 problems the same, without the
      resamples
    - ``wilson``: :math:`\frac{\bar x + z^2 / 2P}{1 + z^2 / P} \mp \frac{z}{1 + z^2 / P}
      \sqrt{\bar x (1 - \bar x) / P + z^2 / 4P^2}`, for values of 0 and 1 alone; it stays
      meaningful where every problem is right

    The difference of two methods on the same problems, ``mean_interval(a.values - b.values)``, has
    a much narrower interval than either mean.

    Args:
        values: ``[problems]`` or ``[problems, columns]``; NaN = the problem has no value in this
            column and is left out of it.
        how: ``"bootstrap"``, ``"normal"`` or ``"wilson"``.
        confidence: c, in (0, 1).
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        `Interval`; NaN for a column without problems.

    Raises:
        ValueError: an unknown name, another number of dimensions, a parameter out of its range, a
            value other than 0 and 1 under ``wilson``.

    Examples:
        >>> ours, theirs = np.array([1.0, 0.5, 1.0, 0.5]), np.array([0.5, 0.5, 0.5, 0.0])
        >>> [round(float(end), 2) for end in mean_interval(ours - theirs, "normal")]
        [0.38, 0.13, 0.62]

    Source: Efron's percentile interval; Wilson's score interval.
    """
    table = host_reals("mean_interval", "values", values)
    if table.ndim not in (1, 2):
        raise ValueError(
            "mean_interval: values must have shape [problems] or [problems, columns]; got "
            f"{list(table.shape)}"
        )
    check_interval("mean_interval", how, confidence, resamples)
    columns = np.ascontiguousarray(np.atleast_2d(table.T))
    ends = np.full((3, len(columns)), np.nan)
    valid = ~np.isnan(columns)
    # Columns of the same problems together: they share the resamples.
    for problems in {row.tobytes(): row for row in valid}.values():
        together = (valid == problems).all(axis=1)
        if problems.any():
            kept = np.ascontiguousarray(columns[together][:, problems])
            ends[:, together] = _interval(kept, how, confidence, resamples, seed)
    return Interval(*ends.reshape(3, *table.shape[1:]))


def check_interval(op: str, how: IntervalName, confidence: float, resamples: int) -> None:
    """Refuse parameters of `mean_interval` that do not fit, in the name of `op`."""
    if how not in INTERVALS:
        expected = " or ".join(f'"{name}"' for name in INTERVALS)
        raise ValueError(f"{op}: the interval must be {expected}; got {how!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"{op}: confidence must be in (0, 1); got {confidence}")
    if resamples < 1:
        raise ValueError(f"{op}: resamples must be at least 1; got {resamples}")


def _interval(
    columns: Float, how: IntervalName, confidence: float, resamples: int, seed: int
) -> tuple[Float, Float, Float]:
    """Mean, low and high of ``[columns, problems]`` without NaN."""
    problems = columns.shape[1]
    mean = columns.mean(axis=1)
    if how == "bootstrap":
        generator = np.random.default_rng(seed)
        means = np.empty((resamples, len(columns)))
        for row in means:
            drawn = generator.integers(0, problems, problems)
            times = np.bincount(drawn, minlength=problems).astype(np.float64)
            np.einsum("cp,p->c", columns, times, out=row)
        low, high = np.quantile(means / problems, ((1 - confidence) / 2, (1 + confidence) / 2), 0)
        return mean, low, high
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    if how == "normal":
        spread = columns.std(axis=1, ddof=1) if problems > 1 else np.full(len(columns), np.nan)
        half = z * spread / np.sqrt(problems)
        return mean, mean - half, mean + half
    if (other := columns[(columns != 0) & (columns != 1)]).size:
        raise ValueError(
            f"mean_interval: wilson is for values of 0 and 1; got {other[0]}; use bootstrap"
        )
    shrink = 1 + z**2 / problems
    centre = (mean + z**2 / (2 * problems)) / shrink
    half = z / shrink * np.sqrt(mean * (1 - mean) / problems + z**2 / (4 * problems**2))
    return mean, centre - half, centre + half
