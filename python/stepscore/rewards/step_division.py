"""Steps that are divided where a policy hesitates, by the statistics of its own tokens."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stepscore.ragged import offsets_of
from stepscore.rewards.tokens import read_choice, read_number, read_segments, read_tokens

Boundary: TypeAlias = Literal["begins", "ends"]


class DividedSteps(NamedTuple):
    """Steps of packed tokens; every token belongs to one, and no step is empty.

    Attributes:
        step_offsets: where each step begins and ends among the tokens, int64 ``[steps + 1]``.
        sequence_offsets: where each sequence's steps begin and end, int64 ``[sequences + 1]``.
    """

    step_offsets: NDArray[np.int64]
    sequence_offsets: NDArray[np.int64]


def divide_by_confidence(
    top_logprob: Any, offsets: Any, *, threshold: float, boundary: Boundary
) -> DividedSteps:
    r"""Divide where the highest next-token probability is low: :math:`\max_v p_t(v) < \tau`.

    Args:
        top_logprob: :math:`\log \max_v p_t(v)` where each token was predicted, packed
            ``[tokens]``: ``top_logprob`` of `stepscore.token_logprob`.
        offsets: where each sequence begins and ends, int64 ``[sequences + 1]``.
        threshold: :math:`\tau`, a probability. The paper takes a percentile of all tokens, said
            to be about 2 %, which no authors' code confirmed:
            ``np.exp(np.quantile(top_logprob, 0.02))``.
        boundary: whether such a token ``begins`` a step or ``ends`` one; unverified, too.

    Returns:
        The steps; a sequence without such a token is one step.

    Raises:
        ValueError: arrays that do not fit, a log-probability above 0, a sequence without tokens.

    Examples:
        >>> confidence = np.log([0.9, 0.3, 0.9, 0.8, 0.2])
        >>> divide_by_confidence(confidence, [0, 3, 5], threshold=0.5, boundary="begins")
        DividedSteps(step_offsets=array([0, 1, 3, 4, 5]), sequence_offsets=array([0, 2, 4]))

    Source: "AdaptiveStep: Automatically Dividing Reasoning Step through Model Confidence" (2025).
    """
    op = "divide_by_confidence"
    tokens = read_tokens(op, "top_logprob", top_logprob)
    if (above := np.flatnonzero(tokens > 1e-5)).size:
        raise ValueError(
            f"{op}: top_logprob[{above[0]}] is {tokens[above[0]]}; a log-probability is at most 0"
        )
    limit = read_number(op, "threshold", threshold, positive=True)
    return _divided(op, tokens < np.log(limit), offsets, boundary)


def divide_by_entropy(
    entropy: Any, offsets: Any, *, threshold: float, boundary: Boundary
) -> DividedSteps:
    r"""Divide where the next token is uncertain: :math:`-\sum_v p_t(v) \log p_t(v) > \tau`.

    Args:
        entropy: in nats, where each token was predicted, packed ``[tokens]``: ``entropy`` of
            `stepscore.token_logprob`.
        offsets: where each sequence begins and ends, int64 ``[sequences + 1]``.
        threshold: :math:`\tau`; said to be about 1.0, unverified.
        boundary: whether such a token ``begins`` a step or ``ends`` one; unverified, too.

    Returns:
        The steps; a sequence without such a token is one step.

    Raises:
        ValueError: arrays that do not fit, an entropy below 0, a sequence without tokens.

    Examples:
        >>> divide_by_entropy([0.1, 1.5, 0.2, 0.1], [0, 4], threshold=1.0, boundary="ends")
        DividedSteps(step_offsets=array([0, 2, 4]), sequence_offsets=array([0, 2]))

    Source: EDU-PRM, "Entropy-Driven Uncertainty for Process Reward Modeling" (2025).
    """
    op = "divide_by_entropy"
    tokens = read_tokens(op, "entropy", entropy)
    if (below := np.flatnonzero(tokens < -1e-5)).size:
        raise ValueError(f"{op}: entropy[{below[0]}] is {tokens[below[0]]}; it is at least 0")
    limit = read_number(op, "threshold", threshold)
    return _divided(op, tokens > limit, offsets, boundary)


def _divided(
    op: str, hesitates: NDArray[np.bool_], offsets: Any, boundary: Boundary
) -> DividedSteps:
    sequences = read_segments(op, "offsets", offsets, len(hesitates), "tokens")
    places = np.flatnonzero(hesitates)
    if read_choice(op, "boundary", boundary, ("begins", "ends")) == "ends":
        places += 1
    cuts = np.unique(np.concatenate([sequences, places[places < len(hesitates)]]))
    counts = np.diff(np.searchsorted(cuts, sequences))
    return DividedSteps(cuts, offsets_of(counts))
