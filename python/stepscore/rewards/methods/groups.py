"""Advantages of rollouts against their group, on whole rollouts and on their steps."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from stepscore.ops import discounted_return, group_advantage
from stepscore.ops.group_advantage import Singleton
from stepscore.ragged import segment_of
from stepscore.rewards.inputs import Float, Inputs, Int
from stepscore.rewards.statistics import group_sizes, group_sums, leave_one_out, sums

Trainer: TypeAlias = Literal["verl", "trl", "openrlhf"] | None
Std: TypeAlias = Literal["sample", "population", "equal_trajectory"]

STEP_EPS = 1e-12  # of AgentEvolver
_EQUAL_VARIANCE_EPS = 1e-8  # likewise

# What a trainer does else than we: epsilon, and a rollout that is alone.
_GRPO: dict[Any, dict[str, Any]] = {
    None: {},
    "verl": {"eps": 1e-6, "singleton": "reward"},
    "trl": {"eps": 1e-4, "singleton": "zero"},
    "openrlhf": {"eps": 1e-9, "singleton": "error"},
}
_ALONE: dict[Any, Singleton] = {"verl": "reward", "trl": "zero", "openrlhf": "error"}


def grpo(
    rewards: Any,
    groups: Any,
    *,
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
    compat: Trainer = None,
) -> Any:
    r"""Compare a rollout with its group: :math:`(R_i - \mu_g) / (\sigma_g + \epsilon)`.

    Args:
        rewards: one for each rollout, ``[rollouts]``.
        groups: the number of each rollout's group, int64 ``[rollouts]``.
        ddof: 1 divides the squares by n - 1, 0 by n.
        eps: added to the deviation.
        singleton: what a rollout gets that is alone: ``"zero"``, ``"reward"``, ``"nan"`` or
            ``"error"``.
        compat: ``"verl"``: alone, a rollout gets R / (1 + eps). ``"trl"``: eps is 1e-4.
            ``"openrlhf"``: its ``group_norm``, with eps 1e-9, which refuses groups of one.

    Returns:
        ``[rollouts]``; float64 for float64 rewards, else float32; an array of the framework of
        `rewards`. `spread` gives it to tokens.

    Raises:
        ValueError: groups that do not fit; a NaN; a rollout that is alone, under
            ``singleton="error"``.

    Examples:
        >>> grpo([1.0, 0.0, 0.0, 1.0, 0.5], [0, 0, 0, 0, 1]).round(4)
        array([ 0.866, -0.866, -0.866,  0.866,  0.   ])
        >>> grpo([1.0, 0.0, 0.5], [0, 0, 1], compat="verl").round(4)
        array([ 0.7071, -0.7071,  0.5   ])

    Source: DeepSeekMath; trainers as they have it.
    """
    inputs = Inputs("grpo")
    inputs.choice("compat", compat, tuple(_GRPO))
    options = {"ddof": ddof, "eps": eps, "singleton": singleton} | _GRPO[compat]
    outcomes, members = _read(inputs, rewards, groups)
    return inputs.result(np.asarray(group_advantage(outcomes, members, **options)))


def rloo(
    rewards: Any, groups: Any, *, singleton: Singleton = "zero", compat: Trainer = None
) -> Any:
    r"""Compare a rollout with the others of its group: :math:`R_i - \frac1{n-1}\sum_{j\ne i} R_j`.

    Args:
        rewards: as in `grpo`.
        groups: as in `grpo`.
        singleton: as in `grpo`.
        compat: ``"verl"``: alone, a rollout gets R in ``rloo``; its ``rloo_vectorized`` gives 0, as
            here. ``"trl"``: 0. ``"openrlhf"``: refuses groups of one.

    Returns:
        As `grpo`.

    Raises:
        ValueError: as `grpo`.

    Examples:
        >>> rloo([1.0, 0.0, 0.0, 0.5], [0, 0, 0, 1])
        array([ 1. , -0.5, -0.5,  0. ])

    Source: Ahmadian et al., "Back to Basics".
    """
    inputs = Inputs("rloo")
    inputs.choice("compat", compat, (None, *_ALONE))
    outcomes, members = _read(inputs, rewards, groups)
    return inputs.result(leave_one_out(outcomes, members, _ALONE.get(compat, singleton)))


def dr_grpo(
    rewards: Any, groups: Any, *, singleton: Singleton = "zero", compat: Trainer = None
) -> Any:
    r"""Compare a rollout with the mean of its group: :math:`R_i - \mu_g`.

    Args:
        rewards: as in `grpo`.
        groups: as in `grpo`.
        singleton: as in `grpo`.
        compat: ``"verl"``: alone, a rollout gets R. ``"trl"``: 0. ``"openrlhf"``: refuses groups of
            one.

    Returns:
        As `grpo`.

    Raises:
        ValueError: as `grpo`.

    Examples:
        >>> dr_grpo([1.0, 0.0, 0.5], [0, 0, 1])
        array([ 0.5, -0.5,  0. ])

    Source: Liu et al., "Understanding R1-Zero-Like Training".
    """
    inputs = Inputs("dr_grpo")
    inputs.choice("compat", compat, (None, *_ALONE))
    outcomes, members = _read(inputs, rewards, groups)
    alone = _ALONE.get(compat, singleton)
    centred = group_advantage(outcomes, members, scale="none", singleton=alone)
    return inputs.result(np.asarray(centred))


def opo(
    rewards: Any,
    groups: Any,
    *,
    lengths: Any,
    singleton: Literal["zero", "reward"] = "zero",
    compat: Literal["verl"] | None = None,
) -> Any:
    r"""Compare with the group's mean over tokens: :math:`R_i - \sum_j L_j R_j / \sum_j L_j`.

    Args:
        rewards: as in `grpo`.
        groups: as in `grpo`.
        lengths: the tokens of each rollout, ``[rollouts]``, at least 1.
        singleton: what a rollout gets that is alone: ``"zero"``, or ``"reward"``.
        compat: ``"verl"``: alone, a rollout gets R.

    Returns:
        As `grpo`.

    Raises:
        ValueError: as `grpo`; a length below 1.

    Examples:
        >>> opo([1.0, 0.0], [0, 0], lengths=[1, 3])
        array([ 0.75, -0.25])

    Source: Hao et al., "On-Policy RL with Optimal Reward Baseline", as in verl.
    """
    inputs = Inputs("opo")
    inputs.choice("compat", compat, (None, "verl"))
    inputs.choice("singleton", singleton, ("zero", "reward"))
    outcomes, members = _read(inputs, rewards, groups)
    tokens = read_lengths(inputs, lengths, len(outcomes))
    baseline = group_sums(tokens * outcomes, members) / group_sums(tokens, members)
    alone = group_sizes(members) == 1
    lone = outcomes if "reward" in (_ALONE.get(compat), singleton) else 0.0
    return inputs.result(np.where(alone, lone, outcomes - baseline))


def gpg(rewards: Any, groups: Any, *, f_norm: float = 1.0, singleton: Singleton = "zero") -> Any:
    r"""Weigh rewards less their mean by how few are not 0: :math:`\alpha (R_i - \mu_g) / f`.

    .. math:: \alpha = B / \max(|\{j : R_j \ne 0\}|, 1)

    Args:
        rewards: as in `grpo`; B of them.
        groups: as in `grpo`.
        f_norm: f, above 0.
        singleton: as in `grpo`.

    Returns:
        As `grpo`.

    Raises:
        ValueError: as `grpo`.

    Examples:
        >>> gpg([1.0, 0.0], [0, 0])
        array([ 1., -1.])

    Source: Chu et al., "GPG", as in verl.
    """
    inputs = Inputs("gpg")
    outcomes, members = _read(inputs, rewards, groups)
    f_norm = inputs.number("f_norm", f_norm)
    if f_norm <= 0:
        inputs.fail("f_norm", "a number above 0", got=f"{f_norm:g}")
    alpha = len(outcomes) / max(np.count_nonzero(outcomes), 1)
    centred = group_advantage(outcomes, members, scale="none", singleton=singleton)
    return inputs.result(alpha * np.asarray(centred) / f_norm)


def grpo_passk(rewards: Any, groups: Any, *, eps: float = 1e-6) -> Any:
    r"""Reward the best rollout of a group for its lead: :math:`(R_1 - R_2)/(\sigma_g + \epsilon)`.

    The others get 0, and so does every one where two lead.

    Args:
        rewards: as in `grpo`.
        groups: as in `grpo`, at least two rollouts each.
        eps: added to the deviation, whose squares are divided by n - 1.

    Returns:
        As `grpo`.

    Raises:
        ValueError: as `grpo`; a rollout that is alone.

    Examples:
        >>> grpo_passk([1.0, 0.0], [0, 0]).round(4)
        array([1.4142, 0.    ])

    Source: arXiv 2503.19595, as in verl.
    """
    inputs = Inputs("grpo_passk")
    outcomes, members = _read(inputs, rewards, groups)
    # For the check of eps, and of groups of one.
    group_advantage(outcomes, members, eps=eps, singleton="error")
    advantages = np.zeros(len(outcomes))
    for group in np.unique(members):
        own = np.flatnonzero(members == group)
        second, first = np.sort(outcomes[own])[-2:]
        if first > second:
            lead = (first - second) / (outcomes[own].std(ddof=1) + eps)
            advantages[own[np.argmax(outcomes[own])]] = lead
    return inputs.result(advantages)


def step_scores_in_group(
    values: Any,
    offsets: Any = None,
    *,
    groups: Any,
    std: Std,
    eps: float = STEP_EPS,
    singleton: Singleton = "zero",
) -> Any:
    r"""Compare a step with all steps of its group: :math:`(PR_k - \mu) / \sigma`.

    Args:
        values: step rewards ``[steps]``, or `StepScores`.
        offsets: the steps of each rollout, int64 ``[rollouts + 1]``; not with `StepScores`.
        groups: the number of each rollout's group, int64 ``[rollouts]``.
        std: whose mean and deviation: ``"sample"``, of all steps, dividing squares by n - 1;
            ``"population"``, by n; ``"equal_trajectory"``: every rollout that has steps weighs the
            same, :math:`\mu = \overline{\overline{PR}_i}`,
            :math:`\sigma^2 = \overline{\overline{(PR - \mu)^2}_i} + 10^{-8}`. No source states
            which is DeepSeekMath's.
        eps: added to the deviation.
        singleton: what the only step of a group gets, as in `grpo`.

    Returns:
        ``[steps]``, else as `grpo`.

    Raises:
        ValueError: as `grpo`; offsets that do not fit.

    Examples:
        >>> rewards, steps = [0.2, 0.8, 0.5, 0.1, 0.9], [0, 2, 5]
        >>> step_scores_in_group(rewards, steps, groups=[0, 0], std="sample").round(4)
        array([-0.8485,  0.8485,  0.    , -1.1314,  1.1314])

    Source: process supervision in DeepSeekMath; equal trajectories in modelscope/AgentEvolver.
    """
    inputs = Inputs("step_scores_in_group")
    scores, bounds = inputs.steps(values, offsets)
    members = inputs.groups(groups, len(bounds) - 1)
    return inputs.result(_step_scores(inputs, scores, bounds, members, std, eps, singleton))


def step_grpo(
    values: Any,
    offsets: Any = None,
    *,
    groups: Any,
    std: Std,
    eps: float = STEP_EPS,
    singleton: Singleton = "zero",
) -> Any:
    r"""Give every step what it and later ones earn within the group: :math:`\sum_{j \ge k} z_j`.

    z is `step_scores_in_group`. By `broadcast`, with ``outside=0.0``, these are
    :math:`A_t = \sum_{k: e_k \ge t} z_k`.

    Args:
        values: as in `step_scores_in_group`.
        offsets: as in `step_scores_in_group`.
        groups: as in `step_scores_in_group`.
        std: as in `step_scores_in_group`.
        eps: as in `step_scores_in_group`.
        singleton: as in `step_scores_in_group`.

    Returns:
        As `step_scores_in_group`.

    Raises:
        ValueError: as `step_scores_in_group`.

    Examples:
        >>> rewards, steps = [0.2, 0.8, 0.5, 0.1, 0.9], [0, 2, 5]
        >>> step_grpo(rewards, steps, groups=[0, 0], std="population").round(4)
        array([0.    , 0.9487, 0.    , 0.    , 1.2649])

    Source: as `step_scores_in_group`.
    """
    inputs = Inputs("step_grpo")
    scores, bounds = inputs.steps(values, offsets)
    members = inputs.groups(groups, len(bounds) - 1)
    z = _step_scores(inputs, scores, bounds, members, std, eps, singleton)
    return inputs.result(
        np.asarray(discounted_return(z, gamma=1.0, offsets=bounds, nan="propagate"))
    )


def outcome_shares(
    good: Any,
    offsets: Any,
    *,
    correct: Any,
    consistent: float = 1.0,
    inconsistent: float = 0.2,
) -> Any:
    r"""Share an outcome of 1 or -1 among the steps, by whether each agrees with it.

    .. math:: r_k = \pm w_k / \sum_j w_j

    w is `consistent` for a good step of a correct rollout and for a bad one of a wrong rollout,
    else `inconsistent`.

    Args:
        good: whether each step is good, ``[steps]``.
        offsets: as in `step_scores_in_group`.
        correct: whether each rollout is, ``[rollouts]``.
        consistent: above 0.
        inconsistent: above 0.

    Returns:
        float64 ``[steps]``, an array of the framework of `good`; what `step_grpo` takes.

    Raises:
        ValueError: offsets or lengths that do not fit; a weight of 0 or less.

    Examples:
        >>> outcome_shares([1, 0], [0, 2], correct=[1]).round(4)
        array([0.8333, 0.1667])

    Source: modelscope/AgentEvolver.
    """
    inputs = Inputs("outcome_shares")
    marks, bounds = inputs.steps(good, offsets)
    agrees = inputs.bools("good", marks)
    right = inputs.bools("correct", correct, len(bounds) - 1, "the rollouts")
    for name, weight in (("consistent", consistent), ("inconsistent", inconsistent)):
        if inputs.number(name, weight) <= 0:
            inputs.fail(name, "a number above 0", got=f"{weight:g}")
    row = segment_of(bounds)
    weights = np.where(agrees == right[row], float(consistent), float(inconsistent))
    sign = np.where(right, 1.0, -1.0)[row]
    return inputs.result(sign * weights / sums(weights, bounds)[row])


def read_lengths(inputs: Inputs, lengths: Any, n: int) -> Float:
    """Read how many tokens each rollout has, at least 1."""
    tokens = inputs.integers("lengths", lengths, n, "the rollouts")
    if (short := np.flatnonzero(tokens < 1)).size:
        inputs.fail("lengths", "at least 1 token for each rollout", got=f"{tokens[short[0]]}")
    return tokens.astype(np.float64)


def _read(inputs: Inputs, rewards: Any, groups: Any) -> tuple[Float, Int]:
    outcomes = inputs.reals("rewards", rewards)
    return outcomes, inputs.groups(groups, len(outcomes), "rewards")


def _step_scores(
    inputs: Inputs,
    scores: Float,
    offsets: Int,
    groups: Int,
    std: Std,
    eps: float,
    singleton: Singleton,
) -> Float:
    inputs.choice("std", std, ("sample", "population", "equal_trajectory"))
    row = segment_of(offsets)
    if std != "equal_trajectory":
        ddof = 1 if std == "sample" else 0
        pooled = group_advantage(scores, groups[row], ddof=ddof, eps=eps, singleton=singleton)
        return np.asarray(pooled)
    eps = inputs.number("eps", eps, 0.0)
    # For the policy of groups with one step.
    alone = group_advantage(scores, groups[row], singleton=singleton)
    counts = np.maximum(np.diff(offsets), 1)
    rollouts = group_sums((np.diff(offsets) > 0).astype(np.float64), groups)
    mean = (group_sums(sums(scores, offsets) / counts, groups) / np.maximum(rollouts, 1))[row]
    square = sums((scores - mean) ** 2, offsets) / counts
    variance = (group_sums(square, groups) / np.maximum(rollouts, 1))[row]
    z = (scores - mean) / (np.sqrt(variance + _EQUAL_VARIANCE_EPS) + eps)
    return np.where(group_sizes(groups[row]) == 1, alone, z)
