"""Rows of the output matrix by single words, each encoded as the model's author does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from stepscore.errors import InputError
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.readouts import softmax_column
from stepscore.recipes.layouts.vocabulary import expect_known, expect_published, token_id
from stepscore.recipes.places import Places
from stepscore.recipes.recipe import Head, Layer, Reading, Readout, Tokenizer

# Which id of a word is its row: the first or the last of its encoding without special tokens, or
# the entry of the vocabulary that is spelled like it.
WordId = Literal["first", "last", "entry"]


def rows_of_words(
    words: Sequence[str],
    *,
    take: WordId,
    good: int = 0,
    readings: tuple[Reading, ...] | None = None,
    published: Mapping[str, tuple[int, ...]] | None = None,
) -> Readout:
    r"""Read rows of the output matrix: :math:`r = \mathrm{softmax}(w_1 h, w_2 h, ...)_{good}`.

    Args:
        words: one per row; no other row is loaded.
        take: which id of each.
        good: the word that is the score.
        readings: what else is read from these outputs; None reads the score as above.
        published: published vocabulary -> the words' ids in it.
    """
    rows = WordRows(tuple(words), take, published or {})
    head = Head("lm_rows", (Layer("lm_head.weight"),), len(words), word_ids=rows.ids)
    readings = readings or (softmax_column("score", good, len(words)),)
    return Readout(head, readings, check_tokenizer=rows.check_tokenizer)


def rows_at_places(words: Sequence[str], *, questions: tuple[str, ...], gates: int) -> Readout:
    """Read two entries of the vocabulary at several tokens of a step; see `Places`.

    Args:
        words: the good answer and the bad one.
        questions: what each token answers.
        gates: how many of the first ones must be answered well.
    """
    places = Places(questions, gates)
    return replace(rows_of_words(words, take="entry", readings=places.readings()), places=places)


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
        rows = self.ids(tokenizer)
        what = f"the {self.take} ids of {' and '.join(map(repr, self.words))}"
        expect_published(recipe, tokenizer, what, rows, self.published)
        if len(set(rows)) != len(rows):
            raise InputError(
                f"{what} to differ, because each is one label",
                got=str(list(rows)),
                advice="use the tokenizer that the model was trained with",
                where=recipe,
            )

    def _encoded(self, tokenizer: Tokenizer) -> list[list[int]]:
        if self.take != "entry":
            return [encode_text(tokenizer, word) for word in self.words]
        entries = [token_id(tokenizer, word) for word in self.words]
        return [[] if entry is None else [entry] for entry in entries]
