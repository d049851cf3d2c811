"""Candidates -> step scores and aggregated scores, from a model or from the file itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from stepscore.jobs.model_faults import blames_input, fault_of, model_failure
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.records.records import (
    Candidate,
    Fields,
    Record,
    RecordError,
    SentenceError,
)
from stepscore.voting.columns import GIVEN, aggregate_every_way

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

Truncation = Literal["error", "steps"]


@dataclass(frozen=True)
class Scored:
    """Some records with the scores of their candidates.

    Attributes:
        records: the problems.
        offsets: where the candidates of each problem begin and end, int64 [problems + 1].
        step_scores: of each candidate, NaN where truncation left a step out; None without steps.
        split: the steps of each candidate whose text was split, here or earlier, else None.
        columns: the aggregations, and `GIVEN` for scores of whole solutions.
        totals: float64 [candidates, columns]; NaN where there is none.
        truncated: how many steps of each candidate were left out, int64 [candidates].
        bounded: whether step scores lie in [0, 1].
    """

    records: list[Record]
    offsets: NDArray[np.int64]
    step_scores: list[list[float] | None]
    split: list[list[str] | None]
    columns: tuple[str, ...]
    totals: NDArray[np.float64]
    truncated: NDArray[np.int64]
    bounded: bool


def score_with_model(
    records: list[Record],
    model: ProcessRewardModel,
    truncation: Truncation,
    on_fault: Callable[[RecordError], None],
) -> Iterator[Scored]:
    """Score every step of some records' candidates, all in one call.

    Where the call refuses them, the records are halved until the one at fault stands alone. Inputs
    are checked before anything is forwarded, so that no record goes through the model twice.

    Args:
        records: problems with solutions.
        model: a process reward model.
        truncation: see its ``score``.
        on_fault: gets the error of a record at fault, and raises or returns to leave it out.

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
            on_fault(fault_of(error, records[0], Fields()))
            return
    middle = len(records) // 2
    yield from score_with_model(records[:middle], model, truncation, on_fault)
    yield from score_with_model(records[middle:], model, truncation, on_fault)


def _score(records: list[Record], model: ProcessRewardModel, truncation: Truncation) -> Scored:
    problems: list[str] = []
    solutions: list[list[str]] = []
    split: list[list[str] | None] = []
    for record in records:
        for candidate in record.candidates:
            own = None if candidate.steps is not None else model.recipe.split(candidate.text or "")
            split.append(own)
            solutions.append(own if own is not None else candidate.steps or [])
            problems.append(record.problem or "")
    with warnings.catch_warnings():
        # The number of steps left out is counted here, and stands in the summary.
        warnings.filterwarnings("ignore", message="score: .* were not scored")
        scores = model.score(problems, solutions, truncation=truncation)
    counts = np.diff(scores.offsets)
    expected = np.array([len(steps) for steps in solutions])
    if not np.array_equal(counts, expected):
        raise ValueError(
            f"expected one score per step ({expected.sum()}); the model gave {counts.sum()}; "
            "report this with the record"
        )
    # As float64, so that a later run on the written scores gives the same aggregations.
    values = np.asarray(scores.values, dtype=np.float64)
    truncated = np.asarray(scores.truncated, dtype=np.int64)
    if np.count_nonzero(~np.isfinite(values)) != truncated.sum():
        raise ValueError(
            "expected a finite score for every step; the model gave NaN or infinity; its number "
            "format may overflow: pass --dtype float32"
        )
    low, high = model.recipe.score_range
    bounded = low >= 0 and high <= 1
    totals = aggregate_every_way(values, scores.offsets, truncated > 0, bounded=bounded)
    flat = values.tolist()
    bounds = scores.offsets.tolist()
    rows: list[list[float] | None] = [flat[begin:end] for begin, end in pairwise(bounds)]
    return Scored(
        records,
        candidate_offsets(records),
        rows,
        split,
        AGGREGATIONS,
        totals,
        truncated,
        bounded,
    )


