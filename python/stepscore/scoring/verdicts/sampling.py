"""How the texts of a verifier are drawn, and how many of them vote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stepscore.errors import InputError
from stepscore.policies.texts import TextRequest, Turn


@dataclass(frozen=True)
class Sampling:
    """How texts are drawn.

    Attributes:
        max_tokens: the most tokens of a text.
        temperature, top_p, top_k: as in `stepscore.policies.TextRequest`.
        votes: how many texts are asked about the same; the score is the mean of their verdicts.
        quorum: how many of them must give a verdict; None asks for more than half of them.
        logprobs: how many of the likeliest tokens are asked for where a verdict is read from them.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    votes: int = 1
    quorum: int | None = None
    logprobs: int = 20

    def __post_init__(self) -> None:
        needed = self.needed
        for name, good in (
            ("max_tokens", self.max_tokens >= 1),
            ("votes", self.votes >= 1),
            ("quorum", 1 <= needed <= self.votes),
            ("temperature", self.temperature >= 0),
            ("logprobs", self.logprobs >= 2),
        ):
            if not good:
                raise InputError(
                    "a quorum of 1 up to the number of votes"
                    if name == "quorum"
                    else "at least 2"
                    if name == "logprobs"
                    else "0 or more"
                    if name == "temperature"
                    else "at least 1",
                    got=repr(getattr(self, name)),
                    argument=name,
                    where="Sampling",
                )
        if self.votes > 1 and self.temperature == 0:
            raise InputError(
                "a temperature above 0 for several votes, which would all be the same text",
                got="0",
                argument="temperature",
                where="Sampling",
            )

    @property
    def needed(self) -> int:
        """How many votes must give a verdict."""
        return self.votes // 2 + 1 if self.quorum is None else self.quorum

    def request(
        self,
        prompt: str | tuple[Turn, ...],
        seed: int,
        *,
        prefill: str = "",
        stop: Sequence[str] = (),
        logprobs: bool = False,
        max_tokens: int | None = None,
    ) -> TextRequest:
        """Ask for one text, drawn so."""
        return TextRequest(
            prompt,
            seed,
            self.max_tokens if max_tokens is None else max_tokens,
            prefill,
            tuple(stop),
            self.temperature,
            self.top_p,
            self.top_k,
            self.logprobs if logprobs else 0,
        )

    def as_parameters(self) -> dict[str, Any]:
        """Give what scores depend on, for provenance."""
        names = ("votes", "temperature", "top_p", "top_k", "max_tokens")
        return {name: getattr(self, name) for name in names} | {"quorum": self.needed}
