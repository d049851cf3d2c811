"""What a published layout is, and how its lines are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stepscore.files import LineReader
from stepscore.records.faults import FieldPath, RecordError
from stepscore.records.json_text import load_json, quote


@dataclass(frozen=True)
class Layout:
    """One published layout.

    Attributes:
        name: as it is asked for.
        source: which published files have it.
        read: gives records of our layout, one after the other.
        has_scores: whether its candidates carry scores, so that they can vote as they are.
        few_generators: whether it tells how many solutions of each generator are right.
    """

    name: str
    source: str
    read: Callable[[LineReader], Iterator[dict[str, Any]]]
    has_scores: bool
    few_generators: bool = False


def record_of(
    record_id: Any, problem: str, candidates: list[dict[str, Any]], answer: str | None
) -> dict[str, Any]:
    """Give a record of our layout; without a known answer it has no such field."""
    record = {"id": record_id, "problem": problem, "candidates": candidates}
    return record if answer is None else {**record, "answer": answer}


def objects(lines: LineReader) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the place and the JSON object of every line.

    Raises:
        RecordError: a line that is none.
    """
    for place, line in lines:
        try:
            content = load_json(line.decode("utf-8"))
        except ValueError as error:
            raise wrong("a JSON object in UTF-8", str(error), place) from error
        if not isinstance(content, dict):
            raise wrong("a JSON object", content, place)
        yield place, content


def text_of(content: Mapping[str, Any], name: str, place: str, within: FieldPath = ()) -> str:
    """Give a field that holds a text.

    Raises:
        RecordError: it is missing, or holds something else.
    """
    value = content.get(name)
    if not isinstance(value, str):
        raise wrong("a text", value, place, (*within, name))
    return value


def list_of(content: Mapping[str, Any], name: str, place: str) -> list[Any]:
    """Give a field that holds a list.

    Raises:
        RecordError: it is missing or empty, or holds something else.
    """
    value = content.get(name)
    if not isinstance(value, list) or not value:
        raise wrong("a list of at least one item", value, place, (name,))
    return value


def wrong(expected: str, got: object, place: str, field: FieldPath = ()) -> RecordError:
    """Give the error of a file that another layout was expected of."""
    return RecordError(
        expected, got=quote(got), advice="is this the right layout?", field=field, place=place
    )
