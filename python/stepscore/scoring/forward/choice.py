"""Which plan costs least: shared prefixes, whole traces packed, or whole traces padded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stepscore.scoring.forward.layout import SHORT
from stepscore.scoring.forward.plan import ForwardCosts, Plan, plan, plan_padded

# Short pieces are gathered, attended to together and put back: calls like those of so many pieces.
_CALLS_OF_SHORT = 3


def cheapest_plan(
    token_ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    *,
    token_budget: int,
    costs: ForwardCosts,
    cache_limit: int | None = None,
    rope_switch_length: int | None = None,
) -> Plan:
    """Plan in every way that may cost least, and give the plan that does; shared ones first.

    `plan` weighs each run for itself; here whole plans are weighed, with the calls that each takes
    for its batches and pieces. A pure function of its arguments, and the order of the traces does
    not change the plan.

    Args:
        token_ids, offsets, token_budget, costs, cache_limit: as in `plan`.
        rope_switch_length: as in `plan_padded`.
    """
    shared = plan(
        token_ids, offsets, token_budget=token_budget, costs=costs, cache_limit=cache_limit
    )
    if seconds(shared, costs) <= least_seconds_whole(shared, token_budget, costs):
        return shared
    plans = [shared]
    if (shared.start > 0).any():
        whole = replace(costs, fork=float("inf"))
        plans.append(
            plan(
                token_ids, offsets, token_budget=token_budget, costs=whole, cache_limit=cache_limit
            )
        )
    # A trace beyond the budget can be cut where it is packed alone.
    if costs.pads and np.diff(offsets).max(initial=0) <= token_budget:
        plans.append(
            plan_padded(
                token_ids,
                offsets,
                token_budget=token_budget,
                rope_switch_length=rope_switch_length,
            )
        )
    return min(plans, key=lambda made: seconds(made, costs))  # the first of equal ones


def seconds(made: Plan, costs: ForwardCosts) -> float:
    """Reckon what a plan takes on the device of the costs."""
    total = made.forwarded * costs.token + len(made) * costs.batch
    if made.padded:  # all rows of a batch are attended to together
        return total + len(made) * costs.piece
    batch = np.repeat(np.arange(len(made)), np.diff(made.batches))
    # Short pieces are attended to together with those of similar length.
    together = np.where(made.lengths > SHORT, -1, np.ceil(np.log2(np.maximum(made.lengths, 1))))
    alone = int(np.count_nonzero(together < 0))
    similar = np.unique(np.stack([batch, together])[:, together >= 0], axis=1).shape[1]
    # A piece reads the root of its prefixes, and then the rest of them; neighbours read together.
    depth = np.zeros(len(batch), dtype=np.int64)
    for piece, parent in enumerate(made.parent.tolist()):
        depth[piece] = 0 if parent < 0 else depth[parent] + 1
    levels = np.minimum(depth, 2)
    first = np.ones(len(batch), dtype=np.bool_)
    first[1:] = (made.parent[1:] != made.parent[:-1]) | (batch[1:] != batch[:-1])
    return total + float(
        (alone + _CALLS_OF_SHORT * similar) * costs.piece
        + int(levels[first].sum()) * costs.fork
        + int((levels * made.lengths).sum()) * costs.continued
    )


def least_seconds_whole(shared: Plan, token_budget: int, costs: ForwardCosts) -> float:
    """Reckon what forwarding every trace whole takes at the least, without planning it."""
    ends = np.ones(len(shared.parent), dtype=np.bool_)  # pieces that nothing continues
    ends[shared.parent[shared.parent >= 0]] = False
    tokens = int((shared.start + shared.lengths)[ends].sum())
    return tokens * costs.token + -(-tokens // token_budget) * (costs.batch + costs.piece)
