"""A trace as a chat, with a tag behind every step of the assistant's turn."""

from __future__ import annotations

from collections.abc import Mapping

from stepscore.recipes.layouts.tagged_text import TaggedText

_TURN = "<|im_start|>"
_TURN_IDS = {"Qwen2.5": 151644}


def qwen_chat(*, system: str, tag: str, tag_ids: Mapping[str, int]) -> TaggedText:
    """Lay traces out as a chat of Qwen2.5: the problem from the user, the steps from the assistant.

    The template is written out, because that of an installed tokenizer may change while the model
    does not. The whole chat is one text, encoded without further special tokens. A solution given
    as one text is split at blank lines.

    Args:
        system: what the system turn says.
        tag: an added token that ends each step.
        tag_ids: published vocabulary -> its id.
    """
    return TaggedText(
        tag=tag,
        before=f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n",
        between="<|im_end|>\n<|im_start|>assistant\n",
        after="<|im_end|>\n",
        split_at="\n\n",
        added=(tag, _TURN, "<|im_end|>"),
        tag_ids=tag_ids,
        turn=_TURN,
        turn_ids=_TURN_IDS,
    )
