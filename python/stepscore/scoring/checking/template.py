"""The chat template of a tokenizer against the text that a recipe has pinned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stepscore.recipes import Tokenizer
from stepscore.recipes.rendered import pieces
from stepscore.scoring.checking.chat_turns import turns_of
from stepscore.scoring.checking.layout import LaidOut, first_difference
from stepscore.scoring.checking.report import Finding


def about_template(tokenizer: Tokenizer, trace: LaidOut) -> Iterator[Finding]:
    """Render the turns of a trace by the tokenizer's own template, and compare the texts."""
    ids, _ = next(iter(trace.sequences()))
    text = "".join(piece.text for piece in pieces(tokenizer, ids))
    messages = _messages(text)
    anything: Any = tokenizer
    if not messages:
        return
    if not getattr(anything, "chat_template", None):
        yield Finding(
            "note",
            "template",
            "the recipe writes a chat, and the tokenizer has no chat template to compare it with",
        )
        return
    try:
        rendered = str(anything.apply_chat_template(messages, tokenize=False))
    except Exception as error:  # a template is a program of whoever wrote it
        yield Finding(
            "note",
            "template",
            f"the tokenizer's chat template cannot be compared: {type(error).__name__}: "
            f"{' '.join(str(error).split())[:120]}",
        )
        return
    if rendered != text:
        at = first_difference(rendered, text)
        begin = max(0, at - 15)
        yield Finding(
            "warning",
            "template",
            f"the tokenizer's chat template writes {rendered[begin : at + 25]!r} where the recipe "
            f"has {text[begin : at + 25]!r}: one of the two is not that of the training; the "
            "recipe's is used",
        )


def _messages(text: str) -> list[dict[str, str]]:
    return [{"role": turn[1], "content": turn[2]} for turn in turns_of(text)]
