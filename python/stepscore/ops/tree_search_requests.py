"""What a tree search asks for: samples, scores and judgements."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


class ExpandRequests(NamedTuple):
    """Samples to draw from the policy; all arrays int64 ``[requests]``.

    Attributes:
        tickets: what `TreeSearch.tell_expand` and `TreeSearch.fail` are given.
        nodes: the nodes to continue.
        problems: their problems.
        samples: how many continuations of each, at most.
        modes: 0 a step, 1 a block of tokens, 2 a partial step, 3 a rollout to the end.
    """

    tickets: Ids
    nodes: Ids
    problems: Ids
    samples: Ids
    modes: Ids


class EvaluateRequests(NamedTuple):
    """Nodes to score or to judge; all arrays int64 ``[requests]``.

    Attributes:
        tickets: what `TreeSearch.tell_score`, `tell_judge` and `fail` are given.
        nodes: the nodes.
        problems: their problems.
        parent_tokens: tokens of the steps before each node's own, as they were counted.
    """

    tickets: Ids
    nodes: Ids
    problems: Ids
    parent_tokens: Ids


class Requests(NamedTuple):
    """What `TreeSearch.ask` hands out: samples, scores and judgements to get."""

    expand: ExpandRequests
    score: EvaluateRequests
    judge: EvaluateRequests


_NOTHING = np.empty(0, np.int64)
NO_SAMPLES = ExpandRequests(_NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING)
NO_EVALUATIONS = EvaluateRequests(_NOTHING, _NOTHING, _NOTHING, _NOTHING)
