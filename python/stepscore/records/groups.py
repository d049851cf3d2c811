"""Rows of one sample each, gathered into a record for every problem."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stepscore.errors import Argument
from stepscore.records.faults import RecordError
from stepscore.records.json_text import kind_of, load_json, quote
from stepscore.records.record import Fields, RecordId

# What a row says of its sample, where it holds no list of candidates.
_OF_A_SAMPLE = ("text", "steps", "score", "step_scores", "correct")


@dataclass
class _Group:
    """A problem, and the samples of it that were seen.

    Attributes:
        place: of its first row.
        key: the value that its rows share.
        first: what its record has beside the candidates.
        ids: of its rows, as JSON.
        candidates: of all its rows, in the order of the file.
    """

    place: str
    key: RecordId
    first: dict[str, Any]
    ids: set[Any] = field(default_factory=set)
    candidates: list[Any] = field(default_factory=list)


def gather_rows(
    lines: Iterator[tuple[str, bytes]],
    group_by: str,
    fields: Fields,
    on_fault: Callable[[RecordError], None],
) -> Iterator[tuple[str, bytes]]:
    """Give a line for every problem, with the candidates of all rows that belong to it.

    Rows belong together if they have the same value of a field, wherever they stand: the whole
    input is read first. Candidates and problems keep the order of the file. A row holds its sample
    as a list of candidates, as one candidate, or in fields of its own (text, steps, score, ...):
    then all that the rows do not share becomes the candidate. Else a problem has the further fields
    of its first row.

    Args:
        lines: (place, bytes) of every row.
        group_by: the name of the field.
        fields: the names of the others. The value of `group_by` is the id of a problem whose rows
            have none or several.
        on_fault: gets the error of a row that cannot be read.

    Returns:
        The place of the first row, and the bytes of a record.

    Raises:
        RecordError: rows of one problem that differ in its text or its known answer; both are
            named. Or whatever `on_fault` raises.
    """
    groups: dict[RecordId, _Group] = {}
    for place, line in lines:
        try:
            content = _row(line)
            key = _key(content, group_by)
            shared, candidates = _split(content, group_by, fields)
            same = groups.setdefault(key, _Group(place, key, shared))
            _check_same(same, content, fields)
        except RecordError as fault:
            on_fault(fault.of_record(place, None))
            continue
        same.ids.add(json.dumps(content.get(fields.id)))
        same.candidates += candidates
    for group in groups.values():
        content = {**group.first, fields.candidates: group.candidates}
        if len(group.ids) > 1 or group.first.get(fields.id) is None:
            content[fields.id] = group.key
        yield group.place, json.dumps(content, ensure_ascii=False).encode()


def _row(line: bytes) -> dict[str, Any]:
    try:
        content = load_json(line.decode("utf-8"))
        json.dumps(content, ensure_ascii=False).encode()
    except ValueError as error:  # of JSON, of bytes, or half of a surrogate pair
        content, got = None, str(error)
    else:
        got = kind_of(content)
    if not isinstance(content, dict):
        raise RecordError(
            "one JSON object per line",
            got=got,
            advice="repair the line, or write the file as JSONL",
        )
    return content


def _key(content: dict[str, Any], group_by: str) -> RecordId:
    value = content.get(group_by)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise RecordError(
            "a text or a whole number that the rows of a problem share",
            got="no such field" if group_by not in content else quote(value),
            advice=("name a field that every row has with ", Argument("group_by")),
            field=(group_by,),
        )
    return value


def _split(
    content: dict[str, Any], group_by: str, fields: Fields
) -> tuple[dict[str, Any], list[Any]]:
    """Give what a row says of its problem, and its candidates."""
    if fields.candidates in content:
        value = content[fields.candidates]
        return content, value if isinstance(value, list) else [value]
    if all(content.get(name) is None for name in _OF_A_SAMPLE):
        raise RecordError(
            f'the field "{fields.candidates}", or a sample in fields of its own: '
            f"{', '.join(_OF_A_SAMPLE)}",
            got=", ".join(map(quote, content)) or "an empty object",
            advice=("name it with ", Argument("fields.candidates")),
        )
    of_problem = (fields.problem, fields.answer, group_by)
    shared = {name: content[name] for name in (fields.id, *of_problem) if name in content}
    return shared, [{name: value for name, value in content.items() if name not in of_problem}]


def _check_same(group: _Group, content: dict[str, Any], fields: Fields) -> None:
    for name in (fields.problem, fields.answer):
        if content.get(name) != group.first.get(name):
            raise RecordError(
                f"what {group.place} has, {quote(group.first.get(name))}, as both have the same "
                f"{quote(group.key)}",
                got=quote(content.get(name)),
                advice=("repair one of them, or name another field with ", Argument("group_by")),
                field=(name,),
            )
