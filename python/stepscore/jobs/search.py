"""The job of search: problems in; answers, traces, scores and costs out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from stepscore.answers import same_answer
from stepscore.credentials import text_of
from stepscore.errors import Argument, InputError
from stepscore.files import Inputs, encoded, is_stream
from stepscore.jobs.files import (
    Files,
    OpenFiles,
    Report,
    nothing_processed,
    open_files,
    record_lines,
    share_of,
)
from stepscore.jobs.provenance import what_scores
from stepscore.jobs.search_journals import Journals
from stepscore.jobs.search_parameters import parse_parameters
from stepscore.jobs.search_results import results_of
from stepscore.jobs.skips import Skips
from stepscore.jobs.work import from_before, keep, kept_behind, put_together, write_summary
from stepscore.ops import extract_answers
from stepscore.policies.requests import Policy
from stepscore.progress import Progress
from stepscore.records import Fields, Record, RecordError, UniqueIds, parse_records, quote
from stepscore.report.searches import SearchSummary
from stepscore.search import Judge, Scorer, ScoreRequest, SearchResult, search
from stepscore.voting import parse_rule

PROBLEMS_TOGETHER = 1024
_NAMED = 5  # ids that a message shows


@dataclass(frozen=True)
class Models:
    """What continues and what scores.

    Attributes:
        policy: see `stepscore.search`.
        scorer: None for a strategy that needs none.
        described: the provenance of both, as JSON.
        release: is told the problems that are finished.
    """

    policy: Policy
    scorer: Scorer | None
    described: dict[str, Any]
    release: Callable[[Iterable[str]], None] | None = None


@dataclass(frozen=True)
class SearchPlan:
    """How a file is searched.

    Attributes:
        strategy: a name of `STRATEGIES`.
        parameters: of the strategy, as texts.
        settings: further arguments of `stepscore.search.search`; ``rule`` as it is typed.
        trees: id of a problem, as text -> the HTML that shows its tree.
    """

    strategy: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    trees: Mapping[str, str] = field(default_factory=dict)


def search_file(
    files: Files,
    plan: SearchPlan,
    load: Callable[[], Models],
    *,
    version: str,
    kept: Callable[[str], None] | None = None,
) -> Report:
    """Search for the answer of every problem of a file, some problems at a time.

    Every answer of a model is kept in the folder ``TARGET.journal`` until the output is there, so
    that the same job, begun again after whatever has ended it, asks only for what is missing.

    A file that can be read twice is read once before any model works: a record at fault, or a tree
    of a problem that is not there, costs nothing then. Of a pipe both are found as they come.

    Args:
        files: what is read and written; a target is needed.
        plan: how it is searched.
        load: makes the models, after the files have been opened and all arguments checked.
        version: of the package, for the provenance.
        kept: is told the folder with the models' answers where the search ends before its time, by
            an error or a signal, and keeps some.

    Raises:
        InputError: a file, a record or an argument at fault; no output is left.
    """
    target = _target_of(files)
    parameters, settings, arguments = _arguments_of(plan)
    summary, trees = SearchSummary(), _Trees(plan.trees)
    begun: list[Journals] = []
    with ExitStack() as stack:
        stack.push(partial(_tell_kept, begun, kept))  # first, and so called last
        depends_on = _depends_on(files, plan, parameters, settings, version)
        opened = open_files(stack, files, plan.trees, depends_on)
        assert opened.out is not None
        count = _look_ahead(opened, files, trees)
        models = load()
        provenance = {
            **models.described,
            "strategy": plan.strategy,
            "parameters": parameters,
            **settings,
            "stepscore": version,
        }
        opened.agree({"model": what_scores(models.described)})
        journals = Journals(target, provenance, restart=files.restart)
        stack.callback(journals.leave)
        begun.append(journals)
        stack.enter_context(kept_behind(opened, "problem"))
        job = _Job(plan, models, arguments, files.fields, provenance)
        with Progress("search", count, unit="requests") as progress:
            number = -1
            for number, records in enumerate(_chunks(opened, files)):
                read = opened.facts([record.place for record in records])
                facts = from_before(opened, number, read)
                if facts is None:
                    journal = journals.of_chunk(number)
                    text, facts = _work_on(records, job, journal, progress, summary.problems)
                    facts |= {**read, "position": opened.lines.position()}
                    keep(opened, number, facts, encoded(text, target))
                    if opened.resumes:
                        journals.forget(number)
                for name, page in facts["pages"].items():
                    opened.pages[name].write(page)
                summary.merge(facts["tallies"]["table"])
                trees.see(records)
                if models.release is not None:
                    models.release(record.problem or "" for record in records)
        if not summary.problems:
            raise nothing_processed(opened.lines.name, opened.skips)
        trees.check()
        put_together(opened, number + 1)
        heading = f"{plan.strategy}({', '.join(f'{k}={v}' for k, v in parameters.items())})"
        table = [heading, *summary.lines()]
        report = Report(
            table, opened.skips.report(), summary.problems, progress.seconds, unit="problems"
        )
        write_summary("search", opened, report, {"table": summary}, provenance)
    # Only now: the output is there.
    journals.remove()
    return report


def _target_of(files: Files) -> str:
    """Give the name of the output, which must be a file."""
    if files.target is None:
        raise InputError("a file to write the result to", got="none", argument="target")
    if is_stream(files.target):
        raise InputError(
            "the name of a file, beside which the models' answers are kept meanwhile",
            got="a pipe or a terminal",
            advice="pass a name such as out.jsonl",
            argument=Argument("target", files.target),
        )
    return files.target


def _arguments_of(plan: SearchPlan) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Give the strategy's parameters, the settings that were given, and both for the search."""
    parameters = parse_parameters(plan.strategy, plan.parameters)
    settings = {name: value for name, value in plan.settings.items() if value is not None}
    arguments = settings | parameters
    if "rule" in settings:
        arguments["rule"] = parse_rule(settings["rule"]).rule
    return parameters, settings, arguments


