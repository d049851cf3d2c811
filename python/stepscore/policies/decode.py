"""Batched sampling from a causal language model, each row with random numbers of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from stepscore.policies.requests import Continuation, ExpandRequest
from stepscore.seeds import GOLDEN, mix

# Rows that ended are taken out of the batch once so many of it have.
_WORTH_COPYING = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """One sample to draw.

    Attributes:
        prompt: which prompt it continues.
        seed: of its random numbers, 64 bits.
        limit: the most tokens.
        temperature: divides the logits; 0 takes the likeliest token.
    """

    prompt: int
    seed: int
    limit: int
    temperature: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """The tokens of one sample, and their log-probabilities under the model at temperature 1."""

    tokens: list[int]
    logprobs: list[float]


# (rows int64 [n], their new tokens int64 [n]) -> which of them end with it, bool [n]
Ended = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
# (logits [n, V], rows int64 [n], number of the token): changes the logits that are drawn from
Adjust = Callable[[torch.Tensor, torch.Tensor, int], None]


@torch.inference_mode()
def draw(
    model: Any,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[Row],
    *,
    ended: Ended,
    adjust: Adjust | None = None,
    top_p: float = 1.0,
    top_k: int = 0,
    batch_size: int = 256,
) -> list[Drawn]:
    """Draw one continuation per row.

    Every prompt of a batch goes through the model once, and its keys and values are copied to its
    rows. A row's tokens are functions of its prompt, seed and temperature, up to the rounding of a
    matrix product, which may differ between batches in the last bit.

    Args:
        model: a causal language model of transformers, in evaluation mode.
        prompts: token ids, at least one each.
        rows: what to draw.
        ended: says which rows end with their new token; called once per token, `rows` ascending
            within a batch.
        adjust: changes logits before they are drawn from; log-probabilities are those before.
        top_p: draws from the likeliest tokens that together have at least this probability.
        top_k: draws from so many of the likeliest tokens, and `top_p` from among these; 0 from all.
        batch_size: rows decoded together; those of about equally long prompts are.

    Source of the random numbers: SplitMix64 (Steele, Lea, Flood 2014); of `top_p`: Holtzman et al.,
    arXiv 1904.09751.
    """
    drawn = [Drawn([], []) for _ in rows]
    order = sorted(
        range(len(rows)), key=lambda row: (len(prompts[rows[row].prompt]), rows[row].prompt)
    )
    for start in range(0, len(order), batch_size):
        _draw_batch(
            model,
            prompts,
            rows,
            sorted(order[start : start + batch_size]),
            ended,
            adjust,
            (top_p, top_k),
            drawn,
        )
    return drawn


def _draw_batch(
    model: Any,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[Row],
    chosen: list[int],
    ended: Ended,
    adjust: Adjust | None,
    nucleus: tuple[float, int],
    drawn: list[Drawn],
) -> None:
    batch = _Batch(model, prompts, rows, chosen)
    step = 0
    while True:
        logits = batch.logits
        logprobs = torch.log_softmax(logits.float(), -1)
        if adjust is not None:
            adjust(logits, batch.rows, step)
        uniforms = _uniforms(batch.seeds, step).to(model.device)
        tokens = _choose(logits, uniforms, batch.temperatures, *nucleus)
        chances = logprobs.gather(-1, tokens[:, None])[:, 0]
        columns = (batch.rows, batch.going, tokens, chances)
        for row, goes_on, token, chance in zip(*(c.tolist() for c in columns), strict=True):
            if goes_on:
                drawn[row].tokens.append(token)
                drawn[row].logprobs.append(chance)
        step += 1
        going = batch.going.cpu()
        over = torch.zeros(len(batch.rows), dtype=torch.bool)
        over[going] = ended(batch.rows[going], tokens.cpu()[going])
        batch.going = batch.going & ~over.to(model.device) & (batch.limits > step)
        left = int(batch.going.sum())
        if not left:
            return
        if left <= _WORTH_COPYING * len(batch.rows):
            tokens = tokens[batch.drop_ended()]
        batch.forward(tokens)


class _Batch:
    """Rows that are decoded together.

    Attributes:
        rows: their numbers among all, on the CPU.
        going: which have not ended.
        limits, temperatures, seeds: of each.
        logits: of each row's next token, ``[rows, V]``.
    """

    def __init__(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        rows: Sequence[Row],
        chosen: Sequence[int],
    ) -> None:
        device, self._model = model.device, model
        settings = [rows[row] for row in chosen]
        distinct = list(dict.fromkeys(row.prompt for row in settings))
        place = {prompt: index for index, prompt in enumerate(distinct)}
        source = torch.tensor([place[row.prompt] for row in settings], device=device)
        self.rows = torch.tensor(chosen)
        self.going = torch.ones(len(chosen), dtype=torch.bool, device=device)
        self.limits = torch.tensor([row.limit for row in settings], device=device)
        self.temperatures = torch.tensor(
            [row.temperature for row in settings], dtype=torch.float64, device=device
        )
        self.seeds = np.array([row.seed % 2**64 for row in settings], np.uint64)
        ids, mask = pad_left([prompts[prompt] for prompt in distinct], device)
        self._padded = not bool(mask.all())
        self._cache = _cache(model, ids.shape[1] + int(self.limits.max()))
        positions = (mask.cumsum(-1) - 1).clamp_(min=0)
        output = model(
            input_ids=ids,
            attention_mask=mask if self._padded else None,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.logits = output.logits[source, -1]
        self._position, self._mask = positions[source, -1:], mask[source]
        for layer in self._cache.layers:
            layer.batch_select_indices(source)

    def drop_ended(self) -> torch.Tensor:
        """Take out the rows that have ended; gives the places of the others."""
        kept = self.going.nonzero()[:, 0]
        for layer in self._cache.layers:
            layer.batch_select_indices(kept)
        self._position, self._mask = self._position[kept], self._mask[kept]
        self.limits, self.temperatures = self.limits[kept], self.temperatures[kept]
        self.rows, self.seeds = self.rows[kept.cpu()], self.seeds[kept.cpu().numpy()]
        self.going = self.going[kept]
        return kept

    def forward(self, tokens: torch.Tensor) -> None:
        """Append a token to every row."""
        self._position = self._position + 1
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self.rows), 1)], -1)
        self.logits = self._model(
            input_ids=tokens[:, None],
            attention_mask=self._mask if self._padded else None,
            position_ids=self._position,
            past_key_values=self._cache,
            use_cache=True,
        ).logits[:, -1]


@torch.inference_mode()
def hidden_states(
    model: Any, prompts: Sequence[Sequence[int]], *, batch_size: int = 32
) -> torch.Tensor:
    """The last layer's state, after the final norm, at the last token of every prompt, ``[n, H]``.

    Args:
        model: a causal language model of transformers, in evaluation mode.
        prompts: token ids, at least one each.
        batch_size: prompts forwarded together.
    """
    states = torch.empty(
        len(prompts), model.config.get_text_config().hidden_size, dtype=model.dtype
    )
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        ids, mask = pad_left([prompts[index] for index in chosen], model.device)
        output = model.base_model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp_(min=0),
            use_cache=False,
        )
        states[chosen] = output.last_hidden_state[:, -1].cpu()
    return states


def no_room(request: ExpandRequest, length: int, most: int) -> list[Continuation] | ValueError:
    """The answer to a request whose `length` tokens leave no room in a context of `most`.

    A trace ends there; a problem that fills the context alone is an error.
    """
    if request.steps:
        return [Continuation("", terminal=True) for _ in request.seeds]
    return ValueError(
        f"expected a problem of 1 to {most - 1} tokens, prompt included; got {length}"
    )


def pad_left(
    rows: Sequence[Sequence[int]], device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack rows that end together: ids ``[rows, longest]``, filled with 0, and where ids stand."""
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, longest - len(row) :] = torch.tensor(row)
        mask[index, longest - len(row) :] = 1
    return ids.to(device), mask.to(device)


