"""Step scores of a trace -> one number, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

_UNIT_INTERVAL = ("prod", "geometric_mean", "logit_mean", "odds_mean")
_ODDS = ("logit_mean", "odds_mean")


def aggregate(
    values: Any,
    offsets: Any,
    how: str | Sequence[str],
    *,
    empty: str | float = "nan",
    nan: str = "error",
    temperature: float = 0.1,
    clip: float = 0.0,
) -> Any:
    r"""Reduce the step scores :math:`r_1 \ldots r_K` of every trace to one number.

    Args:
        values: ``[n]``.
        offsets: ``[traces + 1]``.
        how: ``min``, ``max``, ``mean``, ``sum``, ``prod``, ``last``, ``first``,
            ``geometric_mean``, ``logit_mean``, ``odds_mean``, ``softmin``, or a list of them.
        empty: what a trace without steps gets: ``"nan"``, ``"error"`` or a number.
        nan: ``"error"``, or ``"propagate"``: all but ``last`` and ``first`` become NaN.
        temperature: of ``softmin``.
        clip: ``logit_mean`` and ``odds_mean`` read scores as ``[clip, 1 - clip]``.

    Returns:
        float64 ``[traces]``, or ``[traces, len(how)]`` for a list.
    """
    if not isinstance(how, str):
        columns = [
            aggregate(
                values, offsets, name, empty=empty, nan=nan, temperature=temperature, clip=clip
            )
            for name in how
        ]
        return np.stack(columns, axis=1)
    out = []
    for s, (begin, end) in enumerate(pairwise(offsets)):
        r = np.asarray(values[begin:end], dtype=np.float64)
        if len(r) == 0:
            if empty == "error":
                raise ValueError(f"segment {s} is empty")
            out.append(float(empty))
            continue
        if nan == "error" and np.isnan(r).any():
            raise ValueError(f"segment {s} holds a NaN")
        if how in _UNIT_INTERVAL and ((r < 0) | (r > 1)).any():
            raise ValueError(f"segment {s} holds a score outside [0, 1]")
        if how in _ODDS and clip == 0 and ((r == 0) | (r == 1)).any():
            raise ValueError(f"segment {s} holds a score without finite odds")
        if how == "softmin" and np.isinf(r).any():
            raise ValueError(f"segment {s} holds an infinite score")
        if np.isnan(r).any() and how not in ("last", "first"):
            out.append(float("nan"))
        else:
            out.append(_reduce(how, r, temperature, clip))
    return np.array(out, dtype=np.float64)


def _reduce(how: str, r: Any, temperature: float, clip: float) -> float:
    p = np.clip(r, clip, 1.0 - clip)
    # ln 0 is -infinity, and e to that is the 0 that a mean with a zero in it has.
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        if how == "geometric_mean":
            return float(np.exp(np.log(r).mean()))
        if how == "logit_mean":
            return float(1.0 / (1.0 + np.exp(-np.log(p / (1.0 - p)).mean())))
        if how == "odds_mean":
            return float((p / (1.0 - p)).mean())
        if how == "softmin":
            w = np.exp((r.min() - r) / temperature)
            return float((w * r).sum() / w.sum())
        if how == "last":
            return float(r[-1])
        if how == "first":
            return float(r[0])
        if how in ("min", "max", "mean", "sum", "prod"):
            return float(getattr(np, how)(r))
    raise ValueError(f"unknown aggregation {how!r}")
