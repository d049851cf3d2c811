"""Chunks of a file through scores, votes and output; what is finished is kept until the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from stepscore.files import PartFolder, UnfitShardsError, WholeFile
from stepscore.jobs.files import OpenFiles, Report, nothing_processed
from stepscore.jobs.results import ResultWriter
from stepscore.jobs.skips import KeptCandidates
from stepscore.jobs.stream import Chunk
from stepscore.jobs.votes import vote_on
from stepscore.progress import Progress
from stepscore.report.summary import Counts, Summary
from stepscore.report.table import counted
from stepscore.tallies import Tally

# Gives the writer of the results, and what makes the tallies of a chunk: by name, in the order of
# the table at the end.
Start = Callable[[], tuple[ResultWriter, Callable[[], dict[str, Tally]]]]


def tallies_of(table: Callable[[], Summary | Counts], **more: type[Tally]) -> dict[str, Tally]:
    """Give the tallies of a chunk: its table, what was kept without scores, and further ones."""
    return {
        "table": table(),
        "kept": KeptCandidates(),
        **{name: kind() for name, kind in more.items()},
    }


def work(
    what: str,
    opened: OpenFiles,
    chunks: Iterator[Chunk],
    start: Start,
    sizes: Sequence[int] = (),
) -> Report:
    """Take the chunks through votes, output and counts.

    What a chunk comes to, its lines and its tallies, is a shard of the output. One that an earlier
    run has kept is taken as it is, once the input turns out to be the same so far; records that the
    model refused there are tried again, and if one goes well now, so is their chunk.

    Args:
        what: the word before the progress bar.
        opened: the files.
        chunks: whole problems, to be scored.
        start: is called once the first chunk is there.
        sizes: vote over the first so many candidates as well.
    """
    writer: ResultWriter | None = None
    totals: dict[str, Tally] = {}
    number = 0
    moved = False  # what goes well now frees or takes ids, and so moves records of later chunks
    with kept_behind(opened):
        with Progress(what, opened.lines.size) as progress:
            for number, chunk in enumerate(chunks, 1):
                if writer is None:
                    writer, new_tallies = start()
                    totals = new_tallies()
                read = opened.facts(chunk.places)
                facts = from_before(opened, number - 1, read, chunk, moved=moved)
                if facts is None:
                    moved = True
                    tallies = new_tallies()
                    lines, facts = _work_on(chunk, opened, writer, tallies, sizes)
                    states = {name: tally.state() for name, tally in tallies.items()}
                    facts |= {**read, "tallies": states}
                    keep(opened, number - 1, facts, lines)
                    progress.update(facts["candidates"], opened.lines.position())
                else:
                    progress.skip(opened.lines.position())
                for name, tally in totals.items():
                    tally.merge(facts["tallies"][name])
        if writer is None:
            raise nothing_processed(opened.lines.name, opened.skips)
        put_together(opened, number)
        table = [line for tally in totals.values() for line in tally.lines()]
        report = Report(table, opened.skips.report(), progress.count, progress.seconds)
        write_summary(what, opened, report, totals, writer.provenance)
    return report


def write_summary(
    what: str,
    opened: OpenFiles,
    report: Report,
    totals: Mapping[str, Tally],
    provenance: Mapping[str, Any],
) -> None:
    """Write what the table says, and what it comes from, as JSON, where that is asked for."""
    if opened.summary is None:
        return
    content = {
        "command": what,
        "input": list(opened.lines.paths),
        "output": None if opened.out is None else opened.out.name,
        **{name: value for tally in totals.values() for name, value in tally.figures().items()},
        "skipped_records": opened.skips.count,
        "seconds": round(report.seconds, 3),
        "seconds_with_loading": round(time.monotonic() - opened.begun, 3),
        f"{report.unit}_in_these_seconds": report.count,
        "provenance": provenance,
    }
    opened.summary.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _work_on(
    chunk: Chunk,
    opened: OpenFiles,
    writer: ResultWriter,
    tallies: Mapping[str, Tally],
    sizes: Sequence[int],
) -> tuple[bytes, dict[str, Any]]:
    """Give the lines of a chunk, and what is known of it; count it."""
    lines = b""
    table = tallies["table"]
    records = candidates = 0
    mark = opened.skips.mark()
    for scored in chunk.score(None):
        voted = None
        if isinstance(table, Summary):
            voted = vote_on(scored, writer.settings, sizes=sizes)
            table.add(scored.scores, voted.answers, voted.elections, voted.grades)
        elif isinstance(table, Counts):
            table.add(scored.scores)
        for name, tally in {"kept": KeptCandidates.of(scored), **scored.tallies}.items():
            tallies[name].merge(tally.state())
        if opened.out is not None:
            lines += writer.lines(scored, voted)
        records += scored.scores.problems
        candidates += int(scored.scores.offsets[-1])
    facts = {
        "records": records,
        "candidates": candidates,
        "position": opened.lines.position(),
        "failed": opened.skips.since(mark),
    }
    return lines, facts


def keep(opened: OpenFiles, number: int, facts: Mapping[str, Any], lines: bytes) -> None:
    """Keep what a chunk has come to: its lines, and what is known of it."""
    if opened.out is None:
        return
    if opened.shards is not None:
        opened.shards.write(number, facts, lines)
    elif isinstance(opened.out, WholeFile):
        opened.out.write_bytes(lines)


def put_together(opened: OpenFiles, count: int) -> None:
    """Write the output from its first `count` shards; without shards it is written already."""
    if opened.shards is None:
        return
    if isinstance(opened.out, PartFolder):
        opened.out.put_together(count)
    elif opened.out is not None:
        for block in opened.shards.blocks(range(count)):
            opened.out.write_bytes(block)


def from_before(
    opened: OpenFiles,
    number: int,
    read: Mapping[str, Any],
    chunk: Chunk | None = None,
    *,
    moved: bool = False,
) -> Mapping[str, Any] | None:
    """Give what an earlier run has kept of a chunk, if it holds good now.

    A candidate that was kept without scores stays so: what it lacks is its own.

    Args:
        opened: the files.
        number: of the chunk.
        read: what was read up to its last record.
        chunk: tries records again that the model refused; None where it refuses none.
        moved: whether other records than then may stand in the chunk.

    Raises:
        UnfitShardsError: that run has read something else.
    """
    shards = opened.shards
    facts = None if shards is None else shards.read(number)
    if shards is None or facts is None:
        return None
    others = any(facts[name] != read[name] for name in ("place", "taken"))
    if others and moved:
        return None
    if others or facts["read"] != read["read"]:
        raise shards.fault(
            f"the input that was read when shard {number} was kept",
            f"something else up to {read['place']}",
        )
    failed = {fault["place"] for fault in facts["failed"]}
    if failed and chunk is not None:
        # Refused again, they are left out again; else their neighbours are scored with them.
        mark = opened.skips.mark()
        for _ in chunk.score(failed):
            opened.skips.undo(mark)
            return None
    return facts


@contextmanager
def kept_behind(opened: OpenFiles, unit: str = "candidate") -> Iterator[None]:
    """Say behind what a run goes on, and what is kept where it ends before its time."""
    units = f"{unit}s"
    shards = opened.shards
    if shards is None:
        yield
        return
    kept = shards.kept()
    if kept is not None:
        size = opened.lines.size
        share = f" ({min(kept.facts['position'] / size, 1):.0%} of the input)" if size else ""
        done = counted(kept.counts[units], unit)
        opened.say(f"goes on behind {done}{share}, kept by a run that ended at {_told(kept.ended)}")
    try:
        yield
    except BaseException as error:
        kept = shards.kept() if opened.resumes else None
        if kept is not None and not isinstance(error, UnfitShardsError):
            done = counted(kept.counts[units], unit)
            are = "is" if kept.counts[units] == 1 else "are"
            opened.say(f"{done} {are} kept in {shards.name}; type the same command to go on")
        raise


def _told(seconds: float) -> str:
    then, now = time.localtime(seconds), time.localtime()
    return time.strftime("%H:%M" if then[:3] == now[:3] else "%H:%M on %Y-%m-%d", then)
