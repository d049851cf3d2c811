"""The lab's character tokenizer: one token per character, and nothing added around a text.

Because characters never merge, ``encode(a) + encode(b) == encode(a + b)`` for any two texts, so a
step boundary can never be swallowed by the step's last token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD = "<pad>"
EOS = "<eos>"
CHARACTERS = "0123456789+-*=?\n"
VOCABULARY = {token: index for index, token in enumerate([PAD, EOS, *CHARACTERS])}

PAD_ID = VOCABULARY[PAD]
EOS_ID = VOCABULARY[EOS]
NEWLINE_ID = VOCABULARY["\n"]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer as a Hugging Face fast tokenizer.

    It has no unknown token: encoding a character outside the 16 raises instead of scoring a
    different text than the one given.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(VOCABULARY))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        padding_side="right",
        clean_up_tokenization_spaces=False,
        model_max_length=128,
    )


def encode(text: str) -> list[int]:
    """Give the token ids of a text, without loading any library.

    Raises:
        ValueError: a character that the lab does not know.
    """
    try:
        return [VOCABULARY[character] for character in text]
    except KeyError as error:
        raise ValueError(
            f"encode: text may hold only {CHARACTERS!r}; got {error.args[0]!r} in {text!r}"
        ) from None


def decode(ids: list[int]) -> str:
    """Give the text of token ids, without padding and end of text."""
    return "".join(CHARACTERS[index - 2] for index in ids if index > EOS_ID)