def _depends_on(
    files: Files,
    plan: SearchPlan,
    parameters: Mapping[str, Any],
    settings: Mapping[str, Any],
    version: str,
) -> dict[str, Any]:
    """Give what the output depends on, beside the input and the models."""
    return {
        "command": "search",
        "stepscore": version,
        "chunk_size": files.chunk_size or PROBLEMS_TOGETHER,
        "strategy": plan.strategy,
        "parameters": parameters,
        "settings": settings,
        "trees": sorted(plan.trees),
    }


def _tell_kept(
    begun: Sequence[Journals],
    kept: Callable[[str], None] | None,
    kind: type[BaseException] | None,
    *_: object,
) -> None:
    """Say where the answers of a search are that an exception has ended."""
    for journals in begun:
        if kind is not None and kept is not None and journals.keeps_answers():
            kept(str(journals.folder))


class _Trees:
    """The problems whose trees are asked for, and those that have come."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = paths
        self._seen: set[str] = set()
        self._first: list[str] = []

    def see(self, records: Iterable[Record]) -> None:
        """Remember which of them have come."""
        for record in records:
            name = str(record.id)
            if len(self._first) < _NAMED:
                self._first.append(name)
            if name in self._paths:
                self._seen.add(name)

    def check(self) -> None:
        """Refuse a tree of a problem that has not come."""
        for name, path in self._paths.items():
            if name not in self._seen:
                raise InputError(
                    "the id of a record",
                    got=f"{quote(name)}, which none has; the first are {', '.join(self._first)}",
                    argument=Argument(f"trees.{name}", path),
                )


def _look_ahead(opened: OpenFiles, files: Files, trees: _Trees) -> int | None:
    """Read a file that can be read again, so that what is wrong with it costs no model's time.

    Returns:
        How many problems it has; None where nobody knows.
    """
    if not opened.lines.can_be_read_again:
        return None
    skips = Skips(files.on_error, spell=files.spell)
    with Inputs(opened.lines.paths) as lines:
        records = _records(share_of(iter(lines), files.share, opened.lines), files, skips)
        first = next(records, None)
        if first is None:
            raise nothing_processed(lines.name, skips)
        trees.see([first])
        count = 1
        for record in records:
            trees.see([record])
            count += 1
    trees.check()
    return count


def _records(lines: Iterator[tuple[str, bytes]], files: Files, skips: Skips) -> Iterator[Record]:
    return parse_records(lines, files.fields, "problems", skips.take, UniqueIds().check)


def _chunks(opened: OpenFiles, files: Files) -> Iterator[list[Record]]:
    records = _records(record_lines(opened, files), files, opened.skips)
    while chunk := list(islice(records, files.chunk_size or PROBLEMS_TOGETHER)):
        opened.skips.write_down()
        yield chunk


@dataclass(frozen=True)
class _Job:
    """What the searches of all chunks have in common."""

    plan: SearchPlan
    models: Models
    arguments: Mapping[str, Any]
    fields: Fields
    provenance: Mapping[str, Any]


def _work_on(
    records: Sequence[Record], job: _Job, journal: Path, progress: Progress, done: int
) -> tuple[str, dict[str, Any]]:
    """Search for the answers of a chunk; give its lines, and what is known of it."""
    plan = job.plan
    result = _search(records, plan.strategy, job.models, journal, progress, done, job.arguments)
    found = SearchSummary()
    found.add(records, result)
    text, pages = results_of(
        records, result, plan.trees, fields=job.fields, provenance=job.provenance
    )
    facts = {
        "problems": len(records),
        "failed": [],
        "pages": pages,
        "tallies": {"table": found.state()},
    }
    return text, facts


def _search(
    records: Sequence[Record],
    strategy: str,
    models: Models,
    journal: Path,
    progress: Progress,
    done: int,
    arguments: Mapping[str, Any],
) -> SearchResult:
    answered = 0

    def show(counts: Mapping[str, int]) -> None:
        nonlocal answered
        answers = (counts.get(model, 0) for model in ("policy", "scorer", "value", "judge"))
        before, answered = answered, sum(answers)
        ended = done + len(records) - counts["problems_left"]
        of = "" if progress.size is None else f" of {progress.size:,}"
        progress.update(answered - before, ended, f"; {ended:,}{of} problems have ended")

    try:
        result = search(
            [record.problem or "" for record in records],
            strategy,
            models.policy,
            models.scorer,
            judge=judge_of(records),
            journal=journal,
            progress=show,
            **arguments,
        )
    except InputError as error:
        # Who searches a file has called no function; the name of a file stays.
        raise error.at(where="" if error.where == "search" else error.where) from error
    except (ValueError, TypeError) as error:
        raise InputError("arguments that fit the search", got=text_of(error)) from error
    if not any(each.traces for each in result):
        reasons = [each.status for each in result if each.status != "done"]
        if reasons:
            journal.unlink()  # it knows nothing but failures
            raise InputError(
                "the models to answer",
                got=f"no trace of any of {len(records)} problems; the first {reasons[0]}",
                advice="mend that, and begin again",
            )
    return result


def judge_of(records: Sequence[Record]) -> Judge:
    """Give a judge by the known answers: whether the answer of a trace is that of its record.

    Raises (the judge, of a problem without a known answer):
        RecordError: naming the record.
    """
    record_of = {record.problem: record for record in records}

    def judge(requests: Sequence[ScoreRequest]) -> list[bool]:
        judged = [record_of[request.problem] for request in requests]
        for record in judged:
            if record.answer is None:
                raise RecordError(
                    "a known answer to judge by",
                    got="none",
                    advice="give it one",
                    place=record.place,
                    record_id=record.id,
                )
        answers = extract_answers(["".join(request.steps) for request in requests])
        known = [record.answer for record in judged]
        right: list[bool] = same_answer(known, answers, verify=None).tolist()
        return right

    return judge
