"""A line of a file as problem, candidates, scores and answers; published layouts turned into it.

- ``record``: the values; ``parse``, ``candidates``, ``earlier``: a line read as a record
- ``columns``: records as arrays; ``scan``: most lines read as such, by the compiled core;
  ``table``: rows of Parquet
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
from stepscore.records.scan import LineBlock, has_plain_form, line_blocks
from stepscore.records.table import TableBlock, table_blocks
from stepscore.records.unique import UniqueIds

__all__ = [
    "Candidate",
    "Fields",
    "LineBlock",
    "Record",
    "RecordColumns",
    "RecordError",
    "RecordId",
    "TableBlock",
    "UniqueIds",
    "Wanted",
    "gather_rows",
    "has_plain_form",
    "insert_result",
    "line_blocks",
    "parse_record",
    "parse_records",
    "quote",
    "table_blocks",
]
