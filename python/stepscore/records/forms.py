"""Text that holds records, but not one per line: what it is, and what to type."""

from __future__ import annotations

import re
import shlex

from stepscore.errors import InputError
from stepscore.files import command_for, convert_command
from stepscore.records.json_text import load_json

# Names of columns, and what stands between them.
_HEADER = re.compile(r'"?[A-Za-z_][\w .-]*"?(?:([,;\t])"?[A-Za-z_][\w .-]*"?)(?:\1"?[\w .-]*"?)*')
_BARE_CR = re.compile(r"\r(?!\n)")
_COLUMNS_SHOWN = 6


def fault_of_form(first_line: str, name: str) -> InputError | None:
    """Say what a file is whose first line is no JSON object; None where that line is just broken.

    Args:
        first_line: stripped.
        name: of the file.
    """
    if _BARE_CR.search(first_line) and _is_json(_BARE_CR.split(first_line)[0]):
        command = command_for(name, r"tr '\r' '\n'")
        return _fault(name, "lines that end in a carriage return alone", command)
    if _is_json(first_line):
        if first_line.startswith("["):
            return _fault(name, "one JSON list", convert_command(name))
        return None
    if first_line[:1] in ("{", "[") and first_line[-1] in "{[,:":
        return _fault(name, "JSON over several lines", convert_command(name))
    header = _HEADER.fullmatch(first_line)
    if header is not None:
        return _csv(name, first_line, header.group(1))
    return None


def _csv(name: str, first_line: str, delimiter: str) -> InputError:
    columns = [column.strip('"') for column in first_line.split(delimiter)]
    shown = ", ".join(columns[:_COLUMNS_SHOWN]) + (", ..." if columns[_COLUMNS_SHOWN:] else "")
    rows = "csv.DictReader(sys.stdin)"
    if delimiter != ",":
        rows = f"csv.DictReader(sys.stdin, delimiter={delimiter!r})"
    program = f"import csv, json, sys; [print(json.dumps(row)) for row in {rows}]"
    return _fault(
        name,
        f"a table with the columns {shown}",
        command_for(name, f"python -c {shlex.quote(program)}"),
    )


def _fault(name: str, what: str, command: str) -> InputError:
    return InputError(
        "JSONL, one JSON object per line", got=what, advice=f"type: {command}", where=name
    )


def _is_json(text: str) -> bool:
    try:
        load_json(text)
    except ValueError:
        return False
    return True
