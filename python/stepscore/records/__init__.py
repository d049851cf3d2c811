"""A line of a file as problem, candidates, scores and answers; published layouts turned into it.

- ``record``: the values; ``parse``, ``candidates``, ``earlier``: a line read as a record
- ``found``, ``groups``: the traces of a search as candidates, and rows of one sample each
- ``faults``: what is wrong with one record
- ``convert``: one file per published layout
"""

from stepscore.records.faults import RecordError, UniqueIds
from stepscore.records.groups import gather_rows
from stepscore.records.json_text import quote
from stepscore.records.parse import Wanted, parse_record, parse_records
from stepscore.records.record import Candidate, Fields, Record, RecordId, insert_result

__all__ = [
    "Candidate",
    "Fields",
    "Record",
    "RecordError",
    "RecordId",
    "UniqueIds",
    "Wanted",
    "gather_rows",
    "insert_result",
    "parse_record",
    "parse_records",
    "quote",
]
