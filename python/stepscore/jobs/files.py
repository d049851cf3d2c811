"""What a job reads and writes, and what it says at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from stepscore.arrays import check_environment
from stepscore.errors import InputError, Spell, as_argument
from stepscore.files import LineReader, WholeFile, check_different
from stepscore.jobs.skips import OnError, Skips
from stepscore.records import Fields, gather_rows


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
        chunk_size: how much is worked on together, in candidates, up to whole problems, or in
            problems for a search; None lets the job choose.
        spell: how words that a job writes name arguments.
        group_by: the field whose value the rows of one problem share, where every row is a sample;
            None where every line is a problem.
    """

    source: str
    target: str | None = None
    overwrite: bool = False
    on_error: OnError = "stop"
    skipped: str | None = None
    fields: Fields = field(default_factory=Fields)
    chunk_size: int | None = None
    spell: Spell = as_argument
    group_by: str | None = None


@dataclass(frozen=True)
class Report:
    """What a job says at its end.

    Attributes:
        table: counts and figures, one line each.
        skipped: what was left out, one line each.
        count: how much was worked on.
        seconds: how long that took, without loading a model.
        unit: what is counted.
    """

    table: list[str]
    skipped: list[str]
    count: int
    seconds: float
    unit: str = "candidates"

    def rate(self) -> str:
        """Say how fast it was."""
        per_second = self.count / max(self.seconds, 1e-9)
        digits = 1 if per_second < 100 else 0
        return f"{self.seconds:.1f} s, {per_second:,.{digits}f} {self.unit}/s"


@dataclass(frozen=True)
class OpenFiles:
    """The files of a job while it runs.

    Attributes:
        lines: of the input.
        out: the output; None where none is written.
        pages: further outputs, by name.
        skips: takes the records that cannot be processed.
    """

    lines: LineReader
    out: WholeFile | None
    pages: dict[str, WholeFile]
    skips: Skips


def open_files(stack: ExitStack, files: Files, pages: Mapping[str, str] | None = None) -> OpenFiles:
    """Open everything before a model is loaded, so that a wrong path costs no minutes.

    Args:
        stack: closes them; the output last, so that it appears only after all else has ended well.
        files: what is read and written.
        pages: name -> path of further outputs, the arguments ``trees.NAME``.

    Raises:
        InputError: a file that cannot be opened, or one in two places.
    """
    check_environment()
    pages = pages or {}
    paths = {"source": files.source, "target": files.target, "skipped": files.skipped}
    check_different({**paths, **{f"trees.{name}": path for name, path in pages.items()}})
    lines = stack.enter_context(LineReader(files.source))

    def write(path: str) -> WholeFile:
        return stack.enter_context(WholeFile(path, overwrite=files.overwrite))

    out = None if files.target is None else write(files.target)
    opened = {name: write(path) for name, path in pages.items()}
    log = None if files.skipped is None else write(files.skipped)
    return OpenFiles(lines, out, opened, Skips(files.on_error, log, files.spell))


def record_lines(opened: OpenFiles, files: Files) -> Iterator[tuple[str, bytes]]:
    """Give (place, bytes) of every record: a line, or all rows of a problem."""
    lines = iter(opened.lines)
    if files.group_by is None:
        return lines
    return gather_rows(lines, files.group_by, files.fields, opened.skips.take)


def nothing_processed(name: str, skips: Skips) -> InputError:
    """Give the error of a job that came through a file without a record that it could work on."""
    if not skips.count:
        return InputError(
            "at least one record", got="an empty file", advice="check the path", where=name
        )
    reasons = "\n".join(skips.report())
    return InputError(
        "at least one record that can be processed",
        got="none",
        advice=f"repair the records or name their fields; {reasons}",
        where=name,
    )
