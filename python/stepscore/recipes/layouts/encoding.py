"""Texts -> token ids, in one call of the tokenizer."""

from __future__ import annotations

from collections.abc import Iterable

from stepscore.errors import Argument, InputError
from stepscore.recipes.layouts.steps import shorten
from stepscore.recipes.recipe import Tokenizer


def encode_texts(
    tokenizer: Tokenizer, texts: Iterable[str], *, special_tokens: bool = False
) -> list[list[int]]:
    """Encode every text alone, in one call of the tokenizer; equal texts are encoded once.

    Truncation and padding that a ``tokenizer.json`` may carry from training are switched off.

    Raises:
        ValueError: a text that the tokenizer cannot write; the error names it by its index.
    """
    texts = list(texts)
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return []
    try:
        encoded = _encode(tokenizer, distinct, special_tokens)
    # A vocabulary without an unknown token makes the tokenizers library raise Exception itself.
    except Exception as error:
        for text in distinct:
            fault = unwritable(tokenizer, text, special_tokens=special_tokens)
            if fault is not None:
                raise _at(fault, texts.index(text)) from fault.__cause__
        if type(error) is not Exception:
            raise
        raise InputError(
            "texts that the model's tokenizer can write", got=str(error), argument="texts"
        ) from error
    ids_of = dict(zip(distinct, encoded, strict=True))
    return [ids_of[text] for text in texts]


def encode_text(tokenizer: Tokenizer, text: str, *, special_tokens: bool = False) -> list[int]:
    """Encode one text, which is the recipe's own.

    Raises:
        ValueError: the tokenizer cannot write it; the error names no place, since nobody passed it.
    """
    try:
        return encode_texts(tokenizer, [text], special_tokens=special_tokens)[0]
    except InputError as error:
        fault = unwritable(tokenizer, text, special_tokens=special_tokens)
        raise fault or error from error.__cause__


def unwritable(
    tokenizer: Tokenizer, text: str, *, special_tokens: bool = False
) -> InputError | None:
    """Say why the tokenizer cannot write a text, as an error without a place; or give None."""
    try:
        _encode(tokenizer, [text], special_tokens)
    except Exception as error:
        fault = InputError(
            "text that the model's tokenizer can write",
            got=f"{shorten(text)} ({error})",
            advice=(
                "leave out the characters that the model does not know, or load it with the ",
                Argument("recipe"),
                " that it was trained with",
            ),
        )
        fault.__cause__ = error
        return fault
    return None


def _at(fault: InputError, index: int) -> InputError:
    argument = Argument("texts", index=(index,))
    return InputError(fault.expected, got=fault.got, advice=fault.advice, argument=argument)


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
