"""A file of a published layout, turned into a file of records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from stepscore.errors import Argument, InputError, did_you_mean
from stepscore.files import LineReader, WholeFile, check_different
from stepscore.records.convert.layout import Layout, wrong
from stepscore.records.convert.registry import LAYOUTS, layout_of
from stepscore.records.convert.values import json_values
from stepscore.records.faults import RecordError
from stepscore.records.json_text import quote

# More generators than these are no table.
_FEW_GENERATORS = 8
_FIELDS_SHOWN = 8


class Conversion:
    """What became of a file.

    Attributes:
        layout: what it was read as.
        problems, candidates, right, labelled: how many, of all, right, and called right or wrong.
        scored: whether every candidate has a score or step scores.
        stated: whether every record has a problem.
        left_out: what was left out, and how often.
        right_of: generator -> how many of its candidates are right.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.problems = self.candidates = self.right = self.labelled = 0
        self.scored = self.stated = True
        self.left_out: Counter[str] = Counter()
        self.right_of: Counter[str] = Counter()

    def count(self, record: Mapping[str, Any]) -> None:
        """Count a record."""
        self.problems += 1
        self.stated = self.stated and "problem" in record
        candidates = record.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else ():
            self.candidates += 1
            said = candidate if isinstance(candidate, dict) else {}
            self.scored = self.scored and ("score" in said or "step_scores" in said)
            if said.get("correct") is not None:
                self.labelled += 1
                self.right += said["correct"] == 1
                if "generator" in said:
                    self.right_of[said["generator"]] += said["correct"] == 1

    def lines(self) -> list[str]:
        """Say it, a line each."""
        plural = ["" if number == 1 else "s" for number in (self.problems, self.candidates)]
        counts = f"{self.problems:,} problem{plural[0]}, {self.candidates:,} candidate{plural[1]}"
        if self.labelled:
            counts += f", {self.right:,} of them right"
        told = [f"read as {self.layout.title} ({self.layout.name})", counts]
        told += [f"left out: {what}: {count:,}" for what, count in self.left_out.items()]
        if 1 < len(self.right_of) <= _FEW_GENERATORS:
            told += [f"  {name:<20}{right:>8,} right" for name, right in self.right_of.items()]
        return told


def convert(
    source: str, target: str, *, layout: str | None = None, overwrite: bool = False
) -> Conversion:
    """Convert a file.

    Args:
        source: the file, ``-`` for standard input: one JSON value per line, values over several
            lines, or one list of them, which may be compressed with gzip or Zstandard; or a Parquet
            file, whose rows are the values.
        target: where the records are written, as JSONL, or as a table where it ends in
            ``.parquet``.
        layout: one of `LAYOUTS`; None recognises it by the fields of the first object.
        overwrite: whether an existing file may be replaced.

    Returns:
        What the file holds.

    Raises:
        InputError: an unknown layout, or a file in another one; the message names the line.
    """
    if layout is not None and layout not in LAYOUTS:
        raise InputError(
            f"one of {', '.join(LAYOUTS)}",
            got=repr(layout),
            advice=did_you_mean(layout, LAYOUTS),
            argument="layout",
        )
    check_different({"source": source, "target": target})
    with WholeFile(target, overwrite=overwrite) as out, LineReader(source) as lines:
        values = json_values(lines)
        first = next(values, None)
        if first is None:
            raise InputError(
                "at least one problem", got="none", advice="check the file", where=lines.name
            )
        found = LAYOUTS[layout] if layout is not None else _recognised(*first)
        conversion = Conversion(found)
        for record in found.read(_objects(chain([first], values)), conversion.left_out):
            out.write(_dump(record, lines.name) + "\n")
            conversion.count(record)
        if not conversion.problems:
            left_out = [line for line in conversion.lines() if line.startswith("left out")]
            raise InputError(
                "at least one problem",
                got="none",
                advice="; ".join(left_out) or "check the file",
                where=lines.name,
            )
    return conversion


def _recognised(place: str, value: object) -> Layout:
    found = layout_of(value)
    if found is not None:
        return found
    got = quote(value)
    if isinstance(value, dict):
        got = f"the fields {', '.join(map(quote, list(value)[:_FIELDS_SHOWN]))}"
    raise RecordError(
        "an object of a known layout",
        got=got,
        advice=(
            f"name the layout ({', '.join(LAYOUTS)}), or pass ",
            Argument("layout", "records"),
            ", which writes the objects one per line, and name their fields where they are read",
        ),
        place=place,
    )


def _objects(values: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for place, value in values:
        if not isinstance(value, dict):
            raise wrong("a JSON object", value, place)
        yield place, value


def _dump(record: dict[str, Any], name: str) -> str:
    where = f"{name}: problem {quote(record['id'])}"
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except ValueError as error:  # 1e999 is JSON, but no float64; NaN is neither
        raise InputError(
            "finite numbers", got="an infinite one, or NaN", advice="repair it", where=where
        ) from error
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            "text that can be written as UTF-8",
            got="half of a surrogate pair (\\ud800 to \\udfff)",
            advice="repair the text",
            where=where,
        ) from error
    return text
