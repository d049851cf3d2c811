"""A line of a file, read as a record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

from stepscore.errors import Argument
from stepscore.records.candidates import check_scored, read_answer, read_candidate
from stepscore.records.earlier import Provenance, read_provenance, with_earlier_scores
from stepscore.records.faults import RecordError
from stepscore.records.found import was_searched, with_traces
from stepscore.records.json_text import kind_of, load_json, quote
from stepscore.records.record import Candidate, Fields, Record, RecordId

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

    Args:
        line: the bytes of one line.
        place: file and line, for messages.
        fields: the names of the fields.
        wanted: ``solutions`` when the candidates are to be scored: the problem and a text or steps
            per candidate are needed. ``scores`` when they are voted on by what they carry.
            ``problems`` when the problem alone is needed; candidates are not looked at.

    Raises:
        RecordError: anything that is missing, of another type, empty or not a finite number.
    """
    record_id: RecordId | None = None
    try:
        text = _decode(line)
        content = _load_object(text)
        record_id = _id(content, fields)
        problem = _problem(content, fields, required=wanted != "scores")
        if wanted != "problems" and was_searched(content.get(fields.result)):
            content = with_traces(content, fields)
            text = _dump(content)
        candidates = [] if wanted == "problems" else _candidates(content, fields, wanted)
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
        if wanted == "scores":
            check_scored(candidates, fields)
        answer = read_answer(content.get(fields.answer), (fields.answer,))
    except RecordError as fault:
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


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        byte = f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line"
        raise RecordError("UTF-8 text", got=byte, advice="save the file as UTF-8") from None


def _load_object(text: str) -> dict[str, Any]:
    try:
        content = load_json(text)
    except ValueError as error:
        raise RecordError(
            "one JSON object per line",
            got=f"{error} in {quote(text)}",
            advice="repair the line, or write the file as JSONL",
        ) from None
    if not isinstance(content, dict):
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


def _has_lone_surrogate(content: object) -> bool:
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _dump(content: dict[str, Any]) -> str:
    try:
        return json.dumps(content, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise RecordError(
            "numbers that a float64 can hold", got="a larger one", advice="write it as text"
        ) from None


def _required(content: dict[str, Any], fields: Fields, field: str) -> Any:
    name = getattr(fields, field)
    if name not in content:
        present = ", ".join(quote(key) for key in list(content)[:_FIELDS_SHOWN])
        raise RecordError(
            f'the field "{name}"',
            got=present or "an empty object",
            advice=("name it with ", Argument(f"fields.{field}")),
        )
    return content[name]


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
    if fields.problem not in content and not required:
        return None
    value = _required(content, fields, "problem")
    if not isinstance(value, str):
        raise RecordError(
            "a text", got=quote(value), advice="write it as a string", field=(fields.problem,)
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
        )
    return [
        read_candidate(value, (fields.candidates, index), to_score=wanted == "solutions")
        for index, value in enumerate(values)
    ]
