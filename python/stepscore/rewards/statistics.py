"""What methods share: sums of segments, baselines of others, whitening; all in float64."""

from __future__ import annotations

import numpy as np

from stepscore.ops import discounted_return, group_advantage, whiten
from stepscore.ops.group_advantage_arguments import Singleton
from stepscore.rewards.inputs import Float, Inputs, Int, Layout

WHITEN_EPS = 1e-8  # of `whiten`


def sums(values: Float, offsets: Int) -> Float:
    """The sum of every segment; of an empty one 0."""
    totals = np.zeros(len(offsets) - 1)
    np.add.at(totals, np.repeat(np.arange(len(totals)), np.diff(offsets)), values)
    return totals


def leave_one_out(
    rewards: Float, groups: Int, singleton: Singleton, group_size: int | None = None
) -> Float:
    """Rewards minus the mean of the others of their group."""
    return np.asarray(
        group_advantage(
            rewards,
            groups,
            baseline="leave_one_out",
            scale="none",
            singleton=singleton,
            group_size=group_size,
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


def whitened(inputs: Inputs, values: Float, layout: Layout, *, remask: bool = True) -> Float:
    r"""Whiten tokens over the whole batch; without `remask` those with mask 0 likewise."""
    known = values[layout.mask]
    if len(known) < 2:
        inputs.fail("mask", "at least 2 tokens with mask 1, of which to take the spread")
    white = np.asarray(whiten(values, layout.mask, offsets=layout.offsets))
    if remask:
        return white
    others = (values - known.mean()) / np.sqrt(known.var(ddof=1) + WHITEN_EPS)
    return np.where(layout.mask, white, others)


def running_sums(values: Float, offsets: Int) -> Float:
    """The sum of every segment up to each of its values: a return from behind."""
    backward = np.ascontiguousarray(offsets[-1] - offsets[::-1])
    sums_backward = discounted_return(values[::-1].copy(), gamma=1.0, offsets=backward)
    return np.asarray(sums_backward)[::-1]
