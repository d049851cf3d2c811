"""What a line of input must hold, and the errors that name the line and say what to do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn

RecordId = str | int
Wanted = Literal["solutions", "scores", "problems"]

_QUOTED_WIDTH = 60


class InputError(ValueError):
    """Input that cannot be processed; the message says where, what was expected, what to do."""


class RecordError(InputError):
    """One record that cannot be processed.

    Attributes:
        place: file and line.
        record_id: the record's id, None where the line did not get that far.
        reason: what was expected and got, and what to do.
    """

    def __init__(self, place: str, record_id: RecordId | None, reason: str) -> None:
        self.place = place
        self.record_id = record_id
        self.reason = reason
        name = "" if record_id is None else f"id {json.dumps(record_id, ensure_ascii=False)}: "
        super().__init__(f"{place}: {name}{reason}")


@dataclass(frozen=True)
class Fields:
    """The names of a record's fields; ``result`` is the one that is added."""

    id: str = "id"
    problem: str = "problem"
    candidates: str = "candidates"
    answer: str = "answer"
    result: str = "stepscore"

    def __post_init__(self) -> None:
        option_of: dict[str, str] = {}
        for option, name in vars(self).items():
            earlier = option_of.setdefault(name, option)
            if earlier != option:
                raise InputError(
                    f"--{option}-field: expected a name of its own; got {quote(name)}, which is "
                    f"the name of --{earlier}-field too; pass another"
                )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate solution; what the file does not say is None.

    Attributes:
        text: the solution as one text.
        steps: the solution as steps.
        answer: the final answer as the file gives it, stripped; empty = there is none.
        score: one score of the whole solution.
        step_scores: one score per step; NaN for a step that truncation left out.
        correct: whether the file calls the solution right.
        split: the steps that an earlier run split the text into.
        found: the answer that an earlier run found, stripped; empty = it found none.
    """

    text: str | None = None
    steps: list[str] | None = None
    answer: str | None = None
    score: float | None = None
    step_scores: list[float] | None = None
    correct: bool | None = None
    split: list[str] | None = None
    found: str | None = None

    @property
    def solution(self) -> str | None:
        """The solution as one text, from the steps where there is no text."""
        if self.text is None and self.steps is not None:
            return "\n".join(self.steps)
        return self.text


@dataclass(frozen=True, slots=True)
class Record:
    """One problem with its candidates.

    Attributes:
        place: file and line, for messages.
        line: the JSON object as it stands in the file; the result is put into it.
        id: unique in the file.
        problem: the problem's text; None where it is not needed and the file has none.
        candidates: at least one; none where only the problem was wanted.
        answer: the known answer, stripped.
        scored_by: the provenance of step scores that an earlier run wrote.
        how: the aggregation that an earlier run ranked by.
    """

    place: str
    line: str
    id: RecordId
    problem: str | None
    candidates: list[Candidate]
    answer: str | None = None
    scored_by: dict[str, Any] | None = None
    how: str | None = None


class _FaultError(ValueError):
    """A reason without its place, which only `parse_record` knows."""


def parse_record(line: bytes, place: str, fields: Fields, wanted: Wanted) -> Record:
    """Read one line.

    Args:
        line: the bytes of one line.
        place: file and line, for messages.
        fields: the names of the fields.
        wanted: ``solutions`` when the candidates are to be scored: the problem and a text or steps
            per candidate are needed. ``scores`` when they carry a score or step scores already.
            ``problems`` when the problem alone is needed; candidates are not looked at.

    Raises:
        RecordError: anything that is missing, of another type, empty or not a finite number.
    """
    record_id: RecordId | None = None
    try:
        text = _decode(line)
        content = _load_object(text)
        record_id = _id(content, fields)
        problem = _problem(content, fields, required=wanted != "scores")
        candidates = [] if wanted == "problems" else _candidates(content, fields, wanted)
        earlier = _Provenance()
        if fields.result in content:
            if wanted != "scores":
                _refuse(
                    f'"{fields.result}" is the field that the result is written to; the record has '
                    "one already; name another with --result-field"
                )
            result = content.pop(fields.result)
            earlier = _provenance(result)
            candidates = _with_earlier_scores(candidates, result, earlier, fields)
            text = _dump(content)
        if wanted == "scores":
            _check_scored(candidates, fields)
        answer = _answer(content.get(fields.answer), f'"{fields.answer}"')
    except _FaultError as fault:
        raise RecordError(place, record_id, str(fault)) from None
    return Record(
        place,
        text,
        record_id,
        problem,
        candidates,
        answer or None,
        earlier.scored_by,
        earlier.how,
    )


def insert_result(record: Record, fields: Fields, result: str) -> str:
    """Give the record's line with one more field, the rest of it as it was."""
    return f"{record.line[:-1].rstrip()}, {json.dumps(fields.result)}: {result}}}"


