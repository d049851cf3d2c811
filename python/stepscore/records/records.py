"""The names of `stepscore.records`, where the jobs still look for them."""

from __future__ import annotations

from stepscore import errors
from stepscore.errors import Spell
from stepscore.records import (
    Candidate,
    Fields,
    Record,
    RecordError,
    RecordId,
    UniqueIds,
    Wanted,
    insert_result,
    parse_record,
    parse_records,
    quote,
)

__all__ = [
    "Candidate",
    "Fields",
    "InputError",
    "Record",
    "RecordError",
    "RecordId",
    "SentenceError",
    "UniqueIds",
    "Wanted",
    "insert_result",
    "parse_record",
    "parse_records",
    "quote",
]


class InputError(errors.InputError):
    """A message that is a sentence already, until every caller states its facts."""

    def clauses(self, spell: Spell) -> str:
        """Write the sentence."""
        return str(self.expected)


class SentenceError(RecordError):
    """A record's message that is a sentence already, until every caller states its facts."""

    def __init__(self, place: str, record_id: RecordId | None, sentence: str) -> None:
        super().__init__(sentence, place=place, record_id=record_id)

    def clauses(self, spell: Spell) -> str:
        """Write the sentence."""
        return str(self.expected)