class _Layer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped
    """Keys and values of one layer with room for what is to come, instead of a copy per token."""

    keys: torch.Tensor  # [rows, heads, length, width]
    values: torch.Tensor

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.stores: tuple[torch.Tensor, torch.Tensor] | None = (
            None  # [rows, heads, capacity, width]
        )

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep some rows, or repeat them."""
        _, heads, length, width = self.keys.shape
        shape = (len(indices), heads, self.capacity, width)
        keys, values = self.keys.new_empty(shape), self.values.new_empty(shape)
        keys[:, :, :length], values[:, :, :length] = self.keys[indices], self.values[indices]
        self.stores = keys, values
        self.keys, self.values = keys[:, :, :length], values[:, :, :length]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self.stores is None:  # the prompts themselves
            self.keys, self.values = super().update(key_states, value_states)
            return self.keys, self.values
        keys, values = self.stores
        begin = self.keys.shape[-2]
        end = begin + key_states.shape[-2]
        keys[:, :, begin:end], values[:, :, begin:end] = key_states, value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values


def _cache(model: Any, capacity: int) -> Any:
    """An empty cache; layers with a sliding window keep the class that transformers gives them."""
    cache = DynamicCache(config=model.config)
    cache.layers = [
        _Layer(capacity) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


def _uniforms(seeds: np.ndarray[Any, Any], step: int) -> torch.Tensor:
    """The number of each seed's stream for a token, in [0, 1 - 2^-52], float64."""
    # The streams begin at their seeds, and `mix` adds the increment of the first number itself.
    z = mix(seeds + np.uint64(step * int(GOLDEN) % 2**64))
    return torch.from_numpy((z >> np.uint64(12)).astype(np.float64) * 2.0**-52)


def _choose(
    logits: torch.Tensor,
    uniforms: torch.Tensor,
    temperatures: torch.Tensor,
    top_p: float,
    top_k: int,
) -> torch.Tensor:
    """Invert the cumulative distribution: rows cannot disturb each other's random numbers."""
    greedy = temperatures == 0
    if bool(greedy.all()):
        return logits.argmax(-1)
    scale = torch.where(greedy, 1.0, temperatures)
    chances = torch.softmax(logits.double() / scale[:, None], -1)
    if top_p < 1 or 0 < top_k < logits.shape[-1]:
        ordered, places = torch.sort(chances, dim=-1, descending=True, stable=True)
        if top_k:
            ordered[:, top_k:] = 0
            ordered /= ordered.sum(-1, keepdim=True)
        ordered[ordered.cumsum(-1) - ordered >= top_p] = 0
        chances = torch.zeros_like(chances).scatter_(-1, places, ordered)
    cumulative = chances.cumsum(-1)
    # Below the total in any rounding, so that a token of probability 0 is never drawn.
    wanted = uniforms[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, wanted, right=True)[:, 0]
    return torch.where(greedy, logits.argmax(-1), tokens)
