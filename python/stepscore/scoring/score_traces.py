"""Problems and solutions -> step scores: check, render, forward, read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError
from stepscore.hub import stderr_is_terminal
from stepscore.ragged import offsets_of, segment_of
from stepscore.scoring.arguments import Solution, TraceArguments, Traces, check_traces
from stepscore.scoring.chunks import chunk_traces, prefetched
from stepscore.scoring.forward.packed_traces import concatenated_ranges
from stepscore.scoring.render import Rendered, Renderer
from stepscore.scoring.running_scores import with_running
from stepscore.scoring.score_options import ScoreOptions
from stepscore.scoring.scores import StepScores, further_readings
from stepscore.scoring.solution_reader import SolutionReader

if TYPE_CHECKING:
    from stepscore.scoring.forward.engine import Engine

# Seconds: a bar that appears and vanishes at once tells nobody anything.
_WORTH_A_BAR = 1.0
# Gives a progress bar over so many steps.
Progress = Callable[[int], AbstractContextManager[Any]]


@dataclass(eq=False)
class ReadTraces:
    """The traces of one call, and what has been read of them so far.

    Attributes:
        arguments: whom the messages speak to.
        reader: of the model.
        options: what is refused, left out or passed on.
        traces: checked problems and steps.
        good: those that can be read, int64 ``[good]``.
        values: the readings of every step ``[steps, readings]``; NaN where none was read.
        step_offsets: those of each trace ``[traces + 1]``.
        truncated: the steps of each trace that were left out ``[traces]``.
        skipped: trace -> why it cannot be scored.
    """

    arguments: TraceArguments
    reader: SolutionReader
    options: ScoreOptions
    traces: Traces
    good: NDArray[np.int64]
    values: NDArray[np.float32]
    step_offsets: NDArray[np.int64]
    truncated: NDArray[np.int64]
    skipped: dict[int, InputError]

    @classmethod
    def checked(
        cls,
        arguments: TraceArguments,
        reader: SolutionReader,
        problems: Sequence[str],
        solutions: Sequence[Solution],
        options: ScoreOptions,
    ) -> ReadTraces:
        """Check problems and solutions; see `check_traces`."""
        traces = check_traces(arguments, reader, problems, solutions, options.on_bad)
        counts = np.fromiter(map(len, traces.steps), np.int64, len(traces.steps))
        step_offsets = offsets_of(counts)
        values = np.full((step_offsets[-1], len(reader.recipe.readings)), np.nan, dtype=np.float32)
        return cls(
            arguments,
            reader,
            options,
            traces,
            np.flatnonzero(counts),
            values,
            step_offsets,
            np.zeros(len(counts), dtype=np.int64),
            dict(traces.skipped),
        )

    def chunks(self) -> list[NDArray[np.int64]]:
        """What is rendered together: some of `good` each."""
        if not len(self.good):
            return []
        return [self.good[chunk] for chunk in chunk_traces(self.traces.take(self.good))]

    def render(self, renderer: Renderer, chunk: NDArray[np.int64]) -> Rendered:
        """Turn some of `good` into tokens."""
        given, places = self.traces.take(chunk), self.arguments.take(chunk)
        return renderer.render(places, given, self.options.truncation, self.options.on_bad)

    def place(
        self, chunk: NDArray[np.int64], rendered: Rendered, read: NDArray[np.float32]
    ) -> None:
        """Note what was read at the positions of a chunk, ``[positions, outputs]``."""
        self.skipped |= {int(chunk[trace]): fault for trace, fault in rendered.skipped.items()}
        self.truncated[chunk] = rendered.truncated
        # A trace's steps are left out from its end only: the read ones are its first ones.
        steps = concatenated_ranges(self.step_offsets[chunk], rendered.read())
        self.values[steps] = self.reader.recipe.of_steps(read)

    def scores(self, number_format: str) -> StepScores:
        """Give the scores, once every chunk is in its place.

        Args:
            number_format: that of the hidden states, which an advice depends on.

        Raises:
            ValueError: a score that is no number, unless that is passed on.
        """
        recipe, counts = self.reader.recipe, np.diff(self.step_offsets)
        bad = np.zeros(len(counts), dtype=np.bool_)
        bad[list(self.skipped)] = True
        values = self.values[~bad[segment_of(self.step_offsets)]]
        counts[bad] = 0
        step_offsets = offsets_of(counts)
        values = with_running(recipe, values, step_offsets)
        if self.options.nan == "error":
            check_finite(
                self.arguments, values, step_offsets, self.truncated, number_format=number_format
            )
        stripped = self.traces.stripped.items()
        return StepScores(
            values[:, 0].copy(),
            step_offsets,
            recipe,
            self.truncated,
            {trace: self.skipped[trace] for trace in sorted(self.skipped)},
            {trace: count for trace, count in stripped if trace not in self.skipped},
            further_readings(recipe.readings, values),
        )


def score_traces(
    arguments: TraceArguments,
    reader: SolutionReader,
    renderer: Renderer,
    engine: Engine,
    problems: Sequence[str],
    solutions: Sequence[Solution],
    options: ScoreOptions,
    progress: Progress,
) -> StepScores:
    """Score every step of every solution, in the order in which they were given.

    Args:
        arguments: whom the messages speak to.
        reader, renderer, engine: of the model.
        problems: one per solution.
        solutions: each a text or its steps.
        options: what is refused, left out or passed on.
        progress: shows how far it is.

    Raises:
        TypeError, ValueError: as `ProcessRewardModel.score`.
    """
    call = ReadTraces.checked(arguments, reader, problems, solutions, options)
    with progress(len(call.values)) as bar:
        for chunk, rendered in prefetched(partial(call.render, renderer), call.chunks()):
            on_steps = _whole_steps(bar.update, rendered.positions_per_step)
            read = engine.read(arguments.call, rendered.traces, on_steps)
            call.place(chunk, rendered, read)
    scores = call.scores(engine.number_format)
    if call.truncated.any():
        warnings.warn(
            f"{arguments.call}: {call.truncated.sum()} steps of "
            f"{np.count_nonzero(call.truncated)} solutions end past the model's "
            f"{renderer.max_length} positions and were not scored (NaN)",
            stacklevel=4,
        )
    return scores


def _whole_steps(update: Callable[[int], object], per_step: int) -> Callable[[int], object]:
    """Tell of steps where positions are counted, of which a step has several."""
    read = 0

    def on_positions(count: int) -> None:
        nonlocal read
        before, read = read // per_step, read + count
        update(read // per_step - before)

    return on_positions


def check_finite(
    arguments: TraceArguments,
    values: NDArray[np.float32],
    step_offsets: NDArray[np.int64],
    truncated: NDArray[np.int64],
    first_step: Sequence[int] | None = None,
    *,
    number_format: str,
) -> None:
    """Refuse a score that is no number, but for those of steps that truncation left out.

    Args:
        arguments: whom the message speaks to.
        values: the readings of every step ``[steps, readings]``.
        step_offsets: those of each trace ``[traces + 1]``.
        truncated: the steps of each trace that were left out ``[traces]``.
        first_step: the number that the first step of each trace has in the message; None counts
            from 0.
        number_format: that of the hidden states, which the advice depends on.

    Raises:
        ValueError: the first such score.
    """
    finite = np.isfinite(values)
    wrong = np.flatnonzero(~finite.all(1))
    if not len(wrong):
        return
    trace_of = segment_of(step_offsets)[wrong]
    step_of = wrong - step_offsets[trace_of]
    wrong_at = np.flatnonzero(step_of < np.diff(step_offsets)[trace_of] - truncated[trace_of])
    if not len(wrong_at):
        return
    first = int(wrong_at[0])
    trace = int(trace_of[first])
    step = int(step_of[first]) + (0 if first_step is None else first_step[trace])
    value = values[wrong[first]][~finite[wrong[first]]][0]
    more = f", and {len(wrong_at) - 1} more" if len(wrong_at) > 1 else ""
    raise InputError(
        "a finite score of the model for every step",
        got=f"{value}{more}",
        advice=(
            *_against_overflow(number_format),
            ", or pass ",
            Argument("nan", "propagate"),
            " to get what the model gives",
        ),
        argument=arguments.solution(trace, step),
        where=arguments.call,
    )


def _against_overflow(number_format: str) -> tuple[str | Argument, ...]:
    if number_format == "float16":
        return (
            "its hidden states may exceed 65504 there, where float16 ends: load it with ",
            Argument("dtype", "bfloat16"),
            " or ",
            Argument("dtype", "float32"),
        )
    if number_format == "float32":
        return ("its weights may be damaged: use another copy",)
    return (
        f"{number_format} may overflow, or its weights be damaged: load it with ",
        Argument("dtype", "float32"),
    )


def progress_bar(name: str, show_progress: bool | None, steps: int) -> Any:
    """A progress bar, shown on a terminal where the run takes more than a moment."""
    from tqdm.auto import tqdm

    show = stderr_is_terminal() if show_progress is None else show_progress
    return tqdm(
        total=steps,
        unit="step",
        desc=f"score {name}",
        disable=not show,
        delay=0 if show_progress else _WORTH_A_BAR,
    )
