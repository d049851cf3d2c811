"""A line of a file as problem, candidates, scores and answers; published layouts turned into it.

- ``record``: the values; ``parse``, ``candidates``, ``earlier``: a line read as a record
- ``columns``: records as arrays; ``scan``: most lines read as such, by the compiled core
- ``found``, ``groups``: the traces of a search as candidates, and rows of one sample each
- ``faults``: what is wrong with one record; ``unique``: ids that an earlier record has
- ``convert``: one file per published layout
"""

from stepscore.records.columns import RecordColumns
from stepscore.records.faults import RecordError
from stepscore.records.groups import gather_rows
from stepscore.records.json_text import quote
from stepscore.records.parse import Wanted, parse_record, parse_records
from stepscore.records.record import Candidate, Fields, Record, RecordId, insert_result
from stepscore.records.scan import Block, has_plain_form, scan_block
from stepscore.records.unique import UniqueIds

__all__ = [
    "Block",
    "Candidate",
    "Fields",
    "Record",
    "RecordColumns",
    "RecordError",
    "RecordId",
    "UniqueIds",
    "Wanted",
    "gather_rows",
    "has_plain_form",
    "insert_result",
    "parse_record",
    "parse_records",
    "quote",
    "scan_block",
]
