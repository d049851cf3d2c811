"""A line of a file, read as a record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

from stepscore.errors import Argument
from stepscore.files import convert_command, number_in
from stepscore.records.candidates import check_scored, read_answer, read_candidate
from stepscore.records.convert import Layout, layout_of
from stepscore.records.earlier import Provenance, read_provenance, with_earlier_scores
from stepscore.records.faults import RecordError
from stepscore.records.forms import fault_of_form
from stepscore.records.found import was_searched, with_traces
from stepscore.records.json_text import kind_of, load_json, quote, without_nan
from stepscore.records.messages import are_messages, problem_of
from stepscore.records.record import Candidate, Fields, Record, RecordId, field_in

Wanted = Literal["solutions", "scores", "problems"]

_FIELDS_SHOWN = 8


def parse_records(
    lines: Iterator[tuple[str, bytes]],
    fields: Fields,
    wanted: Wanted,
    on_fault: Callable[[RecordError], None],
    check: Callable[[Record], None] | None = None,
) -> Iterator[Record]:
    """Read records one after the other.

    Args:
        lines: (place, bytes) of every line.
        fields: the names of the fields.
        wanted: see `parse_record`.
        on_fault: gets the error of a record that cannot be processed; it raises to stop, and
            returns to go on without the record.
        check: a further check, which raises RecordError.
    """
    for place, line in lines:
        try:
            record = parse_record(line, place, fields, wanted)
            if check is not None:
                check(record)
        except RecordError as error:
            on_fault(error)
            continue
        yield record


def parse_record(line: bytes, place: str, fields: Fields, wanted: Wanted) -> Record:
    """Read one line.

    A record without an id gets the number of its line, in its line, too.

    Args:
        line: the bytes of one line.
        place: file and line, for messages.
        fields: the names of the fields.
        wanted: ``solutions`` when the candidates are to be scored: the problem and a text or steps
            per candidate are needed. ``scores`` when they are voted on by what they carry.
            ``problems`` when the problem alone is needed; candidates are not looked at.

    Raises:
        RecordError: anything that is missing, of another type, empty or not a finite number. A
            record of a published layout is named as one, with the command that converts it.
        InputError: a file that is no JSONL at all; the message says what it is.
    """
    record_id: RecordId | None = None
    content: dict[str, Any] = {}
    try:
        text = _decode(line)
        content = _load_object(text, place)
        number = _line_number(content, place, fields)
        record_id = _id(content, fields) if number is None else number
        problem = _problem(content, fields, required=wanted != "scores")
        if wanted != "problems" and was_searched(content.get(fields.result)):
            content = with_traces(content, fields)
            text = _dump(content)
        candidates = [] if wanted == "problems" else _candidates(content, fields, wanted)
        if number is not None:
            # A later run must find it under the same name, whatever is left out before it.
            text, content = _with_id(text, number), {"id": number, **content}
        earlier = Provenance()
        if fields.result in content:
            if wanted != "scores":
                raise RecordError(
                    "no such field yet, because the result is written to it",
                    got="a record that has it",
                    advice=("name another with ", Argument("fields.result")),
                    field=(fields.result,),
                )
            result = content.pop(fields.result)
            earlier = read_provenance(result)
            candidates = with_earlier_scores(candidates, result, earlier, fields)
            text = _dump(content)
        elif "NaN" in text and without_nan(content) != content:
            text = _dump(content)
        if wanted == "scores":
            check_scored(candidates, fields)
        answer = read_answer(field_in(content, fields.answer)[1], (fields.answer,))
    except RecordError as fault:
        layout = layout_of(content) if fault.of_shape else None
        if layout is not None and layout.name != "records":
            raise _foreign(layout, place, fields, wanted) from None
        raise fault.of_record(place, record_id) from None
    return Record(
        place,
        text,
        record_id,
        problem,
        candidates,
        answer or None,
        earlier.scored_by,
        earlier.how,
    )


def _foreign(layout: Layout, place: str, fields: Fields, wanted: Wanted) -> RecordError:
    """Name a record of another layout, and the command that converts it."""
    got = f"a line of {layout.title}"
    if fields.candidates in layout.steps:
        got = f"the steps of one solution in {quote(fields.candidates)}, as {layout.title} has them"
    expected = "a record with candidates, each a whole solution"
    return RecordError(
        "a record with a problem" if wanted == "problems" else expected,
        got=got,
        advice=f"type: {convert_command(place.rpartition(':')[0])}",
        place=place,
    )


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        byte = f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line"
        raise RecordError("UTF-8 text", got=byte, advice="save the file as UTF-8") from None


def _load_object(text: str, place: str) -> dict[str, Any]:
    try:
        content = load_json(text)
    except ValueError as error:
        _check_form(text, place)
        raise RecordError(
            "one JSON object per line",
            got=f"{error} in {quote(text)}",
            advice="repair the line, or write the file as JSONL",
        ) from None
    if not isinstance(content, dict):
        _check_form(text, place)
        raise RecordError(
            "one JSON object per line",
            got=kind_of(content),
            advice="write every record as one object on one line",
        )
    # Only an escape can bring in half of a surrogate pair, which no tokenizer and no file takes.
    if "\\u" in text and _has_lone_surrogate(content):
        raise RecordError(
            "text that can be written as UTF-8",
            got="half of a surrogate pair (\\ud800 to \\udfff)",
            advice="repair the text",
        )
    return content


def _check_form(text: str, place: str) -> None:
    """Refuse a file whose first line shows that it is no JSONL."""
    name = place.rpartition(":")[0]
    fault = fault_of_form(text, name) if number_in(place) == 1 else None
    if fault is not None:
        raise fault


def _has_lone_surrogate(content: object) -> bool:
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _dump(content: dict[str, Any]) -> str:
    try:
        return json.dumps(without_nan(content), ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise RecordError(
            "numbers that a float64 can hold", got="a larger one", advice="write it as text"
        ) from None


def _line_number(content: dict[str, Any], place: str, fields: Fields) -> int | None:
    """Give the number of the line as the id of a record that has none, and need not have one."""
    missing = fields.id == Fields.id and fields.id not in content
    return number_in(place) if missing else None


def _with_id(text: str, record_id: int) -> str:
    rest = text[1:].lstrip()
    return f'{{"id": {record_id}{"" if rest == "}" else ", "}{rest}'


def _required(content: dict[str, Any], fields: Fields, field: str) -> Any:
    name = getattr(fields, field)
    there, value = field_in(content, name)
    if not there:
        raise RecordError(
            f'the field "{name}"',
            got=_there(content, name),
            advice=("name it with ", Argument(f"fields.{field}")),
            of_shape=True,
        )
    return value


def _there(content: dict[str, Any], name: str) -> str:
    """Say what stands where the way to a field ends: ``null in "response"``."""
    ways = [name[:at] for at, sign in enumerate(name) if sign == "."]
    way = next((way for way in reversed(ways) if field_in(content, way)[0]), "")
    value = field_in(content, way)[1] if way else content
    shown = kind_of(value)
    if isinstance(value, dict):
        shown = ", ".join(map(quote, list(value)[:_FIELDS_SHOWN])) or "an empty object"
    return f"{shown} in {quote(way)}" if way else shown


def _id(content: dict[str, Any], fields: Fields) -> RecordId:
    value = _required(content, fields, "id")
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise RecordError(
            "a text or a whole number",
            got=quote(value),
            advice="give every record an id that no other has",
            field=(fields.id,),
        )
    return value


def _problem(content: dict[str, Any], fields: Fields, *, required: bool) -> str | None:
    if not required and not field_in(content, fields.problem)[0]:
        return None
    value = _required(content, fields, "problem")
    if are_messages(value):
        return problem_of(value, (fields.problem,))
    if not isinstance(value, str):
        raise RecordError(
            "a text",
            got=quote(value),
            advice="write it as a string, or as chat messages with a role and content each",
            field=(fields.problem,),
            of_shape=True,
        )
    return value


def _candidates(content: dict[str, Any], fields: Fields, wanted: Wanted) -> list[Candidate]:
    values = _required(content, fields, "candidates")
    if not isinstance(values, list) or not values:
        raise RecordError(
            "a list of at least one candidate",
            got=quote(values),
            advice="give the record candidates, or leave it out",
            field=(fields.candidates,),
            of_shape=not isinstance(values, list),
        )
    # Steps under a name of the caller's would pass for as many short solutions.
    layout = layout_of(content) if fields.candidates != Fields.candidates else None
    if layout is not None and fields.candidates in layout.steps:
        raise RecordError("candidates, each a whole solution", of_shape=True)
    return [
        read_candidate(value, (fields.candidates, index), to_score=wanted == "solutions")
        for index, value in enumerate(values)
    ]
