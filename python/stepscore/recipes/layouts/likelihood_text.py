"""A trace as plain text of which every token of the steps is scored by its likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.recipes.layouts.packing import Parts, pack
from stepscore.recipes.layouts.steps import fault_in_empty_step, split_at, unix_lines
from stepscore.recipes.recipe import Encoded, Tokenizer
from stepscore.recipes.step_ends import StepEnds


@dataclass(frozen=True, kw_only=True)
class LikelihoodText:
    r"""Problem and steps are encoded alone, and every token of a step counts for it.

    ids = bos + enc(problem) + [enc(joiner + step) for every step]

    Attributes:
        name: of the recipe, for messages.
        joiner: stands in front of each step, and counts with it.
    """

    tokenisation: ClassVar[Literal["separate"]] = "separate"

    name: str
    joiner: str

    @property
    def separator(self) -> str:
        """What stands in front of a step."""
        return self.joiner

    def split(self, text: str) -> list[str]:
        """Split a solution given as one text at newlines."""
        return split_at(text, "\n")

    def fault_in_problem(self, problem: str) -> InputError | None:
        """Accept any problem: it is encoded alone."""
        return None

    def fault_in_step(self, step: str) -> InputError | None:
        """Refuse a step without text."""
        return fault_in_empty_step(step)

    def encode(
        self, tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
    ) -> Encoded:
        """Encode the parts of all traces in one call."""
        bos: list[Sequence[int]] = []
        if tokenizer.bos_token_id is not None:
            bos = [[tokenizer.bos_token_id]]

        def parts(problem: str, trace: Sequence[str]) -> Parts:
            contents: list[str | Sequence[int]] = [*bos, unix_lines(problem)]
            first = len(contents)
            contents += [self.joiner + unix_lines(step) for step in trace]
            # The end of the problem is noted, too: behind it the first step begins.
            return Parts(contents, range(first - 1, len(contents)))

        encoded = pack(tokenizer, problems, steps, parts)
        ends = encoded.step_offsets[:-1]  # of the problems, among the positions
        first_tokens = encoded.positions[ends] + 1
        bare = np.flatnonzero(first_tokens == encoded.offsets[:-1])
        if len(bare):
            raise InputError(
                "a problem of at least one token, which the first step follows",
                got=repr(problems[bare[0]]),
                advice="write what the model is to go on from",
                argument=Argument("problems", index=(int(bare[0]),)),
            )
        return replace(
            encoded,
            positions=np.delete(encoded.positions, ends),
            step_offsets=encoded.step_offsets - np.arange(len(encoded.step_offsets)),
            first_tokens=first_tokens,
        )

    def step_ends(self, tokenizer: Tokenizer | None) -> StepEnds:
        """Refuse to find steps in token ids: no token ends one."""
        raise InputError(
            "a recipe that is read at one token of each step",
            got=f"{self.name}, which sums over all tokens",
            advice="score the texts with prm.score",
        )

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Accept any tokenizer."""