class UniqueIds:
    """Refuses an id that was seen before."""

    def __init__(self) -> None:
        self._places: dict[RecordId, str] = {}

    def check(self, record: Record) -> None:
        """Remember a record's id.

        Raises:
            RecordError: an earlier record has it.
        """
        earlier = self._places.setdefault(record.id, record.place)
        if earlier != record.place:
            raise RecordError(
                record.place,
                record.id,
                f"expected an id of its own; {earlier} has it already; give every record another, "
                "or name the right field with --id-field",
            )

    def has(self, record_id: RecordId) -> bool:
        """Tell whether a record has that id."""
        return record_id in self._places

    def forget(self, error: RecordError) -> None:
        """Free the id of a record that turned out to be at fault."""
        if error.record_id is not None and self._places.get(error.record_id) == error.place:
            del self._places[error.record_id]


def quote(value: object) -> str:
    """Show a value of the input as JSON, cut to a readable width."""
    try:
        shown = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        shown = repr(value)
    # A lone surrogate cannot be printed.
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= _QUOTED_WIDTH else shown[: _QUOTED_WIDTH - 3] + "..."


def load_json(text: str) -> Any:
    """Read JSON as the standard has it: without NaN and Infinity.

    Raises:
        ValueError: anything else; the message is short and without its place.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("brackets nested too deeply") from None


def _refuse(reason: str) -> NoReturn:
    raise _FaultError(reason)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which JSON does not have (write null)")


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        _refuse(
            f"expected UTF-8 text; got byte 0x{line[error.start]:02x} at byte {error.start + 1} of "
            "the line; save the file as UTF-8"
        )


def _load_object(text: str) -> dict[str, Any]:
    try:
        content = load_json(text)
    except ValueError as error:
        _refuse(
            f"expected one JSON object per line; got {error} in {quote(text)}; repair the line, or "
            "write the file as JSONL"
        )
    if not isinstance(content, dict):
        _refuse(
            f"expected one JSON object per line; got {_kind(content)}; write every record as one "
            "object on one line"
        )
    # Only an escape can bring in half of a surrogate pair, which no tokenizer and no file takes.
    if "\\u" in text and _has_lone_surrogate(content):
        _refuse(
            "expected text that can be written as UTF-8; got half of a surrogate pair (\\ud800 to "
            "\\udfff); repair the text"
        )
    return content


def _has_lone_surrogate(content: object) -> bool:
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _dump(content: dict[str, Any]) -> str:
    try:
        return json.dumps(content, ensure_ascii=False, allow_nan=False)
    except ValueError:
        _refuse("expected numbers that a float64 can hold; got a larger one; write it as text")


def _id(content: dict[str, Any], fields: Fields) -> RecordId:
    value = _required(content, fields.id, "--id-field")
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        _refuse(
            f'"{fields.id}" must be a text or a whole number; got {quote(value)}; give every '
            "record an id of its own"
        )
    return value


def _problem(content: dict[str, Any], fields: Fields, *, required: bool) -> str | None:
    if fields.problem not in content and not required:
        return None
    value = _required(content, fields.problem, "--problem-field")
    if not isinstance(value, str):
        _refuse(f'"{fields.problem}" must be a text; got {quote(value)}; write it as a string')
    return value


def _candidates(content: dict[str, Any], fields: Fields, wanted: Wanted) -> list[Candidate]:
    values = _required(content, fields.candidates, "--candidates-field")
    if not isinstance(values, list) or not values:
        _refuse(
            f'"{fields.candidates}" must be a list of at least one candidate; got {quote(values)}; '
            "give the record candidates, or leave it out"
        )
    return [
        _candidate(value, f"{fields.candidates}[{index}]", wanted)
        for index, value in enumerate(values)
    ]


def _required(content: dict[str, Any], name: str, option: str) -> Any:
    if name not in content:
        present = ", ".join(quote(key) for key in list(content)[:8]) or "nothing"
        _refuse(f'expected the field "{name}"; the record has {present}; name it with {option}')
    return content[name]


def _candidate(value: object, where: str, wanted: Wanted) -> Candidate:
    if isinstance(value, str):
        candidate = Candidate(text=value)
    elif isinstance(value, dict):
        candidate = Candidate(
            text=_optional(value, "text", str, where, "a text"),
            steps=_steps(value.get("steps"), where),
            answer=_answer(value["answer"], f"{where}.answer") or "" if "answer" in value else None,
            score=None if value.get("score") is None else _number(value["score"], f"{where}.score"),
            step_scores=_step_scores(value.get("step_scores"), where, allow_null=False),
            correct=_optional(value, "correct", bool, where, "true or false"),
        )
    else:
        _refuse(
            f"{where} must be a text or an object; got {_kind(value)}; write the solution as a "
            'string, or as {"steps": [...]}'
        )
    if wanted == "solutions":
        _check_solution(candidate, where)
    elif candidate.steps and candidate.step_scores:
        _check_step_count(len(candidate.steps), candidate.step_scores, where)
    return candidate


def _check_solution(candidate: Candidate, where: str) -> None:
    if candidate.steps is None and candidate.text is None:
        _refuse(
            f'{where} must have "steps" or "text"; got neither; write the solution there, or use '
            "stepscore vote for scores without solutions"
        )
    if candidate.steps is None and not str(candidate.text).strip():
        _refuse(f"{where} must hold a solution; got an empty text; leave the candidate out")
    if candidate.steps is not None and not candidate.steps:
        _refuse(f"{where}.steps must hold at least one step; got []; leave the candidate out")
    for number, step in enumerate(candidate.steps or ()):
        if not step.strip():
            _refuse(
                f"{where}.steps[{number}] must be a step with text; got {quote(step)}; leave empty "
                "steps out"
            )


def _check_scored(candidates: list[Candidate], fields: Fields) -> None:
    for index, candidate in enumerate(candidates):
        if candidate.score is None and candidate.step_scores is None:
            _refuse(
                f'{fields.candidates}[{index}] must carry "score" or "step_scores"; got neither; '
                "write one of them, or score the file with: stepscore rerank FILE --model MODEL"
            )


def _optional(value: dict[str, Any], name: str, kind: type, where: str, expected: str) -> Any:
    found = value.get(name)
    if found is not None and not isinstance(found, kind):
        _refuse(
            f"{where}.{name} must be {expected}; got {quote(found)}; write it so, or leave it out"
        )
    return found


def _steps(value: object, where: str) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        _refuse(
            f"{where}.steps must be a list of texts; got {quote(value)}; write one text per step"
        )
    for number, step in enumerate(value):
        if not isinstance(step, str):
            _refuse(
                f"{where}.steps[{number}] must be a text; got {quote(step)}; write it as a string"
            )
    return value


def _answer(value: object, where: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        _refuse(f"{where} must be a text or a number; got {quote(value)}; write it as a string")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _step_scores(value: object, where: str, *, allow_null: bool) -> list[float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        _refuse(
            f"{where}.step_scores must be a list of at least one number; got {quote(value)}; write "
            "one score per step, or leave the candidate out"
        )
    # A list of plain floats, by far the most frequent, is checked without a call per step.
    if set(map(type, value)) == {float} and all(map(math.isfinite, value)):
        return value
    return [
        math.nan
        if allow_null and score is None
        else _number(score, f"{where}.step_scores[{number}]")
        for number, score in enumerate(value)
    ]


def _number(value: object, where: str) -> float:
    if not isinstance(value, bool) and isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    _refuse(f"{where} must be a finite number; got {quote(value)}; write a number, or leave it out")


def _check_step_count(steps: int, scores: list[float], where: str) -> None:
    if steps != len(scores):
        _refuse(
            f"{where} must have one score per step; got {steps} steps and {len(scores)} "
            "step_scores; write as many of one as of the other"
        )


@dataclass(frozen=True)
class _Provenance:
    """Where an earlier result comes from.

    Attributes:
        scored_by: the provenance of its step scores, if a model made them.
        how: the aggregation that it ranks by.
        copied: whether a vote has taken its scores from the candidates.
    """

    scored_by: dict[str, Any] | None = None
    how: str | None = None
    copied: bool = False


def _provenance(result: Any) -> _Provenance:
    found = result.get("provenance") if isinstance(result, dict) else None
    if not isinstance(found, dict):
        return _Provenance()
    how = found.get("how") if isinstance(found.get("how"), str) else None
    # A vote keeps the provenance of the scores beside its own; one level is enough.
    if isinstance(found.get("scored_by"), dict):
        return _Provenance(found["scored_by"], how)
    if "model" in found and found["model"] is None:
        return _Provenance(None, how, copied=True)
    return _Provenance(found, how)


def _with_earlier_scores(
    candidates: list[Candidate], result: Any, earlier: _Provenance, fields: Fields
) -> list[Candidate]:
    """Take the step scores that an earlier run wrote: they are newer than the candidates' own."""
    scored = result.get("candidates") if isinstance(result, dict) else None
    own = any(c.score is not None or c.step_scores is not None for c in candidates)
    if own and (earlier.copied or not _holds_step_scores(scored)):
        return candidates
    where = f'"{fields.result}"'
    if not isinstance(scored, list) or len(scored) != len(candidates):
        got = f"{len(scored)}" if isinstance(scored, list) else quote(result)
        _refuse(
            f"{where} must hold the scores of the {len(candidates)} candidates, as stepscore score "
            f"writes them; got {got}; score the file again, or name the field with --result-field"
        )
    return [
        _with_earlier(candidate, found, f"{where}.candidates[{index}]")
        for index, (candidate, found) in enumerate(zip(candidates, scored, strict=True))
    ]


