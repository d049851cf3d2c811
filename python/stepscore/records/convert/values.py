"""The JSON values of a file one after the other, however they stand in it."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from stepscore.files import LineReader
from stepscore.records.faults import RecordError
from stepscore.records.forms import fault_of_form
from stepscore.records.json_text import DECODER, load_json, quote

_CHUNK = 1 << 18
_SPACE = re.compile(r"[ \t\r\n]*")


def json_values(lines: LineReader) -> Iterator[tuple[str, Any]]:
    """Give (place, value) of every JSON value of a file, without holding more than a few of them.

    One value per line, values over several lines, and one list, whose items are the values; of a
    table the rows.

    Raises:
        RecordError: what is no JSON; the message names the line.
    """
    if lines.is_table:
        yield from _rows(lines)
        return
    text = _Text(lines)
    begins = text.skip_space()
    # A table or a text in another form has no JSON at its beginning.
    form = fault_of_form(text.line(), lines.name) if begins and begins not in "{[" else None
    if form is not None:
        raise form
    if begins != "[":
        while text.skip_space():
            yield text.place(), text.value()
        return
    text.drop(1)
    number = 0
    while (character := text.skip_space()) != "]":
        if number:
            if character != ",":
                raise text.fault(f"{quote(character)} between two items of a list")
            text.drop(1)
            text.skip_space()
        yield f"{text.place()}, item {number}", text.value()
        number += 1
    text.drop(1)
    if text.skip_space():
        raise text.fault("more text after the list")


def _rows(lines: LineReader) -> Iterator[tuple[str, Any]]:
    for place, line in lines:
        try:
            yield place, load_json(line.decode())
        except ValueError as error:
            raise RecordError(
                "values that JSON can hold", got=str(error), advice="repair the file", place=place
            ) from None


class _Text:
    """What is left of a file, of which so much is in memory as a value needs."""

    def __init__(self, lines: LineReader) -> None:
        self._name = lines.name
        self._chunks = lines.chunks(_CHUNK)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text = ""
        self._start = 0  # of what is left in `_text`
        self._line = 1
        self._whole = False

    def place(self) -> str:
        return f"{self._name}:{self._line}"

    def line(self) -> str:
        return self._text[self._start :].partition("\n")[0].strip()

    def fault(self, got: str) -> RecordError:
        return RecordError("JSON in UTF-8", got=got, advice="repair the file", place=self.place())

    def skip_space(self) -> str:
        """Go to the next character that is no space, and give it; at the end nothing."""
        while True:
            match = _SPACE.match(self._text, self._start)
            assert match is not None  # it matches nothing, too
            self.drop(match.end() - self._start)
            if self._start < len(self._text):
                return self._text[self._start]
            if not self._read():
                return ""

    def drop(self, count: int) -> None:
        self._line += self._text.count("\n", self._start, self._start + count)
        self._start += count

    def value(self) -> Any:
        """Read the next value."""
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._start)
            except json.JSONDecodeError as error:
                if self._is_unfinished(error) and self._read():
                    continue
                raise self._at(error.pos).fault(error.msg) from None
            except ValueError as error:
                raise self.fault(str(error)) from None
            except RecursionError:
                raise self.fault("brackets nested too deeply") from None
            # A number may go on in what is still to be read.
            if end == len(self._text) and self._read():
                continue
            self.drop(end - self._start)
            return value

    def _is_unfinished(self, error: json.JSONDecodeError) -> bool:
        """Tell whether more text may mend it: a text, or what is cut at the very end."""
        return error.msg.startswith("Unterminated") or error.pos > len(self._text) - 12

    def _at(self, position: int) -> _Text:
        self.drop(max(position - self._start, 0))
        return self

    def _read(self) -> bool:
        """Read as much again as there is, so that a long value is not looked at too often."""
        if self._whole:
            return False
        self._text = self._text[self._start :]
        self._start = 0
        wanted, parts, count = max(_CHUNK, len(self._text)), [self._text], 0
        while count < wanted:
            chunk = next(self._chunks, b"")
            try:
                parts.append(self._decode(chunk, final=not chunk))
            except UnicodeDecodeError as error:
                raise self.fault(f"byte 0x{error.object[error.start]:02x}") from None
            count += len(chunk)
            if not chunk:
                self._whole = True
                break
        more = len("".join(parts[1:])) > 0
        self._text = "".join(parts)
        return more
