"""A trace as parts that are encoded alone and joined as ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from stepscore.errors import InputError
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.packing import Parts, pack
from stepscore.recipes.layouts.steps import (
    fault_in_empty_step,
    fault_in_step_with_blanks,
    split_at,
    split_with_blanks,
    unix_lines,
    without_blanks_behind,
)
from stepscore.recipes.layouts.vocabulary import expect_known, expect_published, published_id
from stepscore.recipes.recipe import Encoded, Tokenizer
from stepscore.recipes.step_ends import StepEnds


@dataclass(frozen=True, kw_only=True)
class SeparateParts:
    r"""Problem, steps and separators are encoded alone, and read at each separator's last token.

    ids = bos + enc(problem + problem_end) + [enc(step) + enc(separator) for every step]

    Encoded together, a full stop and the newline behind it may become one token. Windows line ends
    are read as newlines, in problems and in steps.

    Attributes:
        separator: ends a step.
        bos: what the sequence begins with: the ``id`` of the tokenizer's BOS, where it has one, or
            its ``text``, which is encoded with the problem.
        problem_end: stands behind the problem.
        separator_ids: whether ``all`` ids of the separator are written, or the ``last`` one alone.
        blanks: what happens to blank text between the separators of a solution that is one text.
            ``dropped``: it is no step; a step that is given as such may hold the separator, because
            where it is read does not depend on it. ``written``: it is no step either, but is
            written with its separator, in front of the step that follows; a step may then begin
            with it, and may hold the separator nowhere else but behind it, where it goes.
        published: published vocabulary -> the last id of the separator in it.

    Raises:
        ValueError: a separator that is no text or an empty one.
    """

    tokenisation: ClassVar[Literal["separate"]] = "separate"

    separator: str
    bos: Literal["id", "text"]
    problem_end: str = ""
    separator_ids: Literal["all", "last"] = "all"
    blanks: Literal["dropped", "written"] = "dropped"
    published: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.separator, str) or not self.separator:
            raise InputError(
                "a text of at least one character",
                got=repr(self.separator),
                advice="pass the separator of the training run",
                argument="separator",
            )

    def split(self, text: str) -> list[str]:
        """Split a solution given as one text into its steps."""
        split = split_at if self.blanks == "dropped" else split_with_blanks
        return split(text, self.separator)

    def fault_in_problem(self, problem: str) -> InputError | None:
        """Accept any problem: it is encoded alone."""
        return None

    def fault_in_step(self, step: str) -> InputError | None:
        """Say why a step cannot be laid out, or give None."""
        if self.blanks == "dropped":
            return fault_in_empty_step(step)
        return fault_in_step_with_blanks(unix_lines(step), self.separator)

    def encode(
        self, tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
    ) -> Encoded:
        """Encode the parts of all traces in one call."""
        bos_id, bos_text = tokenizer.bos_token_id, ""
        if self.bos == "text":
            bos_id, bos_text = None, str(tokenizer.bos_token)
        separator_ids = encode_text(tokenizer, self.separator)
        if self.separator_ids == "last":
            separator_ids = separator_ids[-1:]

        def parts(problem: str, trace: Sequence[str]) -> Parts:
            contents: list[str | Sequence[int]] = [] if bos_id is None else [[bos_id]]
            contents.append(bos_text + unix_lines(problem) + self.problem_end)
            if self.blanks == "dropped":
                first = len(contents) + 1
                for step in trace:
                    contents += (unix_lines(step), separator_ids)
                return Parts(contents, range(first, len(contents), 2))
            step_ends = []
            for step in trace:
                lines = without_blanks_behind(unix_lines(step), self.separator)
                for text in lines.split(self.separator):
                    # An empty text has no tokens of its own, whatever a tokenizer makes of it.
                    contents += (text, separator_ids) if text else (separator_ids,)
                step_ends.append(len(contents) - 1)
            return Parts(contents, step_ends)

        return pack(tokenizer, problems, steps, parts)

    def step_ends(self, tokenizer: Tokenizer | None) -> StepEnds:
        """Say what ends a step in token ids."""
        rule: Literal["line", "text"] = "line" if self.blanks == "written" else "text"
        if tokenizer is None:
            return StepEnds((published_id(self.separator, self.published),), self.separator, rule)
        ids = tuple(encode_text(tokenizer, self.separator))
        if self.separator_ids == "last":
            ids = ids[-1:]
        return StepEnds(ids, self.separator, rule, decode=tokenizer.decode)

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer that cannot write the separator, or the text of BOS."""
        if self.bos == "text" and not isinstance(tokenizer.bos_token, str):
            raise InputError(
                "a text as the tokenizer's bos_token, because it stands before the problem",
                got=repr(tokenizer.bos_token),
                advice="use the tokenizer published with the model, or set bos_token in "
                "tokenizer_config.json to the one it was trained with",
                where=recipe,
            )
        ids = encode_text(tokenizer, self.separator)
        expect_known(recipe, tokenizer, f"the separator {self.separator!r}", ids)
        last = f"the last id of {self.separator!r}"
        expect_published(recipe, tokenizer, last, ids[-1], self.published)
