"""Texts that a policy writes: what it is asked for, and what it answers, token by token.

`HuggingFacePolicy.generate` and `EndpointPolicy.generate` are such writers, and so is any other
object with `name`, `generate` and `check_logprobs`, such as a table in a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

Role = Literal["system", "user", "assistant"]


class Turn(NamedTuple):
    """One message of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class TextRequest:
    """One text to write; it depends on this, the model and nothing else.

    Attributes:
        prompt: a text that is continued as it stands; or the turns of a conversation, which the
            model's chat template lays out, and whose next turn is written.
        seed: of this sample: a whole number of 64 bits.
        max_tokens: the most tokens.
        prefill: how the text begins, whether or not the model would begin so; the answer does not
            repeat it.
        stop: texts that end it.
        temperature: divides the logits; 0 takes the likeliest token.
        top_p: draws from the likeliest tokens that together have at least this probability.
        top_k: draws from so many of the likeliest tokens; 0 from all.
        logprobs: how many of the likeliest tokens are told at every place; 0 tells none.
    """

    prompt: str | tuple[Turn, ...]
    seed: int
    max_tokens: int
    prefill: str = ""
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    logprobs: int = 0


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a text, and what might have stood in its place.

    Attributes:
        text: as it stands in the text.
        logprob: its log-probability under the model, at temperature 1.
        top: text and log-probability of the likeliest tokens at its place, likeliest first.
    """

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class GeneratedText:
    """A text that was written.

    Attributes:
        text: without the prefill and without the stop text that ended it.
        truncated: whether it was cut at the most tokens (``finish_reason`` ``length``), or at the
            end of the model's context; or a server does not say that it came to its end.
        stopped_by: the stop text that ended it; None at the end of the model's turn, after a cut,
            and where a server does not tell.
        tokens: of the text, in order, perhaps with those of the stop text and of the end of the
            turn behind them; empty where none were asked for.
        token_count: how many were written.
        cut_by: what a server calls the reason of a cut.
    """

    text: str
    truncated: bool = False
    stopped_by: str | None = None
    tokens: tuple[Token, ...] = ()
    token_count: int = 0
    cut_by: str = "length"


class TextPolicy(Protocol):
    """What writes texts."""

    @property
    def name(self) -> str:
        """For provenance and messages."""
        ...

    def generate(self, requests: Sequence[TextRequest]) -> Sequence[GeneratedText | Exception]:
        """Write the text of every request, in their order; what failed alone stands in its place.

        Raises:
            InputError: what it can do for none of them, such as a prefill that a server does not
                take; nothing has been sent then.
        """
        ...

    def check_logprobs(self, count: int, prompt: str | tuple[Turn, ...]) -> None:
        """Make sure that it tells the `count` likeliest tokens, at the cost of one token at most.

        Args:
            count: how many.
            prompt: of the kind that will be asked: a text, or turns.

        Raises:
            InputError: it does not; the message says what to do.
        """
        ...
