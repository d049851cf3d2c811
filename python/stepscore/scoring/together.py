"""Calls of several callers in one forward pass: prepared alone, read together, answered alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stepscore.ops import PrefixTrie
from stepscore.ragged import offsets_of
from stepscore.scoring.arguments import Solution, TraceArguments, Traces
from stepscore.scoring.forward.packed_traces import PackedTraces
from stepscore.scoring.render import Rendered, Renderer
from stepscore.scoring.score_options import ScoreOptions
from stepscore.scoring.score_traces import ReadTraces
from stepscore.scoring.scores import StepScores
from stepscore.scoring.truncation import Truncation

if TYPE_CHECKING:
    from stepscore.scoring.forward.engine import Engine
    from stepscore.scoring.forward.plan import Plan
    from stepscore.scoring.model import ProcessRewardModel


@dataclass(frozen=True)
class Call:
    """What `ProcessRewardModel.score` is asked.

    Attributes:
        arguments: whom the messages speak to.
        problems: one per solution.
        solutions: each a text or its steps.
        options: what is refused, left out or passed on.
    """

    arguments: TraceArguments
    problems: Sequence[str]
    solutions: Sequence[Solution]
    options: ScoreOptions = field(default_factory=ScoreOptions)


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
    def of(cls, prm: ProcessRewardModel, call: Call) -> PreparedScores:
        """Check the arguments of a call, and tokenise its traces.

        Raises:
            TypeError, ValueError: as `ProcessRewardModel.score`, but for scores.
        """
        checked = _checked(prm, call)
        good = checked.good
        rendered = checked.render(prm.renderer, good) if len(good) else None
        return cls._of(prm, checked, rendered)

    @classmethod
    def of_many(
        cls, prm: ProcessRewardModel, calls: Sequence[Call]
    ) -> list[PreparedScores | Exception]:
        """Prepare calls as `of` does, each for itself, with their texts tokenised in one go.

        Most of the time that a small call takes is spent once for all of them.

        Returns:
            Each call, or what is wrong with it.
        """
        given: list[PreparedScores | Exception] = []
        together: dict[Truncation, list[tuple[int, ReadTraces]]] = {}
        for number, call in enumerate(calls):
            try:
                checked = _checked(prm, call)
            except Exception as error:
                given.append(error)
                continue
            given.append(cls._of(prm, checked, None))
            if len(checked.good):
                together.setdefault(call.options.truncation, []).append((number, checked))
        for some in together.values():
            rendered = _rendered_together(prm.renderer, [checked for _, checked in some])
            for (number, checked), each in zip(some, rendered, strict=True):
                if isinstance(each, Exception):
                    given[number] = each
                else:
                    given[number] = cls._of(prm, checked, each)
        return given

    @classmethod
    def _of(
        cls, prm: ProcessRewardModel, checked: ReadTraces, rendered: Rendered | None
    ) -> PreparedScores:
        number_format = prm.engine.number_format
        if rendered is None:
            nothing = np.zeros(0, dtype=np.int64)
            return cls(nothing, nothing, checked, None, number_format, True)
        packed, sequences = rendered.traces, rendered.sequence_offsets
        lengths = np.diff(packed.offsets[sequences])
        whole = prm.costs is None
        new = lengths if whole else np.diff(_distinct(packed)[sequences])
        return cls(lengths, new, checked, rendered, number_format, whole)

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
        return self._rendered.traces.between(first, last)

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


def _checked(prm: ProcessRewardModel, call: Call) -> ReadTraces:
    options = call.options
    options.check(call.arguments.call)
    reader = replace(prm.reader, special_tokens=options.special_tokens)
    return ReadTraces.checked(call.arguments, reader, call.problems, call.solutions, options)


def _rendered_together(
    renderer: Renderer, calls: Sequence[ReadTraces]
) -> list[Rendered | Exception]:
    """Tokenise calls of one truncation at once; where that fails, each of them by itself."""
    if len(calls) > 1:
        good = [call.traces.take(call.good) for call in calls]
        texts = Traces(
            [problem for each in good for problem in each.problems],
            [steps for each in good for steps in each.steps],
        )
        first = calls[0]
        # Whom a message would speak to does not matter: what one call alone gets wrong is said
        # by that call.
        with suppress(Exception):
            every = renderer.render(first.arguments, texts, first.options.truncation)
            return [*every.split([len(each.steps) for each in good])]
    rendered: list[Rendered | Exception] = []
    for call in calls:
        try:
            rendered.append(call.render(renderer, call.good))
        except Exception as error:
            rendered.append(error)
    return rendered


def _distinct(packed: PackedTraces) -> NDArray[np.int64]:
    """Count the distinct prefixes before each sequence, int64 ``[sequences + 1]``."""
    # Nodes are numbered in the order in which the sequences reach them.
    node = PrefixTrie(packed.token_ids, packed.offsets).node_of_token
    is_new = np.diff(np.maximum.accumulate(node), prepend=-1) > 0
    return offsets_of(is_new)[packed.offsets]
