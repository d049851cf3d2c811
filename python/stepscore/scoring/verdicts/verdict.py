"""What a verifier says of a step, by one text or by the votes of several."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal, Protocol

from stepscore.policies.texts import Turn
from stepscore.recipes import Recipe
from stepscore.scoring.verdicts.programs import Program, VerdictError

# step: the last of the steps that are shown;  chain: the same, after the texts about those before;
# trace: every step, in one text;  solution: all of it as one step.
Scope = Literal["step", "chain", "trace", "solution"]


@dataclass(frozen=True)
class Vote:
    """What one text says of a step.

    Attributes:
        score: of the step.
        text: what the verifier wrote.
        readings: what it says beside the score, by name.
        correction: the step as it should be, where the verifier says so.
        truncated: whether its reasoning was cut off before the verdict was asked for.
    """

    score: float
    text: str
    readings: Mapping[str, float] = field(default_factory=dict)
    correction: str | None = None
    truncated: bool = False


@dataclass(frozen=True)
class StepVerdict:
    """What all votes say of a step.

    Attributes:
        score: NaN where there is a `fault`.
        texts: what the verifier wrote, vote by vote, also where it gave no verdict.
        votes: how many gave a verdict.
        fault: why there is no score; None where there is one.
        readings: the means of what the votes say beside the score, by name.
        correction: the first that a vote offers.
        truncated: how many votes were given on a reasoning that was cut off.
    """

    score: float
    texts: tuple[str, ...] = ()
    votes: int = 0
    fault: str | None = None
    readings: Mapping[str, float] = field(default_factory=dict)
    correction: str | None = None
    truncated: int = 0


Seeds = Callable[[int, int], int]
"""(round, vote) -> seed of a text: a function of the model's seed, the problem and the steps."""


class Verifier(Protocol):
    """A family of generative PRMs: what it asks for, and how it reads the answers."""

    @property
    def recipe(self) -> Recipe:
        """Its name, source and range, and what is unverified."""
        ...

    @property
    def scope(self) -> Scope:
        """What one call judges."""
        ...

    @property
    def logprobs(self) -> int:
        """How many of the likeliest tokens its verdict needs; 0 reads the text."""
        ...

    @property
    def sample(self) -> str | tuple[Turn, ...]:
        """A prompt of the kind that it asks."""
        ...

    def judge(
        self, problem: str, steps: Sequence[str], seeds: Seeds, before: Sequence[StepVerdict]
    ) -> Program[Sequence[StepVerdict]]:
        """Judge the last step, or under the scope ``trace`` each one.

        Args:
            problem: its text.
            steps: those up to the one that is judged.
            seeds: of what is drawn.
            before: under the scope ``chain`` the verdicts of the steps before; else none.
        """
        ...


def seeds_of(seed: int, problem: str, steps: Sequence[str]) -> Seeds:
    """Give the seeds of the texts that judge some steps: alone, in any batch and retry the same."""

    def of(number: int, vote: int) -> int:
        digest = blake2b(digest_size=8)
        for part in (str(seed), str(number), str(vote), problem, *steps):
            digest.update(f"{len(part)}:{part}".encode("utf-8", "surrogatepass"))
        return int.from_bytes(digest.digest(), "big")

    return of


def decide(votes: Sequence[Vote | VerdictError], quorum: int) -> StepVerdict:
    r"""Give the mean of the votes: :math:`s = \frac{1}{|V|} \sum_{v \in V} s_v`.

    Args:
        votes: V, and why others gave no verdict; these are not counted.
        quorum: how many must give one, or else there is none.
    """
    given = [vote for vote in votes if isinstance(vote, Vote)]
    faults = [vote for vote in votes if isinstance(vote, VerdictError)]
    texts = tuple(vote.text for vote in votes)
    if len(given) < max(quorum, 1):
        reason = str(faults[0]) if faults else "no votes"
        if len(votes) > 1:
            reason = f"{len(given)} of {len(votes)} votes gave a verdict; {reason}"
        return StepVerdict(math.nan, texts, len(given), reason)
    names = given[0].readings
    return StepVerdict(
        math.fsum(vote.score for vote in given) / len(given),
        texts,
        len(given),
        None,
        {name: math.fsum(v.readings[name] for v in given) / len(given) for name in names},
        next((vote.correction for vote in given if vote.correction is not None), None),
        sum(vote.truncated for vote in given),
    )


def missing(reason: str, texts: Sequence[str] = ()) -> StepVerdict:
    """Give the verdict of a step that has none."""
    return StepVerdict(math.nan, tuple(texts), 0, reason)
