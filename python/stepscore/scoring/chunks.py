"""Many traces in waves: the next ones are tokenised while the model runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stepscore.scoring.render import Traces

Prepared = TypeVar("Prepared")
Wave = NDArray[np.int64]

# Characters of a wave: a second or so of work for a small model, and a few hundred thousand tokens,
# so that what the waves could share with each other does not matter.
_CHARACTERS = 1 << 20


def waves(traces: Traces, characters: int = _CHARACTERS) -> list[Wave]:
    """Cut traces into waves, never within a problem; the same for any order of the traces."""
    order = sorted(
        range(len(traces.steps)), key=lambda trace: (traces.problems[trace], traces.steps[trace])
    )
    cut: list[list[int]] = [[]]
    room = characters
    for at, trace in enumerate(order):
        problem = traces.problems[trace]
        if room < 0 and problem != traces.problems[order[at - 1]]:
            cut.append([])
            room = characters
        cut[-1].append(trace)
        room -= len(problem) + sum(map(len, traces.steps[trace]))
    # Within a wave the order is the caller's, and so is the first place that an error names.
    return [np.array(sorted(wave), dtype=np.int64) for wave in cut]


def ahead(prepare: Callable[[Wave], Prepared], cut: list[Wave]) -> Iterator[tuple[Wave, Prepared]]:
    """Prepare every wave, all but the first beside whatever is done with the ones before it.

    An error in a later wave is raised as soon as it is known, not when its turn comes.
    """
    if len(cut) == 1:
        yield cut[0], prepare(cut[0])
        return
    with ThreadPoolExecutor(1, thread_name_prefix="stepscore-tokenise") as pool:
        futures: list[Future[Prepared]] = [pool.submit(prepare, wave) for wave in cut]
        try:
            for wave, future in zip(cut, futures, strict=True):
                for other in futures:
                    if other.done() and other.exception() is not None:
                        other.result()
                yield wave, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
