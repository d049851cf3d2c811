"""Checked traces -> packed tokens, with the positions at which steps are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError, Words
from stepscore.ragged import offsets_of
from stepscore.recipes import Encoded, Recipe, Tokenizer
from stepscore.scoring.arguments import TraceArguments, Traces
from stepscore.scoring.forward.packed_traces import PackedTraces, concatenated_ranges
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
        traces: each cut after the last token that is read, with the steps that are read.
        truncated: the steps of each trace that are not read, int64 ``[traces]``.
    """

    traces: PackedTraces
    truncated: NDArray[np.int64]


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
        self, arguments: TraceArguments, traces: Traces, truncation: Truncation | None
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

        Raises:
            ValueError: a trace past the limit, a text that the tokenizer cannot write.
        """
        try:
            encoded = self.recipe.encode(self.tokenizer, traces.problems, traces.steps)
        except InputError as error:
            raise arguments.encoding_fault(error) from error.__cause__
        starts = encoded.offsets[:-1]
        counts = np.diff(encoded.step_offsets)
        positions = encoded.positions - np.repeat(starts, counts)
        fits = np.full(len(positions), True)
        if self.max_length is not None:
            fits = positions < self.max_length
            if truncation != "steps" and not fits.all():
                advice = "leave it out" if truncation is None else _PASS_TRUNCATION
                raise _too_long(arguments, encoded, positions, self.max_length, advice)
        read = np.add.reduceat(fits, encoded.step_offsets[:-1], dtype=np.int64)
        step_offsets = offsets_of(read)
        positions = positions[fits]
        lengths = np.zeros(len(starts), dtype=np.int64)
        some = read > 0
        lengths[some] = positions[step_offsets[1:][some] - 1] + 1
        token_ids = encoded.token_ids[concatenated_ranges(starts, lengths)]
        packed = PackedTraces(token_ids, offsets_of(lengths), positions, step_offsets)
        return Rendered(packed, counts - read)


def _too_long(
    arguments: TraceArguments,
    encoded: Encoded,
    positions: NDArray[np.int64],
    limit: int,
    advice: Words,
) -> InputError:
    # The last position of a trace is its length less one; every trace has a step.
    lengths = positions[encoded.step_offsets[1:] - 1] + 1
    long = np.flatnonzero(lengths > limit)
    more = f" ({len(long)} such traces)" if len(long) > 1 else ""
    return InputError(
        f"at most {limit} tokens (the model's positions) together with its problem",
        got=f"{lengths[long[0]]} tokens{more}",
        advice=advice,
        argument=arguments.solution(int(long[0])),
        where=arguments.call,
    )
