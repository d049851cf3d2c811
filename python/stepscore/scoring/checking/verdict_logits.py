"""The slow reading of written verdicts: full logits of a stock model, one text at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from stepscore.policies.texts import GeneratedText, TextRequest, Token

_BROKEN = "\ufffd"


@dataclass(frozen=True, eq=False)
class FullLogits:
    """A causal language model that reads texts, each alone, whole and without a cache.

    Attributes:
        model: of transformers.
        tokenizer: its tokenizer.
    """

    model: Any
    tokenizer: Any
    _last: list[tuple[list[int], int, torch.Tensor | None]] = field(
        default_factory=lambda: [([], 0, None)], repr=False
    )

    def rendered(self, request: TextRequest) -> str:
        """Give the text that a policy is to continue."""
        prompt = request.prompt
        if not isinstance(prompt, str):
            turns = [{"role": turn.role, "content": turn.content} for turn in prompt]
            prompt = str(
                self.tokenizer.apply_chat_template(
                    turns, tokenize=False, add_generation_prompt=True
                )
            )
        return prompt + request.prefill

    def token_ids(self, request: TextRequest, more: str = "") -> list[int]:
        """Encode that text and what was written behind it."""
        text = self.rendered(request) + more
        bos = self.tokenizer.bos_token
        plain = isinstance(request.prompt, str) and not (bos and text.startswith(bos))
        ids: list[int] = self.tokenizer(text, add_special_tokens=plain)["input_ids"]
        return ids

    @torch.inference_mode()
    def logprobs(self, token_ids: Sequence[int], begin: int) -> torch.Tensor:
        """Give the log-probabilities of all tokens at places from `begin` on, in float64.

        What was forwarded last is not forwarded again for a beginning of it.
        """
        ids = list(token_ids)
        known, first, dense = self._last[0]
        if dense is None or begin < first or known[: len(ids)] != ids:
            device = next(self.model.parameters()).device
            given = self.model(input_ids=torch.tensor([ids], device=device), use_cache=False)
            dense = given.logits[0, begin - 1 :].cpu().double().log_softmax(-1)
            self._last[0] = ids, begin, dense
            first = begin
        return dense[begin - first : len(ids) + 1 - first]

    def compare(self, request: TextRequest, answer: GeneratedText) -> tuple[int, float, str]:
        """Say how far the probabilities of a text lie from those of full logits.

        Returns:
            how many of its tokens were compared, the largest distance, and where that is. Behind a
            token that the text does not give back, nothing is compared.
        """
        ids = self.token_ids(request)
        whole = self.token_ids(request, "".join(token.text for token in answer.tokens))
        following = whole[len(ids) :] if whole[: len(ids)] == ids else []
        dense = self.logprobs([*ids, *following], len(ids))
        compared, largest, where = 0, 0.0, ""
        for place, token in enumerate(answer.tokens):
            apart, which = self._apart(token, dense[place])
            # A part of a character is written again as another token, whose text is the same sign.
            same = (
                place < len(following)
                and _BROKEN not in token.text
                and self._text(following[place]) == token.text
            )
            if same:
                own = math.exp(float(dense[place, following[place]]))
                apart, which = max((apart, which), (abs(math.exp(token.logprob) - own), token.text))
            compared += 1
            if apart > largest or not where:
                largest, where = apart, f"{which!r} as token {place + 1}"
            if not same:
                break
        return compared, largest, where

    def tokens_of(
        self, request: TextRequest, before: str, forms: Sequence[str]
    ) -> list[tuple[int, ...] | None]:
        """Give the tokens of each word behind a text; None for one that merges with that text."""
        context = self.token_ids(request, before)
        encoded = [self.token_ids(request, before + form) for form in forms]
        return [
            tuple(ids[len(context) :]) if ids[: len(context)] == context else None
            for ids in encoded
        ]

    def first_logprobs(
        self, request: TextRequest, before: str, firsts: Sequence[int], told: int
    ) -> list[float]:
        """Read some tokens as the next ones behind a text.

        Args:
            request: what was asked.
            before: what was written before the verdict.
            firsts: the tokens.
            told: how many of the likeliest tokens count; another one gets the least of their
                log-probabilities.
        """
        context = self.token_ids(request, before)
        row = self.logprobs(context, len(context))[0]
        floor = float(row.topk(min(told, len(row))).values[-1])
        return [max(floor, float(row[first])) for first in firsts]

    def _apart(self, token: Token, row: torch.Tensor) -> tuple[float, str]:
        """Compare what is told at one place; tokens of the same text are one."""
        likeliest = row.topk(min(len(token.top) or 1, len(row)))
        known: dict[str, float] = {}
        for value, index in zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True):
            text = self._text(index)
            known[text] = known.get(text, 0.0) + math.exp(value)
        said: dict[str, float] = {}
        for text, value in token.top:
            said[text] = said.get(text, 0.0) + math.exp(value)
        least = math.exp(float(likeliest.values[-1]))
        # One that is on one of the lists only was about as unlikely as the last of the other.
        every = {text: (said.get(text, least), known.get(text, least)) for text in {*said, *known}}
        worst = max(every, key=lambda text: abs(every[text][0] - every[text][1]), default="")
        here, there = every.get(worst, (0.0, 0.0))
        return abs(here - there), worst

    def _text(self, token: int) -> str:
        """Give the text of a token in the middle of a text: some tokenizers drop a first space."""
        return self._decode([*self._middle, token])[len(self._decode(self._middle)) :]

    def _decode(self, token_ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(token_ids, clean_up_tokenization_spaces=False))

    @cached_property
    def _middle(self) -> list[int]:
        # A digit, which every vocabulary of a model that is to reason has.
        return list(self.tokenizer("1", add_special_tokens=False)["input_ids"])[-1:]
