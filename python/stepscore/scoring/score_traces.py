"""Problems and solutions -> step scores: check, render, forward, read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError
from stepscore.hub import stderr_is_terminal
from stepscore.ragged import offsets_of, segment_of
from stepscore.scoring.arguments import Solution, TraceArguments, check_traces
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
    traces = check_traces(arguments, reader, problems, solutions, options.on_bad)
    skipped = dict(traces.skipped)
    counts = np.fromiter(map(len, traces.steps), np.int64, len(traces.steps))
    step_offsets = offsets_of(counts)
    readings = reader.recipe.readings
    values = np.full((step_offsets[-1], len(readings)), np.nan, dtype=np.float32)
    truncated = np.zeros(len(counts), dtype=np.int64)
    good = np.flatnonzero(counts)
    present, places = traces.take(good), arguments.take(good)

    def render(chunk: NDArray[np.int64]) -> Rendered:
        given = present.take(chunk)
        return renderer.render(places.take(chunk), given, options.truncation, options.on_bad)

    chunks = chunk_traces(present) if len(good) else []
    with progress(len(values)) as bar:
        for chunk, rendered in prefetched(render, chunks):
            here = good[chunk]
            skipped |= {int(here[trace]): fault for trace, fault in rendered.skipped.items()}
            truncated[here] = rendered.truncated
            # A trace's steps are left out from its end only: the read ones are its first ones.
            steps = concatenated_ranges(step_offsets[here], rendered.read())
            on_steps = _whole_steps(bar.update, rendered.positions_per_step)
            read = engine.read(arguments.call, rendered.traces, on_steps)
            values[steps] = reader.recipe.of_steps(read)
    bad = np.zeros(len(counts), dtype=np.bool_)
    bad[list(skipped)] = True
    values = values[~bad[segment_of(step_offsets)]]
    counts[bad] = 0
    step_offsets = offsets_of(counts)
    values = with_running(reader.recipe, values, step_offsets)
    if options.nan == "error":
        check_finite(arguments, values, step_offsets, truncated, number_format=engine.number_format)
    if truncated.any():
        warnings.warn(
            f"{arguments.call}: {truncated.sum()} steps of {np.count_nonzero(truncated)} "
            f"solutions end past the model's {renderer.max_length} positions and were not scored "
            "(NaN)",
            stacklevel=4,
        )
    places_of_skipped = {trace: skipped[trace] for trace in sorted(skipped)}
    stripped = {trace: n for trace, n in traces.stripped.items() if trace not in skipped}
    return StepScores(
        values[:, 0].copy(),
        step_offsets,
        reader.recipe,
        truncated,
        places_of_skipped,
        stripped,
        further_readings(readings, values),
    )


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
