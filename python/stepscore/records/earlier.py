"""The result that an earlier run wrote into a record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from stepscore.errors import Argument
from stepscore.records.candidates import (
    check_step_count,
    read_answer,
    read_score,
    read_step_scores,
    read_steps,
)
from stepscore.records.faults import FieldPath, RecordError
from stepscore.records.json_text import quote
from stepscore.records.record import Candidate, Fields
from stepscore.voting.columns import GIVEN


@dataclass(frozen=True)
class Provenance:
    """Where an earlier result comes from.

    Attributes:
        scored_by: the provenance of its step scores, if a model made them.
        how: the aggregation that it ranks by.
        copied: whether a vote has taken its scores from the candidates.
    """

    scored_by: dict[str, Any] | None = None
    how: str | None = None
    copied: bool = False


def read_provenance(result: Any) -> Provenance:
    """Read where a result comes from; nothing where it does not say."""
    content = result.get("provenance") if isinstance(result, dict) else None
    if not isinstance(content, dict):
        return Provenance()
    how = content.get("how") if isinstance(content.get("how"), str) else None
    # A vote keeps the provenance of the scores beside its own; one level is enough.
    if isinstance(content.get("scored_by"), dict):
        return Provenance(content["scored_by"], how)
    if "model" in content and content["model"] is None:
        return Provenance(None, how, copied=True)
    return Provenance(content, how)


def with_earlier_scores(
    candidates: list[Candidate], result: Any, earlier: Provenance, fields: Fields
) -> list[Candidate]:
    """Take the scores of an earlier run: they are newer than those of the candidates.

    Those are step scores, or where there are none the scores of whole solutions, as a judge that
    compares them gives.

    Raises:
        RecordError: a result that does not fit the candidates.
    """
    results = result.get("candidates") if isinstance(result, dict) else None
    carry_scores = any(c.score is not None or c.step_scores is not None for c in candidates)
    has_steps = _holds_step_scores(results)
    has_given = not has_steps and not earlier.copied and _holds_given_scores(results)
    if carry_scores and (earlier.copied or not (has_steps or has_given)):
        return candidates
    if not isinstance(results, list) or len(results) != len(candidates):
        raise RecordError(
            f"the scores of the {len(candidates)} candidates, as an earlier run writes them",
            got=f"{len(results)}" if isinstance(results, list) else quote(result),
            advice=("score the file again, or name the field with ", Argument("fields.result")),
            field=(fields.result,),
        )
    return [
        _with_result(candidate, scored, (fields.result, "candidates", index), given=has_given)
        for index, (candidate, scored) in enumerate(zip(candidates, results, strict=True))
    ]


def _holds_step_scores(results: object) -> bool:
    return isinstance(results, list) and any(
        isinstance(item, dict) and item.get("step_scores") is not None for item in results
    )


def _holds_given_scores(results: object) -> bool:
    return isinstance(results, list) and any(_given_score(item) is not None for item in results)


def _given_score(result: object) -> object:
    scores = result.get("scores") if isinstance(result, dict) else None
    return scores.get(GIVEN) if isinstance(scores, dict) else None


def _with_result(
    candidate: Candidate, result: object, field: FieldPath, *, given: bool
) -> Candidate:
    if not isinstance(result, dict):
        raise RecordError(
            "an object", got=quote(result), advice="score the file again", field=field
        )
    split = read_steps(result.get("steps"), field)
    scores = read_step_scores(result.get("step_scores"), field, allow_null=True)
    steps = split or candidate.steps
    if steps and scores:
        check_step_count(len(steps), scores, field)
    answer = read_answer(result.get("answer"), (*field, "answer"))
    if answer is None and "answer" in result and candidate.solution is not None:
        answer = ""
    skipped = result.get("skipped")
    return replace(
        candidate,
        score=read_score(_given_score(result), (*field, "scores")) if given else None,
        step_scores=scores,
        earlier_steps=split,
        earlier_answer=answer,
        skipped=skipped if isinstance(skipped, str) else None,
    )
