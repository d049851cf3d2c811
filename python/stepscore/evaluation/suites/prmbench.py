"""PRMBench: is every step taken for what it is, by kinds of error?"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import InputError
from stepscore.evaluation.labelled import Confusion, confusion
from stepscore.evaluation.suites.labelled_traces import LabelledTraces, Predictions
from stepscore.ragged import first_true

# The classes, as its files spell them, under what they test.
CLASSES = {
    "simplicity": ("redundency", "circular"),
    "soundness": ("counterfactual", "step_contradiction", "domain_inconsistency", "confidence"),
    "sensitivity": ("missing_condition", "deception", "multi_solutions"),
}
_KNOWN = frozenset(name for names in CLASSES.values() for name in names)
# Its solutions are right throughout, so that there is no F1 of wrong steps.
_ALL_RIGHT = "multi_solutions"


class PrmBenchRow(NamedTuple):
    """The figures of a class, or of all of them pooled.

    Attributes:
        name: of the class, ``overall`` for all steps of all classes together.
        counts: of steps; positive are the right ones.
        score: the PRMScore, in [0, 1].
        first_error: the share of traces with an error whose first one is the first step that is
            taken for wrong.
    """

    name: str
    counts: Confusion
    score: float
    first_error: float


def prmbench(
    traces: LabelledTraces,
    predictions: Predictions,
    *,
    threshold: float,
    compat: Literal["prmbench"] | None = None,
) -> list[PrmBenchRow]:
    r"""Score step scores against PRMBench's labels.

    .. math:: \mathrm{PRMScore} = \tfrac12 F_1 + \tfrac12 F_1^{neg}

    over the steps, with a step taken for right where :math:`r_k > t`; :math:`F_1` is that of the
    right steps, :math:`F_1^{neg}` that of the wrong ones. Overall pools the steps of all classes,
    it is no mean of classes. The class ``multi_solutions`` has no wrong step, and its score is
    :math:`F_1` alone.

    Args:
        traces: `LabelledTraces.of(records, category="classification")`.
        predictions: by id how right each step is.
        threshold: t: .5 for probabilities and 0 for logits, as its authors have it.
        compat: ``"prmbench"`` takes an undefined F1 for 0, as the authors' code does: it makes 0/0
            a -1, which the harmonic mean then swallows. Ours is NaN.

    Returns:
        A row for each class, in the order of the file, and ``overall``.

    Raises:
        InputError: predictions that do not fit the traces, a class that PRMBench does not have.

    Source: PRMBench (ssmisya/PRMBench).
    """
    if unknown := next((name for name in traces.categories if name not in _KNOWN), None):
        raise InputError(
            f"a classification of PRMBench ({', '.join(sorted(_KNOWN))})",
            got=repr(unknown),
            advice="are these the traces of another benchmark?",
            argument="traces",
        )
    taken = traces.scores(predictions) > threshold
    first = first_true(~taken, traces.offsets)
    found = np.where(first < 0, -1, first - traces.offsets[:-1])
    category = np.array(traces.categories, dtype=object)
    of_step = np.repeat(category, np.diff(traces.offsets))
    rows = [
        _row(name, traces, taken, found, of_step == name, category == name, compat)
        for name in dict.fromkeys(traces.categories)
    ]
    every = np.ones(len(taken), dtype=np.bool_)
    return [
        *rows,
        _row("overall", traces, taken, found, every, np.ones(len(traces), dtype=np.bool_), compat),
    ]


def _row(
    name: str,
    traces: LabelledTraces,
    taken: NDArray[np.bool_],
    found: NDArray[np.int64],
    steps: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    compat: str | None,
) -> PrmBenchRow:
    counts = confusion(taken[steps], traces.right[steps])
    wrong = inside & (traces.first_errors >= 0)
    hits = int((found == traces.first_errors)[wrong].sum())
    first = hits / int(wrong.sum()) if wrong.any() else math.nan
    parts = (
        [float(counts.f1)] if name == _ALL_RIGHT else [float(counts.f1), float(counts.f1_negative)]
    )
    if compat is not None:
        parts = [0.0 if math.isnan(part) else part for part in parts]
    return PrmBenchRow(name, counts, sum(parts) / len(parts), first)
