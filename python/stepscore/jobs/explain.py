"""Finds one problem of a file, and explains its votes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from stepscore.errors import InputError
from stepscore.files import Inputs
from stepscore.jobs.file_scores import LayoutCheck, read_scores
from stepscore.jobs.files import Files
from stepscore.jobs.model_scores import score_with_model
from stepscore.jobs.ranking import choose_how, choose_how_again, settings_for
from stepscore.jobs.scored import ScoredRecords
from stepscore.jobs.skips import Skips, raise_fault
from stepscore.jobs.votes import vote_on
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.records import (
    Record,
    RecordColumns,
    RecordError,
    RecordId,
    gather_rows,
    parse_records,
)
from stepscore.report.explain import explain
from stepscore.report.table import counted
from stepscore.voting import VoteSettings

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel
    from stepscore.scoring.score_options import OnBad, SpecialTokens
    from stepscore.scoring.truncation import Truncation

_NEAREST = 3


def explain_vote(
    files: Files, record_id: str, *, how: str | None, bounded: bool | None, settings: VoteSettings
) -> list[str]:
    """Explain one problem of a file that carries scores.

    Args:
        files: what is read; nothing is written.
        record_id: the id of the problem; where 1 and "1" are ids, ``1`` is the number and ``"1"``
            the text.
        how, bounded, settings: as in `vote_file`.

    Returns:
        Lines of at most 100 characters.

    Raises:
        InputError: no such id, or a record at fault before it.
    """
    check = LayoutCheck(bounded)
    with Inputs(files.sources) as lines:
        skip = _skipper(files, record_id)
        records = parse_records(
            _lines(lines, files, skip), files.fields, "scores", skip, check.check
        )
        record = _find(records, record_id, lines.name)
    layout = check.layout
    assert layout is not None  # the record has come through the check
    scored = read_scores(RecordColumns.of([record]), layout)
    chosen = choose_how_again(how, check, layout)
    return _explain(record, scored, chosen, settings_for(settings, layout))


def explain_rerank(
    files: Files,
    record_id: str,
    load: Callable[[], ProcessRewardModel],
    *,
    how: str | None,
    truncation: Truncation,
    settings: VoteSettings,
    on_bad: OnBad = "keep",
    special_tokens: SpecialTokens = "strip_end",
) -> list[str]:
    """Explain one problem of a file, the only one that the model scores.

    Args:
        files, record_id: as in `explain_vote`.
        load, how, truncation, settings, on_bad, special_tokens: as in `rerank_file`. The model is
            made once the problem is found.

    Returns:
        Lines of at most 100 characters.

    Raises:
        InputError: no such id, or a record at fault, that one or one before it.
    """
    with Inputs(files.sources) as lines:
        skip = _skipper(files, record_id)
        records = parse_records(_lines(lines, files, skip), files.fields, "solutions", skip)
        record = _find(records, record_id, lines.name)
    model = load()
    (scored,) = score_with_model(
        [record], model, truncation, raise_fault, on_bad=on_bad, special_tokens=special_tokens
    )
    stated = model.recipe.default_aggregate
    chosen = choose_how(how, AGGREGATIONS, bounded=scored.scores.bounded, stated=stated)
    return _explain(record, scored, chosen, settings)


def _explain(record: Record, scored: ScoredRecords, how: str, settings: VoteSettings) -> list[str]:
    voted = vote_on(scored, settings, class_scores=True)
    return explain(
        record,
        scored.scores,
        voted.answers,
        voted.elections,
        voted.grades,
        how=how,
        settings=settings,
    )


def _lines(
    lines: Inputs, files: Files, skip: Callable[[RecordError], None]
) -> Iterator[tuple[str, bytes]]:
    if files.group_by is None:
        return iter(lines)
    return gather_rows(iter(lines), files.group_by, files.fields, skip)


def _skipper(files: Files, record_id: str) -> Callable[[RecordError], None]:
    """Give what takes the faults of records: that of the one asked for is always raised."""
    skips = Skips(files.on_error)

    def skip(error: RecordError) -> None:
        if error.record_id is not None and _means(record_id, error.record_id):
            raise error
        skips.take(error)

    return skip


def _means(typed: str, record_id: RecordId) -> bool:
    """Tell whether an id is meant by what was typed: as it reads, a text also in quotes."""
    quoted = isinstance(record_id, str) and typed == json.dumps(record_id, ensure_ascii=False)
    return quoted or typed == str(record_id)


def _find(records: Iterator[Record], record_id: str, name: str) -> Record:
    """Find a record; of the ids 1 and "1" the typed ``1`` means the number, ``"1"`` the text."""
    seen: list[str] = []
    text: Record | None = None
    try:
        for record in records:
            if _means(record_id, record.id):
                # A number by this id may still follow.
                if isinstance(record.id, int) or not _is_number(record_id):
                    return record
                text = text or record
            seen.append(str(record.id))
    except RecordError as error:
        # Where the text was asked for, nothing behind it is; the number itself is, if it is there.
        if text is None or str(error.record_id) == record_id:
            raise
    if text is not None:
        return text
    if not seen:
        raise InputError(
            f"the id of a record; {name} has no record that can be processed",
            got=repr(record_id),
            argument="record_id",
        )
    near = difflib.get_close_matches(record_id, seen, _NEAREST, 0.0)
    raise InputError(
        f"the id of a record of {name}",
        got=f"{record_id!r}; the nearest of its {counted(len(seen), 'id')}: {', '.join(near)}",
        advice="type one of these",
        argument="record_id",
    )


def _is_number(typed: str) -> bool:
    """Tell whether a number may have this id."""
    return typed.removeprefix("-").isdecimal()
