"""Steps <-> tokens: a step reward on the step's last token, a step advantage on all of them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from stepscore.errors import Argument
from stepscore.ragged import segment_of
from stepscore.rewards.inputs import Bool, Float, Inputs, Int, Layout

Outside: TypeAlias = Literal["error"] | float


def place(
    values: Any,
    offsets: Any = None,
    *,
    ends: Any,
    mask: Any = None,
    token_offsets: Any = None,
    outcomes: Any = None,
) -> Any:
    r"""Put every step reward on the last token of its step: :math:`r_{e_k} = PR_k`, else 0.

    The outcome of a rollout is added on its last token with mask 1, which need not end a step: a
    reward on a token that the policy did not write would be lost.

    Args:
        values: step rewards ``[steps]``, or `StepScores`.
        offsets: the steps of each rollout, int64 ``[rollouts + 1]``; not with `StepScores`.
        ends: the last token of every step, counted from 0 in its rollout, int64 ``[steps]``. Of
            `find_steps`: ``positions - numpy.repeat(token_offsets[:-1], numpy.diff(offsets))``.
        mask: ones where the policy wrote, zeros on padding and on what tools wrote,
            ``[rollouts, tokens]``; with `token_offsets`, ``[tokens]``, where None means all ones.
        token_offsets: where each packed rollout begins and ends; None: rollouts are padded.
        outcomes: one reward for each rollout, ``[rollouts]``; None: no outcome.

    Returns:
        Token rewards in the shape of `mask`; float64 for float64 rewards, else float32; an array of
        the framework of `values`.

    Raises:
        ValueError: steps that end beyond the mask, or where it is 0; that are not in order; two
            that end on one token; other numbers of rollouts; a NaN; an outcome of a rollout
            without a token. The message names the first.

    Examples:
        >>> place([0.5, 0.75], [0, 2], ends=[1, 3], mask=[[1, 1, 1, 1, 1]], outcomes=[1.0])
        array([[0.  , 0.5 , 0.  , 0.75, 1.  ]])
    """
    inputs = Inputs("place")
    rewards, bounds = inputs.steps(values, offsets)
    layout = inputs.layout(mask, token_offsets)
    places = read_ends(inputs, ends, bounds, layout)
    placed = on_ends(rewards, places, layout)
    if outcomes is not None:
        add_outcomes(
            inputs, placed, inputs.reals("outcomes", outcomes, len(layout), "the mask"), layout
        )
    return inputs.result(placed.reshape(layout.shape))


def broadcast(
    values: Any,
    offsets: Any = None,
    *,
    ends: Any,
    mask: Any = None,
    token_offsets: Any = None,
    outside: Outside = "error",
) -> Any:
    r"""Give every token the advantage of its step: :math:`A_t = a_k,\; e_{k-1} < t \le e_k`.

    Tokens with mask 0 get 0, also inside a step.

    Args:
        values: step advantages ``[steps]``, or `StepScores`.
        offsets: as in `place`.
        ends: as in `place`.
        mask: as in `place`.
        token_offsets: as in `place`.
        outside: what a token with mask 1 gets behind the last step of its rollout: ``"error"``, or
            a number.

    Returns:
        Token advantages, as `place` gives them.

    Raises:
        ValueError: as in `place`; a token behind the last step, under ``outside="error"``.

    Examples:
        >>> broadcast([0.5, -1.0], [0, 2], ends=[1, 4], mask=[[1, 1, 1, 0, 1]])
        array([[ 0.5,  0.5, -1. ,  0. , -1. ]])
    """
    inputs = Inputs("broadcast")
    advantages, bounds = inputs.steps(values, offsets)
    layout = inputs.layout(mask, token_offsets)
    places = read_ends(inputs, ends, bounds, layout)
    return inputs.result(
        on_steps(inputs, advantages, places, layout, outside).reshape(layout.shape)
    )


def spread(values: Any, *, mask: Any = None, token_offsets: Any = None) -> Any:
    r"""Give every token with mask 1 the advantage of its rollout: :math:`A_{i,t} = A_i m_{i,t}`.

    Args:
        values: one advantage for each rollout, ``[rollouts]``.
        mask: as in `place`.
        token_offsets: as in `place`.

    Returns:
        Token advantages, as `place` gives them.

    Raises:
        ValueError: another number of rollouts; a NaN.

    Examples:
        >>> spread([0.5, -0.5], mask=[[1, 0], [1, 1]])
        array([[ 0.5,  0. ],
               [-0.5, -0.5]])
    """
    inputs = Inputs("spread")
    layout = inputs.layout(mask, token_offsets)
    advantages = inputs.reals("values", values, len(layout), "the mask")
    return inputs.result(on_rollouts(advantages, layout).reshape(layout.shape))


# --- the same of what is read ---------------------------------------------------------------


def read_ends(inputs: Inputs, ends: Any, offsets: Int, layout: Layout) -> Int:
    """Read where the steps end, as places in the flat tokens."""
    if len(offsets) - 1 != len(layout):
        inputs.fail(
            "offsets",
            f"the steps of {len(layout)} rollouts, as many as the mask has",
            got=f"those of {len(offsets) - 1}",
        )
    within = inputs.integers("ends", ends, int(offsets[-1]), "the step rewards")
    row = segment_of(offsets)
    lengths = np.diff(layout.offsets)[row]
    if (beyond := np.flatnonzero((within < 0) | (within >= lengths))).size:
        k = int(beyond[0])
        inputs.fail(
            Argument("ends", index=(k,)),
            f"a token of rollout {row[k]}, which has {lengths[k]}",
            got=str(within[k]),
            advice="count from 0 in the rollout; leave out a step that was cut off",
        )
    follows = row[1:] == row[:-1]
    if (wrong := np.flatnonzero(follows & (within[1:] <= within[:-1]))).size:
        k = int(wrong[0]) + 1
        shared = within[k] == within[k - 1]
        inputs.fail(
            Argument("ends", index=(k,)),
            f"a token behind {within[k - 1]}, on which step {k - 1} ends",
            got=str(within[k]) + (", on which two steps end" if shared else ", out of order"),
            advice="merge steps that end on one token" if shared else "sort the steps of a rollout",
        )
    places: Int = within + layout.offsets[row]
    if (unwritten := np.flatnonzero(~layout.mask[places])).size:
        k = int(unwritten[0])
        inputs.fail(
            Argument("ends", index=(k,)),
            f"a token of rollout {row[k]} with mask 1",
            got=f"{within[k]}, where the mask is 0",
            advice="end the step on its last token that the policy wrote",
        )
    return places


def on_ends(rewards: Float, places: Int, layout: Layout) -> Float:
    """A step reward on the last token of its step."""
    placed = np.zeros(len(layout.mask))
    placed[places] = rewards
    return placed


def add_outcomes(inputs: Inputs, rewards: Float, outcomes: Float, layout: Layout) -> None:
    """Add each rollout's outcome on its last token with mask 1."""
    last = layout.last
    if (unwritten := np.flatnonzero(last < 0)).size:
        inputs.fail(
            Argument("outcomes", index=(int(unwritten[0]),)),
            "a rollout with a token on which it can stand",
            got="a mask without a 1",
            advice="leave out that rollout",
        )
    rewards[last] += outcomes


