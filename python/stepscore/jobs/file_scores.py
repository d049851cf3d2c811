"""The scores that the candidates of a file carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from stepscore.errors import Argument, Words
from stepscore.jobs.scored import ScoredRecords
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.records import Candidate, Record, RecordColumns, RecordError
from stepscore.voting.columns import GIVEN, UNSCORED
from stepscore.voting.scores import candidate_scores, without_scores


@dataclass(frozen=True)
class Layout:
    """Which scores the candidates of a file carry.

    Attributes:
        steps: whether they carry step scores.
        given: whether they carry a score of the whole solution. Where they carry neither, there
            are answers to count.
        bounded: whether all step scores lie in [0, 1].
    """

    steps: bool
    given: bool
    bounded: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The aggregations that such a file has."""
        scored = (AGGREGATIONS if self.steps else ()) + ((GIVEN,) if self.given else ())
        return scored or (UNSCORED,)


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
        candidates = [candidate for candidate in record.candidates if candidate.skipped is None]
        if not candidates and self.layout is not None:
            return
        steps = all(candidate.step_scores is not None for candidate in candidates)
        given = bool(candidates) and all(c.score is not None for c in candidates)
        some = any(c.step_scores is not None or c.score is not None for c in candidates)
        if self.layout is None:
            if some and not steps and not given:
                raise _fault(
                    record,
                    'the same of "score" and "step_scores" in every candidate',
                    got="some with one and some with the other",
                    advice="write one of them everywhere",
                )
            bounded = _within(candidates) if self._bounded is None else self._bounded
            self.layout = Layout(steps, given, bounded)
            self.how = record.how
        if some and not self.layout.steps and not self.layout.given:
            raise _fault(
                record,
                "no scores, as in the first record",
                got="candidates with some",
                advice="write them everywhere or nowhere",
            )
        for name, wanted, there in (
            ("step_scores", self.layout.steps, steps),
            ("score", self.layout.given, given),
        ):
            if wanted and not there:
                raise _fault(
                    record,
                    f'"{name}" in every candidate, as in the first record',
                    got="candidates without it",
                    advice="write it everywhere or nowhere",
                )
        if self.layout.steps and self.layout.bounded and not _within(candidates):
            raise _fault(
                record,
                "step scores in [0, 1], as in the first record",
                got="one outside",
                advice=(
                    "repair it, or pass ",
                    Argument("bounded", False),
                    " if the scores are not probabilities",
                ),
            )


def _fault(record: Record, expected: str, *, got: str, advice: Words) -> RecordError:
    return RecordError(expected, got=got, advice=advice, place=record.place, record_id=record.id)


def read_scores(records: RecordColumns, layout: Layout) -> ScoredRecords:
    """Take the scores that the candidates carry, and aggregate their step scores."""
    if not layout.steps and not layout.given:
        return ScoredRecords(records, records.split_before, without_scores(records.offsets))
    scores = candidate_scores(
        records.offsets,
        steps=(records.values, records.step_offsets) if layout.steps else None,
        given=records.given if layout.given else None,
        bounded=layout.bounded,
    )
    return ScoredRecords(records, records.split_before, scores, records.skipped)


def _within(candidates: Sequence[Candidate]) -> bool:
    """Tell whether all step scores lie in [0, 1], but for those of steps that were left out."""
    rows = [candidate.step_scores for candidate in candidates if candidate.step_scores]
    every = list(chain.from_iterable(rows))
    if every and min(every) >= 0 and max(every) <= 1:
        return True
    # NaN compares false: the least of scores that begin with one says nothing of the others.
    return not any(min(scores) < 0 or max(scores) > 1 for scores in rows)
