"""Credit by what the rollouts of a group share: the trie of their tokens or steps."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from stepscore.ops import PrefixTrie, group_advantage
from stepscore.ragged import offsets_of, read_offsets, segment_of
from stepscore.rewards.inputs import Float, Inputs, Int
from stepscore.rewards.statistics import group_sizes


def lambda_grpo(token_ids: Any, token_offsets: Any, groups: Any) -> Any:
    r"""Weigh a token by how many rollouts of its group share it: :math:`w_t = 1 / |S_t|`.

    :math:`S_t` are the rollouts of the group that begin with the same tokens up to t. The weight
    multiplies the token's loss.

    Args:
        token_ids: of the responses, packed, int64 ``[tokens]``; what tools wrote among them.
        token_offsets: where each rollout begins and ends, int64 ``[rollouts + 1]``.
        groups: the number of each rollout's group, int64 ``[rollouts]``, in any order.

    Returns:
        float64 ``[tokens]``, an array of the framework of `token_ids`.

    Raises:
        ValueError: offsets or groups that do not fit.

    Examples:
        >>> lambda_grpo([1, 2, 3, 1, 5], [0, 3, 5], [0, 0])
        array([0.5, 1. , 1. , 0.5, 1. ])

    Source: lambda-GRPO, arXiv 2509.21154, coli-saar/grpo-prm.
    """
    inputs = Inputs("lambda_grpo")
    ids = inputs.integers("token_ids", token_ids)
    bounds = read_offsets("lambda_grpo", token_offsets, len(ids), "tokens")
    members = inputs.groups(groups, len(bounds) - 1)
    trie, order = _trie(ids, bounds, members)
    weights = np.zeros(len(ids))
    weights[order] = trie.token_weights
    return inputs.result(weights, wide=True)


def portool(
    step_keys: Any,
    offsets: Any,
    *,
    groups: Any,
    outcomes: Any,
    through: Literal["mean", "max"],
    blend: float,
) -> Any:
    r"""Compare a step with its siblings, and its rollout with the group: :math:`b A^f + (1-b) A^r`.

    A step is a node of the trie of the group's steps; its value v is the mean, or the highest, of
    the outcomes of the rollouts through it. Then :math:`A^f = v - \overline{v}` over the children
    of the same parent, 0 without siblings, and :math:`A^r = R_i - \overline R` over the group.

    Unverified: the blend, what a node is worth, and the reward for the format, which is left to the
    caller.

    Args:
        step_keys: a number for each step's text, the same wherever it occurs, int64 ``[steps]``.
        offsets: the steps of each rollout, int64 ``[rollouts + 1]``.
        groups: the number of each rollout's group, int64 ``[rollouts]``, in any order.
        outcomes: R, ``[rollouts]``.
        through: ``"mean"`` or ``"max"``.
        blend: b, in [0, 1].

    Returns:
        ``[steps]``; float64 for float64 outcomes, else float32; an array of their framework.

    Raises:
        ValueError: offsets or groups that do not fit; a NaN.

    Examples:
        >>> portool(
        ...     [1, 2, 1, 3], [0, 2, 4], groups=[0, 0], outcomes=[1.0, 0.0], through="mean",
        ...     blend=1.0,
        ... )
        array([ 0. ,  0.5,  0. , -0.5])

    Source: PORTool, arXiv 2510.26020.
    """
    inputs = Inputs("portool")
    inputs.choice("through", through, ("mean", "max"))
    keys = inputs.integers("step_keys", step_keys)
    bounds = inputs.bounds(offsets, len(keys))
    members = inputs.groups(groups, len(bounds) - 1)
    rewards = inputs.reals("outcomes", outcomes, len(bounds) - 1, "the rollouts")
    blend = inputs.number("blend", blend, 0.0, 1.0)
    trie, order = _trie(keys, bounds, members)
    node = np.zeros(len(keys), np.int64)
    node[order] = trie.node_of_token
    row = segment_of(bounds)
    values = _of_nodes(rewards[row], node, len(trie), through)
    # The roots of a group are children of one parent, which has no node.
    root = len(trie) + segment_of(trie.group_offsets)
    parents = np.where(trie.parent < 0, root, trie.parent)
    forks = np.asarray(group_advantage(values, parents, scale="none"))
    rollouts = np.asarray(group_advantage(rewards, members, scale="none"))
    return inputs.result(blend * forks[node] + (1 - blend) * rollouts[row])


def _trie(ids: Int, offsets: Int, groups: Int) -> tuple[PrefixTrie, Int]:
    """The trie of all groups, and which token each of its tokens is."""
    rollouts = np.argsort(groups, kind="stable")
    lengths = np.diff(offsets)[rollouts]
    sorted_offsets = offsets_of(lengths)
    begins = np.repeat(offsets[:-1][rollouts] - sorted_offsets[:-1], lengths)
    order: Int = begins + np.arange(len(ids))
    sorted_groups = groups[rollouts]
    first = np.flatnonzero(np.append(True, sorted_groups[1:] != sorted_groups[:-1]))
    sizes = group_sizes(sorted_groups)[first] if len(groups) else np.zeros(0, np.int64)
    return PrefixTrie(ids[order], sorted_offsets, groups=offsets_of(sizes)), order


def _of_nodes(outcomes: Float, node: Int, nodes: int, through: Literal["mean", "max"]) -> Float:
    if through == "mean":
        return np.bincount(node, outcomes, nodes) / np.bincount(node, minlength=nodes)
    highest = np.full(nodes, -np.inf)
    np.maximum.at(highest, node, outcomes)
    return highest
