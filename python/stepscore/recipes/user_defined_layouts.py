"""The layouts that a description may name, and their fields: one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from stepscore.recipes.layouts.chat_templates import CHATML, LLAMA_3_1
from stepscore.recipes.layouts.label_turns import LabelTurns
from stepscore.recipes.layouts.separate_parts import SeparateParts
from stepscore.recipes.layouts.step_numbers import as_given, numbered
from stepscore.recipes.layouts.tagged_text import TaggedText
from stepscore.recipes.layouts.text_end import TextEnd
from stepscore.recipes.recipe import Layout, Unit
from stepscore.recipes.user_defined_fields import (
    Field,
    Place,
    choice,
    choice_of,
    flag,
    some_text,
    template,
    text,
    texts,
)


@dataclass(frozen=True)
class Describable:
    """A layout that a description may name.

    Attributes:
        fields: those of the layout, beside the ones that every description has.
        build: their place and their values -> the layout.
    """

    fields: Mapping[str, Field]
    build: Callable[[Place, Mapping[str, Any]], Layout]


# What a tokenizer's own template says is not asked: `check_model` compares the two, and warns.
CHATS = {
    name: replace(template, of_tokenizer=False)
    for name, template in (("chatml", CHATML), ("llama-3", LLAMA_3_1))
}


@dataclass(frozen=True)
class WrittenStep:
    """How a step is written: what stands before it, with its number.

    Attributes:
        before: the text before the step, perhaps with ``{number}``.
        keep: whether a step that brings a number of its own is written as it is.
    """

    before: str
    keep: bool

    def __call__(self, step: str, number: int) -> str:
        """Write a step; `number` is its place, from 1."""
        if self.keep and numbered(step, number) == step:
            return step
        return self.before.replace("{number}", str(number)) + step


def _writing(place: Place, values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the parts of a `TaggedText` that say how a step is written."""
    before, behind = values["step"].split("{step}")
    if "{number}" in behind:
        raise place.at("step").fault(
            "{number} in front of {step}", repr(values["step"]), "write 'Step {number}: {step}'"
        )
    has_number = "{number}" in before
    if not has_number and values["numbering"] is not None:
        raise place.at("numbering").fault(
            "a {number} in the field step beside it", repr(values["step"]), "leave numbering out"
        )
    keep = has_number and values["numbering"] != "always"
    return {
        "tag": values["tag"],
        "tag_start": behind,
        "joiner": values["joiner"],
        "number": WrittenStep(before, keep) if before else as_given,
        "split_at": values["split"],
    }


def _tagged_text(place: Place, values: Mapping[str, Any]) -> Layout:
    added = values["added_tokens"]
    if added and values["tag"] not in added:
        raise place.at("added_tokens").fault(
            f"the tag {values['tag']!r} among them",
            repr(list(added)),
            "add it, or leave added_tokens out where the tag is an ordinary token",
        )
    before, between = values["prompt"].split("{problem}")
    return TaggedText(
        before=before,
        between=between,
        after=values["after"],
        special_tokens=values["special_tokens"],
        added=added,
        **_writing(place, values),
    )


def _chat(place: Place, values: Mapping[str, Any]) -> Layout:
    chat = CHATS[values["format"]]
    before, behind = values["user"].split("{problem}")
    return TaggedText(
        before=chat.opening(values["system"]) + chat.header("user") + before,
        between=behind + chat.end + chat.after + chat.header("assistant"),
        after=chat.end + chat.after,
        added=(values["tag"], *chat.marks),
        turn=chat.start,
        **_writing(place, values),
    )


def _label_turns(place: Place, values: Mapping[str, Any]) -> Layout:
    before, between = values["user"].split("{problem}")
    return LabelTurns(
        CHATS[values["format"]],
        values["system"],
        values["label"],
        before=before,
        between=between,
        split_at=values["split"],
        strips=values["strips"],
    )