def step_of_token(places: Int, layout: Layout) -> Int:
    """The step of every token; -1 behind the last step of its rollout."""
    step = np.searchsorted(places, np.arange(len(layout.mask)))
    end = np.append(places, -1)[step]
    return np.where((step < len(places)) & (end < layout.offsets[1:][layout.row]), step, -1)


def read_outside(inputs: Inputs, step: Int, layout: Layout, outside: Outside) -> float:
    """Read what stands behind the last step; refuse tokens there under ``"error"``."""
    if outside != "error":
        return inputs.number("outside", outside)
    behind: Bool = (step < 0) & layout.mask
    if behind.any():
        token = int(np.flatnonzero(behind)[0])
        row = int(layout.row[token])
        inputs.fail(
            "ends",
            f"a step for every token of rollout {row} with mask 1",
            got=f"none for token {token - layout.offsets[row]}",
            advice=("end the last step there, or pass ", Argument("outside", 0.0)),
        )
    return 0.0


def on_steps(
    inputs: Inputs, advantages: Float, places: Int, layout: Layout, outside: Outside
) -> Float:
    """A step advantage on all tokens of its step that the mask leaves."""
    step = step_of_token(places, layout)
    fill = read_outside(inputs, step, layout, outside)
    spread_out = np.append(advantages, fill)[step]
    return np.where(layout.mask, spread_out, 0.0)


def on_rollouts(advantages: Float, layout: Layout) -> Float:
    """A rollout's advantage on all of its tokens that the mask leaves."""
    return np.where(layout.mask, advantages[layout.row], 0.0)
