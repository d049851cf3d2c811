"""Step rewards made of step scores: clipped, telescoped, of progress, mixed with the outcome."""

from __future__ import annotations

from typing import Any

import numpy as np

from stepscore.errors import Argument
from stepscore.ops import gae
from stepscore.ops.returns_arguments import Pair
from stepscore.rewards.inputs import Float, Inputs, Int
from stepscore.rewards.step_map import add_outcomes, on_ends, read_ends


def clip(values: Any, offsets: Any = None, *, eta: float) -> Any:
    r"""Leave nothing to be gained by a step above eta: :math:`r_k = \min(PR_k, \eta) - \eta`.

    Unverified: eta has no default.

    Args:
        values: step rewards ``[steps]``, or `StepScores`.
        offsets: the steps of each rollout, int64 ``[rollouts + 1]``; not with `StepScores`.
        eta: the bound.

    Returns:
        ``[steps]``; float64 for float64 rewards, else float32; an array of the framework of
        `values`.

    Raises:
        ValueError: offsets that do not fit; a NaN.

    Examples:
        >>> clip([0.9, 0.4, 0.7], [0, 3], eta=0.5).round(6)
        array([ 0. , -0.1,  0. ])

    Source: "On Designing Effective RL Reward at Training Time for LLM Reasoning", arXiv 2410.15115.
    """
    inputs = Inputs("clip")
    rewards, _ = inputs.steps(values, offsets)
    eta = inputs.number("eta", eta)
    return inputs.result(np.minimum(rewards, eta) - eta)


def delta(values: Any, offsets: Any = None) -> Any:
    r"""Make the return of every step its own reward: :math:`r_k = PR_k - PR_{k+1}`.

    The last step but one keeps :math:`PR_{K-1}`, and the last gets 0: what it earns is the outcome.

    Unverified: read from the paper's text alone.

    Args:
        values: as in `clip`.
        offsets: as in `clip`.

    Returns:
        As `clip`.

    Raises:
        ValueError: as `clip`.

    Examples:
        >>> delta([0.9, 0.4, 0.7], [0, 3])
        array([0.5, 0.4, 0. ])

    Source: as `clip`.
    """
    inputs = Inputs("delta")
    rewards, bounds = inputs.steps(values, offsets)
    return inputs.result(_telescoped(rewards, bounds))


def clip_delta(values: Any, offsets: Any = None, *, eta: float) -> Any:
    r"""Clip, then take differences: `delta` of `clip`.

    Unverified: eta has no default. The success reward is added on the last step, by `place`.

    Args:
        values: as in `clip`.
        offsets: as in `clip`.
        eta: as in `clip`.

    Returns:
        As `clip`.

    Raises:
        ValueError: as `clip`.

    Examples:
        >>> clip_delta([0.9, 0.4, 0.7], [0, 3], eta=0.5).round(6)
        array([ 0.1, -0.1,  0. ])

    Source: as `clip`.
    """
    inputs = Inputs("clip_delta")
    rewards, bounds = inputs.steps(values, offsets)
    eta = inputs.number("eta", eta)
    return inputs.result(_telescoped(np.minimum(rewards, eta) - eta, bounds))


