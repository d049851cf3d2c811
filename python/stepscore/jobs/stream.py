"""The stream: lines -> records -> chunks of whole problems -> scores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from stepscore.jobs.file_scores import LayoutCheck, read_scores
from stepscore.jobs.scored import ScoredRecords
from stepscore.jobs.scored_lines import ScoredLines
from stepscore.jobs.scorers import Begun, Scorer
from stepscore.jobs.skips import Skips
from stepscore.records import (
    Fields,
    LineBlock,
    Record,
    RecordColumns,
    RecordError,
    TableBlock,
    UniqueIds,
    parse_records,
)


class Chunk(NamedTuple):
    """Some whole problems of a file.

    Attributes:
        places: of their records.
        score: scores those of the records at some places, or all.
    """

    places: Sequence[str]
    score: Callable[[Collection[str] | None], Iterable[ScoredRecords]]


def score_lines(
    lines: Iterator[tuple[str, bytes]],
    scorer: Scorer,
    *,
    fields: Fields,
    chunk_size: int,
    skips: Skips,
    is_kept: Callable[[int], bool] = lambda number: False,
) -> Iterator[Chunk]:
    """Score the candidates of a file, some problems at a time.

    Chunks, faults and what a file that cannot be read raises come in the order of the file, however
    many chunks the scorer works on at once.

    Args:
        lines: (place, bytes) of every line.
        scorer: a model or a judge.
        fields: the names of the fields.
        chunk_size: how many candidates are scored together, up to whole problems.
        skips: takes the records that cannot be processed.
        is_kept: tells of the number of a chunk whether its scores are likely known already, so
            that it is not begun before it is asked for.

    Returns:
        Chunks to be scored one after the other, each before the next is asked for.

    Raises:
        InputError: a record at fault that `skips` does not take, or a model that fails.
    """
    unique = UniqueIds()
    faults: list[RecordError] = []  # of the records that were read since the last chunk

    def leave_out(error: RecordError) -> None:
        skips.take(error)
        unique.forget(error)

    def score(
        records: list[Record], begun: Begun | None, places: Collection[str] | None
    ) -> Iterable[ScoredRecords]:
        if places is not None:
            begun = scorer.begin([record for record in records if record.place in places])
        return (begun or scorer.begin(records))(leave_out)

    def begin(records: list[Record], number: int) -> tuple[Chunk, list[RecordError]]:
        begun = scorer.begin(records) if scorer.ahead and not is_kept(number) else None
        read, faults[:] = faults[:], []
        places = [record.place for record in records]
        return Chunk(places, partial(score, records, begun)), read

    # One that ends the job is raised where it stands, else it is listed in its turn.
    take = skips.take if skips.stops else faults.append
    records = parse_records(lines, fields, "solutions", take)
    chunks = _chunks(records, chunk_size, unique, take)
    for chunk, found in _in_turn(chunks, begin, scorer.ahead):
        for fault in found:
            skips.take(fault)
        yield chunk
        skips.write_down()
    for fault in faults:
        skips.take(fault)
    skips.write_down()


def read_lines(
    blocks: Iterator[LineBlock | TableBlock],
    *,
    fields: Fields,
    check: LayoutCheck,
    chunk_size: int,
    skips: Skips,
) -> Iterator[Chunk]:
    """Take the scores that the candidates of a file carry, some problems at a time.

    Args:
        blocks: all records.
        fields, chunk_size, skips: as in `score_lines`.
        check: learns which scores the file carries, and refuses a record that differs.

    Raises:
        InputError: a record at fault that `skips` does not take.
    """

    def score(columns: RecordColumns, places: Collection[str] | None) -> Iterator[ScoredRecords]:
        assert check.layout is not None  # a record has passed the check
        if places is None:  # all that could be read was kept, and what could not be has no scores
            yield read_scores(columns, check.layout)

    for columns in ScoredLines(fields, check, skips.take).chunks(blocks, chunk_size):
        yield Chunk(columns.places, partial(score, columns))
        skips.write_down()


def _chunks(
    records: Iterable[Record],
    chunk_size: int,
    unique: UniqueIds,
    take: Callable[[RecordError], None],
) -> Iterator[list[Record]]:
    """Group whole problems until a group has `chunk_size` candidates; leave out known ids.

    An empty group asks for all before it to be scored: whether an earlier record that has the id of
    the next one is good is known after its chunk.
    """
    chunk: list[Record] = []
    candidates = 0
    for record in records:
        if unique.has(record.id):
            if any(earlier.id == record.id for earlier in chunk):
                yield chunk
                chunk, candidates = [], 0
            yield []
        try:
            unique.check(record)
        except RecordError as error:
            take(error)
            continue
        chunk.append(record)
        candidates += len(record.candidates)
        if candidates >= chunk_size:
            yield chunk
            chunk, candidates = [], 0
    if chunk:
        yield chunk


def _in_turn(
    groups: Iterable[list[Record]],
    begin: Callable[[list[Record], int], tuple[Chunk, list[RecordError]]],
    ahead: int,
) -> Iterator[tuple[Chunk, list[RecordError]]]:
    """Begin some chunks ahead of the one that is given; an error comes behind those before it."""
    waiting: deque[tuple[Chunk, list[RecordError]]] = deque()
    number = 0
    failure: Exception | None = None
    try:
        for group in groups:
            if group:
                waiting.append(begin(group, number))
                number += 1
            while len(waiting) > (ahead if group else 0):
                yield waiting.popleft()
    except Exception as error:
        failure = error
    while waiting:
        yield waiting.popleft()
    if failure is not None:
        raise failure
