"""How one text of a rubric's verifier is asked for, and how its words are read."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from stepscore.errors import InputError
from stepscore.policies.texts import GeneratedText, TextRequest, Turn
from stepscore.scoring.verdicts.programs import Program, VerdictError, ask
from stepscore.scoring.verdicts.verdict_arguments import check_words
from stepscore.scoring.verdicts.words import find_verdict, no_verdict, read_words

# probability: of the words at their token, renormalised;  text: the word that the text says.
By = Literal["probability", "text"]


@dataclass(frozen=True)
class Words:
    """The words of an answer, and what each is worth.

    Attributes:
        words: as they stand in a text.
        values: of each, in [0, 1].
        by: what an answer is read from.
        logprobs: how many of the likeliest tokens are asked for under ``by="probability"``.
    """

    words: tuple[str, ...]
    values: tuple[float, ...]
    by: By = "probability"
    logprobs: int = 20

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            raise InputError(
                " or ".join(f'"{by}"' for by in get_args(By)), got=repr(self.by), argument="by"
            )
        check_words("rubric", self.words, self.values)

    def value(self, text: GeneratedText, pattern: re.Pattern[str]) -> float:
        r"""Read :math:`\sum_w v_w p_w` of the last match, whose group 1 is the word.

        Raises:
            VerdictError: there is none, or it is none of the words.
        """
        if self.by == "probability":
            probabilities = read_words(text, pattern, self.words).probabilities
            return math.fsum(v * p for v, p in zip(self.values, probabilities, strict=True))
        said = find_verdict(text, pattern)[1]
        known = dict(zip(map(str.casefold, self.words), self.values, strict=True))
        if said.casefold() not in known:
            raise VerdictError(f"expected one of {', '.join(self.words)}; got {said!r}", text.text)
        return known[said.casefold()]


@dataclass(frozen=True)
class Draw:
    """How texts are drawn.

    Attributes:
        max_tokens, temperature: of a text.
        votes: texts about the same; the score is the mean of those that give a verdict.
    """

    max_tokens: int
    temperature: float
    votes: int

    def __post_init__(self) -> None:
        for name, good, expected in (
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("temperature", self.temperature >= 0, "0 or more"),
            ("votes", self.votes >= 1, "at least 1"),
        ):
            if not good:
                raise InputError(expected, got=repr(getattr(self, name)), argument=name)
        if self.votes > 1 and self.temperature == 0:
            raise InputError(
                "a temperature above 0 for several votes, which would all be the same text",
                got="0",
                argument="temperature",
            )

    @property
    def quorum(self) -> int:
        """How many votes must give a verdict: more than half of them."""
        return self.votes // 2 + 1

    def text(self, prompt: tuple[Turn, ...], seed: int, logprobs: int) -> Program[GeneratedText]:
        """Ask for one text.

        Raises:
            VerdictError: the policy failed; the text was cut off, so that its last verdict may not
                have come.
        """
        request = TextRequest(
            prompt, seed, self.max_tokens, temperature=self.temperature, logprobs=logprobs
        )
        text = yield from ask(request)
        if text.truncated:
            raise no_verdict(text, "a text that ends")
        return text