def pbrs(values: Any, offsets: Any = None, *, start: Any, gamma: float) -> Any:
    r"""Shape by a potential of states: :math:`F_k = \gamma \Phi(s_k) - \Phi(s_{k-1})`.

    The last state ends the episode and must have potential 0: then
    :math:`\sum_k \gamma^{k-1} F_k = -\Phi(s_0)`, and which policy is best does not change.

    Unverified: the identity of the textbook, with a gamma that a caller must give.

    Args:
        values: the potential behind every step, ``[steps]``, or `StepScores`.
        offsets: as in `clip`.
        start: the potential before the first step, ``[rollouts]``.
        gamma: the discount, in [0, 1].

    Returns:
        As `clip`.

    Raises:
        ValueError: as `clip`; a last potential that is not 0.

    Examples:
        >>> pbrs([0.5, 0.8, 0.0], [0, 3], start=[0.3], gamma=0.9).round(6)
        array([ 0.15,  0.22, -0.8 ])

    Source: Ng, Harada and Russell, "Policy Invariance under Reward Transformations" (1999).
    """
    inputs = Inputs("pbrs")
    potentials, bounds = inputs.steps(values, offsets)
    before = _before(inputs, potentials, bounds, start)
    gamma = inputs.number("gamma", gamma, 0.0, 1.0)
    last = (bounds[1:] - 1)[np.diff(bounds) > 0]
    if (other := last[potentials[last] != 0]).size:
        inputs.fail(
            Argument("values", index=(int(other[0]),)),
            "potential 0 in the last state",
            got=f"{potentials[other[0]]:g}",
            advice="set it to 0, or the shaping changes which policy is best",
        )
    return inputs.result(gamma * potentials - before)


def progress(values: Any, offsets: Any = None, *, start: Any, alpha: float) -> Any:
    r"""Reward what a step adds to a prover's chance: :math:`\alpha A^\mu_k`.

    .. math:: A^\mu_k = V^\mu(s_k) - V^\mu(s_{k-1})

    With the outcome that `place` adds, a rollout earns :math:`R + \alpha \sum_k A^\mu_k`.

    Unverified: alpha has no default.

    Args:
        values: the prover's value behind every step, ``[steps]``, or `StepScores`.
        offsets: as in `clip`.
        start: its value before the first step, ``[rollouts]``.
        alpha: the weight.

    Returns:
        As `clip`.

    Raises:
        ValueError: as `clip`; another number of rollouts.

    Examples:
        >>> progress([0.5, 0.25], [0, 2], start=[0.25], alpha=2.0)
        array([ 0.5, -0.5])

    Source: Setlur et al., "Rewarding Progress" (PAV), arXiv 2410.08146.
    """
    inputs = Inputs("progress")
    after, bounds = inputs.steps(values, offsets)
    before = _before(inputs, after, bounds, start)
    return inputs.result(inputs.number("alpha", alpha) * (after - before))


def pav(values: Any, offsets: Any = None, *, provers: Any, start: Any, alpha: float) -> Any:
    r"""Score a step by the policy's value and the prover's progress: :math:`Q^\pi + \alpha A^\mu`.

    Unverified: alpha has no default.

    Args:
        values: the policy's value :math:`Q^\pi` of every step, ``[steps]``, or `StepScores`.
        offsets: as in `clip`.
        provers: the prover's value behind every step, ``[steps]``.
        start: the prover's value before the first step, ``[rollouts]``.
        alpha: the weight.

    Returns:
        As `clip`.

    Raises:
        ValueError: as `progress`.

    Examples:
        >>> pav([0.5, 0.5], [0, 2], provers=[0.5, 0.25], start=[0.25], alpha=2.0)
        array([1., 0.])

    Source: as `progress`.
    """
    inputs = Inputs("pav")
    q, bounds = inputs.steps(values, offsets)
    after = inputs.reals("provers", provers, len(q), "values")
    before = _before(inputs, after, bounds, start)
    return inputs.result(q + inputs.number("alpha", alpha) * (after - before))


def mrt(values: Any, offsets: Any = None, *, start: Any, outcomes: Any, alpha: float) -> Any:
    r"""Reward a piece of thinking by its progress: :math:`R + \alpha (J(z_{0:j}) - J(z_{0:j-1}))`.

    Unverified: alpha has no default.

    Args:
        values: the chance of success J behind every episode, ``[episodes]``, or `StepScores`.
        offsets: the episodes of each rollout, int64 ``[rollouts + 1]``.
        start: J before the first episode, ``[rollouts]``.
        outcomes: R, ``[rollouts]``.
        alpha: the weight.

    Returns:
        As `clip`, one for each episode.

    Raises:
        ValueError: as `progress`.

    Examples:
        >>> mrt([0.5, 0.25], [0, 2], start=[0.25], outcomes=[1.0], alpha=2.0)
        array([1.5, 0.5])

    Source: Qu et al., "Optimizing Test-Time Compute via Meta Reinforcement Fine-Tuning", arXiv
    2503.07572.
    """
    inputs = Inputs("mrt")
    after, bounds = inputs.steps(values, offsets)
    before = _before(inputs, after, bounds, start)
    rewards = inputs.reals("outcomes", outcomes, len(bounds) - 1, "the rollouts")
    each = np.repeat(rewards, np.diff(bounds))
    return inputs.result(each + inputs.number("alpha", alpha) * (after - before))


