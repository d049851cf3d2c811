"""A record that cannot be processed stops the run, or is left out and listed."""

from __future__ import annotations

import json
from typing import Literal

from stepscore.errors import Argument, Spell, as_argument
from stepscore.files import WholeFile
from stepscore.records import RecordError

OnError = Literal["stop", "skip"]

_LISTED = 20


class Skips:
    """Takes the errors of single records.

    Args:
        on_error: ``stop`` raises the first; ``skip`` counts them and keeps the first 20.
        log: gets every skipped record as a JSON line with its place, id and reason.
        spell: how the reasons name arguments.
    """

    def __init__(
        self, on_error: OnError, log: WholeFile | None = None, spell: Spell = as_argument
    ) -> None:
        self.count = 0
        self._on_error = on_error
        self._log = log
        self._spell = spell
        self._first: list[RecordError] = []
        self._new: list[RecordError] = []

    def take(self, error: RecordError) -> None:
        """Take the error of one record.

        Raises:
            RecordError: that very error, under ``stop``.
        """
        if self._on_error == "stop":
            raise error
        self.count += 1
        self._new.append(error)

    def write_down(self) -> None:
        """List what was taken since the last call, in the order of the lines.

        A model finds fault with a record after later lines have been read.
        """
        for error in sorted(self._new, key=_line_number):
            if len(self._first) < _LISTED:
                self._first.append(error)
            if self._log is not None:
                line = {
                    "place": error.place,
                    "id": error.record_id,
                    "reason": error.reason_told(self._spell),
                }
                self._log.write(json.dumps(line) + "\n")
        self._new.clear()

    def report(self) -> list[str]:
        """Say what was left out, one line each; nothing when nothing was."""
        self.write_down()
        if not self.count:
            return []
        lines = [f"skipped {self.count:,} {'record' if self.count == 1 else 'records'}:"]
        lines += [f"  {error.told(self._spell)}" for error in self._first]
        if self.count > len(self._first):
            listed = self._spell(Argument("skipped"))
            lines.append(f"  ... and {self.count - len(self._first):,} more; {listed} lists all")
        return lines


def _line_number(error: RecordError) -> int:
    return int(error.place.rpartition(":")[2])


def raise_fault(error: RecordError) -> None:
    """Take the error of a record by raising it."""
    raise error
