"""A trace as one text that is read at its end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import ClassVar, Literal

from stepscore.errors import Argument, InputError
from stepscore.ragged import offsets_of, segment_of
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.packing import Parts, pack
from stepscore.recipes.layouts.steps import (
    fault_in_empty_step,
    fault_in_text,
    split_at,
    unix_lines,
    without_blank_lines,
)
from stepscore.recipes.layouts.vocabulary import (
    expect_added,
    expect_known,
    expect_published,
    token_id,
)
from stepscore.recipes.recipe import Encoded, Tokenizer, Unit
from stepscore.recipes.step_ends import StepEnds
from stepscore.recipes.whole_solution import WholeSolution


@dataclass(frozen=True, kw_only=True)
class TextEnd:
    """A trace is one text, encoded at once and read at its last token, behind `after`.

    text = before + problem + between + joiner.join(steps) + after

    Windows line ends are read as newlines, in problems and in steps.

    Attributes:
        before, between, joiner, after: see above.
        unit: what is read: the ``solution``, whose steps are joined to one text; or every ``step``,
            as if the trace ended with it. Then each step has a text of its own, of which the next
            one keeps neither `after` nor, at the seam, all tokens.
        end_entry: an entry of the vocabulary that is put behind the text, and is then the last
            token; none where it is empty.
        split_at: where a solution given as one text is split, if steps are read.
        split_before: what begins a step instead, and stays there; such steps are not stripped.
        added: entries that must be added tokens of the tokenizer, such as the marks of a chat;
            neither a problem nor a step may contain one.
        special_tokens: whether the tokenizer adds its own, such as BOS.
        last_ids: published vocabulary -> the id of the last token in it.
    """

    tokenisation: ClassVar[Literal["joint"]] = "joint"

    before: str = ""
    between: str
    joiner: str
    after: str = ""
    unit: Unit = "solution"
    end_entry: str = ""
    split_at: str = "\n\n"
    split_before: str = ""
    added: tuple[str, ...] = ()
    special_tokens: bool = False
    last_ids: Mapping[str, int] = field(default_factory=dict)

    @property
    def separator(self) -> str:
        """What stands behind the text that is read, without white space."""
        return self.after.strip()

    @property
    def whole(self) -> WholeSolution | None:
        """How steps are joined, where the solution is read."""
        if self.unit == "step":
            return None
        return WholeSolution(self.join, replace(self, unit="step").encode)

    def join(self, steps: Sequence[str]) -> str:
        """Write the steps of a solution as one text."""
        return self.joiner.join(map(unix_lines, steps))

    def split(self, text: str) -> list[str]:
        """Split a solution given as one text into what is read: its steps, or all of it."""
        if self.unit == "step" and self.split_before:
            pieces = re.split(f"(?={re.escape(self.split_before)})", unix_lines(text))
            return [piece for piece in pieces if piece.strip()]
        if self.unit == "step":
            return split_at(text, self.split_at)
        text = without_blank_lines(unix_lines(text))
        return [text] if text else []

    def fault_in_problem(self, problem: str) -> InputError | None:
        """Say why a problem cannot be laid out, or give None."""
        return self._fault_in_text(problem, "problem")

    def fault_in_step(self, step: str) -> InputError | None:
        """Say why a step cannot be laid out, or give None."""
        return fault_in_empty_step(step) or self._fault_in_text(step, "step")

    def encode(
        self, tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
    ) -> Encoded:
        """Encode the text of every trace, or those of its steps."""
        end = token_id(tokenizer, self.end_entry) if self.end_entry else None
        parts = partial(self._parts, end)
        if self.unit == "solution":
            return pack(tokenizer, problems, steps, parts, special_tokens=self.special_tokens)
        traces = offsets_of([len(trace) for trace in steps])
        each = [problem for problem, trace in zip(problems, steps, strict=True) for _ in trace]
        prefixes = [trace[:k] for trace in steps for k in range(1, len(trace) + 1)]
        try:
            encoded = pack(tokenizer, each, prefixes, parts, special_tokens=self.special_tokens)
        except InputError as fault:
            argument = fault.argument
            if argument is None or not argument.index:
                raise
            text, *step = argument.index
            of_trace = Argument(argument.name, index=(int(segment_of(traces)[text]), *step))
            raise fault.at(argument=of_trace, where="") from fault.__cause__
        return replace(encoded, sequence_offsets=traces)

    def step_ends(self, tokenizer: Tokenizer | None) -> StepEnds:
        """Say that the last token is read, and that steps have no end in one sequence of ids."""
        return StepEnds((), self.separator, "end" if self.unit == "solution" else "nowhere")

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer in which the marks are no added tokens, or the end is another one."""
        for token in self.added:
            expect_added(recipe, tokenizer, token)
        if self.end_entry:
            end = token_id(tokenizer, self.end_entry)
            expect_known(recipe, tokenizer, repr(self.end_entry), [] if end is None else [end])
            expect_published(recipe, tokenizer, repr(self.end_entry), end, self.last_ids)
        elif self.after:
            ids = encode_text(tokenizer, self.after)
            expect_known(recipe, tokenizer, repr(self.after), ids)
            what = f"the last id of {self.after!r}"
            expect_published(recipe, tokenizer, what, ids[-1], self.last_ids)

    @cached_property
    def _reserved(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self.added)) or r"(?!)")

    def _fault_in_text(self, text: str, what: str) -> InputError | None:
        return fault_in_text(text, what, self._reserved, "")

    def _parts(self, end: int | None, problem: str, steps: Sequence[str]) -> Parts:
        text = self.before + unix_lines(problem) + self.between + self.join(steps) + self.after
        return Parts([text], (0,)) if end is None else Parts([text, [end]], (1,))
