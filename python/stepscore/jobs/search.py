"""The job of search: problems in; answers, traces, scores and costs out."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from stepscore.errors import Spell, as_argument
from stepscore.files.jsonl import LineReader, WholeFile, check_different
from stepscore.jobs.skips import OnError, Skips
from stepscore.ops import extract_answers, group_answers, vote
from stepscore.policies.requests import Policy, Score, Scorer
from stepscore.progress import Progress
from stepscore.records.records import (
    Fields,
    InputError,
    Record,
    UniqueIds,
    insert_result,
    parse_records,
    quote,
)
from stepscore.report import tree_html
from stepscore.search.driver.run import search
from stepscore.search.result import Found, SearchResult, Trace
from stepscore.search.strategies import STRATEGIES

PROBLEMS_TOGETHER = 1024
_REASONS = 20
_JOURNALS = f"{'[0-9a-f]' * 8}-*.jsonl"


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
class SearchJob:
    """What is searched, and where the result goes.

    Attributes:
        source: the input, ``-`` for standard input; may end in ``.gz``.
        target: the output.
        strategy: a name of `STRATEGIES`.
        parameters: of the strategy, as texts.
        settings: further arguments of `stepscore.search.driver.run.search`.
        trees: id of a problem, as text -> the HTML that shows its tree.
        overwrite: whether existing files may be replaced.
        restart: forget what an earlier run of the same search has kept.
        on_error, skipped, fields, spell: as in `Files`.
        chunk_size: problems searched together; None takes 1,024.
    """

    source: str
    target: str
    strategy: str
    parameters: Mapping[str, str]
    settings: Mapping[str, Any]
    trees: Mapping[str, str]
    overwrite: bool = False
    restart: bool = False
    on_error: OnError = "stop"
    skipped: str | None = None
    fields: Fields = field(default_factory=Fields)
    chunk_size: int | None = None
    spell: Spell = as_argument


@dataclass(frozen=True)
class SearchReport:
    """What a search says at its end.

    Attributes:
        table: counts, accuracy and costs.
        skipped: what was left out, one line each.
        problems: how many were searched.
        seconds: how long that took, without loading models.
    """

    table: list[str]
    skipped: list[str]
    problems: int
    seconds: float

    def rate(self) -> str:
        """Say how fast it was."""
        return f"{self.seconds:.1f} s, {self.problems / max(self.seconds, 1e-9):,.1f} problems/s"


def search_file(job: SearchJob, load: Callable[[], Models], *, version: str) -> SearchReport:
    """Search for the answer of every problem of a file.

    Every answer of a model is kept in the folder ``TARGET.journal`` until the output is there, so
    that the same job, begun again after whatever has ended it, asks only for what is missing.

    Args:
        job: what is searched.
        load: makes the models, after the files have been opened and all arguments checked.
        version: of the package, for the provenance.

    Raises:
        InputError: a file, a record or an argument at fault; no output is left.
    """
    parameters = parse_parameters(job.strategy, job.parameters)
    settings = dict(job.settings)
    _check_rule(settings.get("rule"))
    with ExitStack() as stack:
        paths = {"source": job.source, "target": job.target, "skipped": job.skipped}
        paths.update({f"trees.{name}": path for name, path in job.trees.items()})
        check_different(paths)
        lines = stack.enter_context(LineReader(job.source))
        # The outputs are closed in the opposite order: the result last of all.
        out = stack.enter_context(WholeFile(job.target, overwrite=job.overwrite))
        pages = {
            name: stack.enter_context(WholeFile(path, overwrite=job.overwrite))
            for name, path in job.trees.items()
        }
        log = None
        if job.skipped is not None:
            log = stack.enter_context(WholeFile(job.skipped, overwrite=job.overwrite))
        skips = Skips(job.on_error, log, job.spell)
        records = list(_records(lines, job.fields, skips))
        skips.write_down()
        if not records:
            raise InputError(
                f"{lines.name}: expected at least one record; got none; check the path"
            )
        _check_trees(job.trees, records)
        models = load()
        provenance = {
            **models.described,
            "strategy": job.strategy,
            "parameters": parameters,
            **{name: value for name, value in settings.items() if value is not None},
            "stepscore": version,
        }
        kept = _Kept(job.target, provenance, restart=job.restart)
        stack.callback(kept.leave)
        tally = _Tally()
        size = job.chunk_size or PROBLEMS_TOGETHER
        with Progress("search", None, unit="requests") as progress:
            for number, begin in enumerate(range(0, len(records), size)):
                chunk = records[begin : begin + size]
                result = _search(
                    chunk,
                    job.strategy,
                    models,
                    kept.journal(number),
                    progress,
                    settings | parameters,
                )
                for index, (record, found) in enumerate(zip(chunk, result, strict=True)):
                    text = json.dumps(
                        {**_as_json(found), "provenance": provenance},
                        ensure_ascii=False,
                        allow_nan=False,
                    )
                    out.write(insert_result(record, job.fields, text) + "\n")
                    page = pages.get(str(record.id))
                    if page is not None:
                        page.write(_page(record, found, result, index))
                tally.add(chunk, result)
                if models.release is not None:
                    models.release(found.problem for found in result)
    # Only now: the output is there.
    kept.remove()
    heading = f"{job.strategy}({', '.join(f'{k}={v}' for k, v in parameters.items())})"
    return SearchReport([heading, *tally.lines()], skips.report(), len(records), progress.seconds)


def parse_parameters(strategy: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Read a strategy's parameters from text, by its signature; those not given keep defaults.

    Raises:
        InputError: an unknown strategy or parameter, a value of another type, one that is missing.
    """
    if strategy not in STRATEGIES:
        raise InputError(
            f"--strategy: expected one of {', '.join(STRATEGIES)}; got {strategy}; pass one of "
            "these"
        )
    known = dict(list(inspect.signature(STRATEGIES[strategy]).parameters.items())[1:])
    further = any(own.kind is inspect.Parameter.VAR_KEYWORD for own in known.values())
    known = {
        name: own for name, own in known.items() if own.kind is not inspect.Parameter.VAR_KEYWORD
    }
    listed = ", ".join(_signature(name, own) for name, own in known.items()) or "none"
    parsed: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in known and not further:
            raise InputError(
                f"--set {name}={text}: expected a parameter of {strategy}: {listed}; got {name}; "
                "pass one of these"
            )
        kind = str(known[name].annotation) if name in known else "int | float | bool | None | str"
        try:
            parsed[name] = _parse(text, kind)
        except ValueError:
            raise InputError(
                f"--set {name}={text}: expected {kind}; got {quote(text)}; write it so"
            ) from None
    for name, own in known.items():
        if own.default is inspect.Parameter.empty and name not in parsed:
            raise InputError(
                f"--set: expected {name} ({own.annotation}), which {strategy} has no default for; "
                f"pass --set {name}=VALUE"
            )
    return parsed