def _text_end(place: Place, values: Mapping[str, Any]) -> Layout:
    if values["unit"] == "solution" and values["split"] is not None:
        raise place.at("split").fault(
            "no such field where the unit is the solution, which is not split",
            repr(values["split"]),
            "leave it out, or write unit: step",
        )
    before, between = values["prompt"].split("{problem}")
    return TextEnd(
        before=before,
        between=between,
        joiner=values["joiner"],
        after=values["after"],
        unit=values["unit"],
        end_entry=values["end_token"],
        special_tokens=values["special_tokens"],
        added=values["added_tokens"],
        split_at=values["split"] or "\n\n",
    )


def _separate_parts(place: Place, values: Mapping[str, Any]) -> Layout:
    before, behind = values["prompt"].split("{problem}")
    if before:
        raise place.at("prompt").fault(
            "nothing in front of {problem}, which is encoded alone",
            repr(values["prompt"]),
            "use the layout tagged-text, if the model was trained on one text",
        )
    return SeparateParts(
        separator=values["separator"],
        bos=values["bos"],
        problem_end=behind,
        separator_ids=values["separator_ids"],
        blanks=values["blanks"],
    )


_STEPS = {
    "step": Field(template("step", "number"), "how a step is written", "{step}"),
    "numbering": Field(choice("missing", "always"), "which steps get their number", None),
    "joiner": Field(text, "what stands between a tag and the next step", ""),
}
LAYOUTS: dict[str, Describable] = {
    "tagged-text": Describable(
        {
            "prompt": Field(
                template("problem"), "what stands before the first step, with {problem} in it"
            ),
            "tag": Field(some_text, "the text that ends every step, and at which it is read"),
            "special_tokens": Field(
                flag, "true or false: whether the tokenizer adds its own, such as BOS, to the text"
            ),
            **_STEPS,
            "after": Field(text, "what stands behind the last tag", ""),
            "added_tokens": Field(texts, "the marks that are added tokens, the tag among them", ()),
            "split": Field(some_text, "where a solution given as one text is split", None),
        },
        _tagged_text,
    ),
    "chat": Describable(
        {
            "format": Field(choice(*CHATS), f"how turns are written, one of {', '.join(CHATS)}"),
            "tag": Field(some_text, "the added token that ends every step"),
            "system": Field(text, "what the system turn says", "none"),
            "user": Field(template("problem"), "what the user's turn says", "{problem}"),
            **_STEPS,
            "split": Field(some_text, "where a solution given as one text is split", "\n\n"),
        },
        _chat,
    ),
    "label-turns": Describable(
        {
            "format": Field(choice(*CHATS), f"how turns are written, one of {', '.join(CHATS)}"),
            "label": Field(some_text, "the answer that is written to every step"),
            "user": Field(
                template("problem"),
                "what stands before the first step in the user's first turn, with {problem} in it",
            ),
            "system": Field(text, "what the system turn says", "none"),
            "strips": Field(flag, "whether white space around a step goes", False),
            "split": Field(some_text, "where a solution given as one text is split", "\n\n"),
        },
        _label_turns,
    ),
    "text-end": Describable(
        {
            "prompt": Field(
                template("problem"), "what stands before the first step, with {problem} in it"
            ),
            "unit": Field(
                choice(*get_args(Unit)), "what has a score: the solution as one, or every step"
            ),
            "joiner": Field(text, "what stands between two steps"),
            "special_tokens": Field(
                flag, "true or false: whether the tokenizer adds its own, such as BOS, to the text"
            ),
            "after": Field(text, "what stands behind the last step", ""),
            "end_token": Field(text, "an entry of the vocabulary behind all that", ""),
            "added_tokens": Field(texts, "the marks that are added tokens", ()),
            "split": Field(some_text, "where a solution given as one text is split", None),
        },
        _text_end,
    ),
    "separate-parts": Describable(
        {
            "separator": Field(some_text, "the text that ends every step"),
            "bos": Field(
                choice_of(SeparateParts, "bos"),
                "what a trace begins with: the id of the tokenizer's BOS, or its text",
            ),
            "prompt": Field(
                template("problem"), "the problem, and what stands behind it", "{problem}"
            ),
            "separator_ids": Field(
                choice_of(SeparateParts, "separator_ids"), "which ids are written", "all"
            ),
            "blanks": Field(choice_of(SeparateParts, "blanks"), "what blank lines do", "dropped"),
        },
        _separate_parts,
    ),
}
