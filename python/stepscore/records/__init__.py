"""A line of a file as problem, candidates, scores and answers; published layouts turned into it.

- ``record``: the values; ``parse``, ``candidates``, ``earlier``: a line read as a record
- ``columns``: records as arrays; ``scan``: most lines read as such, by the compiled core;
  ``table``: rows of Parquet
- ``messages``: of a chat, as a problem or a solution
- ``found``, ``groups``: the traces of a search as candidates, and rows of one sample each
- ``faults``: what is wrong with one record; ``unique``: ids that an earlier record has
- ``convert``: one file per published layout
"""

from stepscore.records.columns import RecordColumns
from stepscore.records.faults import RecordError
from stepscore.records.groups import Group, gather_rows, groups_of
from stepscore.records.json_text import quote
from stepscore.records.messages import are_messages
from stepscore.records.parse import Wanted, parse_record, parse_records
from stepscore.records.record import Candidate, Fields, Record, RecordId, field_in, insert_result
from stepscore.records.scan import LineBlock, has_plain_form, line_blocks
from stepscore.records.table import TableBlock, table_blocks
from stepscore.records.unique import UniqueIds

__all__ = [
    "Candidate",
    "Fields",
    "Group",
    "LineBlock",
    "Record",
    "RecordColumns",
    "RecordError",
    "RecordId",
    "TableBlock",
    "UniqueIds",
    "Wanted",
    "are_messages",
    "field_in",
    "gather_rows",
    "groups_of",
    "has_plain_form",
    "insert_result",
    "line_blocks",
    "parse_record",
    "parse_records",
    "quote",
    "table_blocks",
]