def _signature(name: str, parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return f"{name} ({parameter.annotation})"
    return f"{name}={parameter.default}"


def _parse(text: str, kind: str) -> Any:
    """Read a text as the first of the types that takes it, in the words of an annotation."""
    for one in kind.split(" | "):
        if one == "None" and text.lower() in ("none", "null"):
            return None
        if one == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if one == "str":
            return text
        try:
            if one == "int":
                return int(text)
            if one == "float" and not math.isnan(number := float(text)):
                return number
            if one.startswith("tuple[int"):
                return tuple(int(part) for part in text.strip("()[]").split(","))
        except ValueError:
            continue
    raise ValueError(kind)


def _check_rule(rule: str | None) -> None:
    """Refuse a vote that cannot be held, before the search and not after it."""
    try:
        if rule is not None:
            vote([0], [0.5], [0, 1], rule)
    except ValueError as error:
        raise InputError(f"--rule {rule}: {error}") from error


def _records(lines: LineReader, fields: Fields, skips: Skips) -> Iterator[Record]:
    unique = UniqueIds()
    yield from parse_records(iter(lines), fields, "problems", skips.take, unique.check)


def _check_trees(trees: Mapping[str, str], records: Sequence[Record]) -> None:
    known = {str(record.id) for record in records}
    for name in trees:
        if name not in known:
            some = ", ".join(str(record.id) for record in records[:5])
            raise InputError(
                f"--tree {name}:{trees[name]}: expected the id of a record; there is none with "
                f"{quote(name)}; the first are {some}"
            )


def _search(
    records: Sequence[Record],
    strategy: str,
    models: Models,
    journal: Path,
    progress: Progress,
    arguments: Mapping[str, Any],
) -> SearchResult:
    done = 0

    def show(counts: Mapping[str, int]) -> None:
        nonlocal done
        answered = sum(of for name, of in counts.items() if not name.endswith("_calls"))
        progress.update(answered - done, 0)
        done = answered

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
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error
    if not any(found.traces for found in result):
        reasons = [found.status for found in result if found.status != "done"]
        if reasons:
            journal.unlink()  # it knows nothing but failures
            raise InputError(
                f"expected the models to answer; not one problem of {len(records)} has a trace; "
                f"the first {reasons[0]}; mend that, and begin again"
            )
    return result


def judge_of(records: Sequence[Record]) -> Callable[[Sequence[Score]], list[bool]]:
    """A judge by the known answers: whether the answer of a trace is in the class of the known one.

    Raises (the judge, of a problem without a known answer):
        ValueError: naming the record.
    """
    known = {record.problem: record for record in records}

    def judge(requests: Sequence[Score]) -> list[bool]:
        truths = []
        for request in requests:
            record = known[request.problem]
            if record.answer is None:
                raise ValueError(f"id {record.id!r} has no known answer to judge by; give it one")
            truths.append(record.answer)
        return _equal(truths, extract_answers(["".join(request.steps) for request in requests]))

    return judge


def _equal(truths: Sequence[str], answers: Sequence[str | None]) -> list[bool]:
    pairs = [text for pair in zip(truths, answers, strict=True) for text in pair]
    classes = group_answers(pairs, np.arange(0, len(pairs) + 1, 2), extract=False, verify=None)
    return [known == own != -1 for known, own in np.asarray(classes).reshape(-1, 2).tolist()]


def _as_json(found: Found) -> dict[str, Any]:
    return {
        "answer": found.answer,
        "text": found.text,
        "winner": found.winner if found.winner >= 0 else None,
        "status": found.status,
        "traces": [_trace_as_json(trace) for trace in found.traces],
        "costs": {
            "samples": found.costs.samples,
            "tokens": found.costs.tokens,
            "prm_tokens": found.costs.prm_tokens,
            "seconds": round(found.costs.seconds, 6),
        },
    }


def _trace_as_json(trace: Trace) -> dict[str, Any]:
    return {
        "steps": trace.steps,
        "step_scores": trace.scores,
        "score": trace.score if math.isfinite(trace.score) else None,
        "answer": trace.answer,
        "complete": trace.complete,
    }


def _page(record: Record, found: Found, result: SearchResult, index: int) -> str:
    facts = {
        "id": record.id,
        "strategy": result.strategy,
        "answer": "none" if found.answer is None else found.answer,
        **({} if record.answer is None else {"known answer": record.answer}),
        "status": found.status,
        "samples": found.costs.samples,
        "generated tokens": found.costs.tokens,
        "PRM tokens": found.costs.prm_tokens,
    }
    return tree_html(found.problem, result.tree(index), facts=facts)


class _Kept:
    """The folder of journals beside the output, by which a search that was ended goes on.

    A journal does not know the models: a hash of what they were loaded by is in its name.
    """

    def __init__(self, target: str, provenance: Mapping[str, Any], *, restart: bool) -> None:
        self.folder = Path(f"{target}.journal")
        content = json.dumps(provenance, sort_keys=True, default=repr).encode()
        self._models = hashlib.blake2b(content, digest_size=4).hexdigest()
        try:
            if restart:
                self.remove()
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.folder}: expected a folder to keep the models' answers in; got: "
                f"{error.strerror or error}; choose another output"
            ) from error

    def journal(self, chunk: int) -> Path:
        """The journal of some problems."""
        return self.folder / f"{self._models}-{chunk:05}.jsonl"

    def remove(self) -> None:
        """Forget all; files of anybody else stay."""
        for journal in self.folder.glob(_JOURNALS):
            journal.unlink()
        self.leave()

    def leave(self) -> None:
        """Remove what keeps nothing: journals without an answer, and then the folder."""
        for journal in self.folder.glob(_JOURNALS):
            with journal.open("rb") as file:
                begun = len(list(islice(file, 2))) == 2
            if not begun:
                journal.unlink()
        with suppress(OSError):
            self.folder.rmdir()


