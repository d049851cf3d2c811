"""What a tokenizer must be: the published ids in a published vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepscore.errors import Argument, InputError
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.recipe import Tokenizer

# Entries that tell a published vocabulary from any other one; all of them are checked.
_FINGERPRINTS = {
    "Qwen2.5": {"<|endoftext|>": 151643},
    "Mistral v0.1": {"▁[": 733, "]": 28793},
    "Llama 3": {"<|begin_of_text|>": 128000, "<|eot_id|>": 128009},
}


def published_vocabulary(tokenizer: Tokenizer) -> str | None:
    """Name the published vocabulary that a tokenizer carries, or None for any other one."""
    for name, entries in _FINGERPRINTS.items():
        if all(token_id(tokenizer, token) == known for token, known in entries.items()):
            return name
    return None


def token_id(tokenizer: Tokenizer, token: str) -> int | None:
    """Give the id of an entry of the vocabulary, or None where it has no such entry."""
    id_or_unknown = tokenizer.convert_tokens_to_ids(token)
    # A tokenizer answers an unknown entry with None, or with the id of its unknown token.
    if id_or_unknown is None or tokenizer.convert_ids_to_tokens(id_or_unknown) != token:
        return None
    return int(id_or_unknown)


def published_id(text: str, published: Mapping[str, int]) -> int:
    """Give the id of a text in the one vocabulary in which it was published.

    Args:
        text: what it spells, for the message.
        published: vocabulary -> id.

    Raises:
        ValueError: it was published in none, or in several; the error knows no function.
    """
    ids = set(published.values())
    if len(ids) != 1:
        raise InputError(
            f"the tokenizer of the ids, because the id of {text!r} is published "
            + ("nowhere" if not ids else f"as one of {sorted(ids)}"),
            got="none",
            advice=("pass the ", Argument("tokenizer"), " that was published with the model"),
            argument="tokenizer",
        )
    return ids.pop()


def expect_published(
    recipe: str, tokenizer: Tokenizer, what: str, ids: object, published: Mapping[str, object]
) -> None:
    """Refuse a published vocabulary in which ids are not the published ones.

    Args:
        recipe: for the message.
        tokenizer: the checkpoint's own.
        what: whose ids they are, for the message.
        ids: what the tokenizer gives.
        published: vocabulary -> what it should give; other vocabularies are not compared.
    """
    vocabulary = published_vocabulary(tokenizer)
    if vocabulary is not None and ids != published.get(vocabulary, ids):
        raise InputError(
            f"{what} to be {published[vocabulary]} in the {vocabulary} vocabulary",
            got=str(ids),
            advice="load the tokenizer files that were published with the model",
            where=recipe,
        )


def expect_known(recipe: str, tokenizer: Tokenizer, what: str, ids: Sequence[int]) -> None:
    """Refuse a text that the tokenizer cannot write: no tokens, or its unknown token."""
    unknown = getattr(tokenizer, "unk_token_id", None)
    if not ids or (unknown is not None and unknown in ids):
        raise InputError(
            f"a tokenizer that can write {what}",
            got=f"the ids {list(ids)}{'' if not ids else ' (its unknown token)'}",
            advice="use the tokenizer that the model was trained with, or another recipe",
            where=recipe,
        )


def expect_added(
    recipe: str, tokenizer: Tokenizer, token: str, published: Mapping[str, int] | None = None
) -> None:
    """Refuse a tokenizer in which a text is no added token: any other one might hide in a step.

    Args:
        recipe: for the message.
        tokenizer: the checkpoint's own.
        token: the text.
        published: published vocabulary -> its id in it.
    """
    ids = encode_text(tokenizer, token)
    is_added = token in tokenizer.get_added_vocab()
    if not is_added or ids != [token_id(tokenizer, token)]:
        known = (published or {}).get(published_vocabulary(tokenizer) or "")
        raise InputError(
            f"{token!r}{'' if known is None else f' (id {known})'} to be one added token of the "
            "tokenizer",
            got=f"the ids {ids}{'' if is_added else ' and no such added token'}",
            advice=(
                "load the tokenizer files that were published with the model, or pass another ",
                Argument("recipe"),
            ),
            where=recipe,
        )
    expect_published(recipe, tokenizer, repr(token), ids[0], published or {})
