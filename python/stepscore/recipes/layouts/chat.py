"""A trace as a chat, with a tag behind every step of the assistant's turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stepscore.recipes.layouts.step_numbers import on_one_line
from stepscore.recipes.layouts.tagged_text import TaggedText
from stepscore.recipes.layouts.text_end import TextEnd

_TURN = "<|im_start|>"
_TURN_IDS = {"Qwen2.5": 151644}
_END = "<|im_end|>"
_NEWLINE = {"Qwen2.5": 198}


def qwen_chat(*, system: str | None, tag: str, tag_ids: Mapping[str, int]) -> TaggedText:
    """Lay traces out as a chat of Qwen2.5: the problem from the user, the steps from the assistant.

    The template is written out, because that of an installed tokenizer may change while the model
    does not. The whole chat is one text, encoded without further special tokens. A solution given
    as one text is split at blank lines.

    Args:
        system: what the system turn says; None for no such turn.
        tag: an added token that ends each step.
        tag_ids: published vocabulary -> its id.
    """
    return TaggedText(
        tag=tag,
        before=_system(system) + f"{_TURN}user\n",
        between=f"{_END}\n{_TURN}assistant\n",
        after=f"{_END}\n",
        split_at="\n\n",
        added=(tag, _TURN, _END),
        tag_ids=tag_ids,
        turn=_TURN,
        turn_ids=_TURN_IDS,
    )


def qwen_chat_read_at_end(*, system: str) -> TextEnd:
    """Lay a solution out as in `qwen_chat`, without tags, and read it at the last token.

    That is the newline behind the assistant's ``<|im_end|>``. Steps are joined by blank lines.

    Args:
        system: what the system turn says.
    """
    return TextEnd(
        before=_system(system) + f"{_TURN}user\n",
        between=f"{_END}\n{_TURN}assistant\n",
        joiner="\n\n",
        after=f"{_END}\n",
        added=(_TURN, _END),
        last_ids=_NEWLINE,
    )


def llama_chat(
    *,
    system: str,
    question: str,
    between: str,
    tag: str,
    tag_ids: Mapping[str, int],
    number: Callable[[str, int], str] = on_one_line,
) -> TaggedText:
    """Lay traces out as the user's turn of a chat of Llama 3, with a tag behind every step.

    The header of the answer stands behind it. The rendered text is encoded with special tokens, and
    so begins with the BOS that the template writes and with the tokenizer's.

    Args:
        system: what the system turn says.
        question: stands before the problem.
        between: stands between the problem and the first step; a space stands between steps.
        tag: an ordinary token that ends each step.
        tag_ids: published vocabulary -> its id.
        number: a step and its number -> how it is written.
    """
    start, end, over = "<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>"
    bos = "<|begin_of_text|>"
    return TaggedText(
        tag=tag,
        before=f"{bos}{start}system{end}{system}{over}{start}user{end}{question}",
        between=between,
        joiner=" ",
        after=f"{over}{start}assistant{end}",
        number=number,
        special_tokens=True,
        added=(bos, start, "<|end_header_id|>", over),
        tag_ids=tag_ids,
    )


def _system(text: str | None) -> str:
    return "" if text is None else f"{_TURN}system\n{text}{_END}\n"
