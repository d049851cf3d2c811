"""A trace as one text with a tag behind every step, which is taken out of the tokens again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.ragged import offsets_of, segment_of
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.packing import Parts, no_tokens, pack
from stepscore.recipes.layouts.steps import fault_in_empty_step, split_at, unix_lines
from stepscore.recipes.recipe import Encoded, Tokenizer
from stepscore.recipes.step_ends import StepEnds


@dataclass(frozen=True, kw_only=True)
class RemovedTags:
    r"""The tokenizer's padding token marks the ends of the steps, and is no part of the input.

    text = before + problem + between + tag + (step + tag for every step)

    The text is encoded at once, with the tokenizer's own BOS, so that the tag keeps the tokens of
    two steps apart. Then every tag goes. Windows line ends are read as newlines.

    Attributes:
        before, between: see above.
        read: where a step is read in what is left. ``last``: at its last token; the BOS must be
            another token than the tag. ``before_last``: at the token before that; the BOS is the
            tag, goes with the tags and is put back, after the places were counted.
    """

    tokenisation: ClassVar[Literal["joint"]] = "joint"
    separator: ClassVar[str] = ""

    before: str
    between: str
    read: Literal["last", "before_last"]

    def split(self, text: str) -> list[str]:
        """Split a solution given as one text into its steps."""
        return split_at(text, "\n")

    def fault_in_problem(self, problem: str) -> InputError | None:
        """Accept any problem: the special tokens of a tokenizer are refused for all recipes."""
        return None

    def fault_in_step(self, step: str) -> InputError | None:
        """Say why a step cannot be laid out, or give None."""
        return fault_in_empty_step(step)

    def encode(
        self, tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
    ) -> Encoded:
        """Encode whole traces, note where the tags stand, and take them out."""
        tag = _padding(tokenizer)

        def parts(problem: str, trace: Sequence[str]) -> Parts:
            text = self.before + unix_lines(problem) + self.between + tag
            return Parts([text + "".join(unix_lines(step) + tag for step in trace)], ())

        encoded = pack(tokenizer, problems, steps, parts, special_tokens=True)
        is_tag = encoded.token_ids == _tag_id(tokenizer, tag)
        # The tag in front of the first step, and the BOS where that is one.
        others = 1 + (self.read == "before_last")
        counts = np.fromiter(map(len, steps), np.int64, len(steps))
        trace_of = segment_of(encoded.offsets)
        found = np.bincount(trace_of[is_tag], minlength=len(steps))
        wrong = np.flatnonzero(found != counts + others)
        if len(wrong):
            trace = int(wrong[0])
            raise InputError(
                f"{counts[trace] + others} tokens {tag!r}, {counts[trace]} of them behind steps",
                got=str(found[trace]),
                advice=f"check that neither the problem nor a step holds {tag!r}",
                argument=Argument("steps", index=(trace,)),
            )
        # The BOS stays, as a token, where it is one of the tags.
        kept = ~is_tag
        if self.read == "before_last":
            kept[encoded.offsets[:-1]] = True
        before = np.concatenate([[0], np.cumsum(kept)])  # tokens that stay, up to each token
        ends = np.flatnonzero(is_tag)
        nth = np.arange(len(ends)) - offsets_of(found)[trace_of[ends]]
        ends = ends[nth >= others]
        bare = ends[is_tag[ends - 1]]
        if len(bare):
            trace = int(trace_of[bare[0]])
            raise no_tokens(tokenizer, trace, problems[trace], steps[trace])
        return Encoded(
            token_ids=encoded.token_ids[kept],
            offsets=before[encoded.offsets],
            positions=before[ends] - (2 if self.read == "before_last" else 1),
            step_offsets=offsets_of(counts),
        )

    def step_ends(self, tokenizer: Tokenizer | None) -> StepEnds:
        """Say that no token of the input ends a step."""
        return StepEnds((), "", "nowhere")

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer without a padding token, or with another BOS than `read` needs."""
        tag_id = _tag_id(tokenizer, _padding(tokenizer, recipe))
        ids = encode_text(tokenizer, "1", special_tokens=True)
        starts_with_bos = tokenizer.bos_token_id is not None and (
            ids[:1] == [tokenizer.bos_token_id]
        )
        same = tag_id == tokenizer.bos_token_id
        if not starts_with_bos or same != (self.read == "before_last"):
            also = "is" if self.read == "before_last" else "is not"
            raise InputError(
                "a tokenizer that puts its BOS token first in every encoding, which "
                f"{also} its padding token, too",
                got=f"the BOS {tokenizer.bos_token!r} (id {tokenizer.bos_token_id}), the padding "
                f"token of id {tag_id}, and the ids {ids} for '1'",
                advice="use the tokenizer published with the model, or the recipe of its size",
                where=recipe,
            )


def _padding(tokenizer: Tokenizer, recipe: str = "encode") -> str:
    tag = getattr(tokenizer, "pad_token", None)
    if not isinstance(tag, str):
        raise InputError(
            "a padding token, which marks the ends of the steps",
            got=repr(tag),
            advice="use the tokenizer published with the model, or set pad_token in "
            "tokenizer_config.json to the one it was trained with",
            where=recipe,
        )
    return tag


def _tag_id(tokenizer: Tokenizer, tag: str) -> int:
    return encode_text(tokenizer, tag)[-1]
