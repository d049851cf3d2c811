"""What a policy is asked, and what it answers.

A policy is a function from a list of `ExpandRequest` to as many lists of `Continuation`, one per
sample. It needs no class: a model behind a function will do, and so will a table in a test. Where
single requests fail, it may answer these with an exception in place of their continuations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from stepscore.renamed import renamed

Mode = Literal["step", "block", "partial", "rollout"]


@dataclass(frozen=True, slots=True)
class ExpandRequest:
    """One node to continue: in texts what `stepscore.TreeSearch` asks for in columns.

    Attributes:
        problem: its text.
        steps: the steps so far; each has what ended it (such as its newline) at its end, so that
            the trace is ``"".join(steps)``.
        samples: how many continuations are wanted.
        mode: where a continuation ends: ``step`` at the first of `stop`, ``partial`` there or after
            `max_tokens`, ``block`` after `max_tokens`, ``rollout`` at the end of the solution; all
            of them at the end of the solution.
        max_tokens: the most tokens of a continuation.
        temperature: divides the logits; 0 takes the likeliest token.
        stop: the texts that end a step; empty leaves them to the policy.
        seeds: one 64-bit integer per sample: a function of the search's seed, the problem, the node
            and the draw, so that the same request has the same seeds in every run, batch and retry.
    """

    problem: str
    steps: list[str]
    samples: int
    mode: Mode
    max_tokens: int
    temperature: float
    stop: tuple[str, ...]
    seeds: list[int]


@dataclass(frozen=True, slots=True)
class Continuation:
    """One sample.

    Attributes:
        text: what comes after the steps, with the stop text that ended it. Empty only where
            `terminal`: the solution was at its end already.
        tokens: generated tokens, one that ends the text among them.
        logprob: the sum of their log-probabilities under the policy, at temperature 1; 0 where the
            policy tells none.
        terminal: nothing follows: the solution ended, or a ``step`` or a ``rollout`` was cut at
            `ExpandRequest.max_tokens` or the end of the policy's context.
        answer: the final answer, where the policy knows better than the text.
    """

    text: str
    tokens: int = 0
    logprob: float = 0.0
    terminal: bool = False
    answer: str | None = None


def without_halves(text: str) -> str:
    """Put U+FFFD where half of a surrogate pair stands alone, which no file could hold.

    Servers that cut a text between bytes write such halves as escapes of JSON.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


Policy = Callable[[Sequence[ExpandRequest]], Sequence[Sequence[Continuation] | Exception]]
"""What continues traces: for every request its continuations, or the reason why there are none."""


__getattr__ = renamed(
    __name__,
    {
        "Expand": "stepscore.policies.requests.ExpandRequest",
        "Score": "stepscore.search.requests.ScoreRequest",
        "Scorer": "stepscore.search.requests.Scorer",
    },
)
