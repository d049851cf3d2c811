"""The jobs over candidates: score, rerank, judge, vote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from stepscore.errors import InputError
from stepscore.jobs.file_scores import LayoutCheck
from stepscore.jobs.files import (
    Files,
    OpenFiles,
    Report,
    nothing_processed,
    open_files,
    record_lines,
)
from stepscore.jobs.judged import JudgedCounts, describe_judge
from stepscore.jobs.provenance import describe, describe_votes
from stepscore.jobs.ranking import choose_how, choose_how_again, settings_for
from stepscore.jobs.results import ResultWriter
from stepscore.jobs.scored import ScoredRecords
from stepscore.jobs.skips import KeptCandidates
from stepscore.jobs.stream import judge_lines, read_lines, score_lines
from stepscore.jobs.votes import vote_on
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.progress import Progress
from stepscore.report.prefixes import PrefixTable
from stepscore.report.summary import Counts, Summary
from stepscore.voting import DEFAULT_SETTINGS, VoteSettings
from stepscore.voting.columns import AGGREGATION_PARAMETERS, GIVEN

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel
    from stepscore.scoring.pairs import PairwiseJudge
    from stepscore.scoring.score_options import OnBad, SpecialTokens
    from stepscore.scoring.truncation import Truncation

# Enough for full batches of sorted lengths, and few enough to see the progress of a 7B model.
CHUNK_WITH_MODEL = 512
CHUNK_OF_SCORES = 8192


def score_file(
    files: Files,
    load: Callable[[], ProcessRewardModel],
    *,
    truncation: Truncation = "error",
    on_bad: OnBad = "keep",
    special_tokens: SpecialTokens = "strip_end",
    version: str,
) -> Report:
    """Write the step scores and all aggregations of every candidate.

    Args:
        files: what is read and written.
        load: makes the model, after the files have been opened.
        truncation, special_tokens: see the model's ``score``.
        on_bad: ``keep`` keeps a candidate that cannot be scored in its place, without scores, and
            counts it; ``error`` makes it the fault of its record.
        version: of the package, for the provenance.

    Raises:
        InputError: a file or a record at fault; no output is left.
    """
    with ExitStack() as stack:
        opened = open_files(stack, files)
        model = load()
        provenance = describe(model, version)
        writer = ResultWriter(files.fields, provenance, how="")
        chunks = score_lines(
            record_lines(opened, files),
            model,
            fields=files.fields,
            truncation=truncation,
            chunk_size=files.chunk_size or CHUNK_WITH_MODEL,
            skips=opened.skips,
            on_bad=on_bad,
            special_tokens=special_tokens,
            spell=files.spell,
        )
        return _work("score", opened, chunks, lambda: (writer, None))


def rerank_file(
    files: Files,
    load: Callable[[], ProcessRewardModel],
    *,
    how: str | None = None,
    settings: VoteSettings = DEFAULT_SETTINGS,
    prefixes: tuple[int, ...] = (),
    truncation: Truncation = "error",
    on_bad: OnBad = "keep",
    special_tokens: SpecialTokens = "strip_end",
    version: str,
) -> Report:
    """Write what `score_file` writes, and ranks, answers and votes.

    Args:
        files, load, truncation, on_bad, special_tokens, version: as in `score_file`.
        how: the aggregation that ranks; None takes the one that the model's author states, else
            ``last``.
        settings: how the candidates vote.
        prefixes: sizes of a second table, of the first so many candidates; none leaves it out.

    Raises:
        InputError: a file or a record at fault; no output is left.
    """
    with ExitStack() as stack:
        opened = open_files(stack, files)
        model = load()
        _check_direction(model)
        low, high = model.recipe.score_range
        bounded = low >= 0 and high <= 1
        stated = model.recipe.default_aggregate
        chosen = choose_how(how, AGGREGATIONS, bounded=bounded, stated=stated)
        provenance = {
            **describe(model, version),
            "how": chosen,
            **describe_votes(settings, AGGREGATIONS, bounded=bounded),
        }
        writer = ResultWriter(files.fields, provenance, chosen, settings)
        table = PrefixTable(settings, chosen, prefixes) if prefixes else None
        summary = Summary(
            AGGREGATIONS, settings, bounded=bounded, prefixes=table, spell=files.spell
        )
        chunks = score_lines(
            record_lines(opened, files),
            model,
            fields=files.fields,
            truncation=truncation,
            chunk_size=files.chunk_size or CHUNK_WITH_MODEL,
            skips=opened.skips,
            on_bad=on_bad,
            special_tokens=special_tokens,
            spell=files.spell,
        )
        return _work("rerank", opened, chunks, lambda: (writer, summary), prefixes)


def judge_file(
    files: Files,
    load: Callable[[], PairwiseJudge],
    *,
    settings: VoteSettings = DEFAULT_SETTINGS,
    prefixes: tuple[int, ...] = (),
    version: str,
) -> Report:
    """Compare the candidates of every problem two by two, and write scores, ranks and votes.

    The score of a candidate stands where `vote_file` reads scores of whole solutions. One of whom
    no match was decided has none, and takes no part.

    Args:
        files: what is read and written; its chunks are candidates that are asked about together.
        load: makes the judge, after the files have been opened.
        settings, prefixes, version: as in `rerank_file`.

    Raises:
        InputError: a file or a record at fault; no output is left.
    """
    with ExitStack() as stack:
        opened = open_files(stack, files)
        judge = load()
        counts = JudgedCounts()
        chunks = judge_lines(
            record_lines(opened, files),
            judge,
            fields=files.fields,
            chunk_size=files.chunk_size or CHUNK_WITH_MODEL,
            skips=opened.skips,
            counts=counts,
        )

        def start() -> tuple[ResultWriter, Summary]:
            provenance = {
                **describe_judge(judge, version),
                "how": GIVEN,
                **describe_votes(settings, (GIVEN,), bounded=False),
            }
            writer = ResultWriter(files.fields, provenance, GIVEN, settings)
            table = PrefixTable(settings, GIVEN, prefixes) if prefixes else None
            return writer, Summary(
                (GIVEN,), settings, bounded=False, prefixes=table, spell=files.spell
            )

        report = _work("judge", opened, chunks, start, prefixes)
        return replace(report, table=report.table + counts.lines())


def _check_direction(model: ProcessRewardModel) -> None:
    """Refuse a model whose scores are better the lower they are: ranks and votes take the highest.

    Raises:
        InputError: they are.
    """
    if not model.recipe.readings[0].higher_is_better:
        raise InputError(
            "a model whose scores are better the higher they are, because the highest are ranked "
            "first",
            got=f"the recipe {model.recipe.name!r}, of which the lower are the better",
            advice="score the file, turn the scores round, and vote on them",
            argument="recipe",
        )


def vote_file(
    files: Files,
    *,
    how: str | None = None,
    settings: VoteSettings = DEFAULT_SETTINGS,
    prefixes: tuple[int, ...] = (),
    bounded: bool | None = None,
    version: str,
) -> Report:
    """Rank and vote on scores that the candidates carry.

    Args:
        files, settings, prefixes, version: as in `rerank_file`.
        how: the aggregation that ranks; None takes the one that an earlier run ranked by, else the
            file's own score, else ``last``.
        bounded: whether step scores are probabilities; None lets the first record tell.

    Raises:
        InputError: a file or a record at fault; no output is left.
    """
    with ExitStack() as stack:
        opened = open_files(stack, files)
        check = LayoutCheck(bounded)

        def start() -> tuple[ResultWriter, Summary]:
            layout = check.layout
            assert layout is not None  # a chunk has come through the check
            chosen = choose_how_again(how, check, layout)
            fitting = settings_for(settings, layout)
            provenance = {
                "model": None,
                "stepscore": version,
                "aggregation": dict(AGGREGATION_PARAMETERS),
                "how": chosen,
                **describe_votes(fitting, layout.columns, bounded=layout.bounded),
            }
            writer = ResultWriter(files.fields, provenance, chosen, fitting)
            table = PrefixTable(fitting, chosen, prefixes) if prefixes else None
            summary = Summary(
                layout.columns, fitting, bounded=layout.bounded, prefixes=table, spell=files.spell
            )
            return writer, summary

        chunks = read_lines(
            record_lines(opened, files),
            fields=files.fields,
            check=check,
            chunk_size=files.chunk_size or CHUNK_OF_SCORES,
            skips=opened.skips,
        )
        return _work("vote", opened, chunks, start, prefixes)


def _work(
    what: str,
    opened: OpenFiles,
    chunks: Iterator[ScoredRecords],
    start: Callable[[], tuple[ResultWriter, Summary | None]],
    sizes: Sequence[int] = (),
) -> Report:
    """Take the chunks through votes, output and counts.

    Args:
        what: the word before the progress bar.
        opened: the files.
        chunks: scored records.
        start: gives writer and summary (None: no votes), once the first chunk is there.
        sizes: vote over the first so many candidates as well.
    """
    writer: ResultWriter | None = None
    summary: Summary | None = None
    counts, kept = Counts(), KeptCandidates()
    with Progress(what, opened.lines.size) as progress:
        for scored in chunks:
            if writer is None:
                writer, summary = start()
            kept.add(scored)
            voted = None if summary is None else vote_on(scored, writer.settings, sizes=sizes)
            if opened.out is not None:
                opened.out.write_bytes(writer.lines(scored, voted))
            if summary is not None and voted is not None:
                summary.add(scored.scores, voted.answers, voted.elections, voted.grades)
            else:
                counts.add(scored.scores)
            progress.update(int(scored.scores.offsets[-1]), opened.lines.position())
    if writer is None:
        raise nothing_processed(opened.lines.name, opened.skips)
    table = [counts.line(), *counts.notes()] if summary is None else summary.lines()
    return Report(table + kept.lines(), opened.skips.report(), progress.count, progress.seconds)
