"""What a job reads and writes, and what it says at its end."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

from stepscore.errors import Spell, as_argument
from stepscore.files.jsonl import LineReader, WholeFile, check_different
from stepscore.jobs.skips import OnError, Skips
from stepscore.records.records import Fields


@dataclass(frozen=True)
class Files:
    """What is read and written.

    Attributes:
        source: the input, ``-`` for standard input; may end in ``.gz``.
        target: the output; None writes none.
        overwrite: whether existing files may be replaced.
        on_error: what a record that cannot be processed does.
        skipped: where skipped records are listed; None lists the first on standard error alone.
        fields: the names of the fields.
        chunk_size: how many candidates are worked on together, up to whole problems; None takes 512
            with a model and 8,192 without.
        spell: how the reasons of skipped records name arguments.
    """

    source: str
    target: str | None = None
    overwrite: bool = False
    on_error: OnError = "stop"
    skipped: str | None = None
    fields: Fields = field(default_factory=Fields)
    chunk_size: int | None = None
    spell: Spell = as_argument


@dataclass(frozen=True)
class Report:
    """What a job says at its end.

    Attributes:
        table: counts, and all aggregations by all votes.
        skipped: what was left out, one line each.
        candidates: how many were worked on.
        seconds: how long that took, without loading a model.
    """

    table: list[str]
    skipped: list[str]
    candidates: int
    seconds: float

    def rate(self) -> str:
        """Say how fast it was."""
        per_second = self.candidates / max(self.seconds, 1e-9)
        return f"{self.seconds:.1f} s, {per_second:,.0f} candidates/s"


@dataclass(frozen=True)
class OpenFiles:
    """The files of a job while it runs."""

    lines: LineReader
    out: WholeFile | None
    skips: Skips


def open_files(stack: ExitStack, files: Files) -> OpenFiles:
    """Open everything before a model is loaded, so that a wrong path costs no minutes."""
    check_different({"source": files.source, "target": files.target, "skipped": files.skipped})
    lines = stack.enter_context(LineReader(files.source))
    out = log = None
    # The output is closed last: it appears only after all else has ended well.
    if files.target is not None:
        out = stack.enter_context(WholeFile(files.target, overwrite=files.overwrite))
    if files.skipped is not None:
        log = stack.enter_context(WholeFile(files.skipped, overwrite=files.overwrite))
    return OpenFiles(lines, out, Skips(files.on_error, log, files.spell))


def nothing_processed(opened: OpenFiles) -> str:
    """Say that a file held no record that could be worked on."""
    if not opened.skips.count:
        return (
            f"{opened.lines.name}: expected at least one record; got an empty file; check the path"
        )
    reasons = "\n".join(opened.skips.report())
    return (
        f"{opened.lines.name}: expected at least one record that can be processed; got none; "
        f"repair the records or name their fields; {reasons}"
    )
