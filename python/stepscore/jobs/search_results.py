"""What was found for a problem -> its line, and the page of its tree."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from stepscore.files import WholeFile
from stepscore.records import Fields, Record, insert_result
from stepscore.report.tree_html import tree_html
from stepscore.search import ProblemResult, SearchResult, Trace


def write_results(
    records: Sequence[Record],
    result: SearchResult,
    out: WholeFile,
    pages: Mapping[str, WholeFile],
    *,
    fields: Fields,
    provenance: Mapping[str, Any],
) -> None:
    """Write what was found for some records.

    Args:
        records: the problems, in the order of the result.
        result: what was found.
        out: gets one line per record: the record, and the result behind its own fields.
        pages: id of a record, as text -> the HTML that shows its tree.
        fields: the names of the fields.
        provenance: what stands beside every result.
    """
    for index, (record, outcome) in enumerate(zip(records, result, strict=True)):
        content = {**_as_json(outcome), "provenance": provenance}
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        out.write(insert_result(record, fields, text) + "\n")
        page = pages.get(str(record.id))
        if page is not None:
            page.write(_page(record, outcome, result, index))


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
