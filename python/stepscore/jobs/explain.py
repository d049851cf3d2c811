"""Finds one problem of a file, and explains its votes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from stepscore.files.jsonl import LineReader
from stepscore.jobs.files import Files
from stepscore.jobs.ranking import choose_how, choose_how_again
from stepscore.jobs.skips import Skips
from stepscore.jobs.step_scores import LayoutCheck, Truncation, read_scores, score_with_model
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.records.records import InputError, Record, RecordError, parse_records
from stepscore.report.explain import explain
from stepscore.report.table import counted
from stepscore.voting.settings import VoteSettings

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

_NEAREST = 3


def explain_vote(
    files: Files, record_id: str, *, how: str | None, bounded: bool | None, settings: VoteSettings
) -> list[str]:
    """Explain one problem of a file that carries scores.

    Args:
        files: what is read; nothing is written.
        record_id: the id of the problem.
        how, bounded, settings: as in `vote_file`.

    Returns:
        Lines of at most 100 characters.

    Raises:
        InputError: no such id, or a record at fault before it.
    """
    check = LayoutCheck(bounded)
    with LineReader(files.source) as lines:
        skip = _skipper(files, record_id)
        records = parse_records(iter(lines), files.fields, "scores", skip, check.check)
        record = _find(records, record_id, lines.name)
    layout = check.layout
    assert layout is not None  # the record has come through the check
    scored = read_scores([record], layout)
    return explain(scored, choose_how_again(how, check, layout), settings)


def explain_rerank(
    files: Files,
    record_id: str,
    load: Callable[[], ProcessRewardModel],
    *,
    how: str | None,
    truncation: Truncation,
    settings: VoteSettings,
) -> list[str]:
    """Explain one problem of a file, the only one that the model scores.

    Args:
        files, record_id: as in `explain_vote`.
        load, how, truncation, settings: as in `rerank_file`. The model is made once the problem is
            found.

    Returns:
        Lines of at most 100 characters.

    Raises:
        InputError: no such id, or a record at fault, that one or one before it.
    """
    with LineReader(files.source) as lines:
        skip = _skipper(files, record_id)
        records = parse_records(iter(lines), files.fields, "solutions", skip)
        record = _find(records, record_id, lines.name)
    model = load()
    (scored,) = score_with_model([record], model, truncation, _raise)
    stated = model.recipe.default_aggregate
    chosen = choose_how(how, AGGREGATIONS, bounded=scored.bounded, stated=stated)
    return explain(scored, chosen, settings)


def _skipper(files: Files, record_id: str) -> Callable[[RecordError], None]:
    """Give what takes the faults of records: that of the one asked for is always raised."""
    skips = Skips(files.on_error)

    def skip(error: RecordError) -> None:
        if str(error.record_id) == record_id:
            raise error
        skips.take(error)

    return skip


def _find(records: Iterator[Record], record_id: str, name: str) -> Record:
    seen: list[str] = []
    for record in records:
        if str(record.id) == record_id:
            return record
        seen.append(str(record.id))
    if not seen:
        raise InputError(
            f"--explain: {name} has no record that can be processed; got {record_id!r}"
        )
    near = difflib.get_close_matches(record_id, seen, _NEAREST, 0.0)
    raise InputError(
        f"--explain: expected the id of a record of {name}; got {record_id!r}; the nearest of its "
        f"{counted(len(seen), 'id')}: {', '.join(near)}; type one of these"
    )


def _raise(error: RecordError) -> None:
    raise error
