"""Chat templates as published models were trained with them, pinned as data.

A template of an installed tokenizer may change while the model does not, and some write today's
date. What is pinned here is compared with the tokenizer's own where that has one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stepscore.errors import Argument, InputError, Words
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.steps import fault_in_text, shorten_around, unix_lines
from stepscore.recipes.layouts.vocabulary import expect_added, expect_published
from stepscore.recipes.recipe import Tokenizer

Messages = Sequence[tuple[str, str]]

_PASS_SYSTEM: Words = (
    "pass the ",
    Argument("system"),
    " that the model was trained with, or take chat_template out of the tokenizer where it is not "
    "that of the training",
)


@dataclass(frozen=True, kw_only=True)
class ChatTemplate:
    """How a chat is written: ``begin``, then of each turn ``start role header_end text end after``.

    Attributes:
        begin: stands before the first turn.
        start: the added token that begins a turn.
        header_end: stands between role and text.
        end: the added token that ends a turn.
        after: stands behind it.
        marks: the added tokens of the template, which no text may hold.
        trims: whether white space around the text of a turn goes, as far as users write it.
        answer_ids: published vocabulary -> the ids of ``start assistant header_end`` in it.
        systems: what the system turn says, by the name of the models whose template says it;
            ``none`` for no such turn.
        images: what marks an image in a text; images are not offered.
        special_tokens: whether the tokenizer adds its own, such as BOS.
        of_tokenizer: whether the tokenizer's own template wrote the chats of the training, so that
            it must agree with this one.
    """

    begin: str = ""
    start: str
    header_end: str
    end: str
    after: str = ""
    marks: tuple[str, ...]
    trims: bool = False
    answer_ids: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    systems: Mapping[str, str] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    special_tokens: bool = False
    of_tokenizer: bool = True

    def fault_in(self, text: str, what: str, further: tuple[str, ...] = ()) -> InputError | None:
        """Say why a text cannot stand in a turn, or give None.

        Args:
            text: a problem or a step.
            what: which of the two.
            further: more that it may not hold.
        """
        image = next((mark for mark in self.images if mark in text), None)
        if image is not None:
            return InputError(
                f"a {what} of text alone, because images are not offered",
                got=shorten_around(text, text.index(image)),
                advice=f"leave {image!r} and its image out",
            )
        marks = re.compile("|".join(map(re.escape, (*self.marks, *further))))
        return fault_in_text(text, what, marks, self.end)

    def header(self, role: str) -> str:
        """Write what stands before the text of a turn."""
        return self.start + role + self.header_end

    def turn(self, role: str, text: str) -> str:
        """Write a turn."""
        if self.trims and role != "system":
            text = text.strip()
        return self.header(role) + text + self.end + self.after

    def opening(self, system: str) -> str:
        """Write what stands before the first turn of a user: one of `systems`, or its text."""
        if system == "none":
            return self.begin
        return self.begin + self.turn("system", self.systems.get(system, system))

    def conversation(self, system: str, messages: Messages) -> str:
        """Write a whole conversation of roles and texts."""
        turns = [self.turn(role, unix_lines(text)) for role, text in messages]
        return self.opening(system) + "".join(turns)

    def check(self, recipe: str, tokenizer: Tokenizer, system: str, messages: Messages) -> None:
        """Refuse a tokenizer that would write another chat.

        Args:
            recipe: for the message.
            tokenizer: the checkpoint's own.
            system: as in `opening`.
            messages: roles and texts of a conversation that is compared.
        """
        for mark in self.marks:
            expect_added(recipe, tokenizer, mark)
        header = self.header("assistant")
        ids = tuple(encode_text(tokenizer, header))
        expect_published(recipe, tokenizer, repr(header), ids, self.answer_ids)
        if not self.of_tokenizer:
            return
        as_passed = [messages]
        if system != "none" and system not in self.systems:  # the authors may have passed it
            as_passed.append([("system", system), *messages])
        expect_rendering(recipe, tokenizer, as_passed, self.conversation(system, messages))


LLAMA_3_1 = ChatTemplate(
    begin="<|begin_of_text|>",
    start="<|start_header_id|>",
    header_end="<|end_header_id|>\n\n",
    end="<|eot_id|>",
    marks=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    trims=True,
    answer_ids={"Llama 3": (128006, 78191, 128007, 271)},
    # Where none is given, with the date that the template falls back to.
    systems={"dated": "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"},
)
"""The chat template of Llama 3.1."""

CHATML = ChatTemplate(
    start="<|im_start|>",
    header_end="\n",
    end="<|im_end|>",
    after="\n",
    marks=("<|im_start|>", "<|im_end|>"),
    answer_ids={"Qwen2.5": (151644, 77091, 198)},
    # Where none is given: of Qwen2.5-Instruct, and of Qwen2.5-Math-Instruct.
    systems={
        "qwen2.5": "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
        "qwen2.5-math": "Please reason step by step, and put your final answer within \\boxed{}.",
    },
)
"""The chat template of Qwen2.5."""

INTERNVL_2_5 = replace(
    CHATML,
    images=("<image>", "<img>", "</img>", "<IMG_CONTEXT>"),
    special_tokens=True,
    of_tokenizer=False,
)
"""``internvl2_5``, which InternVL's own code writes."""


def expect_rendering(
    recipe: str, tokenizer: Tokenizer, conversations: Sequence[Messages], text: str
) -> None:
    """Refuse a tokenizer whose own template writes a conversation otherwise than it is pinned.

    A tokenizer without a template is not compared, nor is any where jinja2 is not installed.

    Args:
        recipe: for the message.
        tokenizer: the checkpoint's own.
        conversations: roles and texts, in each way in which they may be passed.
        text: the conversation as the recipe writes it.
    """
    anything: Any = tokenizer
    if getattr(anything, "chat_template", None) is None:
        return
    asked = [[{"role": role, "content": text} for role, text in each] for each in conversations]
    try:
        # Templates that write a date take this one; the others do not look at it.
        rendered = [
            anything.apply_chat_template(turns, tokenize=False, date_string="26 Jul 2024")
            for turns in asked
        ]
    except ImportError:
        return
    except Exception as error:  # whatever a template raises that takes no such turns
        raise InputError(
            "a tokenizer whose chat template writes this conversation, or that has none",
            got=str(error),
            advice=_PASS_SYSTEM,
            where=recipe,
        ) from error
    if text not in rendered:
        written = rendered[0]
        same = next((i for i, (a, b) in enumerate(zip(written, text, strict=False)) if a != b), 0)
        raise InputError(
            f"the tokenizer's chat template to write {shorten_around(text, same)}, as the recipe "
            "does",
            got=shorten_around(written, same),
            advice=_PASS_SYSTEM,
            where=recipe,
        )
