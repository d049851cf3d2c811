"""Lines of JSON read as columns, by Python's own parser."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepscore.ops.record_scan import JsonScalar, RecordScan, WantedScores

_MOST_KEYS, _DEEPEST, _LONGEST_NUMBER = 64, 64, 1000
_SPACE = b" \t\r\n"


def scan_records(
    lines: Sequence[bytes],
    *,
    start: int = 0,
    stop: int | None = None,
    fields: tuple[str, str, str, str, str] = ("id", "problem", "candidates", "answer", "stepscore"),
    wanted: WantedScores = WantedScores(),  # noqa: B008 - a value
    most: int = 1 << 62,
) -> RecordScan:
    """Read lines of JSON, one record each, as columns, up to the first that is not plain."""
    ids: list[Any] = []
    known: list[JsonScalar] = []
    of_record: list[list[dict[str, Any]]] = []
    for line in lines[start:stop]:
        if sum(map(len, of_record)) >= most:
            break
        try:
            record_id, answer, candidates = _record(line, fields, wanted)
        except (ValueError, RecursionError):
            break
        ids.append(record_id)
        known.append(answer)
        of_record.append(candidates)
    every = [candidate for candidates in of_record for candidate in candidates]
    rows = [candidate["step_scores"] if wanted.steps else [] for candidate in every]
    spellings = list(dict.fromkeys(c["answer"].spelling for c in every if "answer" in c))
    values = {c["answer"].spelling: c["answer"].value for c in every if "answer" in c}
    unread = [c["solution"] for c in every if "answer" not in c and c["solution"] is not None]
    places = iter(range(len(unread)))
    return RecordScan(
        ids,
        known,
        np.cumsum([0, *map(len, of_record)]),
        np.array([score for row in rows for score in row], np.float64),
        np.cumsum([0, *map(len, rows)]),
        np.array([c["score"] for c in every] if wanted.given else [], np.float64),
        np.array([c["correct"] for c in every], np.int8),
        np.array(
            [spellings.index(c["answer"].spelling) if "answer" in c else -1 for c in every],
            np.int64,
        ),
        [values[spelling] for spelling in spellings],
        np.array(
            [-1 if "answer" in c or c["solution"] is None else next(places) for c in every],
            np.int64,
        ),
        unread,
    )


@dataclass(frozen=True)
class _Number:
    spelling: str

    def __post_init__(self) -> None:
        _demand(len(self.spelling) <= _LONGEST_NUMBER)


@dataclass(frozen=True)
class _Answer:
    value: JsonScalar

    @property
    def spelling(self) -> str:
        return f"{type(self.value)} {self.value!r}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    _demand(len(content) == len(pairs) <= _MOST_KEYS)
    return content


def _constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_Number, parse_int=_Number
)


def _demand(condition: object) -> None:
    if not condition:
        raise ValueError("not plain")


def _record(
    line: bytes, fields: tuple[str, str, str, str, str], wanted: WantedScores
) -> tuple[JsonScalar, JsonScalar, list[dict[str, Any]]]:
    name, problem, candidates, answer, result = fields
    content = _DECODER.decode(line.strip(_SPACE).decode())
    _demand(isinstance(content, dict) and result not in content)
    known = {name, problem, candidates, answer}
    for key, value in content.items():
        _check(key)
        if key not in known:
            _check(value)
    _demand(isinstance(content.get(problem, ""), str))
    _check(content.get(problem))
    record_id = _scalar(content.get(name))
    _demand(isinstance(record_id, str | int) and record_id != "")
    values = content.get(candidates)
    _demand(isinstance(values, list) and values)
    read = [_candidate(value, wanted) for value in content[candidates]]
    return record_id, _scalar(content.get(answer)), read


def _candidate(value: object, wanted: WantedScores) -> dict[str, Any]:
    content: dict[str, Any] = {"text": value} if isinstance(value, str) else value  # type: ignore[assignment]
    _demand(isinstance(content, dict))
    for key, field in content.items():
        _check(key)
        _check(field)
    text, steps = content.get("text"), content.get("steps")
    # A chat message, or an object that holds one.
    may_be_message = not content.keys().isdisjoint(("message", "content", "value"))
    _demand(not may_be_message or text is not None or steps is not None)
    _demand(text is None or isinstance(text, str))
    _demand(steps is None or (isinstance(steps, list) and all(isinstance(s, str) for s in steps)))
    score = None if content.get("score") is None else _real(content["score"])
    step_scores = None
    if content.get("step_scores") is not None:
        _demand(isinstance(content["step_scores"], list) and content["step_scores"])
        step_scores = [_real(step) for step in content["step_scores"]]
        _demand(not steps or len(steps) == len(step_scores))
        bounded = wanted.steps and wanted.bounded
        _demand(not bounded or all(0 <= step <= 1 for step in step_scores))
    _demand(content.get("correct") in (None, False, True))
    _demand(not isinstance(content.get("correct"), _Number))
    _demand(step_scores is not None or not wanted.steps)
    _demand(score is not None or not wanted.given)
    _demand(wanted.steps or wanted.given or (score is None and step_scores is None))
    read = {
        "step_scores": step_scores,
        "score": score,
        "correct": {None: -1, False: 0, True: 1}[content.get("correct")],
        "solution": "\n".join(steps) if text is None and steps is not None else text,
    }
    if "answer" in content:
        read["answer"] = _Answer(_scalar(content["answer"]))
    return read


def _scalar(value: object) -> JsonScalar:
    """Give a text, a number or None."""
    if isinstance(value, _Number):
        if re.search("[.eE]", value.spelling):
            return _real(value)
        number = int(value.spelling)
        _demand(value.spelling != "-0" and -(2**63) <= number < 2**63)
        return number
    _demand(value is None or isinstance(value, str))
    _check(value)
    return value  # type: ignore[return-value]


def _real(value: object) -> float:
    _demand(isinstance(value, _Number) and value.spelling != "-0")
    spelling = value.spelling  # type: ignore[attr-defined]
    number = float(spelling)
    _demand(math.isfinite(number) and (number != 0 or re.match("-?[0.]*([eE]|$)", spelling)))
    return number


def _check(value: object, depth: int = 0) -> None:
    """Refuse half a surrogate pair, and what is nested too deeply."""
    _demand(depth < _DEEPEST)
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key)
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
