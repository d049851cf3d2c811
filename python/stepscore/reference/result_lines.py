"""Results written behind the fields of their records, by Python's json."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from stepscore.ops.result_lines import CandidateResults, VoteResults


def result_lines(
    lines: Sequence[bytes],
    provenance: Sequence[str],
    candidates: CandidateResults,
    votes: VoteResults | None = None,
    *,
    result: str = "stepscore",
    columns: Sequence[str] = (),
    rules: Sequence[str] = (),
) -> bytes:
    """Write the results of records behind their own fields, a line each."""
    results = [
        _candidate(candidates, candidate, columns) for candidate in range(len(candidates.skipped))
    ]
    text = ""
    for record, (begin, end) in enumerate(pairwise(candidates.offsets.tolist())):
        content: dict[str, Any] = {"candidates": results[begin:end]}
        if votes is not None:
            content["votes"] = {
                rule: {
                    column: _winner(votes, (record, r, c), begin, candidates.answers)
                    for c, column in enumerate(columns)
                }
                for r, rule in enumerate(rules)
            }
        content["provenance"] = json.loads(provenance[record])
        line = lines[record].decode()[:-1].rstrip()
        text += f"{line}, {_encode(result)}: {_encode(content)}}}\n"
    return text.encode()


def _encode(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _candidate(all_: CandidateResults, place: int, columns: Sequence[str]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(f"{{{all_.heads.get(place, '')}}}")
    skipped = bool(all_.skipped[place])
    if all_.step_scores is not None and all_.step_offsets is not None and not skipped:
        begin, end = all_.step_offsets[place : place + 2].tolist()
        content["step_scores"] = [_number(score) for score in all_.step_scores[begin:end]]
    if all_.truncated[place]:
        content["truncated"] = int(all_.truncated[place])
    if all_.scores is not None:
        content["scores"] = dict(zip(columns, map(_number, all_.scores[place]), strict=True))
    if all_.ranks is not None:
        content["rank"] = None if skipped else int(all_.ranks[place])
    if all_.answers is not None and all_.classes is not None:
        content["answer"] = all_.answers[place]
        content["answer_class"] = int(all_.classes[place])
    return content


def _winner(
    votes: VoteResults,
    at: tuple[int, int, int],
    begin: int,
    answers: Sequence[str | None] | None,
) -> dict[str, Any] | None:
    winner = int(votes.winner[at])
    if winner < 0 or answers is None:
        return None
    return {
        "winner": winner - begin,
        "answer": answers[winner],
        "score": _number(votes.score[at]),
        "tied": bool(votes.tied[at]),
        "margin": _number(votes.margin[at]),
    }


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