def mrt_termination(outcomes: Any, termination: Any) -> Any:
    r"""Compare a rollout with what it would have earned had it stopped: :math:`R - R_{stop}`.

    Args:
        outcomes: R, ``[rollouts]``.
        termination: the reward of answering at once, ``[rollouts]``.

    Returns:
        ``[rollouts]``, else as `clip`.

    Raises:
        ValueError: lengths that do not match; a NaN.

    Examples:
        >>> mrt_termination([1.0, 0.0], [0.25, 0.5])
        array([ 0.75, -0.5 ])

    Source: the recipe in CMU-AIRe/MRT, where it stands for the group's baseline.
    """
    inputs = Inputs("mrt_termination")
    rewards = inputs.reals("outcomes", outcomes)
    return inputs.result(
        rewards - inputs.reals("termination", termination, len(rewards), "outcomes")
    )


def red(
    values: Any,
    *,
    start: Any,
    outcomes: Any,
    beta: float,
    mask: Any = None,
    token_offsets: Any = None,
) -> Any:
    r"""Give every token what it adds to a reward model's score, mixed with the sparse reward.

    .. math:: r_t = \beta (RM(x, y_{\le t}) - RM(x, y_{<t})) + (1 - \beta) R\, 1[t = T]

    The differences are those between tokens with mask 1, and add up to :math:`RM(x, y) - RM(x)`.

    Unverified: beta has no default.

    Args:
        values: the reward model's score at every token, in the shape of `mask`.
        start: its score of the prompt alone, ``[rollouts]``.
        outcomes: the sparse reward R on the last token with mask 1, ``[rollouts]``.
        beta: the share of the dense reward, in [0, 1].
        mask: as in `place`.
        token_offsets: as in `place`.

    Returns:
        Tokens in the shape of `mask`, 0 where it is 0; else as `clip`.

    Raises:
        ValueError: as in `place`; a beta outside [0, 1].

    Examples:
        >>> red([[0.5, 9.0, 1.5]], start=[0.0], outcomes=[2.0], beta=0.5, mask=[[1, 0, 1]])
        array([[0.25, 0.  , 1.5 ]])

    Source: "RED: Unleashing Token-Level Rewards from Holistic Feedback via Reward
    Redistribution", arXiv 2411.08302.
    """
    inputs = Inputs("red")
    layout = inputs.layout(mask, token_offsets, values)
    scores = inputs.tokens("values", values, layout)
    prompts = inputs.reals("start", start, len(layout), "the mask")
    sparse = inputs.reals("outcomes", outcomes, len(layout), "the mask")
    beta = inputs.number("beta", beta, 0.0, 1.0)
    written = np.flatnonzero(layout.mask)
    row = layout.row[written]
    first = np.append(-1, row[:-1]) != row
    earlier = np.where(first, prompts[row], np.append(0.0, scores[written][:-1]))
    rewards = np.zeros(len(scores))
    rewards[written] = beta * (scores[written] - earlier)
    add_outcomes(inputs, rewards, (1 - beta) * sparse, layout)
    return inputs.result(rewards.reshape(layout.shape))


