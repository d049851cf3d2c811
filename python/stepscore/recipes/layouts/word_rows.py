"""Rows of the output matrix by single words, each encoded as the model's author does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from stepscore.errors import InputError
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.vocabulary import expect_known, expect_published, token_id
from stepscore.recipes.recipe import Head, Layer, Reading, Readout, Tokenizer

# Which id of a word is its row: the first or the last of its encoding without special tokens, or
# the entry of the vocabulary that is spelled like it.
WordId = Literal["first", "last", "entry"]


def rows_of_words(
    words: Sequence[str],
    *,
    take: WordId,
    readings: tuple[Reading, ...],
    published: Mapping[str, tuple[int, ...]] | None = None,
) -> Readout:
    r"""Read rows of the output matrix, one per word: :math:`z_i = w_i h`; see `Reading`.

    Args:
        words: one per row; no other row is loaded.
        take: which id of each.
        readings: what is read from these outputs.
        published: published vocabulary -> the words' ids in it.
    """
    rows = WordRows(tuple(words), take, published or {})
    head = Head("lm_rows", (Layer("lm_head.weight"),), len(words), word_ids=rows.ids)
    return Readout(head, readings, check_tokenizer=rows.check_tokenizer)


@dataclass(frozen=True)
class WordRows:
    """Words that are encoded alone.

    Attributes:
        words: the words.
        take: which id of each is its row.
        published: published vocabulary -> their ids in it.
    """

    words: tuple[str, ...]
    take: WordId
    published: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def ids(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """Give the ids of the words."""
        return tuple(ids[0 if self.take == "first" else -1] for ids in self._encoded(tokenizer))

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer that cannot write a word, or writes two of them alike."""
        encoded = self._encoded(tokenizer)
        for word, ids in zip(self.words, encoded, strict=True):
            expect_known(recipe, tokenizer, f"the word {word!r}", ids)
        ids = self.ids(tokenizer)
        what = f"the {self.take} ids of {' and '.join(map(repr, self.words))}"
        expect_published(recipe, tokenizer, what, ids, self.published)
        if len(set(ids)) != len(ids):
            raise InputError(
                f"{what} to differ, because each is one label",
                got=str(list(ids)),
                advice="use the tokenizer that the model was trained with",
                where=recipe,
            )

    def _encoded(self, tokenizer: Tokenizer) -> list[list[int]]:
        if self.take != "entry":
            return [encode_text(tokenizer, word) for word in self.words]
        entries = [token_id(tokenizer, word) for word in self.words]
        return [[] if entry is None else [entry] for entry in entries]