class _Tally:
    """Counts of a whole file."""

    def __init__(self) -> None:
        self.problems = self.answered = self.known = self.right = 0
        self.costs = dict.fromkeys(("samples", "tokens", "prm_tokens", "seconds"), 0.0)
        self.calls: dict[str, int] = {}
        self.failed: list[str] = []

    def add(self, records: Sequence[Record], result: SearchResult) -> None:
        """Count what was found for some records."""
        self.problems += len(records)
        self.answered += sum(found.answer is not None for found in result)
        judged = [
            (record.answer, found.answer)
            for record, found in zip(records, result, strict=True)
            if record.answer is not None
        ]
        self.known += len(judged)
        if judged:
            self.right += sum(_equal(*zip(*judged, strict=True)))
        for found in result:
            for name in self.costs:
                self.costs[name] += getattr(found.costs, name)
        for model, count in result.calls.items():
            self.calls[model] = self.calls.get(model, 0) + count
        self.failed += [
            f"  id {quote(record.id)}: {found.status}"
            for record, found in zip(records, result, strict=True)
            if found.status != "done"
        ]

    def lines(self) -> list[str]:
        """Say it."""
        each = {name: total / self.problems for name, total in self.costs.items()}
        lines = [
            f"{self.problems:,} {'problem' if self.problems == 1 else 'problems'}, "
            f"{self.answered:,} with an answer"
        ]
        if self.known:
            lines.append(
                f"accuracy {self.right / self.known:.1%} ({self.right:,} of {self.known:,} with a "
                "known answer)"
            )
        lines += [
            f"per problem: {each['samples']:,.1f} samples, {each['tokens']:,.1f} generated tokens, "
            f"{each['prm_tokens']:,.1f} PRM tokens, {each['seconds']:.3g} s in the models",
            "calls: "
            + ", ".join(f"{model} {count:,}" for model, count in self.calls.items() if count),
        ]
        if self.failed:
            lines.append(
                f"{len(self.failed):,} with a request that found no answer; the search went on "
                "without it:"
            )
            lines += self.failed[:_REASONS]
            if len(self.failed) > _REASONS:
                lines.append(f"  ... and {len(self.failed) - _REASONS:,} more")
        return lines
