"""What is said of work that takes long."""

from __future__ import annotations

import io
import sys
import time

import pytest

from stepscore import progress
from stepscore.progress import Progress, named_when_long


def test_what_takes_long_is_named_while_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BEFORE", 0.05)
    said = io.StringIO()
    with named_when_long("loading the PRM lab", said):
        end = time.monotonic() + 60
        while not said.getvalue():
            assert time.monotonic() < end
            time.sleep(0.01)
    assert said.getvalue() == "loading the PRM lab ...\n"


def test_it_is_said_within_a_second() -> None:
    assert progress._SECONDS_BEFORE < 1


def test_what_is_quick_or_fails_soon_is_not_named() -> None:
    said = io.StringIO()
    with named_when_long("loading", said):
        pass
    with pytest.raises(KeyError), named_when_long("loading", said):
        raise KeyError
    assert said.getvalue() == ""


def test_nobody_to_say_it_to_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BEFORE", 0.0)
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stderr", None)
        with named_when_long("loading", stream):
            time.sleep(0.05)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_may_end_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN", 0.0)
    terminal = Terminal()
    with Progress("search", 8, terminal, unit="requests") as shown:
        shown.update(100, 2, "; 2 of 8 problems have ended")
    line = terminal.getvalue().split("\r")[1]
    assert line.startswith("search  25% [######..................] 100 requests")
    assert line.endswith(" left; 2 of 8 problems have ended")
