"""What was found for a problem -> its line, and the page of its tree."""

from __future__ import annotations

import json
import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

from stepscore.records import Fields, Record, insert_result
from stepscore.report.tree_html import tree_html
from stepscore.search import ProblemResult, SearchResult, Trace


def results_of(
    records: Sequence[Record],
    result: SearchResult,
    shown: Container[str],
    *,
    fields: Fields,
    provenance: Mapping[str, Any],
) -> tuple[str, dict[str, str]]:
    """Write what was found for some records.

    Args:
        records: the problems, in the order of the result.
        result: what was found.
        shown: the ids, as texts, of the records whose trees are shown.
        fields: the names of the fields.
        provenance: what stands beside every result.

    Returns:
        One line per record: the record, and the result behind its own fields. And for every id
        that is shown the HTML page of its tree.
    """
    lines: list[str] = []
    pages: dict[str, str] = {}
    for index, (record, outcome) in enumerate(zip(records, result, strict=True)):
        content = {**_as_json(outcome), "provenance": provenance}
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        lines.append(insert_result(record, fields, text) + "\n")
        if str(record.id) in shown:
            pages[str(record.id)] = _page(record, outcome, result, index)
    return "".join(lines), pages


def _as_json(outcome: ProblemResult) -> dict[str, Any]:
    return {
        "answer": outcome.answer,
        **({} if outcome.no_answer is None else {"no_answer": outcome.no_answer}),
        "text": outcome.text,
        "winner": outcome.winner if outcome.winner >= 0 else None,
        "status": outcome.status,
        "traces": [_trace_as_json(trace) for trace in outcome.traces],
        "costs": {
            "samples": outcome.costs.samples,
            "tokens": outcome.costs.tokens,
            "prm_tokens": outcome.costs.prm_tokens,
            "seconds": round(outcome.costs.seconds, 6),
        },
    }


def _trace_as_json(trace: Trace) -> dict[str, Any]:
    return {
        "steps": trace.steps,
        "step_scores": trace.scores,
        "score": trace.score if math.isfinite(trace.score) else None,
        "worth": trace.worth if math.isfinite(trace.worth) else None,
        "answer": trace.answer,
        "complete": trace.complete,
    }


def _page(record: Record, outcome: ProblemResult, result: SearchResult, index: int) -> str:
    facts = {
        "id": record.id,
        "strategy": result.strategy,
        "answer": "none" if outcome.answer is None else outcome.answer,
        **({} if record.answer is None else {"known answer": record.answer}),
        "status": outcome.status,
        "samples": outcome.costs.samples,
        "generated tokens": outcome.costs.tokens,
        "PRM tokens": outcome.costs.prm_tokens,
    }
    return tree_html(outcome.problem, result.tree(index), facts=facts)
