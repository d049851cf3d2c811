"""Checked traces -> packed tokens, with the positions at which steps are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError, Words
from stepscore.ragged import offsets_of
from stepscore.recipes import Encoded, Recipe, Tokenizer
from stepscore.scoring.arguments import TraceArguments, Traces
from stepscore.scoring.forward.packed_traces import PackedTraces, concatenated_ranges
from stepscore.scoring.score_options import OnBad
from stepscore.scoring.truncation import Truncation

_PASS_TRUNCATION = (
    "leave it out, or pass ",
    Argument("truncation", "steps"),
    " to score the steps that fit",
)


@dataclass(frozen=True)
class Rendered:
    """What is forwarded of the traces, and where it is read.

    Attributes:
        traces: the sequences of all traces, as `Encoded` has them, each cut after the last token
            that is read, with the steps that are read.
        sequence_offsets: the sequences of each trace, int64 ``[traces + 1]``.
        truncated: the steps of each trace that are not read, int64 ``[traces]``.
        skipped: trace -> why nothing of it is read; it has no sequences.
        positions_per_step: at how many tokens a step is read.
    """

    traces: PackedTraces
    sequence_offsets: NDArray[np.int64]
    truncated: NDArray[np.int64]
    skipped: dict[int, InputError] = field(default_factory=dict)
    positions_per_step: int = 1

    def read(self) -> NDArray[np.int64]:
        """The steps of each trace that are read, int64 ``[traces]``."""
        positions = np.diff(self.traces.step_offsets[self.sequence_offsets])
        return positions // self.positions_per_step

    def split(self, traces: Sequence[int]) -> Iterator[Rendered]:
        """Give so many traces each, none of them skipped, one after the other."""
        for begin, end in pairwise(offsets_of(traces).tolist()):
            sequences = self.sequence_offsets[begin : end + 1]
            yield Rendered(
                self.traces.between(sequences[0], sequences[-1]),
                sequences - sequences[0],
                self.truncated[begin:end],
                {},
                self.positions_per_step,
            )


@dataclass(frozen=True)
class Renderer:
    """What turns the traces of one model into tokens.

    Attributes:
        recipe: lays the traces out.
        tokenizer: the checkpoint's own.
        max_length: the most tokens of a trace; None for a model without a limit.
    """

    recipe: Recipe
    tokenizer: Tokenizer
    max_length: int | None

    def render(
        self,
        arguments: TraceArguments,
        traces: Traces,
        truncation: Truncation | None,
        on_bad: OnBad = "error",
    ) -> Rendered:
        """Encode traces and cut each after the last step that is read.

        What follows the last step's position, such as the end of a chat turn, is not forwarded:
        attention is causal, so that nothing which is read could see it.

        Args:
            arguments: whom the messages speak to.
            traces: checked problems and steps.
            truncation: ``error`` refuses a trace whose last step ends past the limit; ``steps``
                leaves out the steps that end past it; None refuses, too, for a call that has no
                such argument.
            on_bad: whether a trace that is refused is an error, or is skipped.

        Raises:
            ValueError: a trace past the limit, a text that the tokenizer cannot write.
        """
        encoded, good, skipped = self._encode(arguments, traces, on_bad)
        starts = encoded.offsets[:-1]
        counts = np.diff(encoded.step_offsets)
        sequences = encoded.sequences()
        first_step = encoded.step_offsets[sequences]  # of each trace
        positions = encoded.positions - np.repeat(starts, counts)
        per_step = self.recipe.positions_per_step
        fits = np.full(len(positions), True)
        if self.max_length is not None:
            fits = _to_the_first_that_does_not(positions < self.max_length, first_step, per_step)
            if truncation != "steps" and not fits.all():
                advice: Words = "leave it out" if truncation is None else _PASS_TRUNCATION
                # The last position of a trace is its length less one; every trace has one.
                lengths = np.maximum.reduceat(positions, first_step[:-1]) + 1
                long = np.flatnonzero(lengths > self.max_length)
                for trace in long.tolist():
                    more = len(long) if on_bad == "error" else 1
                    argument = arguments.solution(int(good[trace]))
                    fault = self._too_long(int(lengths[trace]), more, advice)
                    fault = fault.at(where=arguments.call, argument=argument)
                    if on_bad == "error":
                        raise fault
                    skipped[int(good[trace])] = fault
                fits = np.repeat(lengths <= self.max_length, np.diff(first_step))
        read = np.add.reduceat(fits, encoded.step_offsets[:-1], dtype=np.int64)
        positions = positions[fits]
        last = offsets_of(read)[1:]
        lengths = np.zeros(len(starts), dtype=np.int64)
        lengths[read > 0] = positions[last[read > 0] - 1] + 1
        token_ids = encoded.token_ids[concatenated_ranges(starts, lengths)]
        first = None if encoded.first_tokens is None else encoded.first_tokens - starts
        packed = PackedTraces(token_ids, offsets_of(lengths), positions, offsets_of(read), first)
        every_sequences, truncated = np.zeros((2, len(traces.steps)), dtype=np.int64)
        every_sequences[good] = np.diff(sequences)
        left_out = np.diff(first_step) - np.diff(packed.step_offsets[sequences])
        truncated[good] = left_out // per_step
        truncated[list(skipped)] = 0
        return Rendered(packed, offsets_of(every_sequences), truncated, skipped, per_step)

    def _encode(
        self, arguments: TraceArguments, traces: Traces, on_bad: OnBad
    ) -> tuple[Encoded, NDArray[np.int64], dict[int, InputError]]:
        """Encode the traces that can be; say which these are, and why the others cannot."""
        everything = np.arange(len(traces.steps), dtype=np.int64)
        try:
            encoded = self.recipe.encode(self.tokenizer, traces.problems, traces.steps)
            return encoded, everything, {}
        except InputError as error:
            if on_bad == "error":
                raise arguments.encoding_fault(error) from error.__cause__
        skipped: dict[int, InputError] = {}
        for trace in everything:
            here = everything[trace : trace + 1]
            alone = traces.take(here)
            try:
                self.recipe.encode(self.tokenizer, alone.problems, alone.steps)
            except InputError as error:
                fault = arguments.take(here).encoding_fault(error)
                if error.argument is None or error.argument.name != "steps":
                    raise fault from error.__cause__
                skipped[int(trace)] = fault
        good = np.setdiff1d(everything, list(skipped))
        rest = traces.take(good)
        return self.recipe.encode(self.tokenizer, rest.problems, rest.steps), good, skipped

    def _too_long(self, length: int, traces: int, advice: Words) -> InputError:
        more = f" ({traces} such traces)" if traces > 1 else ""
        return InputError(
            f"at most {self.max_length} tokens (the model's positions) together with its problem",
            got=f"{length} tokens{more}",
            advice=advice,
        )


def _to_the_first_that_does_not(
    fits: NDArray[np.bool_], first_step: NDArray[np.int64], per_step: int
) -> NDArray[np.bool_]:
    """Whether the positions of a step fit, and those of all steps before it in its trace."""
    beyond = np.add.accumulate(~fits.reshape(-1, per_step).all(1), dtype=np.int64)
    before = np.concatenate([[0], beyond])[first_step // per_step]
    within = beyond - np.repeat(before[:-1], np.diff(first_step) // per_step) == 0
    repeated: NDArray[np.bool_] = np.repeat(within, per_step)
    return repeated
