"""Some records of a file with the scores of their candidates: what a job works on together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stepscore.ragged import offsets_of
from stepscore.records import Record, RecordColumns
from stepscore.tallies import Tally
from stepscore.voting.scores import CandidateScores


@dataclass(frozen=True)
class ScoredRecords:
    """Some records with the scores of their candidates.

    Attributes:
        records: the problems, as columns.
        split: candidate -> its steps, of those whose text was split, here or earlier.
        scores: of the candidates of all records, one after the other.
        skipped: candidate -> why it could not be scored; it takes no part in anything.
        stripped: candidate -> the tokens that ended it and were removed, where there were some.
        tallies: by name, counts of these records beside those of their scores.
    """

    records: RecordColumns
    split: Mapping[int, list[str]]
    scores: CandidateScores
    skipped: Mapping[int, str] = field(default_factory=dict)
    stripped: Mapping[int, int] = field(default_factory=dict)
    tallies: Mapping[str, Tally] = field(default_factory=dict)


def candidate_offsets(records: Sequence[Record]) -> NDArray[np.int64]:
    """Give where the candidates of each problem begin and end: int64 ``[problems + 1]``."""
    return offsets_of(len(record.candidates) for record in records)
