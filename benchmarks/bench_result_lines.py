"""Writing the results of 512 records of 16 candidates on one core, against json and orjson."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stepscore import reference, result_lines
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.ops.result_lines import CandidateResults, VoteResults

RECORDS, CANDIDATES, STEPS = 512, 16, 8
RULES = ("majority", "weighted", "best_of_n")


def results() -> tuple[list[bytes], list[str], CandidateResults, VoteResults]:
    draw = np.random.default_rng(0)
    count = RECORDS * CANDIDATES
    offsets = np.arange(0, count + 1, CANDIDATES)
    candidates = CandidateResults(
        offsets,
        np.zeros(count, np.int64),
        np.zeros(count, np.bool_),
        {},
        draw.random(count * STEPS).round(4),
        np.arange(0, count * STEPS + 1, STEPS),
        draw.random((count, len(AGGREGATIONS))),
        draw.integers(1, CANDIDATES, count),
        [str(answer) for answer in draw.integers(0, 1000, count)],
        draw.integers(0, 5, count),
    )
    shape = (RECORDS, len(RULES), len(AGGREGATIONS))
    winner = offsets[:-1, None, None] + draw.integers(0, CANDIDATES, shape)
    votes = VoteResults(winner, draw.random(shape), draw.random(shape) < 0.1, draw.random(shape))
    lines = [b'{"id": %d}' % number for number in range(RECORDS)]
    return lines, ['{"model": null}'] * RECORDS, candidates, votes


@pytest.mark.benchmark(group="results of 512 records x 16 candidates")
class TestWriting:
    def test_result_lines(self, measure: Callable[..., Any]) -> None:
        names = {"columns": AGGREGATIONS, "rules": RULES}
        measure(lambda: result_lines(*results_once, **names), [()])

    def test_dicts_and_json(self, measure: Callable[..., Any]) -> None:
        names = {"columns": AGGREGATIONS, "rules": RULES}
        expected = result_lines(*results_once, **names)
        assert reference.result_lines(*results_once, **names) == expected
        measure(lambda: reference.result_lines(*results_once, **names), [()], rounds=3)

    def test_orjson_of_the_dicts(self, measure: Callable[..., Any]) -> None:
        orjson = pytest.importorskip("orjson")
        names = {"columns": AGGREGATIONS, "rules": RULES}
        content = [json.loads(line) for line in result_lines(*results_once, **names).splitlines()]
        measure(lambda: [orjson.dumps(record) for record in content], [()])


results_once = results()
