"""What methods share: sums of segments, baselines of others, whitening; all in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from stepscore.ops import group_advantage
from stepscore.ops.group_advantage import Singleton
from stepscore.rewards.inputs import Bool, Float, Inputs, Int

WHITEN_EPS = 1e-8  # of verl, TRL and ROLL


def sums(values: Float, offsets: Int) -> Float:
    """The sum of every segment; of an empty one 0."""
    totals = np.zeros(len(offsets) - 1)
    np.add.at(totals, np.repeat(np.arange(len(totals)), np.diff(offsets)), values)
    return totals


def leave_one_out(rewards: Float, groups: Int, singleton: Singleton) -> Float:
    """Rewards minus the mean of the others of their group."""
    return np.asarray(
        group_advantage(
            rewards, groups, baseline="leave_one_out", scale="none", singleton=singleton
        )
    )


def group_sums(values: Float, groups: Int) -> Float:
    """The sum of each one's group, ``[n]``."""
    _, group = np.unique(groups, return_inverse=True)
    return np.asarray(np.bincount(group, values), np.float64)[group] if len(values) else values


def group_sizes(groups: Int) -> Int:
    """How many are in each one's group, ``[n]``."""
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    sizes: Int = counts[group]
    return sizes


def whitened(
    inputs: Inputs, values: Float, mask: Bool, *, remask: bool = True, ddof: int = 1
) -> Float:
    r"""Whiten tokens over the whole batch: :math:`(x - \mu) / \sqrt{\sigma^2 + 10^{-8}}`."""
    known = values[mask]
    if len(known) <= ddof:
        inputs.fail("mask", f"at least {ddof + 1} tokens with mask 1, of which to take the spread")
    scale = np.sqrt(known.var(ddof=ddof) + WHITEN_EPS)
    white = (values - known.mean()) / scale
    return np.where(mask, white, 0.0) if remask else white


def softmax_weights(logits: Float, offsets: Int) -> Float:
    """The softmax of every segment; an empty one has no weights."""
    counts = np.diff(offsets)
    full = counts > 0
    if not full.any():
        return np.zeros(0)
    begins = offsets[:-1][full]
    peak = np.repeat(np.maximum.reduceat(logits, begins), counts[full])
    powers: Any = np.exp(logits - peak)
    return np.asarray(powers / np.repeat(np.add.reduceat(powers, begins), counts[full]))
