"""Rewards of rollouts -> how much better each is than the others of its group, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np


def group_advantage(
    rewards: Any,
    groups: Any,
    *,
    baseline: str = "mean",
    scale: str = "std",
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: str = "zero",
    group_size: int | None = None,
    nan: str = "error",
) -> Any:
    r"""Compare every rollout with the others of its group: reward minus baseline, over a scale.

    Args:
        rewards: ``[n]``.
        groups: ``[n]``, a number for each group.
        baseline: ``mean``, ``leave_one_out`` or ``none``.
        scale: ``std``, ``leave_one_out``, ``batch``, ``batch_centred`` or ``none``.
        ddof: of the standard deviation.
        eps: added to it.
        singleton: what a rollout without others gets: ``zero``, ``reward``, ``nan``, ``error``.
        group_size: what every group must have; None: any.
        nan: ``error``, ``propagate`` or ``drop``.

    Returns:
        float64 ``[n]``.
    """
    rewards, groups = np.asarray(rewards, np.float64), np.asarray(groups)
    known = ~np.isnan(rewards)
    if (groups < 0).any() or np.isinf(rewards).any() or (nan == "error" and not known.all()):
        raise ValueError("a negative group, or a reward that is no number")
    used = known if nan == "drop" else np.ones(len(rewards), bool)
    out = np.zeros(len(rewards))
    for i in np.flatnonzero(used):
        if group_size is not None and (groups == groups[i]).sum() != group_size:
            raise ValueError("a group of another size")
        group = rewards[used & (groups == groups[i])]
        others = rewards[used & (groups == groups[i]) & (np.arange(len(rewards)) != i)]
        if len(others) == 0:
            if singleton == "error":
                raise ValueError("a rollout that is alone")
            alone = {"zero": 0.0 * rewards[i], "reward": rewards[i], "nan": np.nan}[singleton]
            out[i] = alone / (1 + eps) if scale == "std" else alone
            continue
        middle = {"mean": group.mean(), "leave_one_out": others.mean(), "none": 0.0}[baseline]
        # Equal rewards have the mean that they are, whatever a sum of them rounds to.
        out[i] = 0.0 if baseline != "none" and np.ptp(group) == 0 else rewards[i] - middle
        if scale == "std":
            out[i] /= _divisor(group, ddof, eps)
        elif scale == "leave_one_out" and len(others) > ddof and np.ptp(others) != 0:
            out[i] /= others.std(ddof=ddof) + eps
    if scale in ("batch", "batch_centred"):
        batch = (rewards if scale == "batch" else out)[known]
        out /= _divisor(batch[~np.isnan(batch)], ddof, eps)
    return out


def _divisor(values: Any, ddof: int, eps: float) -> float:
    if len(values) < 2:
        return 1.0 + eps
    deviation = 0.0 if np.ptp(values) == 0 else float(values.std(ddof=ddof))
    return deviation + eps or 1.0