def _holds_step_scores(scored: object) -> bool:
    return isinstance(scored, list) and any(
        isinstance(item, dict) and item.get("step_scores") is not None for item in scored
    )


def _with_earlier(candidate: Candidate, earlier: object, where: str) -> Candidate:
    if not isinstance(earlier, dict):
        _refuse(f"{where} must be an object; got {quote(earlier)}; score the file again")
    split = _steps(earlier.get("steps"), where)
    scores = _step_scores(earlier.get("step_scores"), where, allow_null=True)
    steps = split or candidate.steps
    if steps and scores:
        _check_step_count(len(steps), scores, where)
    found = _answer(earlier.get("answer"), f"{where}.answer")
    if found is None and "answer" in earlier and candidate.solution is not None:
        found = ""
    return replace(candidate, score=None, step_scores=scores, split=split, found=found)


def _kind(value: object) -> str:
    names: dict[type, str] = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)


def parse_records(
    lines: Iterator[tuple[str, bytes]],
    fields: Fields,
    wanted: Wanted,
    on_fault: Callable[[RecordError], None],
    check: Callable[[Record], None] | None = None,
) -> Iterator[Record]:
    """Read records one by one.

    Args:
        lines: (place, bytes) of every line.
        fields: the names of the fields.
        wanted: see `parse_record`.
        on_fault: gets the error of a record that cannot be processed; it raises to stop, and
            returns to go on without the record.
        check: a further check, which raises RecordError.
    """
    for place, line in lines:
        try:
            record = parse_record(line, place, fields, wanted)
            if check is not None:
                check(record)
        except RecordError as error:
            on_fault(error)
            continue
        yield record
