"""What scorers and judges of a search are asked, and what they answer.

A scorer is a function from a list of `ScoreRequest` to as many scores, a judge one to as many
bools. Where single requests fail, a scorer may answer these with an exception in place of a score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stepscore.renamed import renamed


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """One node to score.

    Attributes:
        problem: its text.
        steps: the steps from the root to the node, as in `ExpandRequest`.
        node: its number in the tree.
        parent: the number of the node before; -1 for a root.
    """

    problem: str
    steps: list[str]
    node: int
    parent: int


# The score of the trace's last step; or of all its steps, the last of which is the node's value.
Scorer = Callable[[Sequence[ScoreRequest]], Sequence[float | Sequence[float] | Exception]]
# Whether the response is right.
Judge = Callable[[Sequence[ScoreRequest]], Sequence[bool]]

__getattr__ = renamed(
    __name__,
    {
        "Continuation": "stepscore.policies.requests.Continuation",
        "Expand": "stepscore.policies.requests.ExpandRequest",
        "Policy": "stepscore.policies.requests.Policy",
        "Score": "stepscore.search.requests.ScoreRequest",
    },
)
