"""Tables in, tables out: score, rerank and vote over rows that are in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from stepscore.errors import Argument, InputError
from stepscore.jobs.file_scores import LayoutCheck
from stepscore.jobs.files import nothing_processed
from stepscore.jobs.results import ResultWriter
from stepscore.jobs.run import (
    CHUNK_OF_SCORES,
    CHUNK_WITH_MODEL,
    Ballot,
    writer_for_model,
    writer_for_scores,
)
from stepscore.jobs.scorers import ModelSource, Scoring, scorer_of
from stepscore.jobs.skips import OnError
from stepscore.jobs.stream import Chunk, read_lines, score_lines
from stepscore.jobs.table_kinds import Table, table_of
from stepscore.jobs.table_results import ResultColumns, prefix_of
from stepscore.jobs.table_rows import EARLIER, Rows
from stepscore.jobs.votes import vote_on
from stepscore.jobs.workers import Workers
from stepscore.progress import Progress
from stepscore.records import Fields, line_blocks
from stepscore.voting import DEFAULT_SETTINGS, VoteSettings

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel
    from stepscore.scoring.score_options import OnBad, SpecialTokens
    from stepscore.scoring.truncation import Truncation

_Table = TypeVar("_Table")


def score(
    table: _Table,
    model: ProcessRewardModel | str,
    *,
    group_by: str | None = None,
    fields: Fields | None = None,
    truncation: Truncation = "error",
    on_bad: OnBad = "keep",
    special_tokens: SpecialTokens = "strip_end",
    on_error: OnError = "stop",
    chunk_size: int | None = None,
    devices: Sequence[str] = (),
    **loading: Any,
) -> _Table:
    """Score every step of a table's candidates, as ``stepscore score`` does of a file's.

    A row is a problem with a list of candidates, each a text, a list of messages or a mapping with
    ``text`` or ``steps``. With `group_by` a row is one sample, in columns ``text`` or ``steps`` or
    in the column of the candidates; rows of a problem need not stand together.

    The result is such a table with the same rows in the same order, all columns that there were,
    and behind them, each with the name of the result and ``_`` in front (``stepscore_min``):

    =================  =====================================================================
    ``step_scores``    float64, one per step; null for a step that truncation left out, and
                       for a candidate that could not be scored
    ``steps``          texts, where the model's recipe has split the candidate; else null
    ``truncated``      int64, how many steps were left out
    ``skipped``        text, why the candidate could not be scored; null for most
    ``min``, ``prod``  float64, every aggregation under its name; null where there is none
    ...
    ``provenance``     text, JSON: model, revision, recipe, number format, versions
    ``error``          text, why the row was left out; there where rows were
    =================  =====================================================================

    Of a problem's row the values of candidates are lists, one of each; of a sample's row they are
    its own. Missing is null, never 0: None in Python, NaN or NA in a column of pandas. A null where
    a text or a list is needed is an error that names row, from 0, and column.

    Args:
        table: a pandas ``DataFrame``, a ``datasets.Dataset``, a pyarrow ``Table`` or
            ``RecordBatch``, a list of dicts or a dict of columns.
        model: a process reward model, or a name or folder that `stepscore.load` takes.
        group_by: the column, or the way to what stands in one, whose value the rows of one problem
            share.
        fields: the names of the columns, or ways such as ``meta.question``.
        truncation, special_tokens: see `ProcessRewardModel.score`.
        on_bad: ``keep`` keeps a candidate that cannot be scored, without scores; ``error`` makes it
            the fault of its row.
        on_error: ``stop`` raises what is wrong with a row; ``skip`` leaves it without results.
        chunk_size: how many candidates are scored together.
        devices: several, such as ``["cuda:0", "cuda:1"]``: a process each, to which `model` is sent
            by its name. A script needs ``if __name__ == "__main__":`` around what it does.
        loading: options of `stepscore.load`, beside a name.

    Raises:
        InputError: a table, a row or a model at fault.

    Examples:
        >>> from stepscore import jobs
        >>> candidates = ["85+95=180\\n180-16=164"]
        >>> rows = [{"problem": "85+95-16+20+11-30=?", "candidates": candidates}]
        >>> (row,) = jobs.score(rows, "lab")
        >>> row["stepscore_steps"]
        [['85+95=180', '180-16=164']]
        >>> [[score > 0.5 for score in scores] for scores in row["stepscore_step_scores"]]
        [[True, True]]
    """
    options = Scoring(truncation, on_bad, special_tokens, fields or Fields())
    found: _Table = _with_model(
        "score",
        table,
        _source_of("score", model, devices, loading),
        options,
        None,
        group_by=group_by,
        on_error=on_error,
        chunk_size=chunk_size,
    )
    return found


def rerank(
    table: _Table,
    model: ProcessRewardModel | str,
    *,
    how: str | None = None,
    settings: VoteSettings = DEFAULT_SETTINGS,
    group_by: str | None = None,
    fields: Fields | None = None,
    truncation: Truncation = "error",
    on_bad: OnBad = "keep",
    special_tokens: SpecialTokens = "strip_end",
    on_error: OnError = "stop",
    chunk_size: int | None = None,
    devices: Sequence[str] = (),
    **loading: Any,
) -> _Table:
    """Score, rank and vote on a table's candidates, as ``stepscore rerank`` does of a file's.

    Beside the columns of `score`, of each candidate or sample:

    ================  ======================================================================
    ``rank``          int64, 1 for the best of its problem by `how`; null where not scored
    ``chosen``        of a sample: bool, whether it is the best; of a problem: int64, which is
    ``answer``        text, its answer; null where it gives none
    ``answer_class``  int64, equal for equal answers of a problem; -1 for none
    ``votes``         by rule and aggregation, of a sample: bool, whether it wins; of a problem:
                      ``winner``, ``answer``, ``score``, ``tied`` and ``margin``, or null
    ================  ======================================================================

    Args:
        table, model, group_by, fields, truncation, on_bad, special_tokens: as in `score`.
        on_error, chunk_size, devices, loading: as in `score`.
        how: the aggregation that ranks; None takes the one that the model's author states, else
            ``last``.
        settings: how the candidates vote.

    Raises:
        InputError: a table, a row or a model at fault.

    Examples:
        >>> from stepscore import jobs
        >>> samples = {
        ...     "problem": ["85+95-16=?", "7+5=?", "85+95-16=?"],
        ...     "text": ["85+95=180\\n180-16=154", "7+5=12", "85+95=180\\n180-16=164"],
        ... }
        >>> ranked = jobs.rerank(samples, "lab", group_by="problem")
        >>> ranked["stepscore_rank"], ranked["stepscore_chosen"]
        ([2, 1, 1], [False, True, True])
        >>> jobs.vote(ranked, group_by="problem")["stepscore_rank"]  # again, without a model
        [2, 1, 1]
    """
    options = Scoring(truncation, on_bad, special_tokens, fields or Fields())
    found: _Table = _with_model(
        "rerank",
        table,
        _source_of("rerank", model, devices, loading),
        options,
        Ballot(how, settings),
        group_by=group_by,
        on_error=on_error,
        chunk_size=chunk_size,
    )
    return found


def vote(
    table: _Table,
    *,
    how: str | None = None,
    settings: VoteSettings = DEFAULT_SETTINGS,
    bounded: bool | None = None,
    group_by: str | None = None,
    fields: Fields | None = None,
    on_error: OnError = "stop",
    chunk_size: int | None = None,
) -> _Table:
    """Rank and vote on scores that the candidates carry, as ``stepscore vote`` does of a file's.

    They carry them themselves (``score`` or ``step_scores``), or in the columns that `score` and
    `rerank` have added, which are then replaced. The columns are those of `rerank`; of candidates
    without any scores there are answers, classes and votes.

    Args:
        table, group_by, fields, on_error, chunk_size: as in `score`.
        how: the aggregation that ranks; None takes the one that an earlier call ranked by, else
            the candidates' own score, else ``last``.
        settings: as in `rerank`.
        bounded: whether step scores are probabilities; None lets the first record tell.

    Raises:
        InputError: a table or a row at fault.

    Examples:
        >>> from stepscore import jobs
        >>> candidates = [{"answer": "4", "score": 0.9}, {"answer": "5", "score": 0.2}]
        >>> (row,) = jobs.vote([{"candidates": candidates}])
        >>> row["stepscore_chosen"], row["stepscore_votes"]["weighted"]["score"]["answer"]
        (0, '4')
    """
    named = fields or Fields()
    known = table_of(table, "vote")
    prefix = prefix_of(named.result)
    written = {part: f"{prefix}{part}" for part in EARLIER if f"{prefix}{part}" in known.names}
    earlier = written if f"{prefix}truncated" in known.names else {}
    rows = Rows(known, named, group_by, "vote", on_error, earlier)
    check = LayoutCheck(bounded)
    chunks = read_lines(
        line_blocks(rows.lines()),
        fields=named,
        check=check,
        chunk_size=chunk_size or CHUNK_OF_SCORES,
        skips=rows.faults,
    )
    ballot = Ballot(how, settings)
    found: _Table = _worked_through(
        "vote",
        known,
        rows,
        chunks,
        lambda: writer_for_scores(check, named, ballot, version("stepscore")),
        votes=True,
    )
    return found


def _with_model(
    call: str,
    table: Any,
    load: Callable[[], ProcessRewardModel | ModelSource],
    scoring: Scoring,
    ballot: Ballot | None,
    *,
    group_by: str | None,
    on_error: OnError,
    chunk_size: int | None,
) -> Any:
    known = table_of(table, call)
    rows = Rows(known, scoring.fields, group_by, call, on_error, {})
    _refuse_results(call, known, scoring.fields.result)
    with ExitStack() as stack:
        scorer = stack.enter_context(scorer_of(load(), scoring, version("stepscore")))
        writer = writer_for_model(scorer.facts, scoring.fields, ballot)
        chunks = score_lines(
            rows.lines(),
            scorer,
            fields=scoring.fields,
            chunk_size=chunk_size or CHUNK_WITH_MODEL,
            skips=rows.faults,
        )
        return _worked_through(call, known, rows, chunks, lambda: writer, votes=ballot is not None)


def _worked_through(
    call: str,
    table: Table,
    rows: Rows,
    chunks: Iterator[Chunk],
    writer_of: Callable[[], ResultWriter],
    *,
    votes: bool,
) -> Any:
    """Take the chunks through votes, and give the table with their results."""
    columns: ResultColumns | None = None
    with Progress(call, len(table)) as progress:
        for chunk in chunks:
            if columns is None:
                writer = writer_of()
                columns = ResultColumns(rows, len(table), writer, one_each=rows.one_each)
            for scored in chunk.score(None):
                voted = vote_on(scored, writer.settings) if votes else None
                columns.add(scored, voted)
                progress.update(int(scored.scores.offsets[-1]), rows.read)
    if columns is None or not columns.filled:
        raise nothing_processed("table", rows.faults, "an empty table")
    return table.with_columns(columns.columns())


def _refuse_results(call: str, table: Table, result: str) -> None:
    """Refuse a table that has columns of results, which would be lost."""
    prefix = prefix_of(result)
    there = [name for name in table.names if name in {f"{prefix}{part}" for part in EARLIER}]
    if there:
        raise InputError(
            "no such column yet, because results are written to it",
            got=f"a table with {there[0]!r}",
            advice=("drop it, or name another with ", Argument("fields.result")),
            argument="table",
            where=call,
        )


def _source_of(
    call: str, model: Any, devices: Sequence[str], loading: dict[str, Any]
) -> Callable[[], Any]:
    """Give what makes the model, or the processes with one each."""
    is_named = isinstance(model, str) or hasattr(model, "__fspath__")
    if not is_named and (devices or loading):
        named = ", ".join(["devices"] * bool(devices) + list(loading))
        raise InputError(
            f"the name or the folder of a model beside {named}",
            got="a model that is loaded",
            advice="pass the name that it was loaded by"
            if devices
            else "pass these to stepscore.load",
            argument="model",
            where=call,
        )
    if not is_named:
        return lambda: _without_bar(model)
    if isinstance(devices, str) or ("device" in loading and devices):
        raise InputError(
            'a list of devices, such as ["cuda:0", "cuda:1"], without device beside it',
            got=repr(devices),
            advice="pass a list, or device alone",
            argument="devices",
            where=call,
        )
    name = str(model)
    if devices:
        return lambda: Workers(partial(_load, name, loading), tuple(map(str, devices)))
    return lambda: _load(name, loading)


def _load(name: str, options: dict[str, Any], device: str | None = None) -> ProcessRewardModel:
    from stepscore.scoring import load

    return load(name, show_progress=False, **{"device": device, **options})


def _without_bar(model: Any) -> Any:
    """Give a model that shows no bar of its own beside that of the table."""
    if dataclasses.is_dataclass(model) and getattr(model, "show_progress", False) is None:
        return dataclasses.replace(model, show_progress=False)  # type: ignore[type-var]
    return model
