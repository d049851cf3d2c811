"""What the device checks measure, as lines for programs (JSON) and for people.

A part is a function that adds rows. One that breaks leaves a row that says so, and the rest runs.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True)
class Row:
    """One figure; `met` is None where there is no bar."""

    part: str
    what: str
    value: float | None
    unit: str = ""
    bar: float | None = None
    met: bool | None = None
    note: str = ""

    def __str__(self) -> str:
        value = "" if self.value is None else f"{self.value:.4g} {self.unit}".strip()
        bar = "" if self.bar is None else f"bar {self.bar:g}"
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        return f"{self.part:<10} {self.what:<62} {value:>18}  {bar:<10} {verdict:<7} {self.note}"


class Table:
    """Rows, written as they come; whatever stops the run leaves those before it."""

    def __init__(self, out: Path | None, into: TextIO = sys.stdout) -> None:
        self.out = out
        self.into = into
        self.rows: list[Row] = []
        self._part = ""

    def add(
        self,
        what: str,
        value: float | None,
        unit: str = "",
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        note: str = "",
    ) -> None:
        """Add a figure, with the bar that it has to reach or must not pass."""
        met = None
        if value is not None and at_least is not None:
            met = value >= at_least
        if value is not None and at_most is not None:
            met = value <= at_most  # a NaN meets no bar
        bar = at_most if at_least is None else at_least
        self._write(Row(self._part, what, value, unit, bar, met, note))

    def skip(self, what: str, reason: str) -> None:
        """Say what was not measured, and why."""
        self._write(Row(self._part, what, None, note=f"skipped: {reason}"))

    def run(self, part: str, measure: Callable[[], None]) -> None:
        """Measure a part; if it breaks, say so."""
        self._part = part
        try:
            measure()
        except Exception as error:  # whatever it is, the other parts are worth their time
            traceback.print_exc(file=self.into)
            first = (str(error).splitlines() or [""])[0]
            note = f"{type(error).__name__}: {first}"
            self._write(Row(part, "broke", None, met=False, note=note))

    def missed(self) -> int:
        """How many bars were missed, and parts broken."""
        return sum(row.met is False for row in self.rows)

    def broken(self) -> int:
        """How many parts broke."""
        return sum(row.what == "broke" for row in self.rows)

    def verdict(self, rehearsed: bool) -> int:
        """Say how it went; 1 where that is not well. A rehearsal's figures say nothing."""
        bad = self.broken() if rehearsed else self.missed()
        good = "every part ran" if rehearsed else "every bar met"
        print(good if bad == 0 else f"{bad} bars missed or parts broken")
        return 0 if bad == 0 else 1

    def _write(self, row: Row) -> None:
        self.rows.append(row)
        print(row, file=self.into, flush=True)
        if self.out is not None:
            with self.out.open("a") as lines:
                lines.write(json.dumps(asdict(row)) + "\n")