def spa(values: Any, offsets: Any = None, *, executable: Any, weight: float = 0.5) -> Any:
    r"""Reward a turn by its progress and by whether it ran: :math:`r_k = v_k + w\, e_k`.

    Args:
        values: the progress model's :math:`v_k` of every turn, ``[turns]``, or `StepScores`.
        offsets: the turns of each rollout, int64 ``[rollouts + 1]``.
        executable: whether the environment accepted each turn, ``[turns]``; the last turn of a
            rollout counts as accepted.
        weight: w, 0.5 as the authors have it.

    Returns:
        As `clip`, one for each turn; `place` puts them on the last token of the turn. Their KL
        penalty is the trainer's.

    Raises:
        ValueError: as `clip`; lengths that do not match.

    Examples:
        >>> spa([0.25, 0.5, 0.25], [0, 3], executable=[1, 0, 0])
        array([0.75, 0.5 , 0.75])

    Source: WangHanLinHenry/SPA-RL-Agent, without the factor (S - k - 1) of its released PPO, which
    makes the last turn worth nothing.
    """
    inputs = Inputs("spa")
    gains, bounds = inputs.steps(values, offsets)
    ran = inputs.bools("executable", executable, len(gains), "values").copy()
    ran[(bounds[1:] - 1)[np.diff(bounds) > 0]] = True
    return inputs.result(gains + inputs.number("weight", weight) * ran)


def math_shepherd(
    values: Any,
    offsets: Any = None,
    *,
    ends: Any,
    state_values: Any,
    gamma: float,
    lam: float,
    mask: Any = None,
    token_offsets: Any = None,
) -> Pair[Any]:
    r"""Step by step PPO: the PRM's score on the last token of every step, then `gae`.

    Unverified: gamma and lambda have no defaults.

    Args:
        values: step rewards ``[steps]``, or `StepScores`.
        offsets: as in `clip`.
        ends: the last token of every step, as in `place`.
        state_values: the critic's value of every token, in the shape of `mask`.
        gamma: the discount, in [0, 1].
        lam: lambda of `gae`, in [0, 1].
        mask: as in `place`.
        token_offsets: as in `place`.

    Returns:
        Advantages, 0 where the mask is 0, and returns, in the shape of `mask`; else as `clip`.

    Raises:
        ValueError: as in `place` and `gae`.

    Examples:
        >>> critic = [[0.0, 0.0]]
        >>> math_shepherd(
        ...     [0.5, 1.0], [0, 2], ends=[0, 1], state_values=critic, gamma=1, lam=1, mask=[[1, 1]]
        ... )
        (array([[1.5, 1. ]]), array([[1.5, 1. ]]))

    Source: Wang et al., "Math-Shepherd", arXiv 2312.08935.
    """
    inputs = Inputs("math_shepherd")
    rewards, bounds = inputs.steps(values, offsets)
    layout = inputs.layout(mask, token_offsets, state_values)
    critic = inputs.tokens("state_values", state_values, layout)
    placed = on_ends(rewards, read_ends(inputs, ends, bounds, layout), layout)
    advantages, returns = gae(
        placed, critic, gamma=gamma, lam=lam, mask=layout.mask, offsets=layout.offsets
    )
    shape = layout.shape
    return (
        inputs.result(np.where(layout.mask, advantages, 0.0).reshape(shape)),
        inputs.result(np.where(layout.mask, returns, 0.0).reshape(shape)),
    )


def _before(inputs: Inputs, after: Float, offsets: Int, start: Any) -> Float:
    """What stood before every step: the step before it, or the start of its rollout."""
    first = inputs.reals("start", start, len(offsets) - 1, "the rollouts")
    full = np.diff(offsets) > 0
    before = np.append(0.0, after[:-1]) if len(after) else after.copy()
    before[offsets[:-1][full]] = first[full]
    return before


def _telescoped(rewards: Float, offsets: Int) -> Float:
    counts = np.diff(offsets)
    last = (offsets[1:] - 1)[counts > 0]
    out = rewards - np.append(rewards[1:], 0.0) if len(rewards) else rewards.copy()
    before_last = (offsets[1:] - 2)[counts > 1]
    out[before_last] = rewards[before_last]
    out[last] = 0.0
    return out
