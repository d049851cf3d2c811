"""Candidates -> step scores, by a process reward model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.jobs.model_faults import blames_input, fault_of, model_failure
from stepscore.jobs.scored import ScoredRecords, candidate_offsets
from stepscore.records import Fields, Record, RecordError
from stepscore.voting.scores import candidate_scores

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel
    from stepscore.scoring.truncation import Truncation


def score_with_model(
    records: list[Record],
    model: ProcessRewardModel,
    truncation: Truncation,
    on_fault: Callable[[RecordError], None],
    fields: Fields | None = None,
) -> Iterator[ScoredRecords]:
    """Score every step of some records' candidates, all in one call.

    Where the call refuses them, the records are halved until the one at fault stands alone. Inputs
    are checked before anything is forwarded, so that no record goes through the model twice.

    Args:
        records: problems with solutions.
        model: a process reward model.
        truncation: see its ``score``.
        on_fault: gets the error of a record at fault, and raises or returns to leave it out.
        fields: the names of the records' fields, for messages.

    Raises:
        InputError: the model failed for a reason that no record is to blame for.
    """
    try:
        yield _score(records, model, truncation)
        return
    except RuntimeError as error:
        raise model_failure(records[0].place, "score", error) from error
    except Exception as error:
        if not blames_input(error):
            raise
        if len(records) == 1:
            on_fault(fault_of(error, records[0], fields or Fields()))
            return
    middle = len(records) // 2
    yield from score_with_model(records[:middle], model, truncation, on_fault, fields)
    yield from score_with_model(records[middle:], model, truncation, on_fault, fields)


def _score(
    records: list[Record], model: ProcessRewardModel, truncation: Truncation
) -> ScoredRecords:
    problems: list[str] = []
    solutions: list[list[str]] = []
    split: list[list[str] | None] = []
    for record in records:
        for candidate in record.candidates:
            texts = None
            if candidate.steps is None:
                texts = model.recipe.split(candidate.text or "")
            split.append(texts)
            solutions.append(texts or candidate.steps or [])
            problems.append(record.problem or "")
    with warnings.catch_warnings():
        # The number of steps left out is counted here, and stands in the summary.
        warnings.filterwarnings("ignore", message="score: .* were not scored")
        scores = model.score(problems, solutions, truncation=truncation)
    counts = np.diff(scores.offsets)
    expected = np.array([len(steps) for steps in solutions])
    if not np.array_equal(counts, expected):
        raise InputError(
            f"one score per step, {expected.sum()}",
            got=f"{counts.sum()} of the model",
            advice="report this with the record",
        )
    # As float64, so that a later run on the written scores gives the same aggregations.
    values = np.asarray(scores.values, dtype=np.float64)
    if np.count_nonzero(~np.isfinite(values)) != np.sum(scores.truncated):
        raise InputError(
            "a finite score for every step",
            got="NaN or infinity of the model",
            advice=("its number format may overflow: pass ", Argument("dtype", "float32")),
        )
    low, high = model.recipe.score_range
    steps = values, np.asarray(scores.offsets, dtype=np.int64)
    aggregated = candidate_scores(
        candidate_offsets(records), steps=steps, bounded=low >= 0 and high <= 1
    )
    return ScoredRecords(records, split, aggregated)
