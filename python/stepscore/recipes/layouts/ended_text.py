"""A trace whose steps end in the same ordinary tokens, of which the first or the last is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.ops import find_steps
from stepscore.ragged import offsets_of
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.packing import Parts, pack
from stepscore.recipes.layouts.steps import (
    fault_in_empty_step,
    fault_in_text,
    shorten,
    split_at,
    unix_lines,
)
from stepscore.recipes.layouts.vocabulary import expect_known, expect_published, published_id
from stepscore.recipes.recipe import Encoded, Tokenizer
from stepscore.recipes.step_ends import StepEnds

Tokens = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class EndedText:
    """The steps of a trace are one text, in which each ends in the same tokens.

    text = before + problem + between + joiner.join(step + end, ...)

    Windows line ends are read as newlines, and steps are stripped.

    Attributes:
        end: ends a step in the model's input.
        before, between, joiner: see above.
        alone: whether the problem, with what stands around it, is encoded alone and joined with the
            steps as ids; else the trace is encoded as one text. Either begins with the special
            tokens that the tokenizer puts in front of a text.
        marks: how many ids of ``enc(end)``, encoded alone, belong to the beginning of a text and
            not to `end`: 1 of a vocabulary that writes a space there.
        read: which token of the end is read.
        within: what happens to an end within a step. ``refused``: neither a problem nor a step may
            hold one. ``removed``: steps are written without it, and a problem may hold it.
        split_at: where a solution given as one text without ends is split.
        end_ids: published vocabulary -> the ids of the end in it.
    """

    end: str
    before: str = ""
    between: str = ""
    joiner: str = ""
    alone: bool = False
    marks: int = 0
    read: Literal["first", "last"] = "last"
    within: Literal["refused", "removed"] = "refused"
    split_at: str = "\n"
    end_ids: Mapping[str, Tokens] = field(default_factory=dict)

    @property
    def tokenisation(self) -> Literal["joint", "separate"]:
        """How a trace is encoded."""
        return "separate" if self.alone else "joint"

    @property
    def separator(self) -> str:
        """The text that ends a step in the model's input."""
        return self.end

    def split(self, text: str) -> list[str]:
        """Split a solution given as one text: at its ends, else at `split_at`."""
        text = unix_lines(text)
        at = self.end if self.end in text else self.split_at
        return [step.strip() for step in split_at(text, at)]

    def fault_in_problem(self, problem: str) -> InputError | None:
        """Say why a problem cannot be laid out, or give None."""
        return self._fault_in_text(problem, "problem")

    def fault_in_step(self, step: str) -> InputError | None:
        """Say why a step cannot be laid out, or give None."""
        return fault_in_empty_step(step) or self._fault_in_text(step, "step")

    def encode(
        self, tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
    ) -> Encoded:
        """Encode whole traces, and find in each as many ends as were written, or raise."""
        front = encode_text(tokenizer, "", special_tokens=True) if self.alone else []
        parts = partial(self._parts, front)
        encoded = pack(tokenizer, problems, steps, parts, special_tokens=not self.alone)
        ids = self._ids(tokenizer)
        ends, first_end = find_steps(encoded.token_ids, encoded.offsets, ids)
        counts = np.fromiter(map(len, steps), np.int64, len(steps))
        in_front = [self._start(problem).count(self.end) for problem in problems]
        wrong = np.flatnonzero(np.diff(first_end) != counts + np.array(in_front, np.int64))
        if len(wrong):
            trace = int(wrong[0])
            raise self._miscounted(tokenizer, trace, problems[trace], steps[trace])
        step_offsets = offsets_of(counts)
        # Those of the steps are the last ones of a trace.
        behind = np.repeat(first_end[1:] - step_offsets[1:], counts)
        positions = ends[np.arange(step_offsets[-1]) + behind] - self._back(ids)
        return Encoded(encoded.token_ids, encoded.offsets, positions, step_offsets)

    def step_ends(self, tokenizer: Tokenizer | None) -> StepEnds:
        """Say what ends a step in token ids."""
        if tokenizer is not None:
            ids, decode = self._ids(tokenizer), tokenizer.decode
        else:
            of_place = [
                {vocabulary: published[place] for vocabulary, published in self.end_ids.items()}
                for place in range(max(map(len, self.end_ids.values()), default=1))
            ]
            ids, decode = tuple(published_id(self.end, known) for known in of_place), None
        rule: Literal["tag", "line"] = "tag" if self.within == "refused" else "line"
        return StepEnds(ids, self.end, rule, decode=decode, back=self._back(ids))

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer in which the end could not be told from the text around it."""
        ids = self._ids(tokenizer)
        expect_published(recipe, tokenizer, f"the ids of {self.end!r}", ids, self.end_ids)
        expect_known(recipe, tokenizer, repr(self.end), ids)
        two_steps = self.joiner.join(f"{k}{self.end}" for k in (1, 2))
        context = encode_text(tokenizer, two_steps)
        found, _ = find_steps(context, [0, len(context)], ids)
        if len(found) != 2:
            raise InputError(
                f"{self.end!r} to be the same tokens alone and after a step (ids {list(ids)})",
                got=f"{len(found)} of it in {two_steps!r}, which holds two steps: {context}",
                advice="use the tokenizer that the model was trained with",
                where=recipe,
            )

    @cached_property
    def _reserved(self) -> re.Pattern[str]:
        return re.compile(re.escape(self.end))

    def _fault_in_text(self, text: str, what: str) -> InputError | None:
        if self.within == "removed":
            return None
        return fault_in_text(unix_lines(text), what, self._reserved, self.end)

    def _ids(self, tokenizer: Tokenizer) -> Tokens:
        return tuple(encode_text(tokenizer, self.end)[self.marks :])

    def _back(self, ids: Tokens) -> int:
        """How many tokens before the last one of an end it is read."""
        return len(ids) - 1 if self.read == "first" else 0

    def _start(self, problem: str) -> str:
        return self.before + unix_lines(problem) + self.between

    def _parts(self, front: list[int], problem: str, steps: Sequence[str]) -> Parts:
        text = self.joiner.join(self._written(step) + self.end for step in steps)
        start = self._start(problem)
        # Where the ends are is seen in the tokens.
        return Parts([front, start, text] if self.alone else [start + text], step_ends=())

    def _written(self, step: str) -> str:
        return unix_lines(step).replace(self.end, "").strip()

    def _miscounted(
        self, tokenizer: Tokenizer, trace: int, problem: str, steps: Sequence[str]
    ) -> InputError:
        """Say which step makes other tokens of its end, or brings some with it."""
        for k, step in enumerate(steps):
            ids = encode_text(tokenizer, self._written(step) + self.end)
            found, _ = find_steps(ids, [0, len(ids)], self._ids(tokenizer))
            if len(found) != 1:
                return InputError(
                    f"a step behind which {self.end!r} is {list(self._ids(tokenizer))}, the tokens "
                    "that end a step in the model's input",
                    got=f"{shorten(step)}, with {len(found)} of them",
                    advice="end the step in another way",
                    argument=Argument("steps", index=(trace, k)),
                )
        return InputError(
            f"{len(steps)} ends of steps, {self.end!r}, behind the problem",
            got="other tokens",
            advice="check that the tokenizer is the checkpoint's own",
            argument=Argument("problems", index=(trace,)),
        )
