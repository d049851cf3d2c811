"""The stream: lines -> records -> chunks -> scores -> votes -> lines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepscore.jobs.skips import Skips
from stepscore.jobs.step_scores import (
    GIVEN,
    NEED_PROBABILITIES,
    PARAMETERS,
    Layout,
    LayoutCheck,
    Scored,
    Truncation,
    read_scores,
    score_with_model,
    usable,
)
from stepscore.records.records import (
    Fields,
    InputError,
    Record,
    RecordError,
    SentenceError,
    UniqueIds,
    insert_result,
    parse_records,
)
from stepscore.voting.rules import DEFAULT_POLL, Poll, objectives_of
from stepscore.voting.votes import Voted, ranks

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

# Where a model's author states no aggregation: the last step has seen the whole solution.
# The same as scoring's UNSTATED_AGGREGATE, whose import would bring torch in.
UNSTATED_AGGREGATION = "last"


def score_lines(
    lines: Iterator[tuple[str, bytes]],
    model: ProcessRewardModel,
    *,
    fields: Fields,
    truncation: Truncation,
    chunk_size: int,
    skips: Skips,
) -> Iterator[Scored]:
    """Score the candidates of a file with a model, some problems at a time.

    Args:
        lines: (place, bytes) of every line.
        model: a process reward model.
        fields: the names of the fields.
        truncation: see the model's ``score``.
        chunk_size: how many candidates are scored together, up to whole problems.
        skips: takes the records that cannot be processed.

    Raises:
        InputError: a record at fault that `skips` does not take, or a model that fails.
    """
    unique = UniqueIds()

    def leave_out(error: RecordError) -> None:
        skips.take(error)
        unique.forget(error)

    records = parse_records(lines, fields, "solutions", skips.take)
    for chunk in _chunks(records, chunk_size, unique, skips):
        yield from score_with_model(chunk, model, truncation, leave_out)
        skips.write_down()


def read_lines(
    lines: Iterator[tuple[str, bytes]],
    *,
    fields: Fields,
    check: LayoutCheck,
    chunk_size: int,
    skips: Skips,
) -> Iterator[Scored]:
    """Take the scores that the candidates of a file carry, some problems at a time.

    Args:
        lines, fields, chunk_size, skips: as in `score_lines`.
        check: learns which scores the file carries, and refuses a record that differs.

    Raises:
        InputError: a record at fault that `skips` does not take.
    """
    records = parse_records(lines, fields, "scores", skips.take, check.check)
    for chunk in _chunks(records, chunk_size, UniqueIds(), skips):
        if check.layout is None:
            raise AssertionError("a record has passed the check, so the layout is known")
        yield read_scores(chunk, check.layout)
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


def choose_how(
    how: str | None, columns: tuple[str, ...], *, bounded: bool, stated: str | None
) -> str:
    """Give the aggregation that ranks.

    Args:
        how: what was asked for; None takes the file's own score, else the one that the model's
            author states, else ``last``.
        columns: what there is.
        bounded: whether step scores lie in [0, 1].
        stated: by the model's author.

    Raises:
        InputError: an aggregation that these scores do not have.
    """
    if how is None:
        return GIVEN if GIVEN in columns else stated or UNSTATED_AGGREGATION
    if how not in columns:
        raise InputError(
            f"--how: expected one of {', '.join(columns)} for a file with such scores; got {how}; "
            "pass one of these"
        )
    if how in NEED_PROBABILITIES and not bounded:
        raise InputError(
            f"--how: {how} needs step scores in [0, 1]; the file has others; pass last or min"
        )
    return how


def describe(model: ProcessRewardModel, version: str) -> dict[str, Any]:
    """Give the provenance of scores: what they can be made again with."""
    return {
        "model": model.name,
        "revision": model.revision,
        "recipe": {"name": model.recipe.name, **dict(model.recipe.parameters)},
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "stepscore": version,
        "aggregation": dict(PARAMETERS),
    }


def choose_how_again(how: str | None, check: LayoutCheck, layout: Layout) -> str:
    """Give the aggregation that ranks a file with scores.

    Args:
        how: what was asked for; None takes what an earlier run ranked by, else as in `choose_how`.
        check: has learned what that was.
        layout: the scores of the file.
    """
    known = usable(layout.columns, bounded=layout.bounded)
    earlier = check.how if check.how in known else None
    return choose_how(how or earlier, layout.columns, bounded=layout.bounded, stated=None)


def describe_votes(poll: Poll, columns: tuple[str, ...], *, bounded: bool) -> dict[str, Any]:
    """Give what the votes depend on beside the rules, which name them."""
    found: dict[str, Any] = {}
    objectives = objectives_of(poll, columns, bounded=bounded)
    if objectives:
        found["objectives"] = list(objectives)
    if poll.verify is not None:
        found["verify"] = poll.verify
    return found


@dataclass(frozen=True)
class ResultWriter:
    """Writes the result of every record behind the record's own fields.

    Attributes:
        fields: the names of the fields.
        provenance: what stands beside every result.
        how: the aggregation that ranks.
        poll: the rules that the votes are named by.
    """

    fields: Fields
    provenance: dict[str, Any]
    how: str
    poll: Poll = DEFAULT_POLL

    def lines(self, scored: Scored, voted: Voted | None) -> Iterator[str]:
        """Give one line per record; without votes also without ranks and answers."""
        candidates = _candidate_results(scored)
        if voted is not None:
            totals = scored.totals[:, scored.columns.index(self.how)]
            _add_ranks(candidates, ranks(totals, scored.offsets), voted)
        elections = None if voted is None else _Elections(scored, voted, self.poll)
        bounds = scored.offsets.tolist()
        for problem, record in enumerate(scored.records):
            result: dict[str, Any] = {
                "candidates": candidates[bounds[problem] : bounds[problem + 1]]
            }
            if elections is not None:
                result["votes"] = elections.of(problem)
            result["provenance"] = self._provenance_of(record)
            try:
                text = _encode(result)
            except ValueError as error:  # every number was checked on its way in
                raise SentenceError(
                    record.place, record.id, f"cannot be written: {error}"
                ) from error
            yield insert_result(record, self.fields, text) + "\n"

    def _provenance_of(self, record: Record) -> dict[str, Any]:
        if record.scored_by is None:
            return self.provenance
        return {**self.provenance, "scored_by": record.scored_by}


# A result is a tree that was made here: looking for circles in it would cost a tenth of the time.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode


def _candidate_results(scored: Scored) -> list[dict[str, Any]]:
    totals = _rows(scored.totals)
    results = []
    for steps, scores, row, lost in zip(
        scored.split, scored.step_scores, totals, scored.truncated.tolist(), strict=True
    ):
        result: dict[str, Any] = {}
        if steps is not None:
            result["steps"] = steps
        if scores is not None:
            result["step_scores"] = scores if not lost else [_finite(score) for score in scores]
        if lost:
            result["truncated"] = lost
        result["scores"] = dict(zip(scored.columns, row, strict=True))
        results.append(result)
    return results


def _add_ranks(results: list[dict[str, Any]], ranked: NDArray[np.int64], voted: Voted) -> None:
    for result, rank, answer, answer_class in zip(
        results, ranked.tolist(), voted.answers, voted.classes.tolist(), strict=True
    ):
        result["rank"] = rank
        result["answer"] = answer
        result["answer_class"] = answer_class


class _Elections:
    """The votes of one chunk, as they are written."""

    def __init__(self, scored: Scored, voted: Voted, poll: Poll) -> None:
        self._columns = scored.columns
        self._rules = [rule.label for rule in poll.rules]
        self._answers = voted.answers
        self._begins = scored.offsets.tolist()
        score, margin = _or_none(voted.score), _or_none(voted.margin)
        self._fields = [voted.winner.tolist(), score, voted.tied.tolist(), margin]

    def of(self, problem: int) -> dict[str, dict[str, dict[str, Any] | None]]:
        """Give rule -> aggregation -> winner; None where the two have no winner."""
        begin, answers = self._begins[problem], self._answers
        by_rule = zip(*(field[problem] for field in self._fields), strict=True)
        return {
            rule: {
                column: None
                if winner < 0
                else {
                    "winner": winner - begin,
                    "answer": answers[winner],
                    "score": score,
                    "tied": tied,
                    "margin": margin,
                }
                for column, winner, score, tied, margin in zip(self._columns, *fields, strict=True)
            }
            for rule, fields in zip(self._rules, by_rule, strict=True)
        }


def _or_none(values: NDArray[np.float64]) -> list[Any]:
    """Give nested lists, with None for what JSON has no number for."""
    found = values.astype(np.object_)
    found[~np.isfinite(values)] = None
    rows: list[Any] = found.tolist()
    return rows


def _rows(totals: NDArray[np.float64]) -> list[list[float | None]]:
    rows: list[list[float | None]] = totals.tolist()
    if not np.isfinite(totals).all():
        rows = [[_finite(value) for value in row] for row in rows]
    return rows


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
