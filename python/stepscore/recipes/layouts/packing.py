"""Texts to token ids: batched encoding, packing, and the checks that a tokenizer must pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from stepscore.recipes.layouts.steps import shorten
from stepscore.recipes.recipe import Encoded, Tokenizer

# Entries that tell a published vocabulary from any other one; both are checked.
_FINGERPRINTS = {
    "Qwen2.5": {"<|endoftext|>": 151643},
    "Mistral v0.1": {"▁[": 733, "]": 28793},
}


def encode_texts(
    tokenizer: Tokenizer, texts: Iterable[str], *, special_tokens: bool = False
) -> list[list[int]]:
    """Encode every text alone, in one call of the tokenizer; equal texts are encoded once.

    Truncation and padding that a ``tokenizer.json`` may carry from training are switched off.
    """
    texts = list(texts)
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return []
    try:
        encoded = _encode(tokenizer, distinct, special_tokens)
    # A vocabulary without an unknown token makes the tokenizers library raise Exception itself.
    except Exception:
        for text in distinct:
            _refuse_unwritable(tokenizer, text, special_tokens)
        raise
    ids_of = dict(zip(distinct, encoded, strict=True))
    return [ids_of[text] for text in texts]


def _encode(tokenizer: Tokenizer, texts: list[str], special_tokens: bool) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(
        texts,
        add_special_tokens=special_tokens,
        padding=False,
        truncation=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )["input_ids"]
    return ids


def _refuse_unwritable(tokenizer: Tokenizer, text: str, special_tokens: bool) -> None:
    try:
        _encode(tokenizer, [text], special_tokens)
    except Exception as error:
        raise ValueError(
            f"the tokenizer cannot write {shorten(text)} ({error}); leave out the characters that "
            "the model does not know, or pass the recipe= that the model was trained with"
        ) from error


def encode_text(tokenizer: Tokenizer, text: str, *, special_tokens: bool = False) -> list[int]:
    """Encode one text."""
    return encode_texts(tokenizer, [text], special_tokens=special_tokens)[0]


def pack_ids(rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Pack rows of ids: ``token_ids`` [tokens] and ``offsets`` [rows + 1]."""
    offsets = pack_lengths([len(row) for row in rows])
    flat = [token for row in rows for token in row]
    return np.array(flat, dtype=np.int32), offsets


def pack_lengths(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Give offsets [n + 1] from n lengths."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def find_tags(
    recipe: str,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    counts: Sequence[int],
    tag: str,
    tag_id: int,
    *,
    special_tokens: bool,
) -> Encoded:
    """Encode whole traces, and find in each as many tags as it has steps, or raise."""
    from stepscore.ops import find_steps

    token_ids, offsets = pack_ids(encode_texts(tokenizer, texts, special_tokens=special_tokens))
    positions, step_offsets = find_steps(token_ids, offsets, tag_id)
    for index, (found, expected) in enumerate(zip(np.diff(step_offsets), counts, strict=True)):
        if found != expected:
            raise ValueError(
                f"{recipe}: solution {index} has {expected} steps, but {found} tokens {tag!r} (id "
                f"{tag_id}) stand in its tokens; check that neither the problem nor a step holds "
                f"{tag!r}, and that the tokenizer is the checkpoint's own"
            )
    return Encoded(token_ids, offsets, positions, step_offsets)


def published_vocabulary(tokenizer: Tokenizer) -> str | None:
    """Name the published vocabulary that a tokenizer carries, or None for any other one."""
    for name, entries in _FINGERPRINTS.items():
        if all(token_id(tokenizer, token) == known for token, known in entries.items()):
            return name
    return None


def token_id(tokenizer: Tokenizer, token: str) -> int | None:
    """Give the id of an entry of the vocabulary, or None where it has no such entry."""
    found = tokenizer.convert_tokens_to_ids(token)
    # A tokenizer answers an unknown entry with None, or with the id of its unknown token.
    if found is None or tokenizer.convert_ids_to_tokens(found) != token:
        return None
    return int(found)


def expect_published(
    recipe: str, tokenizer: Tokenizer, vocabulary: str, what: str, found: object, published: object
) -> None:
    """Refuse a published vocabulary in which an id is not the published one."""
    if published_vocabulary(tokenizer) == vocabulary and found != published:
        raise ValueError(
            f"{recipe}: in the {vocabulary} vocabulary {what} must be {published}; this tokenizer "
            f"gives {found}; load the tokenizer files that were published with the model"
        )


def expect_known(recipe: str, tokenizer: Tokenizer, what: str, ids: Sequence[int]) -> None:
    """Refuse a text that the tokenizer cannot write: no tokens, or its unknown token."""
    unknown = getattr(tokenizer, "unk_token_id", None)
    if not ids or (unknown is not None and unknown in ids):
        raise ValueError(
            f"{recipe}: the tokenizer must be able to write {what}; it gives the ids {list(ids)}"
            f"{'' if not ids else ' (its unknown token)'}; use the tokenizer that the model was "
            "trained with, or another recipe"
        )
