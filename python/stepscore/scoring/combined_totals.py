"""Combined scores of which a candidate gets one number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import InputError
from stepscore.scoring.combined_parts import (
    aligned,
    check_finite,
    check_probabilities,
    check_share,
    put_together,
)
from stepscore.scoring.scores import StepScores


def checklist_share(
    yes: StepScores, in_progress: StepScores | None = None, *, partial: float = 0.5
) -> NDArray[np.float64]:
    r"""Give the share of a checklist that is done, from scores that are there already:
    :math:`R = \frac{1}{L} \sum_l p_l(\mathrm{yes}) + \lambda\, p_l(\mathrm{in\ progress})`

    `stepscore.scoring.rubrics.web_shepherd` asks a model for them, and gives the same.

    Args:
        yes: of each candidate the items of its checklist, as steps.
        in_progress: how likely each item is begun; None where that is not read.
        partial: :math:`\lambda`, in [0, 1]; 1/2 as the authors' evaluation has it.

    Returns:
        float64 ``[candidates]``; NaN for one without items.

    Raises:
        ValueError: scores that do not fit each other, or are no probabilities; a weight outside of
            [0, 1].

    Source: Web-Shepherd (arXiv 2505.15277), ``src/utils/eval_utils.py``, as the copy in
    thinkinbig/VisualAgentBench has it.
    """
    check_share("checklist_share", "partial", partial)
    parts = aligned("checklist_share", [yes] if in_progress is None else [yes, in_progress])
    for each in parts:
        check_probabilities("checklist_share", each)
    values = parts[0].values.astype(np.float64)
    if len(parts) == 2:
        both = values + parts[1].values
        if (both > 1 + 1e-5).any():
            raise InputError(
                "probabilities of one answer, which add up to 1 at most",
                got=f"{np.nanmax(both):g} of an item that is done and in progress",
                argument="in_progress",
                where="checklist_share",
            )
        values = values + partial * parts[1].values
    return put_together("checklist", parts, values, (0.0, 1.0)).aggregate("mean", nan="propagate")


def outcome_and_process(
    outcome: StepScores, process: StepScores, *, beta: float = 1.0, how: str = "mean"
) -> NDArray[np.float64]:
    r"""Add an outcome head and a process head: :math:`R = o_K + \beta\, \mathrm{agg}_k\, p_k`

    Args:
        outcome: of which the last step's counts.
        process: of every step.
        beta: the weight of the process; 1 in the authors' model, 0.5 to 3.5 in their sweeps.
        how: aggregates it; the authors' model takes ``mean``, their command line ``last``.

    Returns:
        float64 ``[candidates]``; NaN for one without scores.

    Raises:
        ValueError: scores that do not fit each other; a beta that is not finite.

    Source: BiRM (chenwxOggai/BiRM).
    """
    check_finite("outcome_and_process", "beta", beta)
    first, second = aligned("outcome_and_process", [outcome, process])
    ends = first.aggregate("last", nan="propagate")
    means: NDArray[np.float64] = second.aggregate(how, nan="propagate")  # type: ignore[arg-type]
    total: NDArray[np.float64] = np.add(ends, np.multiply(means, beta))
    return total
