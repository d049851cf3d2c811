"""Records that do not stand one per line: in a JSON list, or over several lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepscore.records.convert.layout import Layout, Objects, has_lists


def matches(content: Mapping[str, Any]) -> bool:
    """Candidates."""
    return has_lists(content, "candidates")


def read(objects: Objects, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Give the objects as they are; one without an id gets its number.

    Asked for by name it takes objects with any fields, which are named where the file is read.
    """
    for index, (_, content) in enumerate(objects):
        yield dict(content) if "id" in content else {"id": index + 1, **content}


RECORDS = Layout(
    "records",
    "records of stepscore",
    "any objects, in a JSON list or over several lines, as they are",
    matches,
    read,
)
