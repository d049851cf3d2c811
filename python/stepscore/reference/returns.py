"""Rewards of tokens -> what follows each of them, in float64."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np


def discounted_return(
    rewards: Any,
    *,
    gamma: Any,
    mask: Any = None,
    offsets: Any = None,
    mask_policy: str = "carry",
    nan: str = "error",
) -> Any:
    r"""Give the discounted return :math:`G_t = r_t + \gamma G_{t+1}` of every token.

    Args:
        rewards: ``[rows, tokens]``, or ``[tokens]`` with offsets.
        gamma: a number, or one for each row.
        mask: ones and zeros like `rewards`; None: ones.
        offsets: ``[rows + 1]`` of packed rows.
        mask_policy: what a token with mask 0 does: ``carry``, ``zero``, ``none``, ``reset``.
        nan: ``"error"`` or ``"propagate"``.

    Returns:
        float64, like `rewards`.
    """

    def scan(row: int, r: Any, m: Any) -> Any:
        g, out, behind = _of_row(gamma, row), np.zeros(len(r)), 0.0
        for t in reversed(range(len(r))):
            if mask_policy == "carry":
                if m[t]:
                    out[t] = behind = r[t] + g * behind
            elif mask_policy == "zero":
                out[t] = behind = (r[t] if m[t] else 0.0) + g * behind
            else:
                out[t] = behind = r[t] + g * behind
                if mask_policy == "reset" and not m[t]:
                    behind = 0.0
        return _known(out, nan)

    return _by_rows(scan, offsets, rewards, _ones(mask, rewards))


def min_return(
    rewards: Any,
    *,
    step_mask: Any = None,
    mask: Any = None,
    offsets: Any = None,
    empty: str | float = "error",
    nan: str = "error",
) -> Any:
    r"""Give the least reward of the steps that end at or behind every token.

    Args:
        rewards: ``[rows, tokens]``, or ``[tokens]`` with offsets.
        step_mask: which tokens end a step; None: all that the mask leaves.
        mask: ones and zeros like `rewards`; None: ones. Where it is 0 the result is 0.
        offsets: ``[rows + 1]`` of packed rows.
        empty: what a token gets that no step follows: ``"error"``, ``"nan"`` or a number.
        nan: ``"error"`` or ``"propagate"``.

    Returns:
        float64, like `rewards`.
    """

    def scan(_: int, r: Any, m: Any, ends: Any) -> Any:
        if (ends & ~m).any():
            raise ValueError("a step ends where the mask is 0")
        out = np.zeros(len(r))
        for t in np.flatnonzero(m):
            later = r[t:][ends[t:]]
            if len(later) == 0 and empty == "error":
                raise ValueError(f"no step ends at or behind token {t}")
            out[t] = _known(later, nan).min() if len(later) else float(empty)
        return out

    ones = _ones(mask, rewards)
    ends = ones if step_mask is None else _ones(step_mask, rewards)
    return _by_rows(scan, offsets, rewards, ones, ends)


def gae(
    rewards: Any,
    values: Any,
    *,
    gamma: Any,
    lam: Any,
    mask: Any = None,
    offsets: Any = None,
    mask_policy: str = "carry",
    nan: str = "error",
) -> tuple[Any, Any]:
    r"""Give the generalised advantage :math:`A_t` of every token, and its return.

    Args:
        rewards: ``[rows, tokens]``, or ``[tokens]`` with offsets.
        values: like `rewards`.
        gamma: a number, or one for each row.
        lam: a number, or one for each row.
        mask: ones and zeros like `rewards`; None: ones.
        offsets: ``[rows + 1]`` of packed rows.
        mask_policy: what a token with mask 0 does: ``carry``, ``zero``, ``none``.
        nan: ``"error"`` or ``"propagate"``.

    Returns:
        Advantages and returns, float64, like `rewards`.
    """

    def scan(row: int, r: Any, v: Any, m: Any) -> Any:
        g, decay = _of_row(gamma, row), _of_row(gamma, row) * _of_row(lam, row)
        if mask_policy == "zero":
            r, v = np.where(m, r, 0.0), np.where(m, v, 0.0)
        out, advantage, next_value = np.zeros(len(r)), 0.0, 0.0
        for t in reversed(range(len(r))):
            if m[t] or mask_policy != "carry":
                advantage = r[t] + g * next_value - v[t] + decay * advantage
                next_value = v[t]
            out[t] = advantage
        return _known(np.stack([out, out + v]), nan)

    advantages, returns = _by_rows(scan, offsets, rewards, values, _ones(mask, rewards))
    return advantages, returns


def td_targets(
    rewards: Any,
    values: Any,
    *,
    n: int,
    gamma: Any,
    mask: Any = None,
    offsets: Any = None,
    clip: tuple[float, float] | None = None,
    nan: str = "error",
) -> Any:
    r"""Give the target of n steps of every token: n rewards, and the value behind them.

    Args:
        rewards: ``[rows, tokens]``, or ``[tokens]`` with offsets.
        values: like `rewards`.
        n: how many rewards.
        gamma: a number, or one for each row.
        mask: ones and zeros like `rewards`; tokens with a 0 are left out, and get 0.
        offsets: ``[rows + 1]`` of packed rows.
        clip: the lowest and the highest target.
        nan: ``"error"`` or ``"propagate"``.

    Returns:
        float64, like `rewards`.
    """

    def scan(row: int, r: Any, v: Any, m: Any) -> Any:
        out, r, v, g = np.zeros(len(r)), r[m], v[m], _of_row(gamma, row)
        targets = np.zeros(len(r))
        for t in range(len(r)):
            last = min(t + n, len(r))
            targets[t] = sum(g ** (k - t) * r[k] for k in range(t, last))
            if t + n < len(r):
                targets[t] += g**n * v[t + n]
        out[m] = targets if clip is None else np.clip(targets, *clip)
        return _known(out, nan)

    return _by_rows(scan, offsets, rewards, values, _ones(mask, rewards))


def _ones(mask: Any, rewards: Any) -> Any:
    if mask is None:
        return np.ones(np.shape(rewards), bool)
    if not np.isin(mask, (0, 1)).all():
        raise ValueError("a mask that is neither 0 nor 1")
    return np.asarray(mask).astype(bool)


def _of_row(numbers: Any, row: int) -> float:
    return float(numbers) if np.ndim(numbers) == 0 else float(numbers[row])


def _known(out: Any, nan: str) -> Any:
    if nan == "error" and np.isnan(out).any():
        raise ValueError("a NaN was read")
    return out


def _by_rows(scan: Callable[..., Any], offsets: Any, *arrays: Any) -> Any:
    """What `scan` gives for every row of the arrays, in the layout of the first."""
    shape = np.shape(arrays[0])
    flat = [np.ravel(array) for array in arrays]
    if offsets is None:
        offsets = np.arange(shape[0] + 1) * shape[1]
    rows = [
        scan(row, *(_exact(array[begin:end]) for array in flat))
        for row, (begin, end) in enumerate(pairwise(offsets))
    ]
    rows = rows or [scan(0, *(_exact(array) for array in flat))]
    out = np.concatenate(rows, axis=-1)
    return out.reshape(*out.shape[:-1], *shape)


def _exact(numbers: Any) -> Any:
    return numbers if numbers.dtype == bool else numbers.astype(np.float64)
