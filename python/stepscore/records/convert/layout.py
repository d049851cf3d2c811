"""What a published layout is, and how its fields are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepscore.records.faults import FieldPath, RecordError
from stepscore.records.json_text import kind_of, quote

# (place, object) of everything in a file, one after the other.
Objects = Iterable[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Layout:
    """One published layout.

    Attributes:
        name: as it is asked for.
        title: as a sentence names it.
        source: which published files have it.
        matches: tells by its fields whether an object has the layout.
        read: gives records of our layout, one after the other. It counts what it leaves out in
            the counter, by a text that says what.
        steps: fields that hold the steps of one solution, and no candidates.
    """

    name: str
    title: str
    source: str
    matches: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Objects, Counter[str]], Iterator[dict[str, Any]]]
    steps: tuple[str, ...] = ()


def record_of(
    record_id: Any,
    problem: str | None,
    candidates: list[dict[str, Any]],
    answer: object = None,
    **extra: Any,
) -> dict[str, Any]:
    """Give a record of our layout; what is None is left out."""
    record = {"id": record_id, "problem": problem, "candidates": candidates, "answer": answer}
    return {name: value for name, value in {**record, **extra}.items() if value is not None}


def has_texts(content: Mapping[str, Any], *names: str) -> bool:
    """Tell whether all these fields hold texts."""
    return all(isinstance(content.get(name), str) for name in names)


def has_lists(content: Mapping[str, Any], *names: str) -> bool:
    """Tell whether all these fields hold lists."""
    return all(isinstance(content.get(name), list) for name in names)


def are_texts(value: object) -> bool:
    """Tell whether a value is a list of texts, at least one."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def text_of(content: Mapping[str, Any], name: str, place: str, within: FieldPath = ()) -> str:
    """Give a field that holds a text.

    Raises:
        RecordError: it is missing, or holds something else.
    """
    value = content.get(name)
    if not isinstance(value, str):
        raise wrong("a text", value, place, (*within, name))
    return value


def list_of(content: Mapping[str, Any], name: str, place: str, within: FieldPath = ()) -> list[Any]:
    """Give a field that holds a list.

    Raises:
        RecordError: it is missing or empty, or holds something else.
    """
    value = content.get(name)
    if not isinstance(value, list) or not value:
        raise wrong("a list of at least one item", value, place, (*within, name))
    return value


def object_of(content: Mapping[str, Any], name: str, place: str) -> dict[str, Any]:
    """Give a field that holds an object.

    Raises:
        RecordError: it is missing, or holds something else.
    """
    value = content.get(name)
    if not isinstance(value, dict):
        raise wrong("an object", value, place, (name,))
    return value


def texts_of(content: Mapping[str, Any], name: str, place: str) -> list[str]:
    """Give a field that holds a list of texts.

    Raises:
        RecordError: it is missing or empty, or holds something else.
    """
    values = list_of(content, name, place)
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise wrong("a text", value, place, (name, index))
    return values


def columns_of(content: Mapping[str, Any], names: Sequence[str], place: str) -> list[list[Any]]:
    """Give parallel lists.

    Raises:
        RecordError: one that is missing, empty or no list, or lists of several lengths.
    """
    columns = [list_of(content, name, place) for name in names]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) != 1:
        raise wrong(f"lists of one length in {', '.join(names)}", lengths, place)
    return columns


def labels_of(content: Mapping[str, Any], name: str, steps: int, place: str) -> list[bool | None]:
    """Give one label per step: true, false, or None where nobody has said it; also as 1 and 0.

    Raises:
        RecordError: another number of labels, or other values.
    """
    values = list_of(content, name, place)
    if len(values) != steps:
        raise wrong(f"one label for each of the {steps} steps", values, place, (name,))
    for index, value in enumerate(values):
        if value is not None and value not in (0, 1):
            raise wrong("true or false", value, place, (name, index))
    return [None if value is None else bool(value) for value in values]


def first_error_of(labels: Sequence[bool | None]) -> int:
    """Give the place of the first wrong step, from 0; -1 where none is wrong."""
    return next((index for index, label in enumerate(labels) if label is False), -1)


def known_answer(value: object) -> object:
    """Give a known answer as a record has it: a text or a number; None for anything else."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None


def id_or(content: Mapping[str, Any], name: str, otherwise: str) -> str | int:
    """Give the id that a field holds, else another."""
    value = content.get(name)
    usable = isinstance(value, (str, int)) and not isinstance(value, bool) and value != ""
    return value if usable else otherwise  # type: ignore[return-value]


def wrong(expected: str, got: object, place: str, field: FieldPath = ()) -> RecordError:
    """Give the error of a file that another layout was expected of."""
    shown = kind_of(got) if isinstance(got, dict) and got else quote(got)
    return RecordError(
        expected, got=shown, advice="is this the right layout?", field=field, place=place
    )
