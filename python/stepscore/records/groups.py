"""Rows of one sample each, gathered into a record for every problem."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stepscore.errors import Argument
from stepscore.records.faults import RecordError
from stepscore.records.json_text import kind_of, load_json, quote
from stepscore.records.record import Fields, RecordId, field_in

# What a row says of its sample, where it holds no list of candidates.
_OF_A_SAMPLE = ("text", "steps", "score", "step_scores", "correct")


@dataclass
class Group:
    """A problem, and the samples of it that were seen.

    Attributes:
        place: of its first row.
        key: the value that its rows share.
        first: what its record has beside the candidates.
        ids: of its rows, as JSON.
        candidates: of all its rows, in the order of the file.
        rows: the place of each row, and where its candidates begin.
    """

    place: str
    key: RecordId
    first: dict[str, Any]
    ids: set[Any] = field(default_factory=set)
    candidates: list[Any] = field(default_factory=list)
    rows: list[tuple[str, int]] = field(default_factory=list)

    def line(self, fields: Fields) -> bytes:
        """Give the record."""
        content = {**self.first, fields.candidates: self.candidates}
        if len(self.ids) > 1 or field_in(self.first, fields.id)[1] is None:
            content[fields.id] = self.key
        return json.dumps(content, ensure_ascii=False).encode()


def gather_rows(
    lines: Iterator[tuple[str, bytes]],
    group_by: str,
    fields: Fields,
    on_fault: Callable[[RecordError], None],
) -> Iterator[tuple[str, bytes]]:
    """Give a line for every problem, with the candidates of all rows that belong to it.

    Args:
        lines, group_by, fields, on_fault: as in `groups_of`.

    Returns:
        The place of the first row, and the bytes of a record.

    Raises:
        RecordError: as in `groups_of`.
    """
    for group in groups_of(lines, group_by, fields, on_fault):
        yield group.place, group.line(fields)


def groups_of(
    lines: Iterator[tuple[str, bytes]],
    group_by: str,
    fields: Fields,
    on_fault: Callable[[RecordError], None],
) -> list[Group]:
    """Gather the rows of each problem.

    Rows belong together if they have the same value of a field, wherever they stand: the whole
    input is read first. Candidates and problems keep the order of the file. A row holds its sample
    as a list of candidates, as one candidate, or in fields of its own (text, steps, score, ...):
    then all that the rows do not share becomes the candidate. Else a problem has the further fields
    of its first row. A name with dots leads into objects, as `Fields` says; what it leads into
    stands in the problem as its first row has it, and in every sample.

    Args:
        lines: (place, bytes) of every row.
        group_by: the name of the field.
        fields: the names of the others. The value of `group_by` is the id of a problem whose rows
            have none or several.
        on_fault: gets the error of a row that cannot be read.

    Raises:
        RecordError: rows of one problem that differ in its text or its known answer; both are
            named. Or whatever `on_fault` raises.
    """
    groups: dict[RecordId, Group] = {}
    for place, line in lines:
        try:
            content = _row(line)
            key = _key(content, group_by)
            shared, candidates = _split(content, group_by, fields)
            same = groups.setdefault(key, Group(place, key, shared))
            _check_same(same, content, fields)
        except RecordError as fault:
            on_fault(fault.of_record(place, None))
            continue
        same.ids.add(json.dumps(field_in(content, fields.id)[1]))
        same.rows.append((place, len(same.candidates)))
        same.candidates += candidates
    return list(groups.values())


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
    there, value = field_in(content, group_by)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise RecordError(
            "a text or a whole number that the rows of a problem share",
            got=quote(value) if there else "no such field",
            advice=("name a field that every row has with ", Argument("group_by")),
            field=(group_by,),
        )
    return value


def _split(
    content: dict[str, Any], group_by: str, fields: Fields
) -> tuple[dict[str, Any], list[Any]]:
    """Give what a row says of its problem, and its candidates."""
    there, value = field_in(content, fields.candidates)
    if there:
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
    for name in (fields.id, *of_problem):  # what a way leads into
        first = name.partition(".")[0]
        if name not in content and first in content:
            shared.setdefault(first, content[first])
    return shared, [{name: value for name, value in content.items() if name not in of_problem}]


def _check_same(group: Group, content: dict[str, Any], fields: Fields) -> None:
    for name in (fields.problem, fields.answer):
        first, value = field_in(group.first, name)[1], field_in(content, name)[1]
        if value != first:
            raise RecordError(
                f"what {group.place} has, {quote(first)}, as both have the same {quote(group.key)}",
                got=quote(value),
                advice=("repair one of them, or name another field with ", Argument("group_by")),
                field=(name,),
            )
