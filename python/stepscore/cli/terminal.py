"""What a command writes: tables to standard output, remarks and errors to standard error."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stepscore.credentials import masked
from stepscore.errors import InputError
from stepscore.files import is_standard_output
from stepscore.jobs.files import Report


class OutputError(InputError):
    """Standard output that cannot be written."""

    def __init__(self, got: str) -> None:
        super().__init__(
            "a stream that can be written",
            got=got,
            advice="free some space, or send the table elsewhere",
            where="standard output",
        )


class DifferError(Exception):
    """A check that has not come out as it should; its exit code is 1."""


def say(lines: Sequence[str]) -> None:
    """Write lines to standard output.

    Raises:
        OutputError: it is closed, or its disk is full.
        BrokenPipeError: its reader has gone.
    """
    if sys.stdout is None:  # as after ">&-"
        raise OutputError("a closed one")
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        silence_output()
        raise OutputError(error.strerror or str(error)) from error


def complain(line: str) -> None:
    """Write a line to standard error."""
    # An argument may be a URL with a password. What could not be decoded becomes an escape.
    print(masked(line), file=sys.stderr)


@contextmanager
def telling_warnings(name: str) -> Iterator[None]:
    """Write warnings as lines of a command; Python's own form shows a place inside the library."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        complain(f"{name}: warning: {message}")

    before = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def tell(report: Report, arguments: argparse.Namespace) -> None:
    """Write the table, what was left out, how fast it was and where the output stands."""
    for line in report.skipped:
        complain(line)
    if arguments.quiet:
        return
    # The rate and where the output stands are for a person; the table may go into a file. Where the
    # result itself went to standard output, the table would be taken for a part of it.
    if is_standard_output(arguments.output):
        for line in report.table:
            complain(line)
    else:
        say(report.table)
    written = f"; written to {arguments.output}" if arguments.output else ""
    complain(f"{report.rate()}{written}")


def silence_output() -> None:
    """Send what is left in the buffer nowhere, or Python complains about it at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
