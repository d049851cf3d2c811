"""Credit by what critiques say of the steps."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from stepscore.ragged import offsets_of, segment_of
from stepscore.rewards.inputs import Float, Inputs, Int
from stepscore.rewards.statistics import group_sizes, group_sums
from stepscore.rewards.step_map import Outside, on_rollouts, on_steps, read_ends

Vote: TypeAlias = Literal["intersection", "majority", "average"]


class Thoughts(NamedTuple):
    """Thoughts, each a run of steps with the same label.

    Attributes:
        values: a number for each thought, ``[thoughts]``.
        offsets: the thoughts of each rollout, int64 ``[rollouts + 1]``.
        of_step: the thought of every step, int64 ``[steps]``.
    """

    values: Any
    offsets: Any
    of_step: Any


def capo_votes(wrong: Any, *, vote: Vote) -> Any:
    r"""Give how wrong each step is, by the critiques that say so.

    ``intersection``: 1 if all do; ``majority``: 1 if more than half do; ``average``: the share that
    does.

    Args:
        wrong: whether each critique calls each step wrong, ``[critiques, steps]``.
        vote: see above.

    Returns:
        float64 ``[steps]``, an array of the framework of `wrong`.

    Raises:
        ValueError: no critique; a verdict that is neither 0 nor 1.

    Examples:
        >>> capo_votes([[1, 1, 0], [1, 0, 0]], vote="average")
        array([1. , 0.5, 0. ])
        >>> capo_votes([[1, 1, 0], [1, 0, 0]], vote="majority")
        array([1., 0., 0.])

    Source: CAPO, arXiv 2508.02298.
    """
    inputs = Inputs("capo_votes")
    return inputs.result(_votes(inputs, wrong, vote), wide=True)


def capo(
    wrong: Any,
    offsets: Any,
    *,
    ends: Any,
    outcomes: Any,
    vote: Vote,
    penalty: float,
    mask: Any = None,
    token_offsets: Any = None,
    outside: Outside = "error",
) -> Any:
    r"""Give every token its outcome, less a penalty in a wrong step: :math:`R_i - \pi w_k`.

    w is `capo_votes`. Normalising what comes out is left to the trainer.

    Unverified: the penalty and how it meets the outcome.

    Args:
        wrong: as in `capo_votes`.
        offsets: the steps of each rollout, int64 ``[rollouts + 1]``.
        ends: the last token of every step, as in `place`.
        outcomes: R, ``[rollouts]``.
        vote: as in `capo_votes`.
        penalty: what a wrong step costs each of its tokens.
        mask: as in `place`.
        token_offsets: as in `place`.
        outside: how wrong a token is behind the last step: ``"error"``, or a number.

    Returns:
        Tokens in the shape of `mask`, 0 where it is 0; float64 for float64 outcomes, else float32;
        an array of their framework.

    Raises:
        ValueError: as in `broadcast` and `capo_votes`.

    Examples:
        >>> capo(
        ...     [[0, 1]], [0, 2], ends=[0, 2], outcomes=[1.0], vote="majority", penalty=2.0,
        ...     mask=[[1, 1, 1]],
        ... )
        array([[ 1., -1., -1.]])

    Source: as `capo_votes`.
    """
    inputs = Inputs("capo")
    share = _votes(inputs, wrong, vote)
    bounds = inputs.bounds(offsets, len(share))
    layout = inputs.layout(mask, token_offsets)
    rewards = inputs.reals("outcomes", outcomes, len(layout), "the mask")
    places = read_ends(inputs, ends, bounds, layout)
    off = inputs.number("penalty", penalty) * on_steps(inputs, share, places, layout, outside)
    return inputs.result((on_rollouts(rewards, layout) - off).reshape(layout.shape))


def merged_thoughts(labels: Any, offsets: Any) -> Thoughts:
    r"""Join steps that follow each other with the same label to thoughts.

    Unverified: read from a description of the paper.

    Args:
        labels: of every step, int64 ``[steps]``.
        offsets: the steps of each rollout, int64 ``[rollouts + 1]``.

    Returns:
        `Thoughts`, whose values are the labels, int64; arrays of the framework of `labels`.

    Raises:
        ValueError: offsets that do not fit.

    Examples:
        >>> merged_thoughts([1, 1, 0, 1], [0, 4]).values
        array([1, 0, 1])

    Source: TP-GRPO, arXiv 2507.23317.
    """
    inputs = Inputs("merged_thoughts")
    marks = inputs.integers("labels", labels)
    first, bounds, of_step = _runs(inputs, marks, offsets)
    values, limits, steps = (inputs.result(x) for x in (marks[first], bounds, of_step))
    return Thoughts(values, limits, steps)


def tp_grpo(labels: Any, offsets: Any, *, correct: Any, groups: Any, scale: float) -> Thoughts:
    r"""Reward every thought by its label and the group's accuracy: :math:`c\, \bar a_g\, l`.

    Unverified: the scale, and that it is a product.

    Args:
        labels: as in `merged_thoughts`, such as 1 and -1.
        offsets: as in `merged_thoughts`.
        correct: whether each rollout is, ``[rollouts]``.
        groups: the number of each rollout's group, int64 ``[rollouts]``.
        scale: c.

    Returns:
        `Thoughts`, whose values are the rewards, float64; arrays of the framework of `labels`.

    Raises:
        ValueError: as `merged_thoughts`; lengths that do not match.

    Examples:
        >>> given = {"correct": [1, 0], "groups": [0, 0], "scale": 1.0}
        >>> tp_grpo([1, 1, -1, 1], [0, 3, 4], **given).values
        array([ 0.5, -0.5,  0.5])

    Source: as `merged_thoughts`.
    """
    inputs = Inputs("tp_grpo")
    marks = inputs.integers("labels", labels)
    first, bounds, of_step = _runs(inputs, marks, offsets)
    right = inputs.bools("correct", correct, len(bounds) - 1, "the rollouts")
    members = inputs.groups(groups, len(bounds) - 1)
    accuracy = group_sums(right.astype(np.float64), members) / group_sizes(members)
    rewards = inputs.number("scale", scale) * accuracy[segment_of(bounds)] * marks[first]
    limits, steps = inputs.result(bounds), inputs.result(of_step)
    return Thoughts(inputs.result(rewards, wide=True), limits, steps)


def _votes(inputs: Inputs, wrong: Any, vote: Vote) -> Float:
    inputs.choice("vote", vote, ("intersection", "majority", "average"))
    verdicts = inputs.verdicts("wrong", wrong)
    if not len(verdicts):
        inputs.fail("wrong", "at least one critique", got="none")
    share: Float = verdicts.mean(axis=0)
    if vote == "average":
        return share
    agreed = share == 1 if vote == "intersection" else share > 0.5
    return agreed.astype(np.float64)


def _runs(inputs: Inputs, labels: Int, offsets: Any) -> tuple[Int, Int, Int]:
    """The first step of every run, where the runs of each rollout begin, the run of every step."""
    bounds = inputs.bounds(offsets, len(labels))
    row = segment_of(bounds)
    begins = np.ones(len(labels), np.bool_)
    begins[1:] = (labels[1:] != labels[:-1]) | (row[1:] != row[:-1])
    first = np.flatnonzero(begins)
    counts = np.bincount(row[first], minlength=len(bounds) - 1)
    return first, offsets_of(counts), np.cumsum(begins) - 1
