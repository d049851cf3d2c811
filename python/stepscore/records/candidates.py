"""A candidate of a record: its text or steps, its answer, its scores."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from stepscore.records.faults import FieldPath, RecordError
from stepscore.records.json_text import kind_of, quote
from stepscore.records.messages import are_messages, is_message, solution_of
from stepscore.records.record import Candidate, Fields


def read_candidate(value: object, field: FieldPath, *, to_score: bool) -> Candidate:
    """Read a candidate.

    Args:
        value: a text, an object or messages. An object without text and steps may be a message, or
            a choice of an OpenAI-compatible server, which holds one.
        field: the way to it.
        to_score: whether it must have a text or steps for a model to score; the model says whether
            it can score them.

    Raises:
        RecordError: anything of another type.
    """
    if value is None and to_score:  # a generation that failed
        candidate = Candidate(text="")
    elif isinstance(value, str):
        candidate = Candidate(text=value)
    elif are_messages(value):
        candidate = Candidate(text=_said(solution_of(value, field), to_score=to_score))
    elif isinstance(value, dict):
        said = _message(value, field)
        candidate = Candidate(
            text=_text(value.get("text"), field)
            if said is None
            else _said(solution_of(*said), to_score=to_score),
            steps=read_steps(value.get("steps"), field),
            answer=_stated_answer(value, field),
            score=read_score(value.get("score"), field),
            step_scores=read_step_scores(value.get("step_scores"), field, allow_null=False),
            correct=_correct(value.get("correct"), field),
        )
    else:
        raise RecordError(
            "a text or an object",
            got=kind_of(value),
            advice='write the solution as a string, as {"steps": [...]}, or as a message with a '
            "role and content",
            field=field,
            of_shape=True,
        )
    if to_score:
        if not (isinstance(value, dict) and "text" in value):
            _check_solution(candidate, field)
    elif candidate.steps and candidate.step_scores:
        check_step_count(len(candidate.steps), candidate.step_scores, field)
    return candidate


def _message(value: dict[str, Any], field: FieldPath) -> tuple[list[Any], FieldPath] | None:
    """Give the message that an object is or holds, as a list, and the way to it; else None."""
    if value.get("text") is not None or value.get("steps") is not None:
        return None
    if is_message(value):
        return [value], field
    message = value.get("message")
    return ([message], (*field, "message")) if is_message(message) else None


def _said(text: str | None, *, to_score: bool) -> str | None:
    """Give what a message says; one that is null is a generation that failed, as any other."""
    return "" if text is None and to_score else text


def check_scored(candidates: list[Candidate], fields: Fields) -> None:
    """Refuse a candidate without a score beside one that has one.

    Raises:
        RecordError: the first such candidate.
    """
    read = [candidate for candidate in candidates if candidate.skipped is None]
    if all(c.score is None and c.step_scores is None for c in read):
        return
    for index, candidate in enumerate(candidates):
        if candidate.skipped is not None:
            continue
        if candidate.score is None and candidate.step_scores is None:
            raise RecordError(
                '"score" or "step_scores"',
                got="neither",
                advice="write one of them, or score the file with a model first",
                field=(fields.candidates, index),
            )


def read_answer(value: object, field: FieldPath) -> str | None:
    """Read an answer as text, stripped; a number is written out: 12.0 as 12, 1e-05 as 0.00001.

    A list of one answer is that answer, and NaN is none.

    Raises:
        RecordError: neither a text nor a number, nor a list of one of them.
    """
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if isinstance(value, str):  # by far the most frequent
        return value.strip()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RecordError(
            "a text or a number", got=quote(value), advice="write it as a string", field=field
        )
    if isinstance(value, float):
        digits = format(Decimal(repr(value)), "f")
        return digits.removesuffix(".0") if value else "0"
    return str(value).strip()


def read_steps(value: object, field: FieldPath) -> list[str] | None:
    """Read the steps of the candidate at `field`.

    Raises:
        RecordError: no list of texts.
    """
    if value is None:
        return None
    if not isinstance(value, list):
        raise RecordError(
            "a list of texts",
            got=quote(value),
            advice="write one text per step",
            field=(*field, "steps"),
        )
    for number, step in enumerate(value):
        if not isinstance(step, str):
            raise RecordError(
                "a text",
                got=quote(step),
                advice="write it as a string",
                field=(*field, "steps", number),
            )
    return value


def read_step_scores(value: object, field: FieldPath, *, allow_null: bool) -> list[float] | None:
    """Read the step scores of the candidate at `field`.

    Args:
        value: a list of numbers.
        field: the way to the candidate.
        allow_null: whether null is a step that truncation left out, which becomes NaN.

    Raises:
        RecordError: an empty list, or anything but finite numbers.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise RecordError(
            "a list of at least one number",
            got=quote(value),
            advice="write one score per step, or leave the candidate out",
            field=(*field, "step_scores"),
        )
    # A list of plain floats, by far the most frequent, is checked without a call per step.
    if set(map(type, value)) == {float} and all(map(math.isfinite, value)):
        return value
    return [
        math.nan
        if allow_null and score is None
        else _number(score, (*field, "step_scores", number))
        for number, score in enumerate(value)
    ]


def check_step_count(steps: int, scores: list[float], field: FieldPath) -> None:
    """Refuse another number of scores than of steps.

    Raises:
        RecordError: both numbers.
    """
    if steps != len(scores):
        raise RecordError(
            "one score per step",
            got=f"{steps} steps and {len(scores)} step_scores",
            advice="write as many of one as of the other",
            field=field,
        )


def _check_solution(candidate: Candidate, field: FieldPath) -> None:
    if candidate.steps is None and candidate.text is None:
        raise RecordError(
            '"steps" or "text"',
            got="neither",
            advice="write the solution there, or vote on the scores alone",
            field=field,
        )


def _correct(value: object, field: FieldPath) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in (0, 1):
        return value == 1
    raise RecordError(
        "true or false, also as 1 or 0",
        got=quote(value),
        advice="write it so, or leave it out",
        field=(*field, "correct"),
    )


def _text(value: object, field: FieldPath) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise RecordError(
        "a text", got=quote(value), advice="write it so, or leave it out", field=(*field, "text")
    )


def _stated_answer(value: dict[str, Any], field: FieldPath) -> str | None:
    if "answer" not in value:
        return None
    return read_answer(value["answer"], (*field, "answer")) or ""


def read_score(value: object, field: FieldPath) -> float | None:
    """Read the score of the whole solution at `field`; None where there is none."""
    return None if value is None else _number(value, (*field, "score"))


def _number(value: object, field: FieldPath) -> float:
    if not isinstance(value, bool) and isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise RecordError(
        "a finite number",
        got=quote(value),
        advice="write a number, or leave it out",
        field=field,
    )
