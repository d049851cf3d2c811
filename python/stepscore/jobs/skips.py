"""What is left out: records that cannot be processed, and candidates that cannot be scored."""

from __future__ import annotations

import json
import textwrap
from typing import Any, Literal

from stepscore.errors import Argument, Spell, as_argument
from stepscore.files import WholeFile, number_in
from stepscore.jobs.scored import ScoredRecords
from stepscore.ragged import segment_of
from stepscore.records import RecordError
from stepscore.report.table import NOTE_WIDTH, counted
from stepscore.tallies import Tally

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

    @property
    def stops(self) -> bool:
        """Whether the first error ends the job."""
        return self._on_error == "stop"

    def take(self, error: RecordError) -> None:
        """Take the error of one record.

        Raises:
            RecordError: that very error, under ``stop``.
        """
        if self.stops:
            raise error
        self.count += 1
        self._new.append(error)

    def mark(self) -> int:
        """Give a mark, by which `since` and `undo` find what was taken behind it."""
        return len(self._new)

    def since(self, mark: int) -> list[dict[str, Any]]:
        """Give what was taken behind a mark that `write_down` has not passed, as JSON."""
        return [self._as_json(error) for error in self._new[mark:]]

    def undo(self, mark: int) -> None:
        """Forget what was taken behind a mark that `write_down` has not passed."""
        self.count -= len(self._new) - mark
        del self._new[mark:]

    def write_down(self) -> None:
        """List what was taken since the last call, in the order of the lines.

        A model finds fault with a record after later lines have been read.
        """
        for error in sorted(self._new, key=_line_number):
            if len(self._first) < _LISTED:
                self._first.append(error)
            if self._log is not None:
                self._log.write(json.dumps(self._as_json(error)) + "\n")
        self._new.clear()

    def _as_json(self, error: RecordError) -> dict[str, Any]:
        return {
            "place": error.place,
            "id": error.record_id,
            "reason": error.reason_told(self._spell),
        }

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


class KeptCandidates(Tally):
    """Counts the candidates that could not be scored, and those whose end was removed."""

    def __init__(self) -> None:
        self._skipped = 0
        self._stripped = 0
        self._problems = 0
        self._first = ""

    @classmethod
    def of(cls, scored: ScoredRecords) -> KeptCandidates:
        """Count those of some records."""
        counts = cls()
        counts._add(scored)
        return counts

    def _add(self, scored: ScoredRecords) -> None:
        self._stripped += len(scored.stripped)
        if not scored.skipped:
            return
        record_of = segment_of(scored.scores.offsets)
        self._skipped += len(scored.skipped)
        self._problems += len({int(record_of[place]) for place in scored.skipped})
        if not self._first:
            place = min(scored.skipped)
            self._first = f"{scored.records.places[record_of[place]]}: {scored.skipped[place]}"

    def figures(self) -> dict[str, Any]:
        """Give the same for a program."""
        return {"candidates_without_scores": self._skipped, "ends_removed": self._stripped}

    def lines(self) -> list[str]:
        """Say it, each in lines of at most 100 columns; nothing where there is nothing to say."""
        notes = []
        if self._skipped:
            notes.append(
                f"{counted(self._skipped, 'candidate')} of {counted(self._problems, 'problem')} "
                f"could not be scored and took no part; the first: {self._first}"
            )
        if self._stripped:
            notes.append(
                "Tokens that end a turn or a text were removed at the end of "
                f"{counted(self._stripped, 'candidate')}."
            )
        lines = [line for note in notes for line in textwrap.wrap(note, NOTE_WIDTH)]
        return ["", *lines] if lines else []


def _line_number(error: RecordError) -> int:
    return number_in(error.place) or 0


def raise_fault(error: RecordError) -> None:
    """Take the error of a record by raising it."""
    raise error
