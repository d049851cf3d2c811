"""The jobs over candidates: score, rerank, judge, vote."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from stepscore.errors import InputError
from stepscore.jobs.file_scores import LayoutCheck
from stepscore.jobs.files import Files, Report, open_files, record_lines
from stepscore.jobs.judged import JudgedCounts, describe_judge
from stepscore.jobs.provenance import describe, describe_votes, what_scores
from stepscore.jobs.ranking import choose_how, choose_how_again, settings_for
from stepscore.jobs.results import ResultWriter
from stepscore.jobs.scored_lines import blocks_of
from stepscore.jobs.stream import judge_lines, read_lines, score_lines
from stepscore.jobs.work import tallies_of, work
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.report.prefixes import PrefixTable
from stepscore.report.summary import Counts, Summary
from stepscore.tallies import Tally
from stepscore.voting import DEFAULT_SETTINGS, VoteSettings
from stepscore.voting.columns import AGGREGATION_PARAMETERS, GIVEN

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel
    from stepscore.scoring.pairs import PairwiseJudge
    from stepscore.scoring.score_options import OnBad, SpecialTokens
    from stepscore.scoring.truncation import Truncation

# Enough for full batches of sorted lengths, and few enough to see the progress of a 7B model.
CHUNK_WITH_MODEL = 512
# A chunk has costs of its own, some milliseconds.
CHUNK_OF_SCORES = 32768


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
        chunk_size = files.chunk_size or CHUNK_WITH_MODEL
        job = {
            "command": "score",
            "stepscore": version,
            "chunk_size": chunk_size,
            "truncation": truncation,
            "on_bad": on_bad,
            "special_tokens": special_tokens,
        }
        opened = open_files(stack, files, job=job)
        model = load()
        provenance = describe(model, version)
        opened.agree({"model": what_scores(provenance)})
        writer = ResultWriter(files.fields, provenance, how="")
        chunks = score_lines(
            record_lines(opened, files),
            model,
            fields=files.fields,
            truncation=truncation,
            chunk_size=chunk_size,
            skips=opened.skips,
            on_bad=on_bad,
            special_tokens=special_tokens,
            spell=files.spell,
        )
        return work("score", opened, chunks, lambda: (writer, partial(tallies_of, Counts)))


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
        chunk_size = files.chunk_size or CHUNK_WITH_MODEL
        job = {
            "command": "rerank",
            "stepscore": version,
            "chunk_size": chunk_size,
            "truncation": truncation,
            "on_bad": on_bad,
            "special_tokens": special_tokens,
            **_votes(settings, prefixes),
        }
        opened = open_files(stack, files, job=job)
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
        opened.agree({"model": what_scores(provenance)})
        writer = ResultWriter(files.fields, provenance, chosen, settings)
        table = _table(files, AGGREGATIONS, settings, chosen, prefixes, bounded=bounded)
        chunks = score_lines(
            record_lines(opened, files),
            model,
            fields=files.fields,
            truncation=truncation,
            chunk_size=chunk_size,
            skips=opened.skips,
            on_bad=on_bad,
            special_tokens=special_tokens,
            spell=files.spell,
        )
        new_tallies = partial(tallies_of, table)
        return work("rerank", opened, chunks, lambda: (writer, new_tallies), prefixes)


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
        chunk_size = files.chunk_size or CHUNK_WITH_MODEL
        job = {
            "command": "judge",
            "stepscore": version,
            "chunk_size": chunk_size,
            **_votes(settings, prefixes),
        }
        opened = open_files(stack, files, job=job)
        judge = load()
        provenance = {
            **describe_judge(judge, version),
            "how": GIVEN,
            **describe_votes(settings, (GIVEN,), bounded=False),
        }
        opened.agree({"model": what_scores(provenance)})
        writer = ResultWriter(files.fields, provenance, GIVEN, settings)
        table = _table(files, (GIVEN,), settings, GIVEN, prefixes, bounded=False)
        new_tallies = partial(tallies_of, table, judged=JudgedCounts)
        chunks = judge_lines(
            record_lines(opened, files),
            judge,
            fields=files.fields,
            chunk_size=chunk_size,
            skips=opened.skips,
        )
        return work("judge", opened, chunks, lambda: (writer, new_tallies), prefixes)


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
        chunk_size = files.chunk_size or CHUNK_OF_SCORES
        job = {
            "command": "vote",
            "stepscore": version,
            "chunk_size": chunk_size,
            "how": how,
            "bounded": bounded,
            **_votes(settings, prefixes),
        }
        opened = open_files(stack, files, job=job)
        check = LayoutCheck(bounded)

        def start() -> tuple[ResultWriter, Callable[[], dict[str, Tally]]]:
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
            table = _table(files, layout.columns, fitting, chosen, prefixes, bounded=layout.bounded)
            return writer, partial(tallies_of, table)

        chunks = read_lines(
            blocks_of(opened, files),
            fields=files.fields,
            check=check,
            chunk_size=chunk_size,
            skips=opened.skips,
        )
        return work("vote", opened, chunks, start, prefixes)


def _table(
    files: Files,
    columns: tuple[str, ...],
    settings: VoteSettings,
    how: str,
    prefixes: tuple[int, ...],
    *,
    bounded: bool,
) -> Callable[[], Summary]:
    """Give what makes the table of some problems."""

    def table() -> Summary:
        more = PrefixTable(settings, how, prefixes) if prefixes else None
        return Summary(columns, settings, bounded=bounded, prefixes=more, spell=files.spell)

    return table


def _votes(settings: VoteSettings, prefixes: tuple[int, ...]) -> dict[str, Any]:
    """Give what the votes, and the table, depend on."""
    return {
        "rules": [rule.label for rule in settings.rules],
        "objectives": settings.objectives,
        "verify": settings.verify,
        "tie_credit": settings.tie_credit,
        "prefixes": list(prefixes),
    }
