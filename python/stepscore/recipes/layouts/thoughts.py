"""A trace as the thoughts of a policy, read before the full stops that end their paragraphs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError
from stepscore.ragged import segment_of
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.packing import Parts, pack
from stepscore.recipes.layouts.steps import (
    fault_in_empty_step,
    fault_in_text,
    shorten,
    unix_lines,
)
from stepscore.recipes.layouts.vocabulary import expect_known, token_id
from stepscore.recipes.recipe import Encoded, Tokenizer
from stepscore.recipes.step_ends import StepEnds


@dataclass(frozen=True, kw_only=True)
class Thoughts:
    r"""A policy's own text, read at the token before each end of a paragraph of its thoughts.

    text = before + problem + between + thoughts

    An end is any token of ``enc(end)``, of tokens that touch each other the first; not the one
    directly behind `opens`. Positions are those between `opens` and `closes`. What the vocabulary
    merges with an end, as of ``).`` and two newlines, is no end: the paragraph goes on. A step is
    what stands between two ends, which only the tokenizer tells.

    Attributes:
        before, between: see above; `between` holds `opens`.
        opens, closes: the entries of the vocabulary around the thoughts.
        end: ends a paragraph.
    """

    tokenisation: ClassVar[Literal["joint"]] = "joint"

    before: str
    between: str
    opens: str = "<think>"
    closes: str = "</think>"
    end: str = ".\n\n"

    @property
    def separator(self) -> str:
        """The text that ends a step in the model's input."""
        return self.end

    def split(self, text: str) -> list[str]:
        """Split thoughts given as one text behind every end that stands behind a letter or digit.

        What follows the thoughts, and what follows their last end, is read nowhere.
        """
        pieces = re.split(rf"(?<=\w{re.escape(self.end)})(?!\n)", self._thoughts(text))
        return [piece for piece in pieces if piece.endswith(self.end)]

    def split_with(self, tokenizer: Tokenizer, text: str) -> list[str]:
        """Split thoughts given as one text behind every end, as the tokenizer has them."""
        text = self._thoughts(text)
        if not text.strip():
            return []
        encoded = tokenizer(
            [text], add_special_tokens=False, return_offsets_mapping=True, truncation=False
        )
        ids = np.asarray(encoded["input_ids"][0], dtype=np.int64)
        is_end = self._is_end(tokenizer, ids)
        last_of_run = np.flatnonzero(is_end & ~np.append(is_end[1:], False))
        cuts = [int(encoded["offset_mapping"][0][at][1]) for at in last_of_run]
        pieces = [text[begin:stop] for begin, stop in zip([0, *cuts], cuts, strict=False)]
        return [piece for piece in pieces if piece.strip()]

    def fault_in_problem(self, problem: str) -> InputError | None:
        """Say why a problem cannot be laid out, or give None."""
        return fault_in_text(problem, "problem", self._reserved, "")

    def fault_in_step(self, step: str) -> InputError | None:
        """Say why a step cannot be laid out, or give None."""
        # What is an end in it only the tokenizer knows.
        return fault_in_empty_step(step) or fault_in_text(step, "step", self._reserved, "")

    def encode(
        self, tokenizer: Tokenizer, problems: Sequence[str], steps: Sequence[Sequence[str]]
    ) -> Encoded:
        """Encode whole traces, and find one end in each step, or raise."""
        encoded = pack(tokenizer, problems, steps, self._whole)
        by_step = pack(tokenizer, problems, steps, self._parts)
        same = np.array_equal(encoded.token_ids, by_step.token_ids)
        if not same or not np.array_equal(encoded.offsets, by_step.offsets):
            raise self._cut_within_token(encoded, by_step)
        positions = self._read(tokenizer, encoded.token_ids.astype(np.int64), encoded.offsets)
        ends, step_offsets = by_step.positions, by_step.step_offsets
        # The step in which each position lies: the first one that ends behind it.
        owner = np.searchsorted(ends, positions, side="left")
        counts = np.bincount(owner, minlength=len(ends) + 1)[: len(ends)]
        wrong = np.flatnonzero(counts != 1)
        if len(wrong):
            trace = int(segment_of(step_offsets)[wrong[0]])
            k = int(wrong[0] - step_offsets[trace])
            raise self._no_single_end(tokenizer, trace, k, steps[trace][k], int(counts[wrong[0]]))
        return Encoded(encoded.token_ids, encoded.offsets, positions, step_offsets)

    def step_ends(self, tokenizer: Tokenizer | None) -> StepEnds:
        """Say that the ids that end a step are not told from others by them alone."""
        return StepEnds((), self.separator, "nowhere")

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer that cannot write the end, or that has no marks of thoughts."""
        expect_known(recipe, tokenizer, repr(self.end), encode_text(tokenizer, self.end))
        added = tokenizer.get_added_vocab()
        for mark in (self.opens, self.closes):
            known = token_id(tokenizer, mark) if mark in added else None
            what = f"{mark!r} as one added token"
            expect_known(recipe, tokenizer, what, [] if known is None else [known])

    @cached_property
    def _reserved(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, (self.opens, self.closes))))

    def _thoughts(self, text: str) -> str:
        """Give what stands between the marks of a solution, or before the second one."""
        inside = unix_lines(text).partition(self.closes)[0]
        return inside.rpartition(self.opens)[2].lstrip("\n")

    def _is_end(self, tokenizer: Tokenizer, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.isin(ids, encode_text(tokenizer, self.end))

    def _read(
        self, tokenizer: Tokenizer, ids: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The tokens before the ends, within the thoughts."""
        found = []
        for begin, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            trace = ids[begin:stop]
            is_end = self._is_end(tokenizer, trace)
            before_end, before = np.zeros_like(is_end), np.full_like(trace, -1)
            before_end[1:], before[1:] = is_end[:-1], trace[:-1]
            opens, closes = (
                np.flatnonzero(trace == token_id(tokenizer, mark))
                for mark in (self.opens, self.closes)
            )
            ends = np.flatnonzero(
                is_end & ~before_end & (before != token_id(tokenizer, self.opens))
            )
            low = int(opens[0]) if len(opens) == 1 else 0
            high = int(closes[0]) if len(closes) == 1 else len(trace)
            read = ends - 1
            found.append(begin + read[(read > low) & (read < high)])
        return np.concatenate([np.zeros(0, np.int64), *found])

    def _whole(self, problem: str, steps: Sequence[str]) -> Parts:
        return Parts(["".join(self._texts(problem, steps))], step_ends=())

    def _parts(self, problem: str, steps: Sequence[str]) -> Parts:
        return Parts(self._texts(problem, steps), range(1, len(steps) + 1))

    def _texts(self, problem: str, steps: Sequence[str]) -> list[str]:
        written = [unix_lines(step).rstrip("\n") + "\n\n" for step in steps]
        return [self.before + unix_lines(problem) + self.between, *written]

    def _cut_within_token(self, whole: Encoded, by_step: Encoded) -> InputError:
        traces = range(len(whole.offsets) - 1)
        trace = next(i for i in traces if whole.trace(i)[0] != by_step.trace(i)[0])
        return InputError(
            "steps that end where tokens do",
            got="a blank line that the tokenizer makes one token with the beginning of the step "
            "behind it",
            advice="begin steps with text, not with a newline",
            argument=Argument("steps", index=(trace,)),
        )

    def _no_single_end(
        self, tokenizer: Tokenizer, trace: int, k: int, step: str, count: int
    ) -> InputError:
        ids: Any = encode_text(tokenizer, self.end)
        return InputError(
            f"a step that ends in {self.end!r} (one of the ids {ids}), where the model is read, "
            "and holds no other one",
            got=f"{shorten(step)}, which holds {count} of them",
            advice="pass the thoughts as one text, or join the step with the one behind it"
            if not count
            else "split it there",
            argument=Argument("steps", index=(trace, k)),
        )
