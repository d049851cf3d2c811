"""What a job reads and writes, and what it says at its end."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from stepscore.arrays import check_environment
from stepscore.errors import InputError, Spell, as_argument
from stepscore.files import (
    Inputs,
    PartFolder,
    Shards,
    WholeFile,
    check_different,
    is_stream,
    names_folder,
)
from stepscore.jobs.skips import OnError, Skips
from stepscore.records import Fields, gather_rows


@dataclass(frozen=True)
class Files:
    """What is read and written.

    Attributes:
        source: the input, or several; see `stepscore.files.Inputs`.
        target: the output; a folder of parts where it ends in a slash or is a folder; None writes
            none.
        overwrite: whether existing files may be replaced.
        on_error: what a record that cannot be processed does.
        skipped: where skipped records are listed; None lists the first on standard error alone.
        fields: the names of the fields.
        chunk_size: how much is worked on together, in candidates, up to whole problems, or in
            problems for a search; None lets the job choose.
        spell: how words that a job writes name arguments.
        group_by: the field whose value the rows of one problem share, where every row is a sample;
            None where every line is a problem.
        restart: whether to forget what an ended run of the same output has kept.
        share: (i, n): work on the i-th of n equal parts of the records, from 1; None on all.
        summary: where the figures of the table are written as JSON; None writes them nowhere.
        say: takes remarks: behind what a run goes on, and what it keeps when it ends early.
    """

    source: str | tuple[str, ...]
    target: str | None = None
    overwrite: bool = False
    on_error: OnError = "stop"
    skipped: str | None = None
    fields: Fields = field(default_factory=Fields)
    chunk_size: int | None = None
    spell: Spell = as_argument
    group_by: str | None = None
    restart: bool = False
    share: tuple[int, int] | None = None
    summary: str | None = None
    say: Callable[[str], None] = lambda remark: None

    @property
    def sources(self) -> tuple[str, ...]:
        """The inputs."""
        return (self.source,) if isinstance(self.source, str) else self.source


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


class WhatWasRead:
    """A running checksum of records, by which the input of an earlier run is known again."""

    def __init__(self) -> None:
        self._checksum = hashlib.blake2b(digest_size=16)
        self._ahead: deque[tuple[str, bytes]] = deque()

    def of(self, lines: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        """Give (place, bytes) of records, and remember them."""
        for line in lines:
            self._ahead.append(line)
            yield line

    def facts(self, places: Sequence[str]) -> dict[str, str]:
        """Give checksums of all records up to some, and of the places of those.

        Args:
            places: of the records that are worked on together, behind those of the call before.
                Others between them were left out, and the reader may be ahead of them.
        """
        place = None
        while place != places[-1]:
            place, line = self._ahead.popleft()
            self._checksum.update(line)
        taken = hashlib.blake2b(
            "\n".join(places).encode("utf-8", "surrogatepass"), digest_size=16
        ).hexdigest()
        return {"read": self._checksum.hexdigest(), "place": places[-1], "taken": taken}


@dataclass(frozen=True)
class OpenFiles:
    """The files of a job while it runs.

    Attributes:
        lines: of the input.
        out: the output; None where none is written.
        pages: further outputs, by name.
        skips: takes the records that cannot be processed.
        shards: the finished pieces of the output; None where it is written at once.
        resumes: whether they stay where the job ends early.
        summary, say: see `Files`.
        begun: when they were opened, of a clock that only runs on.
        read: knows what was read.
    """

    lines: Inputs
    out: WholeFile | PartFolder | None
    pages: dict[str, WholeFile]
    skips: Skips
    shards: Shards | None = None
    resumes: bool = False
    summary: WholeFile | None = None
    say: Callable[[str], None] = lambda remark: None
    read: WhatWasRead = field(default_factory=WhatWasRead)
    begun: float = field(default_factory=time.monotonic)

    def watched(self, lines: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        """Give (place, bytes) of records, of which `facts` is asked where there are shards."""
        return iter(lines) if self.shards is None else self.read.of(lines)

    def facts(self, places: Sequence[str]) -> dict[str, str]:
        """Give what was read up to some records; nothing where nobody needs to know."""
        return {} if self.shards is None else self.read.facts(places)

    def has_kept(self, number: int) -> bool:
        """Say whether an earlier run has kept what a chunk comes to."""
        return self.shards is not None and self.shards.read(number) is not None

    def agree(self, content: Mapping[str, Any]) -> None:
        """Refuse to go on with what a run has kept that depended on something else.

        Raises:
            InputError: it names what differs.
        """
        if self.shards is not None:
            self.shards.agree(content)


def open_files(
    stack: ExitStack,
    files: Files,
    pages: Mapping[str, str] | None = None,
    job: Mapping[str, Any] | None = None,
) -> OpenFiles:
    """Open everything before a model is loaded, so that a wrong path costs no minutes.

    Args:
        stack: closes them; the output last, so that it appears only after all else has ended well.
        files: what is read and written.
        pages: name -> path of further outputs, the arguments ``trees.NAME``.
        job: what the output depends on beside the files and a model, of a job that writes in
            shards; None where it writes at once.

    Raises:
        InputError: a file that cannot be opened, or one in two places; shards of another job.
    """
    check_environment()
    pages = pages or {}
    lines = stack.enter_context(Inputs(files.sources))
    _check_paths(lines, files, pages)
    shards = None
    resumes = lines.can_be_read_again
    if job is not None and files.target is not None and not is_stream(files.target):
        is_folder = names_folder(files.target)
        if not is_folder:
            WholeFile(files.target, overwrite=True)  # names a wrong path before a folder is made
        shards = stack.enter_context(
            Shards(files.target, is_folder=is_folder, restart=files.restart or not resumes)
        )
        if not resumes:
            stack.push(lambda *exception: shards.remove())
        shards.agree({"job": dict(job), "input": _described(lines, files)})

    def write(path: str) -> WholeFile:
        known = shards is not None and shards.has_delivered(path)
        announce = None if shards is None else shards.announce
        whole = WholeFile(path, overwrite=files.overwrite or known, announce=announce)
        return stack.enter_context(whole)

    out: WholeFile | PartFolder | None = None
    if files.target is not None:
        if shards is not None and names_folder(files.target):
            out = PartFolder(files.target, shards, overwrite=files.overwrite)
        else:
            out = write(files.target)
    opened = {name: write(path) for name, path in pages.items()}
    log = None if files.skipped is None else write(files.skipped)
    summary = None if files.summary is None else write(files.summary)
    skips = Skips(files.on_error, log, files.spell)
    return OpenFiles(lines, out, opened, skips, shards, resumes, summary, files.say)


def _check_paths(lines: Inputs, files: Files, pages: Mapping[str, str]) -> None:
    outputs = {name: getattr(files, name) for name in ("target", "skipped", "summary")}
    outputs |= {f"trees.{name}": path for name, path in pages.items()}
    for source in lines.paths:
        check_different({"source": source, **outputs})
    names: dict[tuple[int, int] | str, str] = {}
    for source in lines.paths:
        found = None if source == "-" else os.stat(source)
        file = source if found is None else (found.st_dev, found.st_ino)
        if file in names:
            got = (
                f"{source} twice" if names[file] == source else f"{source}, which is {names[file]}"
            )
            raise InputError("every file once", got=got, advice="leave it out", argument="source")
        names[file] = source


def _described(lines: Inputs, files: Files) -> dict[str, Any]:
    """Give what the records depend on beside what stands in the files."""
    return {
        "files": list(lines.paths),
        "fields": vars(files.fields),
        "group_by": files.group_by,
        "shard": None if files.share is None else "{}/{}".format(*files.share),
    }


def record_lines(opened: OpenFiles, files: Files) -> Iterator[tuple[str, bytes]]:
    """Give (place, bytes) of every record: a line, or all rows of a problem.

    Raises:
        InputError: a part of what can be read only once.
    """
    lines = iter(opened.lines)
    if files.group_by is not None:
        lines = gather_rows(lines, files.group_by, files.fields, opened.skips.take)
    return opened.watched(
        share_of(lines, files.share, opened.lines, gathered=files.group_by is not None)
    )


def share_of(
    lines: Iterator[tuple[str, bytes]],
    share: tuple[int, int] | None,
    inputs: Inputs,
    *,
    gathered: bool = False,
) -> Iterator[tuple[str, bytes]]:
    """Give a part of the records: the outputs of all parts, in their order, are that of all.

    Args:
        lines: (place, bytes) of all records.
        share: see `Files`; None gives all.
        inputs: where they stand.
        gathered: whether a record is more than a line there.

    Raises:
        InputError: a part of what can be read only once, or more parts than records.
    """
    if share is None:
        return lines
    if not inputs.can_be_read_again:
        raise InputError(
            "files on a disk, whose records can be counted first",
            got="standard input or a pipe",
            advice="write it to a file",
            argument="share",
        )
    if gathered:
        every = list(lines)
        lines, count = iter(every), len(every)
    else:
        count = inputs.count()
    part, parts = share
    if count < parts:
        raise InputError(
            "no more parts than records",
            got=f"{parts:,} parts of {count:,}",
            advice="take fewer",
            argument="share",
        )
    return islice(lines, count * (part - 1) // parts, count * part // parts)


def nothing_processed(name: str, skips: Skips, empty: str = "an empty file") -> InputError:
    """Give the error of a job that came through a file without a record that it could work on."""
    if not skips.count:
        return InputError("at least one record", got=empty, advice="check the path", where=name)
    reasons = "\n".join(skips.report())
    return InputError(
        "at least one record that can be processed",
        got="none",
        advice=f"repair the records or name their fields; {reasons}",
        where=name,
    )
