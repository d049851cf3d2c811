"""Candidates -> scores of whole solutions, by a judge that compares them two by two."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from stepscore.errors import Argument, InputError
from stepscore.jobs.model_faults import blames_input, fault_of, model_failure
from stepscore.jobs.scored import ScoredRecords, candidate_offsets
from stepscore.records import Fields, Record, RecordColumns, RecordError
from stepscore.report.table import NOTE_WIDTH, counted
from stepscore.tallies import Tally
from stepscore.voting.scores import candidate_scores

if TYPE_CHECKING:
    from stepscore.scoring.pairs import PairwiseJudge, Standings


@dataclass
class JudgedCounts(Tally):
    """How many verdicts were asked for, and how many did not come."""

    asked: int = 0
    missing: int = 0
    matches: int = 0
    undecided: int = 0
    first: str = field(default="", repr=False)

    def add(self, standings: Standings, place: str) -> None:
        """Count those of one problem."""
        self.asked += standings.asked
        self.missing += standings.missing
        self.matches += len(standings.matches)
        self.undecided += standings.undecided
        if standings.faults and not self.first:
            self.first = f"{place}: {standings.faults[0]}"

    def figures(self) -> dict[str, Any]:
        """Give the same for a program."""
        names = ("matches", "undecided", "asked", "missing")
        return {name: getattr(self, name) for name in names}

    def lines(self) -> list[str]:
        """Say it, in lines of at most 100 columns."""
        notes = [f"{_matches(self.matches)} by {counted(self.asked, 'verdict')}."]
        if self.missing:
            notes.append(
                f"{counted(self.missing, 'verdict')} did not come, which leaves "
                f"{_matches(self.undecided)} undecided; they count for nobody. The first: "
                f"{self.first}"
            )
        return ["", *(line for note in notes for line in textwrap.wrap(note, NOTE_WIDTH))]


def judge_records(
    records: list[Record],
    judge: PairwiseJudge,
    on_fault: Callable[[RecordError], None],
    fields: Fields | None = None,
) -> ScoredRecords | None:
    """Let the candidates of some records meet, those of all records side by side.

    A record whose texts are refused is left out before anything is asked. A candidate of whom no
    match was decided takes no part in what follows, and the result says why.

    Args:
        records: problems with solutions.
        judge: compares them.
        on_fault: gets the error of a record at fault, and raises or returns to leave it out.
        fields: the names of the records' fields, for messages.

    Raises:
        InputError: the policy failed for a reason that no record is to blame for.
    """
    names = fields or Fields()
    good = [record for record in records if _is_readable(record, judge, on_fault, names)]
    if not good:
        return None
    try:
        standings = judge.compare_many(
            [record.problem or "" for record in good],
            [_solutions(record) for record in good],
            on_missing="keep",
        )
    except RuntimeError as error:
        raise model_failure(good[0].place, "compare", error) from error
    offsets, counts = candidate_offsets(good), JudgedCounts()
    skipped: dict[int, str] = {}
    for record, standing, begin in zip(good, standings, offsets.tolist(), strict=False):
        counts.add(standing, record.place)
        for place in np.flatnonzero(np.isnan(standing.scores)).tolist():
            skipped[begin + place] = (
                f"no match with it was decided: {standing.faults[0]}"
                if standing.faults
                else "it met nobody"
            )
    given = np.concatenate([standing.scores for standing in standings])
    scores = candidate_scores(offsets, given=given, bounded=False)
    tallies = {"judged": counts}
    return ScoredRecords(RecordColumns.of(good), {}, scores, skipped, tallies=tallies)


def describe_judge(judge: PairwiseJudge, version: str) -> dict[str, Any]:
    """Give the provenance of scores: what they can be made again with."""
    verifier = judge.verifier
    return {
        "model": judge.policy.name,
        "judge": {
            "name": verifier.name,
            "source": verifier.source,
            "prompt": verifier.fingerprint,
            "how": judge.how if isinstance(judge.how, str) else repr(judge.how),
            "votes": judge.votes,
            "vote": judge.vote,
            "orders": judge.orders,
            "budget": judge.budget,
            "temperature": verifier.temperature,
            "top_p": verifier.top_p,
            "max_tokens": verifier.max_tokens,
            "seed": judge.seed,
        },
        "stepscore": version,
    }


def _is_readable(
    record: Record,
    judge: PairwiseJudge,
    on_fault: Callable[[RecordError], None],
    fields: Fields,
) -> bool:
    try:
        judge.check([record.problem or ""], [_solutions(record)])
    except Exception as error:
        if not blames_input(error):
            raise
        if isinstance(error, InputError) and error.argument is not None:
            name = {"candidates": "solutions"}.get(error.argument.name, error.argument.name)
            error = error.at(argument=Argument(name, index=error.argument.index[1:]))
        on_fault(fault_of(error, record, fields))
        return False
    return True


def _matches(number: int) -> str:
    return f"{number:,} match" + ("" if number == 1 else "es")


def _solutions(record: Record) -> list[str | list[str]]:
    return [c.text or "" if c.steps is None else c.steps for c in record.candidates]
