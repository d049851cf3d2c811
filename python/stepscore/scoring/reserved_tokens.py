"""Special tokens in the texts of users: removed where they end a candidate, else refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stepscore.errors import InputError, Words
from stepscore.recipes import Tokenizer
from stepscore.recipes.layouts.steps import shorten_around

# What ends a turn or a text in the vocabularies of published models, beside a tokenizer's own EOS.
_ENDINGS = frozenset(
    {
        "<|im_end|>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|eot|>",
        "<|EOT|>",
        "<|end|>",
        "<|return|>",
        "<|endofturn|>",
        "<|end_of_turn|>",
        "<|END_OF_TURN_TOKEN|>",
        "<end_of_turn>",
        "<eos>",
        "<turn|>",
        "</s>",
        "[EOS]",
        "<｜end▁of▁sentence｜>",
    }
)


@dataclass(frozen=True)
class ReservedTokens:
    """The tokens that a tokenizer cuts out of any text as marks, so that no text may hold them.

    Attributes:
        special: the texts of the tokens that the tokenizer flags as special. Its other added
            tokens, such as ``<think>`` or runs of spaces, are text.
        endings: the texts of those that end a turn or a text, or stand behind its end as padding.
    """

    special: tuple[str, ...]
    endings: tuple[str, ...]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> ReservedTokens:
        """Read them from a tokenizer of transformers."""
        anything: Any = tokenizer
        added = getattr(anything, "added_tokens_decoder", {}).values()
        flagged = {str(token.content) for token in added if token.special}
        flagged |= set(map(str, getattr(anything, "all_special_tokens", ())))
        special = {token for token in flagged if token.strip()}
        known = special | {str(token.content) for token in added}
        endings = known & _ENDINGS
        eos, pad = (getattr(anything, name, None) for name in ("eos_token", "pad_token"))
        endings |= {str(eos)} & special
        # A tokenizer without a padding token is often given its BOS or its unknown one for it.
        if pad not in (tokenizer.bos_token, getattr(anything, "unk_token", None)):
            endings |= {str(pad)} & special
        # Longer ones first: none may be cut short by one that it contains.
        return cls(_longest_first(special), _longest_first(endings))

    def fault_in(self, text: str, what: str, advice: Words = "remove it") -> InputError | None:
        """Say that a problem or a step, as `what` has it, holds a special token; or give None."""
        match = self._pattern.search(text)
        if match is None:
            return None
        return InputError(
            f"a {what} without {match[0]!r}, a special token of the model's tokenizer",
            got=shorten_around(text, match.start()),
            advice=advice,
        )

    def without_end(self, text: str) -> tuple[str, int]:
        r"""Remove the tokens that end a text, and say how many they were.

        What stands between and behind them goes with them if it is white space; what stands before
        the first stays: ``"7.\n<|im_end|>\n"`` is ``"7.\n"``, as a server gives it that skips
        special tokens.
        """
        kept, count = text, 0
        while True:
            end = kept.rstrip()
            token = next((token for token in self.endings if end.endswith(token)), None)
            if token is None:
                return (kept, count) if count else (text, 0)
            kept, count = end.removesuffix(token), count + 1

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Without any, a pattern that never matches.
        return re.compile("|".join(map(re.escape, self.special)) or r"(?!)")


def _longest_first(tokens: set[str]) -> tuple[str, ...]:
    return tuple(sorted(tokens, key=lambda token: (-len(token), token)))


# For texts of models whose vocabulary is not at hand: the marks that end a text in any of them.
ENDINGS = ReservedTokens((), _longest_first(set(_ENDINGS)))