@dataclass(frozen=True)
class Layout:
    """Which scores the candidates of a file carry.

    Attributes:
        steps: whether they carry step scores.
        given: whether they carry a score of the whole solution.
        bounded: whether all step scores lie in [0, 1].
    """

    steps: bool
    given: bool
    bounded: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The aggregations that such a file has."""
        return (AGGREGATIONS if self.steps else ()) + ((GIVEN,) if self.given else ())


class LayoutCheck:
    """Holds a file to the layout of its first record, so that a column means one thing throughout.

    Args:
        bounded: whether step scores are probabilities; None lets the first record tell.
    """

    def __init__(self, bounded: bool | None = None) -> None:
        self.layout: Layout | None = None
        self.how: str | None = None  # what an earlier run ranked the first record by
        self._bounded = bounded

    def check(self, record: Record) -> None:
        """Learn the layout from the first record, and compare the others with it.

        Raises:
            RecordError: a record that lacks scores which the first has, or leaves its range.
        """
        candidates = record.candidates
        steps = all(candidate.step_scores is not None for candidate in candidates)
        given = all(candidate.score is not None for candidate in candidates)
        if self.layout is None:
            if not steps and not given:
                self._refuse(
                    record,
                    'expected the same of "score" and "step_scores" in every candidate; got some '
                    "with one and some with the other; write one of them everywhere",
                )
            bounded = _within(candidates) if self._bounded is None else self._bounded
            self.layout = Layout(steps, given, bounded)
            self.how = record.how
        for name, wanted, found in (
            ("step_scores", self.layout.steps, steps),
            ("score", self.layout.given, given),
        ):
            if wanted and not found:
                self._refuse(
                    record,
                    f'expected "{name}" in every candidate, as in the first record; got candidates '
                    "without it; write it everywhere or nowhere",
                )
        if self.layout.steps and self.layout.bounded and not _within(candidates):
            self._refuse(
                record,
                "expected step scores in [0, 1], as in the first record; got one outside; repair "
                "it, or pass --score-range any if the scores are not probabilities",
            )

    @staticmethod
    def _refuse(record: Record, reason: str) -> None:
        raise SentenceError(record.place, record.id, reason)


def read_scores(records: list[Record], layout: Layout) -> Scored:
    """Take the scores that the candidates carry, and aggregate their step scores."""
    candidates = [candidate for record in records for candidate in record.candidates]
    parts: list[NDArray[np.float64]] = []
    truncated = np.zeros(len(candidates), dtype=np.int64)
    rows: list[list[float] | None] = [None] * len(candidates)
    if layout.steps:
        rows = [candidate.step_scores for candidate in candidates]
        lengths = [len(row or ()) for row in rows]
        values = np.array([score for row in rows for score in row or ()], dtype=np.float64)
        offsets = np.array([0, *accumulate(lengths)], dtype=np.int64)
        truncated = np.add.reduceat(np.isnan(values), offsets[:-1], dtype=np.int64)
        parts.append(aggregate_every_way(values, offsets, truncated > 0, bounded=layout.bounded))
    if layout.given:
        parts.append(np.array([[c.score] for c in candidates], dtype=np.float64))
    return Scored(
        records,
        candidate_offsets(records),
        rows,
        [candidate.earlier_steps for candidate in candidates],
        layout.columns,
        np.concatenate(parts, axis=1),
        truncated,
        layout.bounded,
    )


def candidate_offsets(records: Sequence[Record]) -> NDArray[np.int64]:
    """Give where the candidates of each problem begin and end: int64 ``[problems + 1]``."""
    counts = [len(record.candidates) for record in records]
    return np.array([0, *accumulate(counts)], dtype=np.int64)


def _within(candidates: Sequence[Candidate]) -> bool:
    # NaN, a step that was left out, compares false.
    return not any(
        min(scores) < 0 or max(scores) > 1
        for candidate in candidates
        if (scores := candidate.step_scores) is not None
    )
