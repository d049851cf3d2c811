"""Texts written by a causal language model of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from stepscore.errors import InputError
from stepscore.policies.decode import Drawn, Row, draw
from stepscore.policies.texts import GeneratedText, TextRequest, Token

# Tokens of a stop text are at most its bytes; a few more, for a character cut at the beginning.
_MARGIN = 4
_CALL = "HuggingFacePolicy.generate"


class TextWriter:
    """Writes the texts of requests; see `TextPolicy`.

    Args:
        model: a causal language model, in evaluation mode.
        tokenizer: its tokenizer.
        ends: the tokens that end a text.
        max_length: the most tokens of prompt and text.
        batch_size: texts written together.
    """

    def __init__(
        self, model: Any, tokenizer: Any, ends: frozenset[int], max_length: int, batch_size: int
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._ends = ends
        self._max_length = max_length
        self._batch_size = batch_size
        self._texts: dict[int, str] = {}
        [*_, self._anchor] = tokenizer("a", add_special_tokens=False)["input_ids"]

    def write(self, requests: Sequence[TextRequest]) -> list[GeneratedText | Exception]:
        """Write all of them; those with the same way of drawing together."""
        prompts = [self.encode(request) for request in requests]
        written: list[GeneratedText | Exception] = [
            ValueError(f"expected a prompt of 1 to {self._max_length - 1} tokens; got {len(ids)}")
            for ids in prompts
        ]
        ways: dict[tuple[float, int, int], list[int]] = {}
        for index, request in enumerate(requests):
            if 0 < len(prompts[index]) < self._max_length:
                way = request.top_p, request.top_k, request.logprobs
                ways.setdefault(way, []).append(index)
        for (top_p, top_k, logprobs), chosen in ways.items():
            batch = [requests[index] for index in chosen]
            ids = [prompts[index] for index in chosen]
            texts = self._draw(batch, ids, top_p, top_k, logprobs)
            for index, text in zip(chosen, texts, strict=True):
                written[index] = text
        return written

    def encode(self, request: TextRequest) -> tuple[int, ...]:
        """Lay a request out: its turns by the chat template, and the prefill behind them."""
        prompt = request.prompt
        templated = not isinstance(prompt, str)
        if not isinstance(prompt, str):
            if getattr(self._tokenizer, "chat_template", None) is None:
                raise InputError(
                    "a tokenizer with a chat template, for a prompt of turns",
                    got="one without",
                    advice="pass the prompt as a text, or a model for conversations",
                    argument="prompt",
                    where=_CALL,
                )
            turns = [{"role": turn.role, "content": turn.content} for turn in prompt]
            prompt = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True
            )
        text = f"{prompt}{request.prefill}"
        # A template writes the special tokens itself, and so may a text.
        bos = self._tokenizer.bos_token
        special = not templated and not (bos and text.startswith(bos))
        return tuple(self._tokenizer(text, add_special_tokens=special)["input_ids"])

    def _draw(
        self,
        requests: Sequence[TextRequest],
        prompts: Sequence[tuple[int, ...]],
        top_p: float,
        top_k: int,
        logprobs: int,
    ) -> list[GeneratedText]:
        distinct = list(dict.fromkeys(prompts))
        place = {prompt: number for number, prompt in enumerate(distinct)}
        rows = [
            Row(
                place[prompt],
                request.seed,
                min(request.max_tokens, self._max_length - len(prompt)),
                request.temperature,
            )
            for request, prompt in zip(requests, prompts, strict=True)
        ]
        ids: list[list[int]] = [[] for _ in requests]
        likeliest: list[list[tuple[list[int], list[float]]]] = [[] for _ in requests]

        def ended(places: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
            over = []
            for row, token in zip(places.tolist(), tokens.tolist(), strict=True):
                ids[row].append(token)
                over.append(token in self._ends or self._stopped(ids[row], requests[row].stop))
            return torch.tensor(over)

        def look(logits: torch.Tensor, places: torch.Tensor, _: int) -> None:
            values, tokens = torch.log_softmax(logits.float(), -1).topk(logprobs, dim=-1)
            for row, value, token in zip(
                places.tolist(), values.tolist(), tokens.tolist(), strict=True
            ):
                likeliest[row].append((token, value))

        drawn = draw(
            self._model,
            distinct,
            rows,
            ended=ended,
            adjust=look if logprobs else None,
            top_p=top_p,
            top_k=top_k,
            batch_size=self._batch_size,
        )
        return [
            self._text(each, top, request, logprobs > 0)
            for each, top, request in zip(drawn, likeliest, requests, strict=True)
        ]

    def _text(
        self,
        drawn: Drawn,
        likeliest: list[tuple[list[int], list[float]]],
        request: TextRequest,
        told: bool,
    ) -> GeneratedText:
        ended = drawn.tokens[-1] in self._ends
        whole = self._decode(drawn.tokens[:-1] if ended else drawn.tokens)
        end, by = _first(whole, request.stop)
        tokens: list[Token] = []
        if told:
            for token, logprob, (top, values) in zip(
                drawn.tokens, drawn.logprobs, likeliest, strict=False
            ):
                texts = map(self._token_text, top)
                told_top = tuple(zip(texts, values, strict=True))
                tokens.append(Token(self._token_text(token), logprob, told_top))
        truncated = by is None and not ended
        text = whole[:end].rstrip("\ufffd") if truncated else whole[:end]
        return GeneratedText(text, truncated, by, tuple(tokens), len(drawn.tokens))

    def _stopped(self, ids: list[int], stops: tuple[str, ...]) -> bool:
        """Tell whether a stop text ends here; only the last tokens can have completed one."""
        if not stops:
            return False
        window = max(len(stop.encode()) for stop in stops) + _MARGIN
        recent = self._decode(ids[-window:])
        return any(stop in recent for stop in stops)

    def _decode(self, ids: list[int]) -> str:
        """The text of tokens in the middle of a text: some tokenizers drop a first space."""
        before = len(self._read([self._anchor]))
        return self._read([self._anchor, *ids])[before:]

    def _token_text(self, token: int) -> str:
        if token not in self._texts:
            self._texts[token] = self._decode([token])
        return self._texts[token]

    def _read(self, ids: list[int]) -> str:
        # Special tokens are kept: a verdict may be one.
        text: str = self._tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text


def _first(text: str, stops: tuple[str, ...]) -> tuple[int, str | None]:
    """Where the first stop text begins, and which it is; the end of the text without one."""
    found = [(at, -len(stop), stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not found:
        return len(text), None
    at, _, stop = min(found)
    return at, stop
