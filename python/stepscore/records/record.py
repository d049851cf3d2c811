"""A record as values: a problem, its candidates, and the names of its fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stepscore.errors import Argument, InputError
from stepscore.records.json_text import quote

RecordId = str | int


@dataclass(frozen=True)
class Fields:
    """The names of a record's fields; ``result`` is the one that is added.

    A name with dots leads into objects and lists, ``doc.question`` or ``choices.0.text``, unless
    the record has a field of just that name. The result always stands at the top.

    Raises:
        InputError: one name for two of them.
    """

    id: str = "id"
    problem: str = "problem"
    candidates: str = "candidates"
    answer: str = "answer"
    result: str = "stepscore"

    def __post_init__(self) -> None:
        field_of: dict[str, str] = {}
        for field, name in vars(self).items():
            earlier = field_of.setdefault(name, field)
            if earlier != field:
                raise InputError(
                    "a name that no other field has",
                    got=(f"{quote(name)}, the name of ", Argument(f"fields.{earlier}"), " too"),
                    advice="pass another",
                    argument=f"fields.{field}",
                )


def field_in(content: Mapping[str, Any], name: str) -> tuple[bool, Any]:
    """Look a field up.

    Args:
        content: a record.
        name: of the field, or the way to it, as `Fields` says.

    Returns:
        Whether it is there, and what it holds.
    """
    if name in content or "." not in name:
        return name in content, content.get(name)
    value: Any = content
    for part in name.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return False, None
    return True, value


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
        earlier_steps: the steps that an earlier run split the text into.
        earlier_answer: the answer that an earlier run read, stripped; empty = there was none.
        skipped: why an earlier run could not score it; it takes no part.
    """

    text: str | None = None
    steps: list[str] | None = None
    answer: str | None = None
    score: float | None = None
    step_scores: list[float] | None = None
    correct: bool | None = None
    earlier_steps: list[str] | None = None
    earlier_answer: str | None = None
    skipped: str | None = None

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


def insert_result(record: Record, fields: Fields, result: str) -> str:
    """Give the record's line with one more field, the rest of it as it was.

    Args:
        record: the record.
        fields: the names of the fields; ``fields.result`` is added.
        result: JSON.
    """
    return f"{record.line[:-1].rstrip()}, {json.dumps(fields.result)}: {result}}}"
