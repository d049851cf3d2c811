"""Calls of several callers in one forward pass: prepared alone, read together, answered alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stepscore.ops import PrefixTrie
from stepscore.ragged import offsets_of
from stepscore.scoring.arguments import Solution, TraceArguments
from stepscore.scoring.forward.packed_traces import PackedTraces
from stepscore.scoring.render import Rendered
from stepscore.scoring.score_options import ScoreOptions
from stepscore.scoring.score_traces import ReadTraces
from stepscore.scoring.scores import StepScores

if TYPE_CHECKING:
    from stepscore.scoring.forward.engine import Engine
    from stepscore.scoring.forward.plan import Plan
    from stepscore.scoring.model import ProcessRewardModel


@dataclass(eq=False)
class PreparedScores:
    """A call of `ProcessRewardModel.score` that is checked and tokenised, and not yet forwarded.

    Attributes:
        lengths: the tokens of each trace that is forwarded, int64 ``[traces]``.
        new_tokens: those of them that no trace before it in this call begins with, where the model
            shares prefixes, int64 ``[traces]``.
    """

    lengths: NDArray[np.int64]
    new_tokens: NDArray[np.int64]
    _call: ReadTraces
    _rendered: Rendered | None
    _number_format: str
    _whole: bool  # whether each trace is forwarded whole
    _read: list[NDArray[np.float32]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        prm: ProcessRewardModel,
        arguments: TraceArguments,
        problems: Sequence[str],
        solutions: Sequence[Solution],
        options: ScoreOptions,
    ) -> PreparedScores:
        """Check the arguments of a call, and tokenise its traces.

        Args:
            prm: the model.
            arguments: whom the messages speak to.
            problems: one per solution.
            solutions: each a text or its steps.
            options: what is refused, left out or passed on.

        Raises:
            TypeError, ValueError: as `ProcessRewardModel.score`, but for scores.
        """
        options.check(arguments.call)
        reader = replace(prm.reader, special_tokens=options.special_tokens)
        call = ReadTraces.checked(arguments, reader, problems, solutions, options)
        number_format = prm.engine.number_format
        if not len(call.good):
            nothing = np.zeros(0, dtype=np.int64)
            return cls(nothing, nothing, call, None, number_format, True)
        rendered = call.render(prm.renderer, call.good)
        packed, sequences = rendered.traces, rendered.sequence_offsets
        lengths = np.diff(packed.offsets[sequences])
        whole = prm.costs is None
        new = lengths if whole else np.diff(_distinct(packed)[sequences])
        return cls(lengths, new, call, rendered, number_format, whole)

    def shares_with(self, other: PreparedScores) -> int:
        """Count the tokens that the first traces of two calls begin with together.

        Where the model shares prefixes they are forwarded once, with all that is in the same pass.
        """
        if self._rendered is None or other._rendered is None or self._whole:
            return 0
        mine, its = (
            call._rendered.traces.token_ids[: call.lengths[0]]  # type: ignore[union-attr]
            for call in (self, other)
        )
        shorter = min(len(mine), len(its))
        apart = np.flatnonzero(mine[:shorter] != its[:shorter])
        return int(apart[0]) if len(apart) else shorter

    @property
    def problem(self) -> str:
        """The problem of the first trace."""
        return self._call.traces.problems[self._call.good[0]] if len(self._call.good) else ""

    @property
    def tokens(self) -> int:
        """The tokens of all traces."""
        return int(self.lengths.sum())

    @property
    def steps(self) -> NDArray[np.int64]:
        """The steps of each solution, int64 ``[solutions]``."""
        return np.diff(self._call.step_offsets)

    def scores(self) -> StepScores:
        """Give the scores, once all traces are read.

        Raises:
            ValueError: a score that is no number, unless the options pass it on.
        """
        if self._rendered is not None:
            self._call.place(self._call.good, self._rendered, np.concatenate(self._read))
            self._read.clear()
        return self._call.scores(self._number_format)

    def packed(self, begin: int, end: int) -> PackedTraces:
        """The sequences of some of the traces, one behind the other."""
        assert self._rendered is not None
        if begin == 0 and end == len(self.lengths):
            return self._rendered.traces
        first, last = self._rendered.sequence_offsets[[begin, end]]
        return self._rendered.traces.take(np.arange(first, last))

    def place(self, read: NDArray[np.float32]) -> None:
        """Note what was read of the next traces."""
        self._read.append(read)


@dataclass(frozen=True, eq=False)
class Part:
    """Some traces of a prepared call, which go into one forward pass.

    The parts of a call are read in the order of its traces, each once.
    """

    call: PreparedScores
    begin: int
    end: int

    @property
    def is_last(self) -> bool:
        """Whether nothing of the call is left behind it."""
        return self.end == len(self.call.lengths)


def read_together(
    engine: Engine,
    parts: Sequence[Part],
    on_plan: Callable[[Plan], object] = len,
) -> list[Exception | None]:
    """Forward parts of several calls as one, which share what they begin with, and note the rest.

    Where that fails, each half is forwarded by itself, so that one at fault costs no other.

    Args:
        engine: that of the model that prepared them.
        parts: at least one.
        on_plan: is told every plan before it is forwarded.

    Returns:
        For each part why it could not be read, or None.
    """
    packed = [part.call.packed(part.begin, part.end) for part in parts]
    try:
        values = engine.read("score", PackedTraces.joined(packed), on_plan=on_plan)
    except Exception as error:
        if len(parts) == 1:
            return [error]
        half = len(parts) // 2
        first = read_together(engine, parts[:half], on_plan)
        return first + read_together(engine, parts[half:], on_plan)
    bounds = offsets_of([len(each.positions) for each in packed]).tolist()
    for part, (begin, end) in zip(parts, pairwise(bounds), strict=True):
        part.call.place(values[begin:end])
    return [None] * len(parts)


def _distinct(packed: PackedTraces) -> NDArray[np.int64]:
    """Count the distinct prefixes before each sequence, int64 ``[sequences + 1]``."""
    # Nodes are numbered in the order in which the sequences reach them.
    node = PrefixTrie(packed.token_ids, packed.offsets).node_of_token
    is_new = np.diff(np.maximum.accumulate(node), prepend=-1) > 0
    return offsets_of(is_new)[packed.offsets]
