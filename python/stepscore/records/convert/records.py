"""Our own records that do not stand one per line: in a JSON list, or over several lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import Layout, Objects, has_lists, list_of


def matches(content: Mapping[str, Any]) -> bool:
    """Candidates."""
    return has_lists(content, "candidates")


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Give the records as they are; one without an id gets its number."""
    for index, (place, content) in enumerate(objects):
        list_of(content, "candidates", place)
        yield dict(content) if "id" in content else {"id": index + 1, **content}


RECORDS = Layout(
    "records",
    "records of stepscore",
    "records with candidates, in a JSON list or over several lines",
    matches,
    read,
)
