"""A trace as blocks of text that a policy wrote, each read at its last token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

from stepscore.errors import InputError
from stepscore.recipes.layouts.packing import Parts, pack
from stepscore.recipes.layouts.steps import fault_in_empty_step, fault_in_text, unix_lines
from stepscore.recipes.layouts.vocabulary import expect_known, token_id
from stepscore.recipes.recipe import Encoded, Tokenizer
from stepscore.recipes.step_ends import StepEnds


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Prompt and steps are encoded alone, and each step is read at its last token.

    ids = enc(before + problem + between) + [enc(step) for every step]

    A step is a block of the tokens that a policy wrote, so that no token lies in two of them. What
    is written as one text is one block. Windows line ends are read as newlines.

    Attributes:
        before, between: see above.
        added: entries of the vocabulary that the prompt consists of; neither a problem nor a step
            may contain one.
    """

    tokenisation: ClassVar[Literal["separate"]] = "separate"
    separator: ClassVar[str] = ""

    before: str
    between: str
    added: tuple[str, ...] = ()

    def split(self, text: str) -> list[str]:
        """Give a solution given as one text as its one block."""
        return [unix_lines(text)] if text.strip() else []

    def fault_in_problem(self, problem: str) -> InputError | None:
        """Say why a problem cannot be laid out, or give None."""
        return fault_in_text(problem, "problem", self._reserved, self.separator)

    def fault_in_step(self, step: str) -> InputError | None:
        """Say why a step cannot be laid out, or give None."""
        return fault_in_empty_step(step) or fault_in_text(step, "step", self._reserved, "")

    def encode(
        self, tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
    ) -> Encoded:
        """Encode prompts and blocks in one call."""
        return pack(tokenizer, problems, steps, self._parts)

    def step_ends(self, tokenizer: Tokenizer | None) -> StepEnds:
        """Say that no token tells where a block ends."""
        return StepEnds((), self.separator, "nowhere")

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer that does not hold what the prompt consists of."""
        added = tokenizer.get_added_vocab()
        for token in self.added:
            known = token_id(tokenizer, token) if token in added else None
            what = f"{token!r} as one added token"
            expect_known(recipe, tokenizer, what, [] if known is None else [known])

    @cached_property
    def _reserved(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self.added)) or r"(?!)")

    def _parts(self, problem: str, steps: Sequence[str]) -> Parts:
        prompt = self.before + unix_lines(problem) + self.between
        return Parts([prompt, *map(unix_lines, steps)], range(1, len(steps) + 1))
