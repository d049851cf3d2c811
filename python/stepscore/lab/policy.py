"""The lab's policy: a tiny causal language model, and fast batched sampling from it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache, Qwen2ForCausalLM
from transformers.cache_utils import DynamicLayer

from stepscore.hub import silenced_hub
from stepscore.lab.tokenizer import EOS_ID, PAD_ID, decode, encode

SHIPPED = Path(__file__).parent / "weights" / "policy"


class LabPolicy:
    """Samples whole solutions of lab problems; `LabContinuationPolicy` continues traces.

    Args:
        model: a causal language model over the lab's vocabulary, in evaluation mode.
    """

    def __init__(self, model: Qwen2ForCausalLM) -> None:
        self.model = model

    @torch.inference_mode()
    def sample(
        self,
        problems: Sequence[str],
        n: int,
        *,
        temperature: float = 1.0,
        seed: int,
        max_new_tokens: int = 80,
        batch_size: int = 1024,
    ) -> list[list[str]]:
        """Sample ``n`` solutions of every problem.

        A sample depends on the seed, the problem's text, its own number, ``temperature`` and
        ``max_new_tokens``, and on nothing else: neither on ``batch_size`` nor on the other
        problems, up to the rounding of a matrix product, which may differ between shapes in the
        last bit. The first samples stay the same when ``n`` grows.

        Args:
            problems: problem texts; a repeated problem gets samples of its own.
            n: samples per problem.
            temperature: divides the logits; 0 takes the likeliest token.
            seed: any integer.
            max_new_tokens: a solution is cut there; 80 leaves room beyond the 56 of the longest
                right one.
            batch_size: sequences decoded together.

        Returns:
            ``n`` texts per problem, one step per line, without the end-of-text token.

        Raises:
            ValueError: a character outside the lab's alphabet, a negative temperature, or a problem
                too long for the model's context.
        """
        if temperature < 0:
            raise ValueError(f"sample: temperature must be 0 or more; got {temperature}")
        if n < 1 or batch_size < 1 or max_new_tokens < 1:
            raise ValueError(
                "sample: n, batch_size and max_new_tokens must be at least 1; "
                f"got {n}, {batch_size}, {max_new_tokens}"
            )
        prompts = [encode(problem) for problem in problems]
        context = self.model.config.max_position_embeddings
        longest = max((len(prompt) for prompt in prompts), default=0)
        if longest + max_new_tokens > context:
            raise ValueError(
                f"sample: prompt and max_new_tokens must fit {context} tokens; got {longest} + "
                f"{max_new_tokens}"
            )
        draws = [
            torch.rand(n, max_new_tokens, generator=generator)
            for generator in _generators(problems, seed)
        ]
        texts: list[list[str]] = [[""] * n for _ in problems]
        for rows in _batches(prompts, n, batch_size):
            uniforms = torch.stack([draws[problem][sample] for problem, sample in rows])
            owners = [problem for problem, _ in rows]
            tokens = self._decode(prompts, owners, uniforms, temperature)
            for (problem, sample), ids in zip(rows, tokens.tolist(), strict=True):
                texts[problem][sample] = decode(ids)
        return texts

    def _decode(
        self,
        prompts: list[list[int]],
        owners: list[int],  # the prompt of every row, ascending
        uniforms: torch.Tensor,  # [rows, max_new_tokens]
        temperature: float,
    ) -> torch.Tensor:
        """Decode rows of equally long prompts; each distinct prompt goes through the model once."""
        distinct = sorted(set(owners))
        place = {owner: index for index, owner in enumerate(distinct)}
        rows = torch.tensor([place[owner] for owner in owners])
        cache = DynamicCache()
        cache.layers = [_Layer(uniforms.shape[1]) for _ in self.model.model.layers]
        output = self.model(
            input_ids=torch.tensor([prompts[owner] for owner in distinct]),
            past_key_values=cache,
            logits_to_keep=1,
        )
        for layer in cache.layers:
            layer.expand(rows)
        logits = output.logits[rows, -1]
        tokens = torch.full(uniforms.shape, PAD_ID, dtype=torch.long)
        alive = torch.ones(len(owners), dtype=torch.bool)
        for step in range(uniforms.shape[1]):
            token = _draw(logits, uniforms[:, step], temperature)
            tokens[:, step] = torch.where(alive, token, PAD_ID)
            alive &= token != EOS_ID
            if not alive.any() or step + 1 == uniforms.shape[1]:
                break
            output = self.model(input_ids=token[:, None], past_key_values=cache)
            logits = output.logits[:, -1]
        return tokens


class _Layer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped
    """Keys and values of one layer with room for what is to come, instead of a copy per token."""

    keys: torch.Tensor  # [rows, heads, length, width]
    values: torch.Tensor
    stores: tuple[torch.Tensor, torch.Tensor]  # [rows, heads, length + room, width]

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.length = 0

    def expand(self, rows: torch.Tensor) -> None:
        """Give every row its own copy of its prompt's entries, and room behind it."""
        _, heads, self.length, width = self.keys.shape
        shape = (len(rows), heads, self.length + self.room, width)
        self.stores = self.keys.new_empty(shape), self.values.new_empty(shape)
        for store, prompt in zip(self.stores, (self.keys, self.values), strict=True):
            store[:, :, : self.length] = prompt[rows]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.length:  # the prompts themselves
            self.keys, self.values = super().update(key_states, value_states)
            return self.keys, self.values
        end = self.length + key_states.shape[-2]
        for store, states in zip(self.stores, (key_states, value_states), strict=True):
            store[:, :, self.length : end] = states
        self.length = end
        keys, values = self.stores
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values


def load_policy(directory: Path | str = SHIPPED) -> LabPolicy:
    """Load a policy, by default the one inside the package. Nothing is fetched."""
    with silenced_hub():
        model = Qwen2ForCausalLM.from_pretrained(directory, local_files_only=True)
    return LabPolicy(model.eval())


def _draw(logits: torch.Tensor, uniform: torch.Tensor, temperature: float) -> torch.Tensor:
    """Invert the cumulative distribution: rows cannot disturb each other's random numbers."""
    logits[:, PAD_ID] = -torch.inf
    if temperature == 0:
        return logits.argmax(-1)
    cumulative = torch.softmax(logits.double() / temperature, -1).cumsum(-1)
    token = (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(-1)
    return token.clamp_(max=logits.shape[-1] - 1)


def _generators(problems: Sequence[str], seed: int) -> Iterator[torch.Generator]:
    seen: Counter[str] = Counter()
    for problem in problems:
        key = f"{seed}/{seen[problem]}/{problem}".encode()
        seen[problem] += 1
        digest = hashlib.blake2b(key, digest_size=7).digest()
        yield torch.Generator().manual_seed(int.from_bytes(digest, "big"))


def _batches(prompts: list[list[int]], n: int, batch_size: int) -> Iterator[list[tuple[int, int]]]:
    """Yield batches of (problem, sample) with prompts of one length, so that nothing is padded."""
    by_length: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(index)
    for indices in by_length.values():
        rows = [(index, sample) for index in indices for sample in range(n)]
        for start in range(0, len(rows), batch_size):
            yield rows[start : start + batch_size]
