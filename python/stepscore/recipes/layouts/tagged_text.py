"""A trace as one text, with a tag behind every step."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.ops import find_steps
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.packing import Parts, pack
from stepscore.recipes.layouts.step_numbers import as_given
from stepscore.recipes.layouts.steps import (
    fault_in_empty_step,
    fault_in_text,
    shorten,
    split_at,
    split_at_tags_or_lines,
    unix_lines,
)
from stepscore.recipes.layouts.vocabulary import (
    expect_added,
    expect_known,
    expect_published,
    published_id,
    token_id,
)
from stepscore.recipes.recipe import Encoded, Tokenizer
from stepscore.recipes.step_ends import StepEnds


@dataclass(frozen=True, kw_only=True)
class TaggedText:
    """A trace is one text, encoded at once and read at the tag that ends each step.

    text = before + problem + between + joiner.join(step + tag_start + tag, ...) + after

    Windows line ends are read as newlines, in problems and in steps. Where the tag is an ordinary
    token, a word that contains it is none: ``руки`` holds no tag ``ки``. A step is then stripped,
    because a space before the tag would make another token of it.

    Attributes:
        tag: ends a step in the model's input; neither a problem nor a step may contain it. White
            space may be part of it, or all of it: `` ки`` and ``ки`` are two tokens of Llama 3.
        between: stands between the problem and the first step.
        before, joiner, tag_start, after: see above.
        number: step and its number, from 1 -> how the step is written.
        problem_stripped: whether the white space around a problem goes.
        split_at: where a solution given as one text is split; None splits it at its tags, else in
            front of every ``Step n:``, else at newlines, and strips the steps.
        special_tokens: whether the tokenizer adds its own, such as BOS.
        added: entries that must be added tokens of the tokenizer, such as the marks of a chat. A
            tag that is none of them must be one ordinary token, the same alone and behind a step.
        tag_ids: published vocabulary -> the tag's id in it.
        turn: the added token that begins each turn of a chat, of which the last holds the steps;
            None where the layout has none.
        turn_ids: published vocabulary -> its id.
    """

    tokenisation: ClassVar[Literal["joint"]] = "joint"

    tag: str
    between: str
    before: str = ""
    joiner: str = ""
    tag_start: str = ""
    after: str = ""
    number: Callable[[str, int], str] = as_given
    problem_stripped: bool = False
    split_at: str | None = None
    special_tokens: bool = False
    added: tuple[str, ...] = ()
    tag_ids: Mapping[str, int] = field(default_factory=dict)
    turn: str | None = None
    turn_ids: Mapping[str, int] = field(default_factory=dict)

    @property
    def separator(self) -> str:
        """The tag, without the space that is part of its token."""
        return self.tag.strip() or self.tag

    def split(self, text: str) -> list[str]:
        """Split a solution given as one text into its steps."""
        if self.split_at is None:
            return split_at_tags_or_lines(text, self.separator, self._tag_alone)
        return split_at(text, self.split_at)

    def fault_in_problem(self, problem: str) -> InputError | None:
        """Say why a problem cannot be laid out, or give None."""
        return self._fault_in_text(problem, "problem")

    def fault_in_step(self, step: str) -> InputError | None:
        """Say why a step cannot be laid out, or give None."""
        return fault_in_empty_step(step) or self._fault_in_text(step, "step")

    def encode(
        self, tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
    ) -> Encoded:
        """Encode whole traces, and find in each as many tags as it has steps, or raise."""
        encoded = pack(tokenizer, problems, steps, self._parts, special_tokens=self.special_tokens)
        tag_id = self._tag_id(tokenizer)
        positions, step_offsets = find_steps(encoded.token_ids, encoded.offsets, tag_id)
        counts = np.fromiter(map(len, steps), np.int64, len(steps))
        wrong = np.flatnonzero(np.diff(step_offsets) != counts)
        if len(wrong):
            trace = int(wrong[0])
            found = int(step_offsets[trace + 1] - step_offsets[trace])
            raise self._fault_in_tags(tokenizer, trace, problems[trace], steps[trace], found)
        return Encoded(encoded.token_ids, encoded.offsets, positions, step_offsets)

    def step_ends(self, tokenizer: Tokenizer | None) -> StepEnds:
        """Say what ends a step in token ids."""
        if tokenizer is None:
            tag = published_id(self.tag, self.tag_ids)
            turn = None if self.turn is None else published_id(self.turn, self.turn_ids)
        else:
            tag = self._tag_id(tokenizer)
            turn = None if self.turn is None else token_id(tokenizer, self.turn)
        return StepEnds((tag,), self.separator, "tag", turn)

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer in which the tag could not be told from the text around it."""
        for token in self.added:
            expect_added(recipe, tokenizer, token, self.tag_ids if token == self.tag else None)
        if not self._tag_is_added:
            self._check_in_context(recipe, tokenizer)
        self._check_around(recipe, tokenizer)

    @property
    def _tag_is_added(self) -> bool:
        return self.tag in self.added

    @cached_property
    def _tag_alone(self) -> re.Pattern[str]:
        """The tag, but for words that contain it."""
        tag = re.escape(self.separator)
        is_word = self.tag.strip() and not self._tag_is_added
        return re.compile(rf"(?<!\w){tag}(?!\w)" if is_word else tag)

    @cached_property
    def _reserved(self) -> re.Pattern[str]:
        """What neither a problem nor a step may contain."""
        marks = [re.escape(mark) for mark in self.added if mark != self.tag]
        return re.compile("|".join([self._tag_alone.pattern, *marks]))

    def _fault_in_text(self, text: str, what: str) -> InputError | None:
        if not self.added and self.separator not in text:
            return None
        return fault_in_text(text, what, self._reserved, self.separator)

    def _fault_in_tags(
        self, tokenizer: Tokenizer, trace: int, problem: str, steps: Sequence[str], found: int
    ) -> InputError:
        """Say which text of a trace brings tokens of the tag with it."""
        tag_id = self._tag_id(tokenizer)
        texts = [("problem", problem, Argument("problems", index=(trace,)))]
        texts += [
            ("step", step, Argument("steps", index=(trace, k))) for k, step in enumerate(steps)
        ]
        for what, text, argument in texts:
            if tag_id in encode_text(tokenizer, text, special_tokens=self.special_tokens):
                return InputError(
                    f"a {what} without the token {self.tag!r} (id {tag_id}), which ends a step in "
                    "the model's input",
                    got=shorten(text),
                    advice="write that word in another way",
                    argument=argument,
                )
        return InputError(
            f"{len(steps)} tokens {self.tag!r} (id {tag_id}), one for each step",
            got=str(found),
            advice=f"check that neither the problem nor a step holds {self.tag!r}, and that the "
            "tokenizer is the checkpoint's own",
            argument=Argument("steps", index=(trace,)),
        )

    def _parts(self, problem: str, steps: Sequence[str]) -> Parts:
        written = [self._written(step, k) for k, step in enumerate(steps, 1)]
        problem = unix_lines(problem)
        start = self.before + (problem.strip() if self.problem_stripped else problem) + self.between
        text = start + self.joiner.join(written) + self.after
        return Parts([text], step_ends=())  # where the tags are is seen in the tokens

    def _written(self, step: str, k: int) -> str:
        step = unix_lines(step)
        written = self.number(step if self._tag_is_added else step.strip(), k)
        return written + self.tag_start + self.tag

    def _tag_id(self, tokenizer: Tokenizer) -> int:
        return encode_text(tokenizer, self.tag, special_tokens=self.special_tokens)[-1]

    def _check_in_context(self, recipe: str, tokenizer: Tokenizer) -> None:
        tag_id = self._tag_id(tokenizer)
        expect_published(recipe, tokenizer, repr(self.tag), tag_id, self.tag_ids)
        expect_known(recipe, tokenizer, repr(self.tag), [tag_id])
        text = str(tokenizer.decode([tag_id])).replace("▁", " ")
        text = text.strip() or text
        two_steps = self.joiner.join(f"{k}{self.tag_start}{self.tag}" for k in (1, 2))
        context = encode_text(tokenizer, two_steps, special_tokens=self.special_tokens)
        # Any token that holds part of the tag could stand in a step; one that holds all of it
        # cannot.
        if text != self.separator or context.count(tag_id) != 2:
            alone = encode_text(tokenizer, self.tag)
            pieces = ", ".join(repr(str(tokenizer.decode([token]))) for token in alone)
            raise InputError(
                f"the tag {self.tag!r} to be one token, the same alone and behind a step",
                got=f"{len(alone)} tokens alone: {pieces}"
                if text != self.separator
                else f"{context.count(tag_id)} of it (id {tag_id}) in {two_steps!r}, which holds "
                f"two steps: {context}",
                advice="use the tokenizer that the model was trained with, or a tag that is one "
                "token of this one",
                where=recipe,
            )

    def _check_around(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse tags that the layout writes where no step ends: they would be read as steps.

        Counting the tags of a trace does not tell it: where one behind a step is merged with the
        step's text, there are as many as steps.
        """
        [text] = self._parts("1", ["1", "1"]).contents
        assert isinstance(text, str)
        tag_id = self._tag_id(tokenizer)
        found = encode_text(tokenizer, text, special_tokens=self.special_tokens).count(tag_id)
        if found != 2:
            raise InputError(
                f"the token {self.tag!r} (id {tag_id}) behind every step and nowhere else in what "
                "is written around problem and steps",
                got=f"{found} of it in {shorten(text)}, a trace of two steps",
                advice="take it out of the text around them, or end steps in another tag",
                where=recipe,
            )
