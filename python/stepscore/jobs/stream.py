"""The stream: lines -> records -> chunks of whole problems -> scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from stepscore.errors import Spell, as_argument
from stepscore.jobs.file_scores import LayoutCheck, read_scores
from stepscore.jobs.judged import JudgedCounts, judge_records
from stepscore.jobs.model_scores import score_with_model
from stepscore.jobs.scored import ScoredRecords
from stepscore.jobs.scored_lines import ScoredLines
from stepscore.jobs.skips import Skips
from stepscore.records import Fields, Record, RecordError, UniqueIds, parse_records

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel
    from stepscore.scoring.pairs import PairwiseJudge
    from stepscore.scoring.score_options import OnBad, SpecialTokens
    from stepscore.scoring.truncation import Truncation


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
) -> Iterator[ScoredRecords]:
    """Score the candidates of a file with a model, some problems at a time.

    Args:
        lines: (place, bytes) of every line.
        model: a process reward model.
        fields: the names of the fields.
        truncation: see the model's ``score``.
        chunk_size: how many candidates are scored together, up to whole problems.
        skips: takes the records that cannot be processed.
        on_bad, special_tokens, spell: see `score_with_model`.

    Raises:
        InputError: a record at fault that `skips` does not take, or a model that fails.
    """
    unique = UniqueIds()

    def leave_out(error: RecordError) -> None:
        skips.take(error)
        unique.forget(error)

    records = parse_records(lines, fields, "solutions", skips.take)
    for chunk in _chunks(records, chunk_size, unique, skips):
        yield from score_with_model(
            chunk,
            model,
            truncation,
            leave_out,
            fields,
            on_bad=on_bad,
            special_tokens=special_tokens,
            spell=spell,
        )
        skips.write_down()


def judge_lines(
    lines: Iterator[tuple[str, bytes]],
    judge: PairwiseJudge,
    *,
    fields: Fields,
    chunk_size: int,
    skips: Skips,
    counts: JudgedCounts,
) -> Iterator[ScoredRecords]:
    """Let the candidates of a file meet two by two, some problems at a time.

    Args:
        lines, fields, chunk_size, skips: as in `score_lines`.
        judge: compares two solutions.
        counts: is added to.

    Raises:
        InputError: a record at fault that `skips` does not take, or a policy that fails.
    """
    unique = UniqueIds()

    def leave_out(error: RecordError) -> None:
        skips.take(error)
        unique.forget(error)

    records = parse_records(lines, fields, "solutions", skips.take)
    for chunk in _chunks(records, chunk_size, unique, skips):
        judged = judge_records(chunk, judge, leave_out, counts, fields)
        if judged is not None:
            yield judged
        skips.write_down()


def read_lines(
    lines: Iterator[tuple[str, bytes]],
    *,
    fields: Fields,
    check: LayoutCheck,
    chunk_size: int,
    skips: Skips,
) -> Iterator[ScoredRecords]:
    """Take the scores that the candidates of a file carry, some problems at a time.

    Args:
        lines, fields, chunk_size, skips: as in `score_lines`.
        check: learns which scores the file carries, and refuses a record that differs.

    Raises:
        InputError: a record at fault that `skips` does not take.
    """
    for columns in ScoredLines(fields, check, skips.take).chunks(lines, chunk_size):
        assert check.layout is not None  # a record has passed the check
        yield read_scores(columns, check.layout)
        skips.write_down()


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
