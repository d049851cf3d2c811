"""The stream: lines -> records -> chunks of whole problems -> scores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from stepscore.errors import Spell, as_argument
from stepscore.jobs.file_scores import LayoutCheck, read_scores
from stepscore.jobs.judged import judge_records
from stepscore.jobs.model_scores import score_with_model
from stepscore.jobs.scored import ScoredRecords
from stepscore.jobs.scored_lines import ScoredLines
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

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel
    from stepscore.scoring.pairs import PairwiseJudge
    from stepscore.scoring.score_options import OnBad, SpecialTokens
    from stepscore.scoring.truncation import Truncation


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
    model: ProcessRewardModel,
    *,
    fields: Fields,
    truncation: Truncation,
    chunk_size: int,
    skips: Skips,
    on_bad: OnBad = "keep",
    special_tokens: SpecialTokens = "strip_end",
    spell: Spell = as_argument,
) -> Iterator[Chunk]:
    """Score the candidates of a file with a model, some problems at a time.

    Args:
        lines: (place, bytes) of every line.
        model: a process reward model.
        fields: the names of the fields.
        truncation: see the model's ``score``.
        chunk_size: how many candidates are scored together, up to whole problems.
        skips: takes the records that cannot be processed.
        on_bad, special_tokens, spell: see `score_with_model`.

    Returns:
        Chunks to be scored one after the other, each before the next is asked for.

    Raises:
        InputError: a record at fault that `skips` does not take, or a model that fails.
    """
    unique = UniqueIds()

    def leave_out(error: RecordError) -> None:
        skips.take(error)
        unique.forget(error)

    records = parse_records(lines, fields, "solutions", skips.take)

    def score(chunk: list[Record], places: Collection[str] | None) -> Iterator[ScoredRecords]:
        return score_with_model(
            _at(chunk, places),
            model,
            truncation,
            leave_out,
            fields,
            on_bad=on_bad,
            special_tokens=special_tokens,
            spell=spell,
        )

    for chunk in _chunks(records, chunk_size, unique, skips):
        yield Chunk([record.place for record in chunk], partial(score, chunk))
        skips.write_down()


def judge_lines(
    lines: Iterator[tuple[str, bytes]],
    judge: PairwiseJudge,
    *,
    fields: Fields,
    chunk_size: int,
    skips: Skips,
) -> Iterator[Chunk]:
    """Let the candidates of a file meet two by two, some problems at a time.

    Args:
        lines, fields, chunk_size, skips: as in `score_lines`.
        judge: compares two solutions.

    Raises:
        InputError: a record at fault that `skips` does not take, or a policy that fails.
    """
    unique = UniqueIds()

    def leave_out(error: RecordError) -> None:
        skips.take(error)
        unique.forget(error)

    records = parse_records(lines, fields, "solutions", skips.take)

    def score(chunk: list[Record], places: Collection[str] | None) -> Iterator[ScoredRecords]:
        judged = judge_records(_at(chunk, places), judge, leave_out, fields)
        if judged is not None:
            yield judged

    for chunk in _chunks(records, chunk_size, unique, skips):
        yield Chunk([record.place for record in chunk], partial(score, chunk))
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


def _at(records: list[Record], places: Collection[str] | None) -> list[Record]:
    """Give the records that stand at some places; all without."""
    return [record for record in records if places is None or record.place in places]


def _chunks(
    records: Iterable[Record], chunk_size: int, unique: UniqueIds, skips: Skips
) -> Iterator[list[Record]]:
    """Group whole problems until a group has `chunk_size` candidates; leave out known ids."""
    chunk: list[Record] = []
    candidates = 0
    for record in records:
        # Whether the earlier record with that id is good is known after its chunk.
        if unique.has(record.id) and any(earlier.id == record.id for earlier in chunk):
            yield chunk
            chunk, candidates = [], 0
        try:
            unique.check(record)
        except RecordError as error:
            skips.take(error)
            continue
        chunk.append(record)
        candidates += len(record.candidates)
        if candidates >= chunk_size:
            yield chunk
            chunk, candidates = [], 0
    if chunk:
        yield chunk
