"""ProcessBench: is the first wrong step found, and is none found where none is?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stepscore.evaluation.process_bench import FirstErrorF1, first_error_f1
from stepscore.evaluation.suites.labelled_traces import LabelledTraces, Predictions
from stepscore.voting.first_error import first_error


class ProcessBenchRow(NamedTuple):
    """The figures of a subset.

    Attributes:
        subset: its name; ``average`` is the unweighted mean of the F1 of all.
        figures: shares in [0, 1]; of the average the F1 alone, with NaN and (0, 0) for the rest.
    """

    subset: str
    figures: FirstErrorF1


def processbench(
    traces: LabelledTraces, predictions: Predictions, *, threshold: float
) -> list[ProcessBenchRow]:
    r"""Score step scores against ProcessBench's first errors.

    The prediction is the first step with :math:`r_k < t`, -1 where there is none;
    `stepscore.evaluation.first_error_f1` compares. The average is the unweighted mean over the
    subsets, of which NaN makes NaN.

    Args:
        traces: `LabelledTraces.of(records, category="subset")`; without categories they are one.
        predictions: step scores by id.
        threshold: t. Name it, and what it was chosen on, with every figure:
            `stepscore.evaluation.first_error_threshold` finds the best one of a subset.

    Returns:
        A row for each subset, in the order of the file, and the average where there are several.

    Raises:
        InputError: predictions that do not fit the traces.

    Source: ProcessBench (QwenLM/ProcessBench).
    """
    scores = traces.scores(predictions)
    found = first_error(scores, traces.offsets, threshold=threshold)
    rows = []
    for subset in dict.fromkeys(traces.categories):
        inside = traces.of_category(subset)
        figures = first_error_f1(found[inside], traces.first_errors[inside])
        rows.append(ProcessBenchRow(subset or "all", figures))
    if len(rows) > 1:
        mean = float(np.mean([row.figures.f1 for row in rows]))
        nothing = float("nan")
        average = FirstErrorF1(mean, nothing, nothing, (0, 0), (0, 0))
        rows.append(ProcessBenchRow("average", average))
    return rows
