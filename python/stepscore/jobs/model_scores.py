"""Candidates -> step scores, by a process reward model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError, Spell, as_argument
from stepscore.jobs.model_faults import blames_input, candidate_fault, fault_of, model_failure
from stepscore.jobs.scored import ScoredRecords, candidate_offsets
from stepscore.ragged import segment_of
from stepscore.records import Fields, Record, RecordColumns, RecordError
from stepscore.voting.scores import candidate_scores

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel, StepScores
    from stepscore.scoring.score_options import OnBad, SpecialTokens
    from stepscore.scoring.truncation import Truncation


def score_with_model(
    records: list[Record],
    model: ProcessRewardModel,
    truncation: Truncation,
    on_fault: Callable[[RecordError], None],
    fields: Fields | None = None,
    *,
    on_bad: OnBad = "error",
    special_tokens: SpecialTokens = "strip_end",
    spell: Spell = as_argument,
) -> Iterator[ScoredRecords]:
    """Score every step of some records' candidates, all in one call.

    Where the call refuses them, the records are halved until the one at fault stands alone. Inputs
    are checked before anything is forwarded, so that no record goes through the model twice, but
    for those that stand beside a score that is no number.

    Args:
        records: problems with solutions.
        model: a process reward model.
        truncation, special_tokens: see its ``score``.
        on_fault: gets the error of a record at fault, and raises or returns to leave it out.
        fields: the names of the records' fields, for messages.
        on_bad: ``keep`` keeps a candidate that cannot be scored, without scores; ``error`` makes it
            the fault of its record.
        spell: how the reasons of kept candidates name arguments.

    Raises:
        InputError: the model failed for a reason that no record is to blame for.
    """
    names = fields or Fields()
    try:
        scored = _score(records, model, truncation, names, on_bad, special_tokens, spell)
    except RuntimeError as error:
        raise model_failure(records[0].place, "score", error) from error
    except Exception as error:
        if not blames_input(error):
            raise
        if len(records) == 1:
            on_fault(fault_of(error, records[0], names))
            return
        middle = len(records) // 2
        parts = [records[:middle], records[middle:]]
    else:
        if isinstance(scored, ScoredRecords):
            yield scored
            return
        for fault in scored.values():
            on_fault(fault)
        parts = [[record for place, record in enumerate(records) if place not in scored]]
    for part in parts:
        if part:
            yield from score_with_model(
                part,
                model,
                truncation,
                on_fault,
                names,
                on_bad=on_bad,
                special_tokens=special_tokens,
                spell=spell,
            )


def _score(
    records: list[Record],
    model: ProcessRewardModel,
    truncation: Truncation,
    fields: Fields,
    on_bad: OnBad,
    special_tokens: SpecialTokens,
    spell: Spell,
) -> ScoredRecords | dict[int, RecordError]:
    """Score records; or give the faults of those whose scores are no numbers."""
    offsets = candidate_offsets(records)
    record_of = segment_of(offsets)
    candidates = [candidate for record in records for candidate in record.candidates]
    problems = [records[place].problem or "" for place in record_of]
    solutions = [c.text or "" if c.steps is None else c.steps for c in candidates]
    with warnings.catch_warnings():
        # The number of steps left out is counted here, and stands in the summary.
        warnings.filterwarnings("ignore", message="score: .* were not scored")
        scores = model.score(
            problems,
            solutions,
            truncation=truncation,
            on_bad=on_bad,
            special_tokens=special_tokens,
            nan="propagate",  # a fault of its record, named below
        )
    skipped = {
        place: candidate_fault(
            fault, records[record_of[place]], place - int(offsets[record_of[place]]), fields
        ).reason_told(spell)
        for place, fault in scores.skipped.items()
    }
    # The steps that the model has read, where they are others than those of the file.
    reader = model.reader
    split = {
        place: reader.as_read(reader.steps_of(solutions[place])[0])
        for place, candidate in enumerate(candidates)
        if place not in skipped
        and (candidate.steps is None or place in scores.stripped or not reader.reads_steps)
    }
    expected = [
        0 if place in skipped else len(split.get(place) or solution)
        for place, solution in enumerate(solutions)
    ]
    counts = np.diff(scores.offsets)
    if not np.array_equal(counts, expected):
        raise InputError(
            f"one score per step, {sum(expected)}",
            got=f"{counts.sum()} of the model",
            advice="report this with the record",
        )
    # As float64, so that a later run on the written scores gives the same aggregations.
    values = np.asarray(scores.values, dtype=np.float64)
    steps = values, np.asarray(scores.offsets, dtype=np.int64)
    # A record's first candidate at fault comes last, and so stays.
    faults = {
        int(record_of[place]): _without_score(
            records[record_of[place]], scores, int(place), place - offsets[record_of[place]]
        )
        for place in _without_numbers(*steps, scores.truncated)[::-1]
    }
    if faults:
        return dict(sorted(faults.items()))
    low, high = model.recipe.score_range
    aggregated = candidate_scores(offsets, steps=steps, bounded=low >= 0 and high <= 1)
    columns = RecordColumns.of(records)
    return ScoredRecords(columns, split, aggregated, skipped, dict(scores.stripped))


def _without_numbers(
    values: NDArray[np.float64], step_offsets: NDArray[np.int64], truncated: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give the candidates with scores that are no numbers, beside those that were left out."""
    candidate_of = segment_of(step_offsets)
    wrong = np.bincount(candidate_of[~np.isfinite(values)], minlength=len(truncated))
    return np.flatnonzero(wrong > truncated)


def _without_score(record: Record, scores: StepScores, place: int, candidate: int) -> RecordError:
    """Say why a candidate has a step without a score; of a verdict that did not come, the reason.

    Args:
        record: the candidate's.
        scores: of all candidates.
        place: the candidate's place among them.
        candidate: its place in its record.
    """
    reasons: dict[tuple[int, int], str] = getattr(scores, "faults", {})
    missing = min(
        ((step, why) for (trace, step), why in reasons.items() if trace == place), default=None
    )
    if missing is not None:
        step, why = missing
        return RecordError(
            f"a verdict for every step, such as step {step} of candidate {candidate}, from 0",
            got=f"none: {why}",
            advice=("pass ", Argument("on_bad", "keep"), " to leave such candidates out"),
            place=record.place,
            record_id=record.id,
        )
    return RecordError(
        "a finite score for every step",
        got="NaN or infinity of the model",
        advice=(
            "its number format may overflow, as float16 does beyond 65504: pass ",
            Argument("dtype", "bfloat16"),
            " or ",
            Argument("dtype", "float32"),
        ),
        place=record.place,
        record_id=record.id,
    )
