"""A file of a published layout, turned into a file of records."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from stepscore.errors import InputError
from stepscore.files import LineReader, WholeFile, check_different
from stepscore.records.convert.registry import LAYOUTS
from stepscore.records.json_text import quote


def convert(layout: str, source: str, target: str, *, overwrite: bool = False) -> list[str]:
    """Convert a file.

    Args:
        layout: one of `LAYOUTS`.
        source: the file, ``-`` for standard input; may end in ``.gz``.
        target: where the records are written, as JSONL.
        overwrite: whether an existing file may be replaced.

    Returns:
        What the file holds, in lines.

    Raises:
        InputError: an unknown layout, or a file in another one; the message names the line.
    """
    if layout not in LAYOUTS:
        raise InputError(f"one of {', '.join(LAYOUTS)}", got=repr(layout), argument="layout")
    check_different({"source": source, "target": target})
    problems = candidates = 0
    right_of: Counter[str] = Counter()
    with WholeFile(target, overwrite=overwrite) as out, LineReader(source) as lines:
        for record in LAYOUTS[layout].read(lines):
            out.write(_dump(record, lines.name) + "\n")
            problems += 1
            candidates += len(record["candidates"])
            for candidate in record["candidates"]:
                right_of[candidate.get("generator", "")] += candidate["correct"] is True
        if not problems:
            raise InputError(
                "at least one problem", got="none", advice="check the file", where=lines.name
            )
    counts = f"{problems:,} problems, {candidates:,} candidates, {right_of.total():,} of them right"
    if not LAYOUTS[layout].few_generators:
        return [counts]
    return [counts, *(f"  {name:<20}{right:>8,} right" for name, right in right_of.items())]


def _dump(record: dict[str, Any], name: str) -> str:
    try:
        return json.dumps(record, ensure_ascii=False, allow_nan=False)
    except ValueError as error:  # 1e999 is JSON, but no float64
        raise InputError(
            "finite numbers",
            got="an infinite one",
            advice="repair it",
            where=f"{name}: problem {quote(record['id'])}",
        ) from error
