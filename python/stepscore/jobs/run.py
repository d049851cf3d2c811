"""The jobs over candidates: score, rerank, judge, vote."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from stepscore.jobs.file_scores import LayoutCheck
from stepscore.jobs.files import Files, Report, open_files, record_lines
from stepscore.jobs.judged import JudgedCounts, describe_judge
from stepscore.jobs.provenance import describe_votes, what_scores
from stepscore.jobs.ranking import choose_how, choose_how_again, settings_for
from stepscore.jobs.results import ResultWriter
from stepscore.jobs.scored_lines import blocks_of
from stepscore.jobs.scorers import ModelFacts, ModelSource, OwnJudge, Scoring, scorer_of
from stepscore.jobs.stream import read_lines, score_lines
from stepscore.jobs.work import tallies_of, work
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.records import Fields
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


@dataclass(frozen=True)
class Ballot:
    """How candidates are ranked, and vote.

    Attributes:
        how: the aggregation that ranks; None takes the one that the model's author states, else
            ``last``.
        settings: how the candidates vote.
        prefixes: sizes of a second table, of the first so many candidates; none leaves it out.
    """

    how: str | None = None
    settings: VoteSettings = DEFAULT_SETTINGS
    prefixes: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give what the votes, and the table, depend on, but for `how`."""
        return {
            "rules": [rule.label for rule in self.settings.rules],
            "objectives": self.settings.objectives,
            "verify": self.settings.verify,
            "tie_credit": self.settings.tie_credit,
            "prefixes": list(self.prefixes),
        }


def score_file(
    files: Files,
    load: Callable[[], ProcessRewardModel | ModelSource],
    *,
    truncation: Truncation = "error",
    on_bad: OnBad = "keep",
    special_tokens: SpecialTokens = "strip_end",
    version: str,
) -> Report:
    """Write the step scores and all aggregations of every candidate.

    Args:
        files: what is read and written.
        load: makes the model, or `Workers` with one each, after the files have been opened.
        truncation, on_bad, special_tokens: see `Scoring`.
        version: of the package, for the provenance.

    Raises:
        InputError: a file or a record at fault; no output is left.
    """
    scoring = Scoring(truncation, on_bad, special_tokens, files.fields, files.spell)
    return _with_model("score", files, load, scoring, None, version)


def rerank_file(
    files: Files,
    load: Callable[[], ProcessRewardModel | ModelSource],
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
        how, settings, prefixes: see `Ballot`.

    Raises:
        InputError: a file or a record at fault; no output is left.
    """
    scoring = Scoring(truncation, on_bad, special_tokens, files.fields, files.spell)
    ballot = Ballot(how, settings, prefixes)
    return _with_model("rerank", files, load, scoring, ballot, version)


def _with_model(
    what: str,
    files: Files,
    load: Callable[[], ProcessRewardModel | ModelSource],
    scoring: Scoring,
    ballot: Ballot | None,
    version: str,
) -> Report:
    with ExitStack() as stack:
        chunk_size = files.chunk_size or CHUNK_WITH_MODEL
        job = {
            "command": what,
            "stepscore": version,
            "chunk_size": chunk_size,
            **scoring.as_json(),
            **({} if ballot is None else ballot.as_json()),
        }
        opened = open_files(stack, files, job=job)
        scorer = stack.enter_context(scorer_of(load(), scoring, version))
        writer = writer_for_model(scorer.facts, files.fields, ballot)
        opened.agree({"model": what_scores(writer.provenance)})
        table: Callable[[], Summary | Counts] = Counts
        if ballot is not None:
            table = _table(files, AGGREGATIONS, ballot, writer, bounded=scorer.facts.bounded)
        chunks = score_lines(
            record_lines(opened, files),
            scorer,
            fields=files.fields,
            chunk_size=chunk_size,
            skips=opened.skips,
            is_kept=opened.has_kept,
        )
        prefixes = () if ballot is None else ballot.prefixes
        return work(what, opened, chunks, lambda: (writer, partial(tallies_of, table)), prefixes)


def writer_for_model(facts: ModelFacts, fields: Fields, ballot: Ballot | None) -> ResultWriter:
    """Give what writes the results of a model; without a ballot its scores alone.

    Raises:
        InputError: an aggregation that these scores do not have, or scores of which the lower are
            the better.
    """
    if ballot is None:
        return ResultWriter(fields, facts.provenance, how="")
    facts.check_direction()
    chosen = choose_how(ballot.how, AGGREGATIONS, bounded=facts.bounded, stated=facts.stated)
    provenance = {
        **facts.provenance,
        "how": chosen,
        **describe_votes(ballot.settings, AGGREGATIONS, bounded=facts.bounded),
    }
    return ResultWriter(fields, provenance, chosen, ballot.settings)


def writer_for_scores(
    check: LayoutCheck, fields: Fields, ballot: Ballot, version: str
) -> ResultWriter:
    """Give what writes the votes on scores that the candidates carry.

    Args:
        check: a record has come through it.
        fields: the names of the fields.
        ballot: how they vote.
        version: of the package, for the provenance.

    Raises:
        InputError: an aggregation, or a rule, that these scores have nothing for.
    """
    layout = check.layout
    assert layout is not None
    chosen = choose_how_again(ballot.how, check, layout)
    fitting = settings_for(ballot.settings, layout)
    provenance = {
        "model": None,
        "stepscore": version,
        "aggregation": dict(AGGREGATION_PARAMETERS),
        "how": chosen,
        **describe_votes(fitting, layout.columns, bounded=layout.bounded),
    }
    return ResultWriter(fields, provenance, chosen, fitting)


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
    ballot = Ballot(GIVEN, settings, prefixes)
    with ExitStack() as stack:
        chunk_size = files.chunk_size or CHUNK_WITH_MODEL
        job = {
            "command": "judge",
            "stepscore": version,
            "chunk_size": chunk_size,
            **ballot.as_json(),
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
        table = _table(files, (GIVEN,), ballot, writer, bounded=False)
        new_tallies = partial(tallies_of, table, judged=JudgedCounts)
        chunks = score_lines(
            record_lines(opened, files),
            OwnJudge(judge, files.fields),
            fields=files.fields,
            chunk_size=chunk_size,
            skips=opened.skips,
        )
        return work("judge", opened, chunks, lambda: (writer, new_tallies), prefixes)


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
    ballot = Ballot(how, settings, prefixes)
    with ExitStack() as stack:
        chunk_size = files.chunk_size or CHUNK_OF_SCORES
        job = {
            "command": "vote",
            "stepscore": version,
            "chunk_size": chunk_size,
            "how": how,
            "bounded": bounded,
            **ballot.as_json(),
        }
        opened = open_files(stack, files, job=job)
        check = LayoutCheck(bounded)

        def start() -> tuple[ResultWriter, Callable[[], dict[str, Tally]]]:
            writer = writer_for_scores(check, files.fields, ballot, version)
            layout = check.layout
            assert layout is not None  # a chunk has come through the check
            table = _table(files, layout.columns, ballot, writer, bounded=layout.bounded)
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
    files: Files, columns: tuple[str, ...], ballot: Ballot, writer: ResultWriter, *, bounded: bool
) -> Callable[[], Summary]:
    """Give what makes the table of some problems."""
    settings, how, prefixes = writer.settings, writer.how, ballot.prefixes

    def table() -> Summary:
        more = PrefixTable(settings, how, prefixes) if prefixes else None
        return Summary(columns, settings, bounded=bounded, prefixes=more, spell=files.spell)

    return table
